"""EWC against autograd, and against loops over utterances."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from attrition.methods.ewc import EWC


def test_the_gradient_is_that_of_the_penalty_written_out(make_utterances: Any, stage_of: Any) -> None:
    fisher, start, at = torch.tensor([0.5, 2.0, 0.0]), torch.tensor([1.0, -1.0, 3.0]), torch.tensor([0.5, 1.0, 9.0])
    work = EWC(strength=7).begin(
        stage_of(make_utterances(2, "a"), [make_utterances(2, "b")], start=start, memory={"fisher": fisher})
    )
    leaf = at.clone().requires_grad_()
    penalty = 7 / 2 * (fisher * (leaf - start) ** 2).sum()
    (expected,) = torch.autograd.grad(penalty, leaf)
    found = torch.tensor([1.0, 2.0, 3.0])
    work.gradient(0, at, found)
    torch.testing.assert_close(found, torch.tensor([1.0, 2.0, 3.0]) + expected)


def test_without_a_stage_before_nothing_is_added(make_utterances: Any, stage_of: Any) -> None:
    work, found = EWC().begin(stage_of(make_utterances(2, "a"))), torch.ones(3)
    work.gradient(0, torch.ones(3), found)
    assert found.tolist() == [1, 1, 1]


@pytest.mark.parametrize("decay", [0.0, 0.9, 1.0])
def test_the_recursion_over_three_stages(decay: float, make_utterances: Any, stage_of: Any) -> None:
    """F_3 = decay^2 f_1 + decay f_2 + f_3, each f the mean square of gradients, which are the number of the row here."""
    sizes = (3, 5, 4)
    sets = [make_utterances(size, str(size)) for size in sizes]
    memory: dict[str, torch.Tensor] = {}

    def gradient(_at: torch.Tensor, rows: Any, generator: Any) -> torch.Tensor:
        assert generator is None
        (row,) = rows.rows
        return torch.tensor([1.0, float(row), 2.0])

    for number, each in enumerate(sets):
        work = EWC(decay=decay, estimator="observed").begin(stage_of(each, sets[:number], memory=memory, gradient=gradient))
        memory = dict(work.memory(torch.zeros(3)))
    means = [sum(row**2 for row in range(size)) / size for size in sizes]
    weights = [decay**2, decay, 1.0]
    expected = torch.tensor(
        [
            sum(weights),
            sum(weight * mean for weight, mean in zip(weights, means, strict=True)),
            4 * sum(weights),
        ]
    )
    torch.testing.assert_close(memory["fisher"], expected)


def test_fisher_utterances_are_a_random_part(make_utterances: Any, stage_of: Any) -> None:
    seen: list[int] = []

    def gradient(_at: torch.Tensor, rows: Any, _generator: Any) -> torch.Tensor:
        seen.append(int(rows.rows[0]))
        return torch.ones(3)

    fisher = EWC(utterances=6).begin(stage_of(make_utterances(40, "a"), gradient=gradient)).memory(torch.zeros(3))["fisher"]
    assert len(set(seen)) == len(seen) == 6
    assert max(seen) > 6
    assert fisher.tolist() == [1, 1, 1]

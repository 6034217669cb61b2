"""Learners of different ranks in one population: each learns the same as alone."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
import torch

from attrition.methods import LoRA
from attrition.training import train as training
from attrition.training.clock import Clock
from attrition.training.layout import Layout
from attrition.training.model import Model
from attrition.training.settings import TrainingSettings
from attrition.training.train import Finished, Task, train_population

PLAIN = TrainingSettings(epochs=4, batch_size=8, learning_rate=1e-3, dropout=0.0, keep="last", weight_decay=0.1)


def run(tasks: list[Task], model: Model) -> dict[str, Finished]:
    return {finished.task.name: finished for finished in train_population(tasks, model, Clock())}


def of_rank(rank: int, model: Model, train: Any, dev: Any, dropout: float = 0.0, **settings: Any) -> Task:
    trains, name = LoRA(rank=rank, alpha=4, dropout=dropout), f"r{rank}"
    own = dataclasses.replace(PLAIN, dropout=dropout, **settings)
    return Task(name, trains, lambda: model.start(trains, name), train, dev, own, (name,))


@pytest.mark.parametrize("dropout", [0.0, 0.1], ids=["no dropout", "dropout"])
@pytest.mark.parametrize("kind", ["bert", "xlm-roberta"])
def test_each_rank_learns_what_it_would_alone(
    kind: str, dropout: float, make_model: Any, make_encoded: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """20 steps of ranks 2, 4 and 8, alpha 4 for all, with the masks that each would draw alone.

    In float32 a product over several learners has other rounding than a product over one: parameters agree within 2e-4, after a
    change of more than 1e-3. Padding beyond a learner's rank is exactly 0 after every step.
    """
    model, dev = make_model(kind), make_encoded(6, 99)
    tasks = [of_rank(rank, model, make_encoded(40, rank), dev, dropout) for rank in (2, 8, 4)]
    beyond: list[float] = []
    step = training._Population.step

    def looking(self: Any) -> int:
        count = step(self)
        for row, learner in enumerate(self.learners):
            again = learner.layout.resized(self._own(row), self._layout)
            beyond.append(float((again - self._flat[row]).abs().max()))
        return count

    with monkeypatch.context() as patch:
        patch.setattr(training._Population, "step", looking)
        together = run(tasks, model)
    assert beyond == [0.0] * 3 * 20
    for task in tasks:
        alone = run([task], model)[task.name]
        assert together[task.name].flat.shape == alone.flat.shape == (model.layout(task.trains).size,)
        assert (alone.flat - task.start()).abs().max() > 1e-3
        torch.testing.assert_close(together[task.name].flat, alone.flat, atol=2e-4, rtol=0)
        assert [each.dev_f1 for each in together[task.name].history] == [each.dev_f1 for each in alone.history]


def test_rows_are_as_wide_as_the_widest_learner_that_is_left(
    make_model: Any, make_encoded: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, encoded = make_model(), make_encoded(8)
    nothing = encoded.select(torch.zeros(0, dtype=torch.int64).numpy())
    tasks = [of_rank(rank, model, encoded, nothing, epochs=epochs) for rank, epochs in ((2, 3), (8, 1), (4, 2))]
    widths: list[int] = []
    step = training._Population.step

    def looking(self: Any) -> int:
        widths.append(self._flat.shape[1])
        return step(self)

    monkeypatch.setattr(training._Population, "step", looking)
    assert list(run(tasks, model)) == ["r8", "r4", "r2"]
    assert widths == [model.layout(LoRA(rank=rank)).size for rank in (8, 4, 2)]


def test_there_and_back_again() -> None:
    """By hand: two rows of A and two columns of B, in a layout of rank three."""
    two = Layout.of({"q.lora_A": (2, 2), "q.lora_B": (1, 2), "classifier.bias": (1,)})
    three = Layout.of({"q.lora_A": (3, 2), "q.lora_B": (1, 3), "classifier.bias": (1,)})
    flat = torch.arange(1.0, 8.0)
    wide = two.resized(flat, three)
    assert wide.tolist() == [1, 2, 3, 4, 0, 0, 5, 6, 0, 7]
    assert torch.equal(three.resized(wide, two), flat)
    assert two.resized(flat, two) is flat
    both = three.taken(torch.stack([wide, 2 * wide, 3 * wide]), [2, 0], two)
    assert torch.equal(both, torch.stack([3 * flat, flat]))
    assert torch.equal(two.taken(both, [1], two), flat.unsqueeze(0))
    with pytest.raises(AssertionError, match="other tensors"):
        two.resized(flat, Layout.of({"k.lora_A": (2, 2)}))


def test_what_cannot_stand_side_by_side(make_model: Any, make_encoded: Any) -> None:
    model, encoded = make_model(), make_encoded(4)
    for other in (LoRA(rank=4, dropout=0.2), LoRA(rank=4, dropout=0.0, targets=("query",))):
        tasks = [of_rank(2, model, encoded, encoded), dataclasses.replace(of_rank(4, model, encoded, encoded), trains=other)]
        with pytest.raises(AssertionError, match="share a pass"):
            run(tasks, model)

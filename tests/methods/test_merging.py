"""Merging against PEFT and against sums written out."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from attrition.methods import Full, LoRA
from attrition.methods.merging import Mean, Ties

ABC = ("a", "b", "c")


def differences(*shape: int, seed: int = 0) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(*shape, generator=generator) for _ in ABC]


@pytest.mark.filterwarnings("ignore:The density 1.0 is greater")
@pytest.mark.parametrize("density", [0.1, 0.3, 0.5, 1.0])
@pytest.mark.parametrize("shape", [(7,), (5, 6), (1, 3)])
def test_ties_equals_peft(density: float, shape: tuple[int, ...]) -> None:
    merge_utils = pytest.importorskip("peft.utils.merge_utils")
    for seed in range(3):
        given = differences(*shape, seed=seed)
        theirs = merge_utils.ties(given, torch.ones(3), density)
        torch.testing.assert_close(Ties(density=density).merge(given, ABC), theirs)
        torch.testing.assert_close(Ties(density=density, scale=0.4).merge(given, ABC), 0.4 * theirs)


def test_ties_by_hand() -> None:
    """Of 4 numbers 2 are kept: (4, -3), (-2, 5), (1, 6) at places (0, 1), (0, 1), (2, 1)."""
    given = [torch.tensor([4.0, -3.0, 0.1, 0.2]), torch.tensor([-2.0, 5.0, 0.1, 0.1]), torch.tensor([0.5, 6.0, 1.0, -0.5])]
    assert Ties(density=0.5).merge(given, ABC).tolist() == [4, 5.5, 1, 0]


@pytest.mark.parametrize("weights", [{}, {"b": 3.0}])
def test_the_mean_equals_peft_and_numpy(weights: dict[str, float]) -> None:
    merge_utils = pytest.importorskip("peft.utils.merge_utils")
    given = differences(5, 6)
    shares = torch.tensor([1.0, weights.get("b", 1.0), 1.0])
    shares /= shares.sum()
    found = Mean(weights=weights, scale=2).merge(given, ABC)
    torch.testing.assert_close(found, 2 * merge_utils.task_arithmetic(given, shares))
    expected = 2 * np.average([each.numpy() for each in given], axis=0, weights=shares.numpy())
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-5, atol=1e-6)
    assert sum(Mean(weights=weights).shares(ABC)) == pytest.approx(1)


@pytest.mark.parametrize("trains", [LoRA(rank=2, alpha=6), Full()], ids=["lora", "full"])
def test_a_merged_model_is_the_mean_of_merged_weights(trains: Any) -> None:
    """Each learner's factors are multiplied into the encoder; the mean of the whole encoders is the merge."""
    from attrition.encoder.sources import load_pretrained
    from attrition.encoder.vocabulary import whole_vocabulary
    from attrition.training.merged import merge
    from attrition.training.model import build_model

    pretrained = load_pretrained("tiny:bert")
    model = build_model(pretrained, whole_vocabulary(pretrained.vocabulary_size), ("O", "B-x", "I-x"))
    generator = torch.Generator().manual_seed(1)
    size = model.layout(trains).size
    flats = [model.start(trains, name) + 0.1 * torch.randn(size, generator=generator) for name in ABC]
    found = model.weights(Full(), merge(model, trains, flats, ABC, Mean()))
    alone = [model.weights(trains, flat) for flat in flats]
    for name, tensor in found.encoder.items():
        torch.testing.assert_close(tensor, torch.stack([each.encoder[name] for each in alone]).mean(0), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(found.head_weight, torch.stack([each.head_weight for each in alone]).mean(0))
    torch.testing.assert_close(found.head_bias, torch.stack([each.head_bias for each in alone]).mean(0))

"""The schedule, compared with transformers', and refused settings."""

from __future__ import annotations

import math

import pytest
import torch
import transformers

from attrition.names import AttritionError
from attrition.training.settings import TrainingSettings, round_up


@pytest.mark.filterwarnings("ignore:Detected call of `lr_scheduler.step")
@pytest.mark.parametrize("total", [1, 2, 7, 30, 101])
@pytest.mark.parametrize("warmup", [0.0, 0.06, 0.1, 0.5, 1.0])
@pytest.mark.parametrize("schedule", ["linear", "constant"])
def test_rates_equal_transformers(schedule: str, warmup: float, total: int) -> None:
    settings = TrainingSettings(warmup=warmup, schedule=schedule)
    warm = math.ceil(warmup * total)
    adamw = torch.optim.AdamW([torch.zeros(1, requires_grad=True)], lr=1.0)
    if schedule == "linear":
        theirs = transformers.get_linear_schedule_with_warmup(adamw, warm, total)
    else:
        theirs = transformers.get_constant_schedule_with_warmup(adamw, warm)
    expected = []
    for _ in range(total):
        expected.append(theirs.get_last_lr()[0])
        theirs.step()
    assert [settings.rate(step, total) for step in range(total)] == expected


def test_the_rate_is_never_negative() -> None:
    assert TrainingSettings().rate(12, 10) == 0.0


@pytest.mark.parametrize(("value", "expected"), [(0.0, 0), (0.1, 1), (1.0, 1), (2.0000001, 3), (3.0, 3)])
def test_round_up(value: float, expected: int) -> None:
    assert round_up(value) == expected == math.ceil(value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("epochs", 0), ("batch_size", 0), ("learning_rate", -1e-4), ("head_learning_rate", 11), ("warmup", 1.5),
        ("weight_decay", -0.1), ("max_grad_norm", -1), ("patience", 0), ("dropout", 1.0), ("beta1", 1.0), ("beta2", -0.1),
        ("epsilon", 0.0), ("learning_rate", math.nan), ("learning_rate", math.inf),
    ],
)  # fmt: skip
def test_values_out_of_range(name: str, value: float) -> None:
    with pytest.raises(AttritionError, match=rf"training\.{name} = {value} is not allowed: give a number from "):
        TrainingSettings(**{name: value})


def test_what_may_be_left_out() -> None:
    settings = TrainingSettings(patience=None, dropout=None, max_grad_norm=0, learning_rate=0)
    assert settings.patience is None
    assert settings.dropout is None

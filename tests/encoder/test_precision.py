"""The choice of precision, which has no side effects."""

from __future__ import annotations

import pytest
import torch

from attrition.encoder import precision
from attrition.encoder.precision import bfloat16_gain, choose_precision

CPU = torch.device("cpu")


@pytest.mark.parametrize(("gain", "chosen"), [(0.6, "float32"), (1.0, "float32"), (3.0, "bfloat16")])
def test_auto_goes_by_what_is_measured(gain: float, chosen: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precision, "bfloat16_gain", lambda device: gain)
    assert choose_precision("auto", CPU) == chosen


def test_what_was_asked_for_is_not_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(precision, "bfloat16_gain")
    assert choose_precision("float32", CPU) == "float32"
    assert choose_precision("bfloat16", CPU) == "bfloat16"


def test_the_gain_is_the_best_time_of_one_over_that_of_the_other(monkeypatch: pytest.MonkeyPatch) -> None:
    """Slow runs do not count, for either precision; the number of threads does not change."""
    turns = {torch.float32: iter([6.0, 3.0, 9.0] + [8.0] * 17), torch.bfloat16: iter([5.0, 1.5, 1.5] + [4.0] * 17)}
    monkeypatch.setattr(precision, "_seconds", lambda x, weight: next(turns[weight.dtype]))
    before = torch.get_num_threads()
    assert bfloat16_gain(CPU) == 2
    assert torch.get_num_threads() == before

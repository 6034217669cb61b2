"""Which precision is chosen, and that choosing does nothing else."""

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


def test_the_gain_is_a_ratio_of_times() -> None:
    assert 0.001 < bfloat16_gain(CPU) < 1000

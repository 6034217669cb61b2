"""Rate decay against its formula; what AdamW makes of it is tested in tests/training/test_hooks.py."""

from __future__ import annotations

from typing import Any

import pytest

from attrition.methods.decay import RateDecay


@pytest.mark.parametrize("stage", [0, 1, 4])
@pytest.mark.parametrize(("factor", "floor"), [(0.5, 0.0), (0.5, 0.2), (1.0, 0.0)])
def test_the_factor_of_a_stage(stage: int, factor: float, floor: float, make_utterances: Any, stage_of: Any) -> None:
    few = make_utterances(2, "a")
    work = RateDecay(factor=factor, floor=floor).begin(stage_of(few, [few] * stage))
    assert [work.rate(step) for step in (0, 9)] == [max(floor, factor**stage)] * 2

"""Interpolation against its formula."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from attrition.methods.interpolation import Interpolation


@pytest.mark.parametrize("weight", [0.0, 0.3, 0.5, 0.8, 1.0])
def test_the_closed_form(weight: float, make_utterances: Any, stage_of: Any) -> None:
    start, end = torch.tensor([1.0, -2.0, 0.1]), torch.tensor([3.0, 2.0, 0.7])
    stage = stage_of(make_utterances(2, "a"), [make_utterances(2, "b")], start=start)
    work = Interpolation(weight=weight).begin(stage)
    torch.testing.assert_close(work.after(end.clone()), (1 - weight) * start + weight * end)
    if weight in (0, 1):
        assert work.after(end.clone()).tolist() == (end if weight else start).tolist()
    # A weight w0 that decay has multiplied by 0.7 is interpolated as any other.
    torch.testing.assert_close(torch.tensor(work.untouched(0.7)), work.after(start * 0.7)[0] / start[0])


def test_the_first_stage_is_left_alone(make_utterances: Any, stage_of: Any) -> None:
    work, end = Interpolation().begin(stage_of(make_utterances(2, "a"))), torch.ones(3)
    assert work.after(end) is end
    assert work.untouched(0.7) == 0.7

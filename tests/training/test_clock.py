"""Time by purpose, with a fake clock."""

from __future__ import annotations

import pytest

from attrition.training.clock import Clock


class Hand:
    def __init__(self) -> None:
        self.time = 100.0

    def __call__(self) -> float:
        return self.time


def test_seconds_by_purpose() -> None:
    hand = Hand()
    clock = Clock(now=hand)
    for purpose, seconds in (("data", 1.0), ("training", 5.0), ("data", 0.5), ("evaluation", 2.0)):
        with clock.measure(purpose):  # type: ignore[arg-type]
            hand.time += seconds
        hand.time += 0.25
    assert clock.seconds() == {"data": 1.5, "training": 5.0, "evaluation": 2.0, "other": 1.0}
    hand.time += 3
    assert clock.seconds()["other"] == 4.0


def test_time_counts_even_when_the_work_fails() -> None:
    hand = Hand()
    clock = Clock(now=hand)

    def fail() -> None:
        with clock.measure("training"):
            hand.time += 2
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert clock.seconds()["training"] == 2.0


def test_two_clocks_do_not_share_anything() -> None:
    hand = Hand()
    first, second = Clock(now=hand), Clock(now=hand)
    with first.measure("data"):
        hand.time += 1
    assert second.seconds() == {"data": 0.0, "training": 0.0, "evaluation": 0.0, "other": 1.0}

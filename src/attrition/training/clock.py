"""Measures the time of a run by purpose."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Literal

Purpose = Literal["data", "training", "evaluation"]


@dataclass(eq=False)
class Clock:
    """Sums seconds by purpose; unmeasured time is "other".

    >>> ticks = iter([0.0, 1.0, 3.0, 4.0])
    >>> clock = Clock(now=lambda: next(ticks))
    >>> with clock.measure("training"):
    ...     pass
    >>> clock.seconds()
    {'data': 0.0, 'training': 2.0, 'evaluation': 0.0, 'other': 2.0}
    """

    now: Callable[[], float] = time.perf_counter
    _spent: dict[Purpose, float] = field(default_factory=lambda: {"data": 0.0, "training": 0.0, "evaluation": 0.0})
    _began: float = field(init=False)

    def __post_init__(self) -> None:
        self._began = self.now()

    @contextmanager
    def measure(self, purpose: Purpose) -> Iterator[None]:
        """Context manager: add the time inside to `purpose`."""
        start = self.now()
        try:
            yield
        finally:
            self._spent[purpose] += self.now() - start

    def seconds(self) -> dict[str, float]:
        """Return seconds by purpose, and "other" for the remaining time since this clock was made."""
        total = self.now() - self._began
        spent: dict[str, float] = dict(self._spent.items())
        return {**spent, "other": max(0.0, total - sum(spent.values()))}


class Shares:
    """Splits the seconds of a clock into shares: each share is the time since the previous one.

    >>> ticks = iter([0.0, 3.0, 5.0])
    >>> shares = Shares(Clock(now=lambda: next(ticks)), {"training": 1.0})
    >>> shares.so_far()
    {'data': 0.0, 'training': 1.0, 'evaluation': 0.0, 'other': 3.0}
    >>> shares.take()["other"]
    5.0
    """

    def __init__(self, clock: Clock, earlier: Mapping[str, float]) -> None:
        """`earlier`: seconds before the clock started; they are part of the first share."""
        self._clock = clock
        self._dealt = {purpose: -seconds for purpose, seconds in earlier.items()}

    def so_far(self) -> dict[str, float]:
        """Return the next share up to now."""
        return self._since(self._clock.seconds())

    def take(self) -> dict[str, float]:
        """Return the next share, and start a new one."""
        spent = self._clock.seconds()
        share, self._dealt = self._since(spent), spent
        return share

    def _since(self, spent: Mapping[str, float]) -> dict[str, float]:
        return {purpose: seconds - self._dealt.get(purpose, 0.0) for purpose, seconds in spent.items()}

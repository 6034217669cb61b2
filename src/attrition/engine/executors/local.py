"""The executor "local": this process trains one unit after another."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from attrition.engine.executors import Outcome
from attrition.engine.progress import Pulse
from attrition.engine.schedule import Unit
from attrition.engine.work import Worker


class Local:
    """One unit at a time, by a worker in this process; `wait` returns after each stage."""

    slots, chains, elsewhere = 1, False, False
    at_work: Sequence[Unit] = ()

    def __init__(self, worker: Worker, pulse: Pulse) -> None:
        self._worker, self._pulse = worker, pulse
        self.device = worker.device
        self._begun: tuple[Unit, Iterator[str]] | None = None

    def submit(self, units: Sequence[Unit]) -> None:
        """Store the unit; `wait` does the work."""
        (unit,) = units
        self._begun = unit, self._worker.work(unit)
        self._pulse.begin(unit)

    def wait(self) -> Sequence[Outcome]:
        """Work until the next stage is stored and scored, or the unit has ended."""
        assert self._begun is not None, "no unit was submitted"
        unit, work = self._begun
        if next(work, None) is not None:
            return ()
        self._begun = None
        return (Outcome(unit),)

    def stop(self) -> Sequence[Outcome]:
        """Do nothing: the worker sees the request itself."""
        return ()

    def close(self) -> None:
        """Mark this process as idle."""
        self._pulse.end()

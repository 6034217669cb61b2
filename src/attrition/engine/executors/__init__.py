"""Executors train the stages of a study. The driver (`attrition.engine.run`) decides what is trained, an executor where.

Every executor runs the same units with the same code (`attrition.engine.work.Worker`) and the same results folder. Workers
write finished stages and checkpoints to this folder, and the driver reads them there. Executors send no weights or scores.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from attrition.engine.schedule import Unit


@dataclass(frozen=True)
class Outcome:
    """The result of the work on a unit.

    Attributes:
        unit: the unit.
        warnings: for the user.
        stopped: True if the worker was asked to stop and has saved its training.
        died: why the worker ended early, in words; another worker can take the unit. "" if it did not.
    """

    unit: Unit
    warnings: tuple[str, ...] = ()
    stopped: bool = False
    died: str = ""


class Executor(Protocol):
    """Accepts units, and reports when the results folder may have changed."""

    slots: int
    """The largest number of units at work at a time."""
    chains: bool
    """True if a unit is a whole chain, because each unit waits in a queue."""
    elsewhere: bool
    """True if workers are not in the driver's process."""
    device: str
    """The kind of device that trains: "cpu" or "cuda"."""
    at_work: Sequence[Unit]
    """Units that an earlier driver submitted and that still run."""

    def submit(self, units: Sequence[Unit]) -> None:
        """Start units. Together with the running units there are at most `slots`."""

    def wait(self) -> Sequence[Outcome]:
        """Wait until a stage may have been stored; return the outcomes of units that ended since the last call.

        Raises:
            AttritionError: the work cannot be done.
            Stopped: a stop was requested, and this process is the worker.
        """

    def stop(self) -> Sequence[Outcome]:
        """Make the workers save their training and end; return the outcomes of units that ended meanwhile."""

    def close(self) -> None:
        """End the workers at once."""

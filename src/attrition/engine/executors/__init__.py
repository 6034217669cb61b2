"""Where the stages of a study are trained. The driver (`attrition.engine.run`) decides what, and an executor where.

Every executor does the same units by the same code (`attrition.engine.work.Worker`), over the same results folder. A worker
leaves finished stages and checkpoints there, and the driver looks there for them: no executor passes weights or scores on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from attrition.engine.schedule import Unit


@dataclass(frozen=True)
class Outcome:
    """How the work on a unit ended.

    Attributes:
        unit: which.
        warnings: what a person must know.
        stopped: it was asked to stop, and what was in training is kept.
        died: what became of the worker, in words, if it did not end its work; the unit can be given to another one.
    """

    unit: Unit
    warnings: tuple[str, ...] = ()
    stopped: bool = False
    died: str = ""


class Executor(Protocol):
    """Takes units, and says when the results folder may have changed."""

    slots: int
    """So many units can be at work at a time."""
    chains: bool
    """Whether a unit is a whole chain: where beginning a unit means to wait in a queue."""
    elsewhere: bool
    """Whether workers are other processes than the driver."""
    device: str
    """The kind of device that trains: "cpu" or "cuda"."""
    at_work: Sequence[Unit]
    """Units that an earlier driver submitted, and that are at work still."""

    def submit(self, units: Sequence[Unit]) -> None:
        """Begin to work on units; those that are at work already are at most `slots` with them."""

    def wait(self) -> Sequence[Outcome]:
        """Wait until a stage may have been stored; return the units whose work has ended since the last call.

        Raises:
            AttritionError: the work itself cannot be done.
            Stopped: that was asked for, and this process is the worker.
        """

    def stop(self) -> Sequence[Outcome]:
        """Have the workers keep what is in training, wait until they have, and end them. Return what has ended meanwhile."""

    def close(self) -> None:
        """End the workers at once."""

"""The executor "ray": each unit is a task of Ray Core. Ray chooses the node, waits for GPUs, and retries if a node is lost.

All nodes need attrition, the corpus or the pack, and the results folder under the same path (a shared disk).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import ray
from ray.exceptions import RayError, RayTaskError, TaskCancelledError

from attrition.engine.executors import Outcome
from attrition.engine.executors.remote import Setup, work
from attrition.engine.schedule import Unit
from attrition.study.spec_machine import RaySettings

LOOK_SECONDS = 2.0
"""Seconds between the driver's checks for stored stages."""


class Ray:
    """Units as tasks of a Ray cluster, which may grow and shrink."""

    chains, elsewhere = False, True
    at_work: Sequence[Unit] = ()

    def __init__(self, settings: RaySettings, setup: Setup, workers: int) -> None:
        self.slots, self.device, self._setup = workers, setup.device, setup
        self._began = not ray.is_initialized()
        if self._began:
            ray.init(address=settings.address, log_to_driver=False, include_dashboard=False)
        task: Any = ray.remote(work)
        # Errors in the work are not retried: they would occur again.
        self._task = task.options(num_cpus=settings.cpus, num_gpus=settings.gpus, max_retries=settings.retries)
        self._busy: dict[Any, Unit] = {}

    def submit(self, units: Sequence[Unit]) -> None:
        """Submit each unit as a task."""
        for unit in units:
            self._busy[self._task.remote(self._setup, unit)] = unit

    def wait(self) -> Sequence[Outcome]:
        """Wait two seconds, or until a task ends."""
        done, _ = ray.wait(list(self._busy), timeout=LOOK_SECONDS)
        return [self._outcome(each) for each in done]

    def _outcome(self, task: Any) -> Outcome:
        unit = self._busy.pop(task)
        try:
            outcome: Outcome = ray.get(task)
        except RayTaskError as error:
            raise error.cause from error
        except TaskCancelledError:
            return Outcome(unit, stopped=True)
        except RayError as error:
            return Outcome(unit, died=f"Ray has lost a worker ({type(error).__name__}).")
        return outcome

    def stop(self) -> Sequence[Outcome]:
        """Cancel the tasks: a worker gets SIGINT, saves its training, and ends."""
        for task in self._busy:
            ray.cancel(task)
        while self._busy:
            done, _ = ray.wait(list(self._busy), num_returns=len(self._busy), timeout=LOOK_SECONDS)
            for task in done:
                self._outcome(task)
        return ()

    def close(self) -> None:
        """Disconnect from the cluster; a cluster started for this study ends."""
        if self._began:
            ray.shutdown()

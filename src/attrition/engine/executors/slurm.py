"""The executor "slurm": chains of stages as array jobs, through submitit.

Near its walltime a job saves its training and ends. The driver submits the rest of the chain again, which resumes from the
checkpoint. Jobs outlive the driver: `slurm/jobs.json` lists them, and the next driver waits for them.
"""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import submitit
from submitit.core import utils

from attrition.engine.executors import Outcome
from attrition.engine.executors.remote import Setup, work
from attrition.engine.schedule import Unit
from attrition.files import write_whole
from attrition.names import AttritionError
from attrition.results.at_work import SLURM
from attrition.study.spec_machine import SlurmSettings

LOOK_SECONDS = 10.0
"""Seconds between the driver's checks for stored stages."""

QUEUE_SECONDS = 60.0
"""Seconds between the driver's queries of SLURM's queue: a job that left it without a result was killed."""

MARGIN_SECONDS = 120.0
"""A worker stops this long before the walltime, to end a step and write a checkpoint."""

SIGNAL_SECONDS = 30
"""submitit gives up a job this long before the walltime. A worker still running then loses work since its checkpoint."""

STOP_SECONDS = 60.0
"""SLURM kills a cancelled job 30 seconds after SIGTERM by default."""

_JOBS = "jobs.json"
_GIVEN_UP = "timed-out and not checkpointable"
"""submitit's error for a job that still runs `SIGNAL_SECONDS` before its walltime."""


class Slurm:
    """Units, each a whole chain, as tasks of array jobs."""

    chains, elsewhere = True, True

    def __init__(self, settings: SlurmSettings, setup: Setup, workers: int, cluster: str = "slurm") -> None:
        """Create an executor with at most `workers` tasks at a time; `cluster` is "local" in tests without SLURM."""
        self.slots, self.device = workers, setup.device
        self._setup = replace(setup, seconds=60.0 * settings.walltime - MARGIN_SECONDS)
        self._folder = Path(setup.folder) / SLURM
        self._cluster, self._asked, self._missing = cluster, float("-inf"), set[Unit]()
        self._executor = submitit.AutoExecutor(folder=self._folder / "%j", cluster=cluster)
        given = {
            "timeout_min": settings.walltime,
            "gpus_per_node": settings.gpus or None,
            "cpus_per_task": settings.cpus,
            "mem_gb": settings.memory_gb,
            "slurm_partition": settings.partition,
            "slurm_account": settings.account,
            "slurm_array_parallelism": workers,
            "slurm_additional_parameters": dict(settings.options) or None,
            "slurm_signal_delay_s": SIGNAL_SECONDS,
            "name": "attrition",
        }
        self._executor.update_parameters(**{name: value for name, value in given.items() if value is not None})
        self._busy: dict[Unit, Any] = self._submitted_earlier()
        self.at_work: Sequence[Unit] = tuple(self._busy)

    def submit(self, units: Sequence[Unit]) -> None:
        """Submit the units as one array job."""
        try:
            with self._executor.batch():
                jobs = [self._executor.submit(work, self._setup, unit) for unit in units]
        except utils.FailedSubmissionError as error:
            raise AttritionError(f"SLURM refuses the jobs: {error} Change [machine.slurm].") from error
        self._busy |= dict(zip(units, jobs, strict=True))
        self._write()

    def wait(self) -> Sequence[Outcome]:
        """Wait ten seconds, or until a job ends."""
        end, gone = time.monotonic() + LOOK_SECONDS, self._gone()
        while not (done := [unit for unit, job in self._busy.items() if job.done() or unit in gone]) and time.monotonic() < end:
            time.sleep(min(1.0, LOOK_SECONDS))
        outcomes = [self._outcome(unit) for unit in done]
        if done:
            self._write()
        return outcomes

    def _outcome(self, unit: Unit) -> Outcome:
        job = self._busy.pop(unit)
        if not job.paths.result_pickle.exists():
            return Outcome(unit, died=f"SLURM job {job.job_id} has ended without a result (see {job.paths.stderr}).")
        try:
            outcome: Outcome = job.result()
        except utils.UncompletedJobError as error:
            return Outcome(unit, died=f"SLURM job {job.job_id} was ended: {str(error).splitlines()[0]}.")
        except utils.FailedJobError as error:
            if _GIVEN_UP in str(error):
                return Outcome(unit, died=f"SLURM job {job.job_id} reached its walltime before its worker could stop.")
            said = [line for line in str(error).splitlines() if "Error: " in line]
            raise AttritionError(f"SLURM job {job.job_id} has failed: {(said or [str(error)])[-1]}") from error
        return outcome

    def _gone(self) -> set[Unit]:
        """Return the units whose jobs were missing from the queue twice in a row. Without a result, they were killed."""
        now = time.monotonic()
        if self._cluster != "slurm" or now - self._asked < QUEUE_SECONDS:
            return set()
        self._asked = now
        command = ["squeue", "--me", "--noheader", "--array", "--format=%i"]
        asked = subprocess.run(command, capture_output=True, text=True, check=False)
        if asked.returncode:
            return set()  # a busy controller: ask again next time
        missing = {unit for unit, job in self._busy.items() if job.job_id not in asked.stdout.split()}
        gone, self._missing = missing & self._missing, missing
        return gone

    def stop(self) -> Sequence[Outcome]:
        """Send the jobs SIGTERM: running jobs save their training and end, queued jobs leave the queue."""
        for job in self._busy.values():
            job.cancel(check=False)
        end = time.monotonic() + STOP_SECONDS
        while self._busy and time.monotonic() < end:
            self._asked = float("-inf")
            self.wait()
        self._write()
        return ()

    def close(self) -> None:
        """Leave the jobs to SLURM: the next driver finds them."""

    def _write(self) -> None:
        listed = [
            {"job": job.job_id, "populations": unit.populations, "scores": unit.scores} for unit, job in self._busy.items()
        ]
        write_whole(self._folder / _JOBS, json.dumps(listed, indent=1) + "\n")

    def _submitted_earlier(self) -> dict[Unit, Any]:
        """Return the jobs of an earlier driver, by unit; {} if the list is missing or damaged."""
        found: dict[Unit, Any] = {}
        with suppress(OSError, ValueError, KeyError, TypeError):
            for each in json.loads((self._folder / _JOBS).read_text(encoding="utf-8")):
                populations = tuple(tuple(population) for population in each["populations"])
                scores = tuple((str(key), bool(before)) for key, before in each["scores"])
                kind = submitit.SlurmJob if self._cluster == "slurm" else submitit.LocalJob
                found[Unit(populations, scores)] = kind(self._folder / "%j", each["job"])
        return found

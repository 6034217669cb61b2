"""Reports the progress of workers to the watcher, and writes it to the results folder for `attrition status`."""

from __future__ import annotations

import json
import os
import socket
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from attrition.engine.schedule import Unit
from attrition.files import is_forgotten, is_running, write_whole
from attrition.results.at_work import PLAN, WORKING, pulses
from attrition.study.plan import Job, StudyPlan
from attrition.study.watcher import Watcher
from attrition.training.train import Epoch

EVERY_SECONDS = 5.0
"""Seconds between two progress reports of a worker."""


class Pulse(Watcher):
    """Writes the progress of a worker to `working/<host>-<pid>.json` and forwards all calls to another watcher."""

    def __init__(self, folder: Path, executor: str, inner: Watcher, place: str = "") -> None:
        self._inner, self._last = inner, float("-inf")
        host, pid = socket.gethostname(), os.getpid()
        self._path = folder / WORKING / f"{host}-{pid}.json"
        self._said: dict[str, Any] = {
            "executor": executor, "host": host, "pid": pid, "place": place, "began": time.time(), "read": 0,
            "what": "", "stages": [], "epochs": {}, "unit_read": 0,
        }  # fmt: skip

    @property
    def unit_read(self) -> int:
        """Return the utterances read for the unit so far."""
        return int(self._said["unit_read"])

    def begin(self, unit: Unit) -> None:
        """Start a unit."""
        self._said |= {"stages": list(unit.keys), "epochs": {}, "unit_read": 0}
        self._write(at_once=True)

    def end(self) -> None:
        """End the unit; the worker is idle."""
        _forget(self._path)
        self._last = float("-inf")

    def started(self, job: Job) -> None:
        self._said["what"] = f"training {job.label}"
        self._write(at_once=True)
        self._inner.started(job)

    def resumed(self, job: Job, step: int) -> None:
        self._said["what"] = f"training {job.label}"
        self._write(at_once=True)
        self._inner.resumed(job, step)

    def scoring(self, label: str) -> None:
        self._said["what"] = f"scoring {label}"
        self._write(at_once=True)
        self._inner.scoring(label)

    def trained(self, num_utterances: int) -> None:
        for count in ("read", "unit_read"):
            self._said[count] += num_utterances
        self._write()
        self._inner.trained(num_utterances)

    def epoch_ended(self, key: str, epoch: Epoch) -> None:
        self._said["epochs"] = {**self._said["epochs"], key: epoch}
        self._write(at_once=True)
        self._inner.epoch_ended(key, epoch)

    def warned(self, message: str) -> None:
        self._inner.warned(message)

    def _write(self, *, at_once: bool = False) -> None:
        now = time.monotonic()
        if not at_once and now - self._last < EVERY_SECONDS:
            return
        self._last = now
        with suppress(OSError):  # it is only for people to look at
            self._path.parent.mkdir(exist_ok=True)
            # Not atomic, so that no temporary file can stay behind. A reader that finds invalid JSON tries again later.
            self._path.write_text(json.dumps({**self._said, "seen": time.time()}), encoding="utf-8")


def write_plan(folder: Path, whole: StudyPlan, selected: StudyPlan, passes: Mapping[str, int]) -> None:
    """Write the plan of a study and its selected runs, for `attrition.results.at_work.read_status`."""
    stages = {
        key: {"label": job.label, "passes": passes[key], "batch": job.choice.training.batch_size}
        for key, job in whole.jobs.items()
    }
    runs = {run.key: {"label": run.label, "stages": [job.key for job in run.jobs]} for run in whole.runs}
    plan = {"stages": stages, "runs": runs, "selected": [run.key for run in selected.runs]}
    write_whole(folder / PLAN, json.dumps(plan, indent=1) + "\n")


def forget_pulse(folder: Path, host: str, pid: int) -> None:
    """Remove the progress file of a killed worker."""
    _forget(folder / WORKING / f"{host}-{pid}.json")


def _forget(path: Path) -> None:
    """Remove a progress file. The last one takes the folder with it."""
    with suppress(OSError):
        path.unlink(missing_ok=True)
    with suppress(OSError):  # other workers are active
        path.parent.rmdir()


def wait_for_orphans(folder: Path, watcher: Watcher, seconds: float = 60.0) -> None:
    """Wait until the workers of a killed driver have stopped, then remove their progress files.

    Such workers notice within a second, write a checkpoint and stop. A process that does not stop is not a worker: the
    system has given its number to another process.
    """
    end, told, here = time.monotonic() + seconds, False, socket.gethostname()
    for path in sorted((folder / WORKING).glob("*-*.json")):  # by name: a killed worker may leave invalid JSON
        host, _, pid = path.stem.rpartition("-")
        if host == here and pid.isdecimal():
            while is_running(int(pid)) and int(pid) != os.getpid() and time.monotonic() < end:
                if not told:
                    watcher.noted("Waiting for a worker of the previous command. It writes a checkpoint and stops.")
                    told = True
                time.sleep(0.1)
            _forget(path)
        elif is_forgotten(path):
            _forget(path)
    with suppress(OSError):  # other machines' workers are active
        (folder / WORKING).rmdir()


class Progress:
    """Reports the progress of workers in other processes to the driver's watcher."""

    def __init__(self, folder: Path, watcher: Watcher, jobs: Mapping[str, Job]) -> None:
        self._folder, self._watcher, self._jobs = folder, watcher, jobs
        self._told: dict[tuple[str, ...], int] = {}
        self._epochs: dict[str, int] = {}

    def look(self) -> None:
        """Report what workers have started and read since the last call, and the last epoch of each stage."""
        for said in pulses(self._folder):
            keys = tuple(said["stages"])
            if keys and keys not in self._told and keys[0] in self._jobs:
                self._told[keys] = 0
                self._watcher.started(self._jobs[keys[0]])
            self._tell(keys, int(said["unit_read"]))
            for key, values in said["epochs"].items():
                self.epoch_ended(key, Epoch(*values))

    def epoch_ended(self, key: str, epoch: Epoch) -> None:
        """Report the last epoch of a stage, unless it was reported before."""
        if epoch.epoch > self._epochs.get(key, 0):
            self._epochs[key] = epoch.epoch
            self._watcher.epoch_ended(key, epoch)

    def ended(self, unit: Unit, read: int) -> None:
        """End a unit; `read` utterances belong to its stored stages."""
        self._tell(unit.keys, read)

    def _tell(self, keys: tuple[str, ...], read: int) -> None:
        if read > self._told.get(keys, 0):
            self._watcher.trained(read - self._told.get(keys, 0))
            self._told[keys] = read

"""Reads a study's progress from the files that its driver and workers write into the results folder.

plan.json                     every stage with its utterances, every run with its stages, and the selected runs
.holder.json                  the driver: process, host, since when
working/<host>-<pid>.json     a worker: its stages, utterances read, time of its last message
"""

from __future__ import annotations

import json
import math
import socket
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from attrition.files import is_running
from attrition.names import AttritionError

PLAN, WORKING, HOLDER, SLURM = "plan.json", "working", ".holder.json", "slurm"

SILENT_SECONDS = 60.0
"""A worker writes every few seconds. After this time it is blocked, or was killed."""

_PULSE: Mapping[str, type | tuple[type, ...]] = {
    "executor": str, "host": str, "pid": int, "place": str, "what": str, "stages": list, "unit_read": int, "read": int,
    "began": (int, float), "seen": (int, float),
}  # fmt: skip


def pulses(folder: Path) -> list[dict[str, Any]]:
    """Return the last messages of a results folder's workers, by host and process.

    Files that are being written or removed, and other files, are left out.
    """
    found = []
    for path in sorted((folder / WORKING).glob("[!.]*.json")):
        said = _json(path)
        if all(isinstance(said.get(name), kind) for name, kind in _PULSE.items()):
            found.append({**said, "epochs": _epochs(said.get("epochs"))})
    return found


def _epochs(said: object) -> dict[str, list[float]]:
    """Return the last epoch of each stage: its number, training loss, dev score and seconds. Malformed ones are left out."""
    return {
        key: values
        for key, values in (said.items() if isinstance(said, dict) else ())
        if isinstance(values, list) and [isinstance(each, (int, float)) for each in values] == [True] * 4
    }


@dataclass(frozen=True)
class AtWork:
    """The last known state of a worker.

    Attributes:
        where: host and process, and the executor's name for the place.
        what: its work, such as "training VANILLA: de-DE".
        share: of the utterances of its stages that it has read, from 0 to 1.
        speed: utterances per second since its start, including scoring and waiting.
        silent: seconds since its last message.
    """

    where: str
    what: str
    share: float
    speed: float
    silent: float


@dataclass(frozen=True)
class Status:
    """A study's progress.

    Attributes:
        stages, runs: finished and planned, of the runs that the last command selected.
        study: runs of the whole study, finished and planned.
        passes: utterances read so far, and in total, if no learner stops early.
        driver: the driver, in words; "" without one. A driver that died on another machine is still listed.
        workers: running workers, without killed workers of this machine.
        kept: labels of stages with a checkpoint and no worker, each with its share that is done.
    """

    stages: tuple[int, int]
    runs: tuple[int, int]
    study: tuple[int, int]
    passes: tuple[int, int]
    driver: str
    workers: tuple[AtWork, ...]
    kept: tuple[str, ...]

    @property
    def speed(self) -> float:
        """Utterances per second of all workers that are not silent."""
        return sum(worker.speed for worker in self.workers if worker.silent < SILENT_SECONDS)

    @property
    def seconds_left(self) -> float:
        """The seconds left at the current speed, for training and scoring; NaN without workers."""
        return (self.passes[1] - self.passes[0]) / self.speed if self.speed else math.nan


def read_status(folder: Path, now: float | None = None) -> Status:
    """Return the progress of the study in a results folder; `now` is the time in seconds since 1970.

    Raises:
        AttritionError: the folder has no plan.
    """
    plan = _json(folder / PLAN)
    stages, runs, selected = plan.get("stages"), plan.get("runs"), plan.get("selected")
    if not isinstance(stages, dict) or not isinstance(runs, dict) or not isinstance(selected, list):
        raise AttritionError(
            f"{folder} has no {PLAN}, which `attrition run` writes when it begins. Give the folder of a study's results."
        )
    now = time.time() if now is None else now
    passes = {stage: int(stages[stage]["passes"]) for run in selected for stage in runs[run]["stages"]}
    stored = {path.name for path in (folder / "stages").glob("[!.]*")} & passes.keys()
    steps = {key: step for key, step in _kept(folder).items() if key in passes and key not in stored}
    kept = {key: min(passes[key], step * int(stages[key]["batch"])) for key, step in steps.items()}
    workers, reading, busy = [], 0, set[str]()
    for said in pulses(folder):
        if _has_died(said):
            continue
        ours = [key for key in said["stages"] if key in passes]
        whole = sum(passes[key] for key in ours)
        resumed = sum(passes[key] if key in stored else kept.get(key, 0) for key in ours)
        read = min(max(said["unit_read"], resumed), whole)
        reading += max(0, read - sum(passes[key] for key in ours if key in stored))
        busy |= set(ours)
        place = f", {said['place']}" if said["place"] else ""
        speed = said["read"] / max(said["seen"] - said["began"], 1e-9)
        where = f"{said['host']}, process {said['pid']} ({said['executor']}{place})"
        workers.append(AtWork(where, said["what"], read / whole if whole else 0.0, speed, max(0.0, now - said["seen"])))
    paused = {key: read for key, read in kept.items() if key not in busy}
    done = sum(passes[key] for key in stored) + reading + sum(paused.values())
    holder = _json(folder / HOLDER)
    driver = (
        f"process {holder['pid']} on {holder['host']}, since {holder['since']}"
        if {"pid", "host", "since"} <= holder.keys() and not _has_died(holder)
        else ""
    )
    finished = {key for key in runs if (folder / "runs" / key / "metrics.json").is_file()}
    return Status(
        stages=(len(stored), len(passes)),
        runs=(len(finished.intersection(selected)), len(selected)),
        study=(len(finished), len(runs)),
        passes=(min(done, sum(passes.values())), sum(passes.values())),
        driver=driver,
        workers=tuple(workers),
        kept=tuple(f"{stages[key]['label']} ({read / passes[key]:.0%})" for key, read in paused.items()),
    )


def _has_died(said: Mapping[str, Any]) -> bool:
    """Return True if a driver or a worker of this machine was killed; False for other machines, which cannot be checked."""
    return said["host"] == socket.gethostname() and isinstance(said["pid"], int) and not is_running(said["pid"])


def _kept(folder: Path) -> dict[str, int]:
    """Return the stages with checkpoints in a folder, and their number of steps."""
    found: dict[str, int] = {}
    for path in sorted((folder / "checkpoints").glob("[!.]*/manifest.json")):
        about = _json(path).get("about")
        with suppress(KeyError, TypeError, ValueError):  # a malformed manifest
            found |= {str(key): int(step) for key, step in zip(about["learners"], about["steps"], strict=True)}  # type: ignore[index]
    return found


def _json(path: Path) -> dict[str, Any]:
    """Return a JSON object; {} if the file is missing or being written."""
    with suppress(OSError, ValueError, RecursionError):
        said = json.loads(path.read_text(encoding="utf-8"))
        if isinstance(said, dict):
            return said
    return {}

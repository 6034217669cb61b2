"""How far a study is: what its driver and its workers leave in the results folder while they are at work.

plan.json                     every stage with what it reads, every run with its stages
.holder.json                  the driver: process, host, since when
working/<host>-<pid>.json     a worker: its stages, what it has read, when it was last heard of
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
"""A worker writes every few seconds: after so many, something holds it up, or it was killed."""

_PULSE: Mapping[str, type | tuple[type, ...]] = {
    "executor": str, "host": str, "pid": int, "place": str, "what": str, "stages": list, "unit_read": int, "read": int,
    "began": (int, float), "seen": (int, float),
}  # fmt: skip


def pulses(folder: Path) -> list[dict[str, Any]]:
    """Return what the workers of a results folder have written down last, by host and process.

    Files that are being written or removed, and what is no such file, are left out.
    """
    found = []
    for path in sorted((folder / WORKING).glob("[!.]*.json")):
        said = _json(path)
        if all(isinstance(said.get(name), kind) for name, kind in _PULSE.items()):
            found.append(said)
    return found


@dataclass(frozen=True)
class AtWork:
    """A worker as it was last heard of.

    Attributes:
        where: host and process, and the executor's own name for the place.
        what: as "training VANILLA: de-DE".
        share: of its stages that has been read, from 0 to 1.
        speed: utterances a second since it began, its scoring and waiting included.
        silent: seconds since it was last heard of.
    """

    where: str
    what: str
    share: float
    speed: float
    silent: float


@dataclass(frozen=True)
class Status:
    """How far a study is.

    Attributes:
        stages, runs: finished and planned.
        passes: utterances read, and those to be read in all, if no learner stops early.
        driver: who schedules, in words; empty if nobody does. A driver that died on another machine still stands here.
        workers: those at work; without those of this machine that were killed.
        kept: labels of stages with a checkpoint that no worker is at.
    """

    stages: tuple[int, int]
    runs: tuple[int, int]
    passes: tuple[int, int]
    driver: str
    workers: tuple[AtWork, ...]
    kept: tuple[str, ...]

    @property
    def speed(self) -> float:
        """Utterances a second of all workers that are not silent."""
        return sum(worker.speed for worker in self.workers if worker.silent < SILENT_SECONDS)

    @property
    def seconds_left(self) -> float:
        """Return the time left at the speed of now, for training with its scoring; NaN where nobody works."""
        return (self.passes[1] - self.passes[0]) / self.speed if self.speed else math.nan


def read_status(folder: Path, now: float | None = None) -> Status:
    """Return how far the study in a results folder is; `now` is the time in seconds since 1970.

    Raises:
        AttritionError: the folder has no plan.
    """
    plan = _json(folder / PLAN)
    stages, runs = plan.get("stages"), plan.get("runs")
    if not isinstance(stages, dict) or not isinstance(runs, dict):
        raise AttritionError(
            f"{folder} has no {PLAN}, which `attrition run` writes when it begins. Give the folder of a study's results."
        )
    now = time.time() if now is None else now
    passes = {key: int(stage["passes"]) for key, stage in stages.items()}
    stored = {path.name for path in (folder / "stages").glob("[!.]*")} & stages.keys()
    workers, reading, busy = [], 0, set[str]()
    for said in pulses(folder):
        if _has_died(said):
            continue
        ours = [key for key in said["stages"] if key in passes]
        whole = sum(passes[key] for key in ours)
        read = min(said["unit_read"], whole)
        reading += max(0, read - sum(passes[key] for key in ours if key in stored))
        busy |= set(ours)
        place = f", {said['place']}" if said["place"] else ""
        speed = said["read"] / max(said["seen"] - said["began"], 1e-9)
        where = f"{said['host']}, process {said['pid']} ({said['executor']}{place})"
        workers.append(AtWork(where, said["what"], read / whole if whole else 0.0, speed, max(0.0, now - said["seen"])))
    done = sum(passes[key] for key in stored) + reading
    kept = [stages[key]["label"] for key in dict.fromkeys(_kept(folder)) if key in stages and key not in stored | busy]
    holder = _json(folder / HOLDER)
    driver = (
        f"process {holder['pid']} on {holder['host']}, since {holder['since']}"
        if {"pid", "host", "since"} <= holder.keys() and not _has_died(holder)
        else ""
    )
    finished = sum((folder / "runs" / key / "metrics.json").is_file() for key in runs)
    return Status(
        stages=(len(stored), len(stages)),
        runs=(finished, len(runs)),
        passes=(min(done, sum(passes.values())), sum(passes.values())),
        driver=driver,
        workers=tuple(workers),
        kept=tuple(kept),
    )


def _has_died(said: Mapping[str, Any]) -> bool:
    """Return True if a driver or a worker of this machine was killed; of another machine, that cannot be told from here."""
    return said["host"] == socket.gethostname() and isinstance(said["pid"], int) and not is_running(said["pid"])


def _kept(folder: Path) -> list[str]:
    """Return the stages that the checkpoints of a folder are of."""
    found: list[str] = []
    for path in sorted((folder / "checkpoints").glob("[!.]*/manifest.json")):
        about = _json(path).get("about")
        learners = about.get("learners") if isinstance(about, dict) else None
        found += [str(each) for each in learners] if isinstance(learners, list) else []
    return found


def _json(path: Path) -> dict[str, Any]:
    """Return a JSON table; an empty one where there is none, or it is being written."""
    with suppress(OSError, ValueError, RecursionError):
        said = json.loads(path.read_text(encoding="utf-8"))
        if isinstance(said, dict):
            return said
    return {}

"""Run a small study in processes that are killed at random, until it is finished; count the repeated work.

    python driver.py FOLDER SEED KILLS

One warm process imports everything and forks. A child works on the study and dies by SIGKILL: after a random time, or before
or after the n-th of the calls in `_points`. If a study finishes before the required number of kills, another round starts.
FOLDER/reference is the uninterrupted study, FOLDER/round-N are the others, FOLDER/report.json is the summary.
"""

from __future__ import annotations

import functools
import json
import os
import random
import shutil
import signal
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.update({"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"})

import pandas as pd
import torch

import attrition.engine.run as engine
import attrition.engine.work as working
import attrition.store.stages as store
import attrition.training.train as training
from attrition.prepare.prepare import prepare
from attrition.study.plan import Job, StudyPlan
from attrition.study.spec import build_study
from attrition.study.watcher import Watcher

LANGUAGES = ["en-US", "de-DE", "zh-CN"]
INTERVALS = (0, 2, 5)
"""Steps between checkpoints; each child uses one of these numbers."""

FIRST_CALLS = 12
"""Points of a new folder: each of them kills once."""

STUDY: dict[str, Any] = {
    "name": "torture",
    "languages": LANGUAGES,
    # Learners of the last three methods train side by side, and leave at different times.
    "methods": [
        "MULTI",
        "VANILLA",
        {"method": "SHARED LoRA", "rank": 4},
        {"method": "NON-SHARED LoRA", "rank": 4, "training": {"epochs": 2, "batch_size": 5}},
        {"method": "NON-SHARED LoRA", "rank": 4, "name": "longer", "training": {"epochs": 4, "batch_size": 7}},
    ],
    "orders": [LANGUAGES, ["zh-CN", "en-US", "de-DE"]],
    "corpus": {"name": "phrasebook", "sizes": {"train": 24, "dev": 8, "test": 10}},
    "model": {"name": "tiny:bert", "precision": "float32"},
    "machine": {"threads": 1, "device": "cpu", "population": 3},
    "training": {"epochs": 3, "batch_size": 8, "learning_rate": 1e-2, "head_learning_rate": 5e-2, "patience": 2},
}


class Diary(Watcher):
    """Writes every event at once, so that it survives the process."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_CREAT | os.O_APPEND | os.O_WRONLY)

    def note(self, *words: object) -> None:
        os.write(self._file, (" ".join(map(str, words)) + "\n").encode())

    def planned(self, plan: StudyPlan, work: int, done: int) -> None:
        self.note("began")

    def started(self, job: Job) -> None:
        self.note("started", job.key)

    def resumed(self, job: Job, step: int) -> None:
        self.note("resumed", job.key, step)

    def finished(self, job: Job, unused: int) -> None:
        self.note("finished", job.key)

    def warned(self, message: str) -> None:
        self.note("warned", message)


class Countdown:
    """Kills its own process at the n-th call."""

    def __init__(self, calls: int) -> None:
        self.left = calls

    def __call__(self) -> None:
        self.left -= 1
        if self.left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    def around(self, function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def counted(*arguments: Any, **named: Any) -> Any:
            self()
            result = function(*arguments, **named)
            self()
            return result

        return counted


_points: tuple[tuple[Any, str], ...] = (
    (os, "replace"), (os, "fsync"), (os, "mkdir"), (shutil, "rmtree"), (Path, "replace"), (Path, "write_text"), (Path, "rmdir"),
    (store, "save_file"), (training._Population, "step"), (training._Population, "end_epochs"), (working, "evaluate_each"),
    (engine, "write_run"),
)  # fmt: skip


def work(folder: Path, interval: float, countdown: Countdown | None) -> None:
    """Run one process: resume the study."""
    diary = Diary(folder.with_suffix(".diary"))
    steps = 0
    step = training._Population.step

    def noting(self: Any) -> int:
        nonlocal steps
        made = step(self)
        steps += 1
        diary.note("step", *(f"{learner.task.name}@{learner.step}" for learner in self.learners))
        return made

    training._Population.step = noting  # type: ignore[method-assign]
    # The clock of checkpoints counts steps, so that the cost of an interruption is a number.
    working.CheckpointKeeper = functools.partial(working.CheckpointKeeper, now=lambda: float(steps))  # type: ignore[misc,assignment]
    if countdown is not None:
        for owner, name in _points:
            setattr(owner, name, countdown.around(getattr(owner, name)))
    study = {**STUDY, "machine": {**STUDY["machine"], "checkpoint_seconds": interval}}
    engine.run_study(build_study(study, where="torture"), folder, diary)


def child(work: Callable[[], None], seconds: float | None = None) -> bool:
    """Fork, work and wait; return True if the child was killed, by itself or after this number of seconds."""
    number = os.fork()
    if number == 0:
        code = 1
        try:
            work()
            code = 0
        except BaseException:  # noqa: BLE001 - whatever it is, the parent is not to go on twice
            traceback.print_exc()
        finally:
            os._exit(code)
    if seconds is not None:
        time.sleep(seconds)
        if os.waitid(os.P_PID, number, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
            os.kill(number, signal.SIGKILL)
    _, status = os.waitpid(number, 0)
    if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL:
        return True
    if os.WEXITSTATUS(status) != 0:
        sys.exit("a child failed")
    return False


def warm(folder: Path) -> None:
    """Import everything that a child needs; do not train, because threads do not survive a fork."""
    prepare(build_study(STUDY, where="torture"), Watcher(), None)
    pd.DataFrame({"x": [0.0]}).to_parquet(folder / "warm.parquet")


def main(folder: Path, seed: int, kills: int) -> None:
    torch.set_num_threads(1)
    os.environ["ATTRITION_CACHE"] = str(folder / "cache")
    warm(folder)
    chance = random.Random(seed)
    began = time.monotonic()
    child(lambda: work(folder / "reference", 60, None))
    whole = time.monotonic() - began
    killed: list[str] = []
    rounds = 0
    while len(killed) < kills:
        rounds += 1
        finished = False
        while not finished:
            interval = chance.choice(INTERVALS)
            calls, seconds = chance.randint(1, 120), None
            if len(killed) < FIRST_CALLS:
                calls = len(killed) + 1
            elif chance.random() < 0.3:
                calls, seconds = None, chance.uniform(0, whole / 3)  # type: ignore[assignment]
            countdown = None if calls is None else Countdown(calls)
            finished = not child(functools.partial(work, folder / f"round-{rounds}", interval, countdown), seconds)
            if not finished:
                killed.append("time" if calls is None else "call")
    report = {"rounds": rounds, "killed": killed, "reference_seconds": whole, "seconds": time.monotonic() - began}
    (folder / "report.json").write_text(json.dumps(report))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))

"""Python loads this in every process that has its folder in PYTHONPATH: workers write down each step, and kill themselves.

ATTRITION_NOTES is the file to append to. ATTRITION_KILLS is how many workers die in all: each by SIGKILL, before or after one
of its calls in `patch`, drawn at random. ATTRITION_STEPS has the clock of checkpoints count steps instead of seconds.
ATTRITION_SLOW makes each step last so many seconds longer: what a test does meanwhile hits a training on any machine.
"""

from __future__ import annotations

import functools
import importlib.abc
import importlib.machinery
import os
import random
import shutil
import signal
import sys
import time
from pathlib import Path
from typing import Any

NOTES, KILLS = os.environ.get("ATTRITION_NOTES", ""), int(os.environ.get("ATTRITION_KILLS", "0"))
LATEST_CALL = 200
"""A worker dies at one of its first calls, up to this one."""


def note(*words: object) -> None:
    """Append a line; it is there although the process dies next."""
    file = os.open(NOTES, os.O_CREAT | os.O_APPEND | os.O_WRONLY)
    os.write(file, (" ".join(map(str, words)) + "\n").encode())
    os.close(file)


class Fate:
    """Kills its process at a random call; a forked process draws again."""

    def __init__(self) -> None:
        self.process = self.left = 0

    def __call__(self) -> None:
        if self.process != os.getpid():
            self.process, self.left = os.getpid(), random.SystemRandom().randint(1, LATEST_CALL)
        self.left -= 1
        if self.left == 0 and Path(NOTES).read_text().count("\nkilled worker") < KILLS:
            note("killed worker")
            os.kill(os.getpid(), signal.SIGKILL)


def patch(working: Any) -> None:
    """Have `attrition.engine.work` note its steps and stored stages, and die."""
    import attrition.store.stages as store
    import attrition.training.train as training

    fate, steps = Fate(), [0]
    step, save = training._Population.step, working.Worker._save

    def noting(self: Any) -> int:
        made = step(self)
        steps[0] += 1
        time.sleep(float(os.environ.get("ATTRITION_SLOW", "0")))
        note("step", os.getpid(), *(f"{learner.task.name}@{learner.step}" for learner in self.learners))
        return int(made)

    def saving(self: Any, job: Any, *others: Any) -> None:
        save(self, job, *others)
        note("stored", job.key)

    def around(function: Any) -> Any:
        @functools.wraps(function)
        def counted(*arguments: Any, **named: Any) -> Any:
            fate()
            result = function(*arguments, **named)
            fate()
            return result

        return counted

    training._Population.step, working.Worker._save = noting, saving  # type: ignore[method-assign,assignment]
    if "ATTRITION_STEPS" in os.environ:
        working.CheckpointKeeper = functools.partial(working.CheckpointKeeper, now=lambda: float(steps[0]))
    if KILLS:
        for owner, name in (
            (os, "replace"), (os, "fsync"), (os, "mkdir"), (shutil, "rmtree"), (Path, "replace"), (Path, "write_text"),
            (store, "save_file"), (training._Population, "step"), (training._Population, "end_epochs"),
            (working, "evaluate_each"),
        ):  # fmt: skip
            setattr(owner, name, around(getattr(owner, name)))


class AfterImport(importlib.abc.MetaPathFinder):
    """Patches `attrition.engine.work` when it has been imported."""

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> importlib.machinery.ModuleSpec | None:
        spec = importlib.machinery.PathFinder.find_spec(name, path) if name == "attrition.engine.work" else None
        if spec is not None and spec.loader is not None:
            execute = spec.loader.exec_module
            spec.loader.exec_module = lambda module: (execute(module), patch(module))[0]  # type: ignore[method-assign]
        return spec


if NOTES:
    sys.meta_path.insert(0, AfterImport())

"""Tiny studies of the phrasebook that run in seconds."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from attrition.run.engine import run_study
from attrition.run.prepare import Prepared, prepare
from attrition.run.spec import Study, apply_change, build_study
from attrition.run.study import Job, RunPlan, StudyPlan
from attrition.run.watcher import Watcher
from attrition.training.train import Epoch, Task

TINY: dict[str, Any] = {
    "name": "tiny",
    "languages": ["en-US", "de-DE", "zh-CN"],
    "methods": ["VANILLA"],
    "corpus": {"name": "phrasebook", "sizes": {"train": 24, "dev": 6, "test": 10}},
    "model": {"name": "tiny:bert", "precision": "float32"},  # "auto" is measured, and may differ between two runs
    "machine": {"threads": 1, "device": "cpu"},
    "training": {"epochs": 2, "batch_size": 8, "learning_rate": 1e-2, "head_learning_rate": 3e-2},
}


class Notes(Watcher):
    """Remembers what it is told."""

    def __init__(self) -> None:
        self.trained_stages: list[str] = []
        self.warnings: list[str] = []
        self.runs: list[str] = []
        self.scored: list[str] = []
        self.epochs: list[Epoch] = []
        self.work = self.done_before = self.steps = self.unused = 0
        self.stages: dict[str, Job] = {}

    def planned(self, plan: StudyPlan, work: int, done: int) -> None:
        self.work, self.done_before = work, done

    def started(self, job: Job) -> None:
        self.trained_stages.append(job.key)
        self.stages[job.key] = job

    def trained(self, num_utterances: int) -> None:
        self.steps += num_utterances

    def epoch_ended(self, task: Task, epoch: Epoch) -> None:
        self.epochs.append(epoch)

    def finished(self, job: Job, unused: int) -> None:
        self.unused += unused

    def scoring(self, label: str) -> None:
        self.scored.append(label)

    def run_finished(self, run: RunPlan) -> None:
        self.runs.append(run.key)

    def warned(self, message: str) -> None:
        self.warnings.append(message)


@pytest.fixture(autouse=True)
def _threads() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def tiny() -> dict[str, Any]:
    """The contents of a small study file; a fresh copy is made by `make_study`."""
    return TINY


@pytest.fixture(scope="session")
def make_study() -> Callable[..., Study]:
    """A study of three languages and VANILLA, with `--set`-like changes: make("training.epochs=3", methods=["MULTI"])."""

    def make(*changes: str, **parts: Any) -> Study:
        raw = {**copy.deepcopy(TINY), **parts}
        for change in changes:
            apply_change(raw, change)
        return build_study(raw, where="study.toml")

    return make


@pytest.fixture(scope="session")
def run_notes() -> Callable[[Study, Path], Notes]:
    """Run a study and give what it told."""

    def run(study: Study, folder: Path) -> Notes:
        notes = Notes()
        run_study(study, folder, notes)
        return notes

    return run


@pytest.fixture(scope="session")
def prepared_of() -> Callable[[Study], Prepared]:
    """A study made ready, without a cache."""

    def of(study: Study) -> Prepared:
        return prepare(study, Watcher(), None)

    return of


@pytest.fixture(scope="session")
def matrices() -> Callable[[Path], dict[str, str]]:
    """The text of every run's matrix.csv, by method and order."""

    def read(folder: Path) -> dict[str, str]:
        return {path.parent.name.rpartition("--")[0]: path.read_text() for path in sorted(folder.glob("runs/*/matrix.csv"))}

    return read

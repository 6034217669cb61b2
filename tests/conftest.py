"""What holds for all tests: no network, a cache folder of their own, few threads, no argument taken from the outside."""

from __future__ import annotations

import copy
import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

os.environ.update({"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"})
os.environ.pop("COLUMNS", None)  # pytest-xdist sets it in its workers; tables are tested as they are written to a file

import pytest
import torch

from attrition.engine.run import run_study
from attrition.prepare.prepare import Prepared, prepare
from attrition.study.plan import Job, RunPlan, StudyPlan
from attrition.study.spec import Study, apply_change, build_study
from attrition.study.watcher import Watcher
from attrition.training.train import Epoch

THREADS = 2


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str | None]:
    """A fresh cache folder; gives the user's own one, which tests with real data may read."""
    users = os.environ.get("ATTRITION_CACHE")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ATTRITION_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield users


@pytest.fixture(autouse=True)
def _users_cache(request: pytest.FixtureRequest, _own_cache: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.node.get_closest_marker("massive"):
        if _own_cache is None:
            monkeypatch.delenv("ATTRITION_CACHE")
        else:
            monkeypatch.setenv("ATTRITION_CACHE", _own_cache)


@pytest.fixture(scope="session", autouse=True)
def _few_threads() -> None:
    torch.set_num_threads(THREADS)


def _load(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("attrition_tests_simulate", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def simulate() -> ModuleType:
    """The module that writes simulated studies (`simulate.write_study`)."""
    return _load(Path(__file__).with_name("simulate.py"))


@pytest.fixture(scope="session")
def study(simulate: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished study of four languages, four methods and two orders; read only."""
    folder: Path = simulate.write_study(tmp_path_factory.mktemp("study"), num_languages=4, num_orders=2)
    return folder


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

    def epoch_ended(self, key: str, epoch: Epoch) -> None:
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


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Callable[[int], Path]]:
    """A real file system of so many KiB, which can grow."""
    folder = tmp_path / "small"
    folder.mkdir()

    def of(size: int) -> Path:
        mounted = os.path.ismount(folder)
        options = f"{'remount,' if mounted else ''}size={size}k"
        command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
        done = subprocess.run(command, capture_output=True, text=True, check=False) if shutil.which("mount") else None
        if done is None or done.returncode:
            pytest.skip(f"no file system can be mounted here ({done.stderr.strip() if done else 'no mount'})")
        return folder

    yield of
    if os.path.ismount(folder):
        subprocess.run(["umount", "--recursive", str(folder)], check=True)

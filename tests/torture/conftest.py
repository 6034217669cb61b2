"""Reads the notes of a study's workers (`noting/sitecustomize.py`) for tests."""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

collect_ignore = ["crowd.py", "noting"]
"""Programs that run in separate processes."""

NOTING = Path(__file__).with_name("noting")


@dataclass(frozen=True)
class Noted:
    """The steps in the notes of workers.

    Attributes:
        steps: number of times that each step was made.
        processes: for each stage, the processes that made its steps.
        after_stored: steps of stages that were already stored.
    """

    steps: Mapping[str, int]
    processes: Mapping[str, frozenset[str]]
    after_stored: tuple[str, ...]

    @property
    def repeated(self) -> int:
        """Return the number of repeated steps."""
        return sum(self.steps.values()) - len(self.steps)


def read_notes(path: Path) -> Noted:
    """Return the contents of a file of notes."""
    steps, processes, stored, after = Counter[str](), dict[str, set[str]](), set[str](), list[str]()
    for kind, *words in (line.split() for line in path.read_text().splitlines() if line):
        if kind == "stored":
            stored.add(words[0])
        elif kind == "step":
            for step in words[1:]:
                key = step.partition("@")[0]
                steps[step] += 1
                processes.setdefault(key, set()).add(words[0])
                after += [step] if key in stored else []
    return Noted(steps, {key: frozenset(each) for key, each in processes.items()}, tuple(after))


@pytest.fixture(scope="session")
def noted() -> Callable[[Path], Noted]:
    """Return `read_notes`."""
    return read_notes


@pytest.fixture(scope="session")
def kill_table(pytestconfig: pytest.Config) -> Callable[..., None]:
    """Print a row of the table of kills: executor, kills, steps, repeated steps, result."""
    capture = pytestconfig.pluginmanager.getplugin("capturemanager")

    def tell(executor: str, kills: str, notes: list[Noted], result: str = "same bits") -> None:
        steps, repeated = sum(sum(each.steps.values()) for each in notes), sum(each.repeated for each in notes)
        with capture.global_and_fixture_disabled():
            sys.stdout.write(f"\n| {executor} | {kills} | {steps:,} | {repeated} | {result} |\n")

    return tell


@pytest.fixture
def notes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the file in which new workers note their steps; each step takes a little longer."""
    path = tmp_path / "notes"
    path.write_text("\n")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(NOTING), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep))
    monkeypatch.setenv("ATTRITION_NOTES", str(path))
    monkeypatch.setenv("ATTRITION_STEPS", "1")
    return path

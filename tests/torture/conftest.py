"""What the workers of a study wrote down (`noting/sitecustomize.py`), as tests ask for it."""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

collect_ignore = ["crowd.py", "noting"]
"""Programs for processes of their own."""

NOTING = Path(__file__).with_name("noting")


@dataclass(frozen=True)
class Noted:
    """Attributes:
    steps: how often each step was made.
    processes: of each stage, the processes that made its steps.
    after_stored: steps of stages that were stored already.
    """

    steps: Mapping[str, int]
    processes: Mapping[str, frozenset[str]]
    after_stored: tuple[str, ...]

    @property
    def repeated(self) -> int:
        """Steps that were made again."""
        return sum(self.steps.values()) - len(self.steps)


def read_notes(path: Path) -> Noted:
    """Return what a file of notes says."""
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
    """`read_notes`."""
    return read_notes


@pytest.fixture(scope="session")
def kill_table(pytestconfig: pytest.Config) -> Callable[..., None]:
    """Print a row of the table of kills: executor, kills, steps, steps that were made again, result."""
    capture = pytestconfig.pluginmanager.getplugin("capturemanager")

    def tell(executor: str, kills: str, notes: list[Noted], result: str = "same bits") -> None:
        steps, repeated = sum(sum(each.steps.values()) for each in notes), sum(each.repeated for each in notes)
        with capture.global_and_fixture_disabled():
            sys.stdout.write(f"\n| {executor} | {kills} | {steps:,} | {repeated} | {result} |\n")

    return tell


@pytest.fixture
def notes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file in which workers that start from now on write down their steps; each lasts a moment longer."""
    path = tmp_path / "notes"
    path.write_text("\n")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(NOTING), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep))
    monkeypatch.setenv("ATTRITION_NOTES", str(path))
    monkeypatch.setenv("ATTRITION_STEPS", "1")
    return path

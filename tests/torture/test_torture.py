"""A study whose processes are killed repeatedly gives the same result as an uninterrupted study, to the last bit.

`ATTRITION_TORTURE=1` (as `make torture` sets it) is the long form: 200 kills, in another sequence each day.
"""

from __future__ import annotations

import datetime
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

LONG = os.environ.get("ATTRITION_TORTURE") == "1"
KILLS = 200 if LONG else 40
SEED = datetime.datetime.now(tz=datetime.UTC).date().toordinal() if LONG else 0
LIMIT_SECONDS = 1800 if LONG else 240
INTERVALS = (0, 2, 5)
NUM_STEPS = 133

pytestmark = [pytest.mark.long, pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork")]


@pytest.fixture(scope="module")
def tortured(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of the finished driver; every failure message contains its seed."""
    folder = tmp_path_factory.mktemp(f"torture-seed-{SEED}")
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(Path(__file__).with_name("driver.py")), str(folder), str(SEED), str(KILLS)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=LIMIT_SECONDS)
    assert done.returncode == 0, done.stderr[-4000:]
    return folder


def rounds(folder: Path) -> list[Path]:
    return [folder / f"round-{number + 1}" for number in range(report(folder)["rounds"])]


def report(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "report.json").read_text())
    return found


def diary(folder: Path) -> list[list[list[str]]]:
    """Return the notes of each process, by line."""
    processes: list[list[list[str]]] = [[]]
    for line in folder.with_suffix(".diary").read_text().splitlines():
        if line == "began":
            processes.append([])
        processes[-1].append(line.split())
    return processes


def contents(folder: Path) -> dict[str, Any]:
    """Return every result file without times."""
    found: dict[str, Any] = {}
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        name = str(path.relative_to(folder))
        if path.name in ("manifest.json", "times.json", "details.json", "environment.json", "study.toml", ".lock"):
            continue  # seconds, checksums of files with seconds, and the interval between checkpoints
        if path.name == "history.json":
            history = json.loads(path.read_text())
            del history["seconds"]
            found[name] = [history, [epoch.pop("seconds") > 0 for epoch in history["history"]]]
        elif path.name == "history.csv":
            found[name] = [line.split(",")[:5] + line.split(",")[6:] for line in path.read_text().splitlines()]
        else:
            found[name] = path.read_bytes()
    return found


def test_enough_were_killed(tortured: Path) -> None:
    killed = report(tortured)["killed"]
    assert len(killed) >= KILLS
    assert set(killed) == {"call", "time"}


def test_the_end_is_the_same_to_the_last_bit(tortured: Path) -> None:
    expected = contents(tortured / "reference")
    assert sum(name.endswith("weights.safetensors") for name in expected) == 19
    assert sum(name.endswith("matrix.csv") for name in expected) == 9
    for folder in rounds(tortured):
        found = contents(folder)
        assert sorted(found) == sorted(expected), "nothing is left of checkpoints and half-written files"
        assert [name for name in expected if found[name] != expected[name]] == []


def test_no_finished_stage_is_trained_again(tortured: Path) -> None:
    for folder in (tortured / "reference", *rounds(tortured)):
        finished: set[str] = set()
        for line in (line for process in diary(folder) for line in process):
            assert line[0] not in ("started", "resumed") or line[1] not in finished, f"{folder}: {line}"
            if line[0] == "finished":
                finished.add(line[1])
        assert len(finished) > 12


def steps_of(process: list[list[str]]) -> Iterator[tuple[str, ...]]:
    yield from (tuple(line[1:]) for line in process if line[0] == "step")


def test_a_kill_costs_at_most_one_interval(tortured: Path) -> None:
    """A step is named by its learners and their progress: a repeated step has the same name."""
    whole = [step for process in diary(tortured / "reference") for step in steps_of(process)]
    assert len(whole) == len(set(whole)) == NUM_STEPS
    repeated_anywhere = 0
    for folder in rounds(tortured):
        made: set[tuple[str, ...]] = set()
        for process in diary(folder):
            steps = list(steps_of(process))
            repeated = sum(step in made for step in steps)
            repeated_anywhere += repeated
            # A checkpoint is made when the interval is over and the step has ended: one extra step may be lost.
            assert repeated <= max(INTERVALS) + 1, f"{folder}: {steps[:8]}"
            made.update(steps)
        assert made == set(whole), "the same learners were side by side at every step"
    assert repeated_anywhere > 0, "nothing was lost: were these kills at all?"


def test_what_was_said(tortured: Path) -> None:
    """Interruptions are not damage, so nobody is warned about them."""
    for folder in rounds(tortured):
        warned = {" ".join(line[1:]) for process in diary(folder) for line in process if line[0] == "warned"}
        assert {each for each in warned if "F1 is 0" not in each and "no better" not in each} == set()

"""Workers and drivers of `machine.executor = "processes"`, killed repeatedly: the result equals one process, bit for bit.

`ATTRITION_TORTURE=1` (as `make torture` sets it) is the long form: 200 kills, in another sequence each day. Another
number sets the number of kills.
"""

from __future__ import annotations

import datetime
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from attrition.store.stages import Store

ASKED = int(os.environ.get("ATTRITION_TORTURE", "0"))
LONG = ASKED > 0
ALL = {0: 40, 1: 200}.get(ASKED, ASKED)
DRIVERS = max(1, ALL // 20)
KILLS = ALL - DRIVERS, DRIVERS
"""The numbers of killed workers and drivers."""

SEED = datetime.datetime.now(tz=datetime.UTC).date().toordinal() if LONG else 0
LIMIT_SECONDS = 7200 if LONG else 600
LONGEST_INTERVAL = 5

pytestmark = [pytest.mark.long, pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork")]


def weights(folder: Path) -> dict[str, bytes]:
    """Return the bytes of every stored weight, of every score and of every R."""
    store = Store(folder)
    found = {f"{key}.{name}": a.tobytes() for key in store.keys("stages") for name, a in store.load_tensors(key).items()}
    files = [*folder.glob("runs/*/matrix.csv"), *folder.glob("evaluations/*/counts.safetensors")]
    return found | {str(path.relative_to(folder)): path.read_bytes() for path in files}


def test_killed_at_random(tmp_path: Path, noted: Callable[[Path], Any], kill_table: Callable[..., None]) -> None:
    command = [sys.executable, str(Path(__file__).with_name("crowd.py")), str(tmp_path), str(SEED), *map(str, KILLS)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=LIMIT_SECONDS)
    assert done.returncode == 0, f"seed {SEED}: {done.stderr[-4000:]}"
    report = json.loads((tmp_path / "report.json").read_text())
    rounds = [tmp_path / f"round-{number + 1}" for number in range(report["rounds"])]
    killed = report["killed"]
    assert killed["worker"] >= KILLS[0]
    assert killed["driver"] >= KILLS[1]
    expected = weights(tmp_path / "reference")
    all_notes = [noted(folder.with_suffix(".notes")) for folder in rounds]
    for folder, notes in zip(rounds, all_notes, strict=True):
        assert weights(folder) == expected, folder
        assert not [*folder.glob("checkpoints*"), *folder.glob("working*"), *folder.glob("*/.*.tmp")]
        assert notes.steps.keys() == all_notes[0].steps.keys(), "every step was made"
        assert not notes.after_stored, "no finished stage was trained again"
        died = folder.with_suffix(".notes").read_text().count("killed worker")
        # A checkpoint is made when the interval is over and the step has ended: one extra step may be lost.
        assert notes.repeated <= died * (LONGEST_INTERVAL + 1)
        finished = [line for line in folder.with_suffix(".diary").read_text().splitlines() if line.startswith("finished")]
        assert len(finished) == len(set(finished))
    kills = f"{killed['worker']} of workers, {killed['driver']} of drivers"
    kill_table(f"`processes`, {report['workers'][0]} to {report['workers'][-1]} workers", kills, all_notes)

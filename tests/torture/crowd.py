"""Run a small study with `machine.executor = "processes"`; kill workers and drivers at random until it is finished.

    python crowd.py FOLDER SEED WORKER_KILLS DRIVER_KILLS

Workers kill themselves (`noting/sitecustomize.py`); drivers are forked from one warm process, as in `driver.py`. If a study
finishes before the required number of kills, another round starts. FOLDER/reference is the study trained by one process,
FOLDER/round-N are the others, FOLDER/report.json is the summary, FOLDER/round-N.notes has the notes of the workers.
"""

from __future__ import annotations

import functools
import json
import os
import random
import signal
import sys
import time
from pathlib import Path

import torch
from driver import STUDY, Countdown, Diary, child, warm

import attrition.engine.run as engine
from attrition.engine.executors import processes
from attrition.names import AttritionError
from attrition.study.spec import build_study

MOST_CALLS = 120


def drive(folder: Path, machine: dict[str, object], calls: int | None) -> None:
    """Run one driver; with `calls`, it kills itself at this call."""
    if calls is not None:
        countdown = Countdown(calls)
        for owner, name in ((os, "replace"), (os, "fsync"), (engine._Driver, "_look"), (engine, "write_run")):
            setattr(owner, name, countdown.around(getattr(owner, name)))
    processes.LOOK_SECONDS = 0.05
    raw = {**STUDY, "methods": STUDY["methods"][1:3], "machine": {**STUDY["machine"], "population": 1, **machine}}
    try:
        engine.run_study(build_study(raw, where="torture"), folder, Diary(folder.with_suffix(".diary")))
    except AttritionError as error:
        if "without progress" not in str(error):
            raise
        os.kill(os.getpid(), signal.SIGKILL)  # by chance one stage was killed five times: another driver resumes


def main(folder: Path, seed: int, worker_kills: int, driver_kills: int) -> None:
    torch.set_num_threads(1)
    os.environ |= {
        "ATTRITION_CACHE": str(folder / "cache"),
        "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent / "noting"), *sys.path[1:]]),
        "ATTRITION_STEPS": "1",
    }
    warm(folder)
    chance, began = random.Random(seed), time.monotonic()
    child(lambda: drive(folder / "reference", {}, None))
    killed = {"worker": 0, "driver": 0}
    rounds, workers = 0, set[int]()
    while killed["worker"] < worker_kills or killed["driver"] < driver_kills:
        rounds += 1
        notes = folder / f"round-{rounds}.notes"
        notes.write_text("\n")
        os.environ |= {"ATTRITION_NOTES": str(notes), "ATTRITION_KILLS": str(worker_kills - killed["worker"])}
        died = True
        while died:
            calls = chance.randint(1, MOST_CALLS) if killed["driver"] < driver_kills else None
            machine = {"executor": "processes", "workers": chance.randint(2, 4), "checkpoint_seconds": chance.choice((0, 2, 5))}
            workers.add(machine["workers"])
            died = child(functools.partial(drive, folder / f"round-{rounds}", machine, calls))
            killed["driver"] += died and calls is not None
        killed["worker"] += notes.read_text().count("\nkilled worker")
    report = {"rounds": rounds, "killed": killed, "workers": sorted(workers), "seconds": time.monotonic() - began}
    (folder / "report.json").write_text(json.dumps(report))


if __name__ == "__main__":
    main(Path(sys.argv[1]), *map(int, sys.argv[2:5]))

"""What `attrition status` reads."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from attrition.cli.app import app
from attrition.engine.progress import EVERY_SECONDS, Pulse, forget_pulse, wait_for_orphans
from attrition.engine.run import run_study
from attrition.engine.schedule import Unit
from attrition.files import FORGOTTEN_SECONDS
from attrition.names import AttritionError
from attrition.results.at_work import SILENT_SECONDS, pulses, read_status
from attrition.study.spec import Study
from attrition.study.stop import Stopped
from attrition.study.watcher import Watcher
from attrition.training.train import Epoch

Make = Callable[..., Study]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Four stages of 100 passes: one stored, one at work elsewhere for 10 seconds, one in a checkpoint, one not begun."""
    stages = {key: {"label": f"VANILLA: {key}", "passes": 100, "batch": 10} for key in "abcde"}
    runs = {"one": {"label": "one", "stages": ["a"]}, "two": {"label": "two", "stages": ["b", "c", "d"]}}
    runs["not selected"] = {"label": "three", "stages": ["a", "e"]}
    (tmp_path / "plan.json").write_text(json.dumps({"stages": stages, "runs": runs, "selected": ["one", "two"]}))
    (tmp_path / "stages" / "a").mkdir(parents=True)
    (tmp_path / "stages" / ".b.host.1.tmp").mkdir()
    (tmp_path / "stages" / "of another study").mkdir()
    (tmp_path / "runs" / "one").mkdir(parents=True)
    (tmp_path / "runs" / "one" / "metrics.json").write_text("{}")
    for name, learners in (("x-000001", ["b"]), ("y-000004", ["c", "z"])):
        (tmp_path / "checkpoints" / name).mkdir(parents=True)
        about = {"learners": learners, "steps": [3] * len(learners)}
        (tmp_path / "checkpoints" / name / "manifest.json").write_text(json.dumps({"about": about}))
    (tmp_path / "checkpoints" / "z-000001").mkdir()
    (tmp_path / "checkpoints" / "z-000001" / "manifest.json").write_text('{"about": {"learners": ["d"]}}')  # malformed
    said = {
        "executor": "slurm", "host": "node7", "pid": 12, "place": "job 99_0", "what": "training VANILLA: b", "stages": ["b"],
        "unit_read": 50, "read": 200, "began": 1000.0, "seen": 1010.0,
    }  # fmt: skip
    (tmp_path / "working").mkdir()
    (tmp_path / "working" / "node7-12.json").write_text(json.dumps(said))
    (tmp_path / "working" / "half.json").write_text('{"host": "no')
    (tmp_path / "working" / "stranger.json").write_text(json.dumps({**said, "stages": 3}))
    return tmp_path


def test_what_is_done_and_what_is_left(folder: Path) -> None:
    status = read_status(folder, now=1012.0)
    assert (status.stages, status.runs, status.passes) == ((1, 4), (1, 2), (180, 400))
    (worker,) = status.workers
    assert (worker.where, worker.share, worker.speed) == ("node7, process 12 (slurm, job 99_0)", 0.5, 20.0)
    assert worker.silent == 2.0
    assert status.study == (1, 3)
    assert status.kept == ("VANILLA: c (30%)",)
    assert status.seconds_left == 220 / 20
    silent = read_status(folder, now=1010.0 + SILENT_SECONDS)
    assert (silent.speed, silent.seconds_left != silent.seconds_left) == (0, True)


def test_the_command(folder: Path) -> None:
    said = " ".join(CliRunner().invoke(app, ["status", str(folder)]).output.split())
    assert "1 of 4 stages stored, 1 of 2 runs finished (of the study: 1 of 3): 45% of the training." in said
    assert "training VANILLA: b" in said
    assert "silent for" in said
    assert "Paused, with a checkpoint: VANILLA: c (30%)." in said
    assert "No driver is running" in said


def test_a_driver_elsewhere_and_one_that_died(folder: Path) -> None:
    """Of this machine it is known whether a process runs; of another one, only what it has written."""

    def hold(host: str, pid: int) -> str:
        held = {"pid": pid, "host": host, "since": "2026-11-28T10:00:00+00:00"}
        (folder / ".holder.json").write_text(json.dumps(held))
        return read_status(folder).driver

    assert hold("login1", 5) == "process 5 on login1, since 2026-11-28T10:00:00+00:00"
    with subprocess.Popen(["true"]) as ended:
        ended.wait()
    assert hold(socket.gethostname(), ended.pid) == ""
    assert hold(socket.gethostname(), os.getpid()).startswith(f"process {os.getpid()} on ")
    path = folder / "working" / "node7-12.json"
    said = json.loads(path.read_text())
    path.write_text(json.dumps({**said, "host": socket.gethostname(), "pid": ended.pid}))
    status = read_status(folder)
    assert (status.workers, status.kept) == ((), ("VANILLA: b (30%)", "VANILLA: c (30%)")), "a killed worker is not at work"


def test_a_folder_without_a_plan(tmp_path: Path) -> None:
    with pytest.raises(AttritionError, match=r"has no plan\.json"):
        read_status(tmp_path)


def test_a_pulse_says_what_is_done_and_goes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr("attrition.engine.progress.time.monotonic", lambda: now[0])
    pulse = Pulse(tmp_path, "local", Watcher())
    pulse.begin(Unit((("a", "b"),)))
    pulse.trained(3)
    (said,) = pulses(tmp_path)
    assert (said["stages"], said["read"]) == (["a", "b"], 0), "not at every step"
    now[0] = EVERY_SECONDS
    pulse.trained(4)
    pulse.begin(Unit((("c",),)))
    (said,) = pulses(tmp_path)
    assert (said["stages"], said["read"], said["unit_read"], said["epochs"]) == (["c"], 7, 0, {})
    pulse.epoch_ended("c", Epoch(1, 0.5, 0.25, 2.0))
    (said,) = pulses(tmp_path)
    assert said["epochs"] == {"c": [1, 0.5, 0.25, 2.0]}
    (path,) = (tmp_path / "working").glob("*.json")
    for malformed in ([], {"c": 1}, {"c": [1, 2]}, {"c": [1, 2, 3, "x"]}, None):
        path.write_text(json.dumps({**said, "epochs": malformed}))
        assert [each["epochs"] for each in pulses(tmp_path)] == [{}]
    pulse.end()
    assert not (tmp_path / "working").exists()


def test_killed_workers_leave_no_progress_file(tmp_path: Path) -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    host = socket.gethostname()
    said = {
        "executor": "processes",
        "place": "",
        "what": "",
        "stages": [],
        "unit_read": 0,
        "read": 0,
        "began": 0,
        "seen": time.time(),
    }
    folder = tmp_path / "working"

    def write(host: str, pid: int, text: str | None = None) -> None:
        folder.mkdir(exist_ok=True)
        (folder / f"{host}-{pid}.json").write_text(text or json.dumps({**said, "host": host, "pid": pid}))

    write(host, ended.pid)
    forget_pulse(tmp_path, host, ended.pid)
    assert not folder.exists(), "the last file takes the folder with it"
    write(host, ended.pid)
    write(host, ended.pid + 1, '{"host": "no')
    wait_for_orphans(tmp_path, Watcher())
    assert not folder.exists(), "a half-written file goes, too"
    write(host, ended.pid)
    write("node7", 12)
    wait_for_orphans(tmp_path, Watcher())
    assert [path.name for path in folder.iterdir()] == ["node7-12.json"], "another machine's worker is active"
    old = time.time() - 2 * FORGOTTEN_SECONDS
    os.utime(folder / "node7-12.json", (old, old))
    wait_for_orphans(tmp_path, Watcher())
    assert not folder.exists(), "or it was active an hour ago"


def test_the_status_of_a_real_study(make_study: Make, tmp_path: Path) -> None:
    seen: list[Any] = []

    class Looking(Watcher):
        """Looks at the first epoch of the second stage, then presses ctrl-C."""

        def epoch_ended(self, key: str, epoch: Any) -> None:
            seen.append(read_status(tmp_path))
            if len(seen) == 3:
                raise Stopped(2)

    with pytest.raises(Stopped):
        run_study(make_study(), tmp_path, Looking())
    assert [status.stages for status in seen] == [(0, 3), (0, 3), (1, 3)]
    assert [worker.what for worker in seen[2].workers] == ["training VANILLA: de-DE"]
    assert seen[2].driver.startswith("process ")
    after = read_status(tmp_path)
    assert (after.workers, after.driver) == ((), "")
    run_study(make_study(), tmp_path)
    after = read_status(tmp_path)
    assert (after.stages, after.runs, after.passes) == ((3, 3), (1, 1), (144, 144))

"""Trackers: what they are told, and that a study never depends on them."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest

import attrition
from attrition.cli.tracker import Tracker, watching
from attrition.engine.run import run_study
from attrition.study.keys import settings_key
from attrition.study.spec import Study
from attrition.study.spec_machine import MachineSettings
from attrition.study.watcher import Watcher

PNG = b"\x89PNG"


class Fake(SimpleNamespace):
    """A module with the calls of a tracker; remembers the runs, each with its settings and its rows."""

    def __init__(self) -> None:
        # Libraries that look whether trackers are installed ask for the specification.
        super().__init__(runs=[], ended=0, __spec__=ModuleSpec("trackio", None))

    def init(self, **settings: Any) -> None:
        assert len(self.runs) == self.ended, "the run before was not ended"
        self.runs.append((settings, []))

    def log(self, row: dict[str, Any]) -> None:
        self.runs[-1][1].append(row)

    def finish(self) -> None:
        self.ended += 1

    def Table(self, dataframe: pd.DataFrame) -> pd.DataFrame:
        return dataframe

    def Image(self, path: str) -> bytes:
        return Path(path).read_bytes()


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Fake:
    module = Fake()
    monkeypatch.setitem(sys.modules, "trackio", module)  # type: ignore[arg-type]
    return module


class Heard(Watcher):
    """Remembers warnings about trackers, finished runs, and in which thread it heard of them."""

    def __init__(self) -> None:
        self.warnings: list[str] = []
        self.runs = 0
        self.threads: set[int] = set()

    def warned(self, message: str) -> None:
        if "tracker" in message:
            self.warnings.append(message)
        self.threads.add(threading.get_ident())

    def run_finished(self, run: object) -> None:
        self.runs += 1


def test_stages_and_runs_are_logged_once(
    make_study: Callable[..., Study], fake: Fake, tmp_path: Path, tiny: dict[str, Any]
) -> None:
    tracked = {**tiny, "machine": {**tiny["machine"], "tracker": "trackio"}}
    heard = Heard()
    results = attrition.run(tracked, tmp_path / "out", watcher=heard)
    *stages, (settings, (row,)) = fake.runs
    assert [each["config"]["languages"] for each, _ in stages] == [["en-US"], ["de-DE"], ["zh-CN"]]
    assert [len(rows) for _, rows in stages] == [2, 2, 2]
    told = [row["train_loss"] for _, rows in stages for row in rows]
    assert told == pytest.approx(results.runs[0].history["train_loss"].tolist(), rel=1e-6)
    assert (settings["project"], settings["name"]) == ("tiny", "VANILLA/as-listed/s0")
    pd.testing.assert_frame_equal(row["R"].set_index("trained"), results.runs[0].matrix.to_frame())
    assert row["cbt"] == pytest.approx(results.runs[0].metrics["cbt"])
    assert row["figure r"].startswith(PNG)
    assert row["figure r-change"].startswith(PNG)
    assert fake.ended == 4
    assert (heard.runs, heard.warnings) == (1, [])
    # What lies there already is not logged again; without a tracker the stages are the same.
    attrition.run(tracked, tmp_path / "out", watcher=heard)
    run_study(make_study(), tmp_path / "out", heard)
    assert len(fake.runs) == 4


@pytest.mark.parametrize("call", ["init", "log", "finish", "Table", "exit", "import"])
def test_a_tracker_that_fails_is_switched_off(
    call: str, fake: Fake, tmp_path: Path, tiny: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise SystemExit(1) if call == "exit" else OSError("no network")

    if call == "import":
        monkeypatch.setitem(sys.modules, "trackio", None)  # import then fails
    else:
        setattr(fake, "init" if call == "exit" else call, fail)
    study = {**tiny, "languages": ["en-US", "de-DE"], "machine": {**tiny["machine"], "tracker": "trackio"}}
    study["training"] = {**tiny["training"], "epochs": 1}
    heard = Heard()
    results = attrition.run(study, tmp_path, watcher=heard)
    assert results.runs[0].matrix.num_stages == 2
    (warning,) = heard.warnings
    assert 'machine.tracker = "trackio" does not work' in warning
    assert {"exit": "SystemExit", "import": "trackio"}.get(call, "no network") in warning
    assert heard.threads == {threading.get_ident()}


def test_a_tracker_that_hangs_is_left_behind(fake: Fake, tmp_path: Path) -> None:
    release = threading.Event()
    heard = Heard()
    tracker = Tracker("trackio", "study", tmp_path, heard)
    tracker._calls.put(lambda _: release.wait(20) and None)
    tracker.close(seconds=0.01)
    release.set()
    assert "no answer within 0.01 seconds" in heard.warnings[0]
    assert fake.runs == []


def test_it_is_off_by_default(make_study: Callable[..., Study], tmp_path: Path) -> None:
    heard = Heard()
    with watching(make_study(), tmp_path, heard) as watcher:
        assert watcher is heard
    assert settings_key(MachineSettings()).keys() <= {"ray", "slurm"}
    with pytest.raises(attrition.AttritionError, match=r"machine\.tracker"):
        make_study("machine.tracker=mlflow")


def test_everything_else_is_passed_on(fake: Fake, tmp_path: Path) -> None:
    said: list[str] = []
    inner = Watcher()
    names = [name for name in vars(Watcher) if not name.startswith("_")]
    for name in names:
        setattr(inner, name, lambda *_, name=name: said.append(name))
    tracker = Tracker("trackio", "study", tmp_path, inner)
    job = SimpleNamespace(key="k", jobs=())
    for name in names:
        getattr(tracker, name)(job, 0) if name == "finished" else getattr(tracker, name)(job)
    assert said[: len(names)] == names
    tracker.close()
    assert fake.runs == []

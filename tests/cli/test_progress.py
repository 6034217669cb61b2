"""The progress display: what it says, and whether its figures are true."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from rich.progress import Task, TaskID

from attrition.cli.progress import LeftColumn, SpeedColumn, TerminalWatcher
from attrition.training.train import Epoch


def test_a_message_is_said_once(capsys: pytest.CaptureFixture[str]) -> None:
    watcher = TerminalWatcher("accuracy")
    for _ in range(2):
        watcher.warned("The same.")
        watcher.noted("So is [this].")
    assert capsys.readouterr().err.split("\n") == ["Warning: The same.", "So is [this].", ""]


def test_a_score_is_shown_with_its_own_stage(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """With several workers, it may be of another stage than the one that started last."""
    monkeypatch.setattr("attrition.cli.progress.LINE_EVERY_SECONDS", 0.0)
    jobs: Any = {key: SimpleNamespace(key=key, label=f"VANILLA: {key}") for key in ("de-DE", "th-TH")}
    plan: Any = SimpleNamespace(jobs=jobs, num_stages=2, runs=[1])
    watcher = TerminalWatcher()
    watcher.planned(plan, 10, 0)
    watcher.started(jobs["de-DE"])
    watcher.started(jobs["th-TH"])
    watcher.epoch_ended("de-DE", Epoch(1, 0.5, 0.25, 1.0))
    assert "stage 1 of 2, VANILLA: de-DE; epoch 1, dev F1 25.0" in capsys.readouterr().err
    watcher.started(jobs["th-TH"])
    watcher.trained(2)
    assert capsys.readouterr().err.endswith("stage 2 of 2, VANILLA: th-TH\n"), "the score of another stage is not shown"


def _bar(reports: list[tuple[float, int]], total: int, seen: float) -> Task:
    """Return rich's task, `seen` seconds after the start; its reports are (seconds since the start, utterances)."""
    now = 100.0
    bar = Task(TaskID(0), "Training", total, 0, fields={"utterances": True}, _get_time=lambda: now)
    bar.start_time = now
    for seconds, utterances in reports:
        now = 100.0 + seconds
        bar.completed += utterances
        bar.fields["reported"] = seconds
    now = 100.0 + seen
    return bar


def test_two_workers_that_report_together_do_not_raise_the_speed() -> None:
    bar = _bar([(4.0, 100), (4.0, 100)], total=2_000, seen=4.0)
    assert SpeedColumn().render(bar).plain == "50 utt./s"
    assert LeftColumn().render(bar).plain == "0:00:36 left"


def test_between_two_reports_the_speed_stays_and_the_time_left_falls() -> None:
    bar = _bar([(4.0, 200)], total=2_000, seen=10.0)
    assert SpeedColumn().render(bar).plain == "50 utt./s"
    assert LeftColumn().render(bar).plain == "0:00:30 left"
    late = _bar([(4.0, 200)], total=2_000, seen=60.0)
    assert LeftColumn().render(late).plain == "0:00:00 left"


def test_before_the_first_report_no_speed_is_said() -> None:
    bar = _bar([(4.0, 0)], total=2_000, seen=4.0)
    assert SpeedColumn().render(bar).plain == ""
    assert LeftColumn().render(bar).plain == "-:--:-- left"


def test_what_was_done_in_earlier_runs_counts_for_the_share_and_not_for_the_speed() -> None:
    bar = _bar([(4.0, 200)], total=2_000, seen=4.0)
    bar.completed += 1_000
    bar.fields["earlier"] = 1_000
    assert SpeedColumn().render(bar).plain == "50 utt./s"
    assert LeftColumn().render(bar).plain == "0:00:16 left"
    assert bar.percentage == 60


def _two_stages(monkeypatch: pytest.MonkeyPatch) -> tuple[SimpleNamespace, Any, Any]:
    """Return a clock that the display reads, and the jobs and the plan of a study of two stages; each report is printed."""
    clock = SimpleNamespace(now=0.0)
    monkeypatch.setattr("attrition.cli.progress.LINE_EVERY_SECONDS", 0.0)
    monkeypatch.setattr("attrition.cli.progress.time", SimpleNamespace(monotonic=lambda: clock.now))
    jobs = {key: SimpleNamespace(key=key, label=f"VANILLA: {key}") for key in ("de-DE", "th-TH")}
    return clock, jobs, SimpleNamespace(jobs=jobs, num_stages=2, runs=[1])


def test_a_resumed_study_without_a_terminal_says_the_share_of_the_whole(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock, jobs, plan = _two_stages(monkeypatch)
    watcher = TerminalWatcher()
    watcher.planned(plan, 200, 100)
    watcher.started(jobs["th-TH"])
    clock.now = 10.0
    watcher.trained(50)
    (bar,) = (task for task in watcher._bars.tasks if task.description == "Training")
    assert bar.percentage == 75
    assert SpeedColumn().render(bar).plain.endswith("utt./s")
    assert capsys.readouterr().err.splitlines()[-1].strip() == "75%, 5 utterances/s, 0.2 min left: stage 2 of 2, VANILLA: th-TH"


def test_epochs_that_early_stopping_saved_do_not_count_as_speed(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock, jobs, plan = _two_stages(monkeypatch)
    watcher = TerminalWatcher()
    watcher.planned(plan, 200, 0)
    watcher.started(jobs["de-DE"])
    clock.now = 10.0
    watcher.trained(50)
    watcher.finished(jobs["de-DE"], 50)
    watcher.started(jobs["th-TH"])
    clock.now = 12.0
    watcher.trained(10)
    assert capsys.readouterr().err.splitlines()[-1].strip() == "40%, 5 utterances/s, 0.3 min left: stage 2 of 2, VANILLA: th-TH"

"""A time limit: what is begun, what is not, and that every command goes on a little."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from attrition.engine.pace import REMEMBERED, Pace
from attrition.engine.run import run_study
from attrition.prepare.prepare import Prepared
from attrition.store.stages import Store, StoredHistory
from attrition.study.spec import Study
from attrition.study.stop import Stopped, StopRequests, TimeUp

Make = Callable[..., Study]
Run = Callable[[Study, Path], Any]
Matrices = Callable[[Path], dict[str, str]]


def test_requests_stop_when_the_time_is_up() -> None:
    now = [100.0]
    requests = StopRequests(10.0, lambda: now[0])
    requests.check()
    requests.check_time_for(9.9)
    requests.check_time_for(None)
    with pytest.raises(TimeUp):
        requests.check_time_for(10.0)
    assert not requests.asked
    now[0] = 110.0
    assert requests.asked
    with pytest.raises(Stopped) as caught:
        requests.check()
    assert (type(caught.value), caught.value.exit_code) == (TimeUp, 0)


def test_without_a_limit_time_does_not_matter() -> None:
    requests = StopRequests(now=lambda: 1e12)
    requests.check_time_for(1e12)
    assert not requests.asked
    assert not requests.limited


def test_pace_takes_the_most_similar_stages(make_study: Make, prepared_of: Callable[[Study], Prepared]) -> None:
    lora = {"method": "SHARED LoRA", "rank": 4, "name": "four"}
    plan = prepared_of(make_study(methods=["VANILLA", "SHARED LoRA", lora])).plan
    full, many, few = (run.jobs[0] for run in plan.runs)
    pace = Pace()
    assert pace.training(full, 100) is None
    pace.trained(many, 50, 100.0)
    assert pace.training(full, 100) is None
    assert pace.training(few, 100) == pytest.approx(200.0), "of the same kind"
    pace.trained(few, 100, 50.0)
    assert pace.training(few, 100) == pytest.approx(50.0)
    assert pace.training(many, 100) == pytest.approx(200.0)
    for _ in range(REMEMBERED):
        pace.trained(few, 100, 10.0)
    assert pace.training(few, 100) == pytest.approx(10.0), "the latest count"
    assert pace.scoring(10) is None
    pace.scored(20, 4.0)
    assert pace.scoring(10) == pytest.approx(2.0)


def slow(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    """Have all stored stages say that they took so long."""
    load = Store.load_history

    def loaded(store: Store, key: str) -> StoredHistory:
        return dataclasses.replace(load(store, key), seconds={"training": seconds})

    monkeypatch.setattr(Store, "load_history", loaded)


def test_a_stage_that_would_not_end_in_time_is_not_begun(
    make_study: Make, run_notes: Run, matrices: Matrices, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = make_study(orders=[["en-US", "de-DE", "zh-CN"], ["zh-CN", "en-US", "de-DE"]])
    run_notes(study, tmp_path / "whole")
    folder = tmp_path / "limited"
    # After the first run every stage is said to take 1,000 seconds, so that each command begins one stage and no second.
    run_study(study, folder, only=["*/listed-1/*"])
    with monkeypatch.context() as patch:
        slow(patch, 1000.0)
        with pytest.raises(TimeUp) as caught:
            run_study(study, folder, seconds=500.0)
    assert caught.value.kept == (
        "Finished: 1 of 2 runs: VANILLA/listed-1/s0. Kept: 4 of 6 stages. Run the same command to resume."
    )
    assert not Store(folder).checkpoints()
    run_study(study, folder, seconds=500.0)
    assert matrices(folder) == matrices(tmp_path / "whole")


def test_what_is_in_training_at_the_limit_is_kept(make_study: Make, run_notes: Run, matrices: Matrices, tmp_path: Path) -> None:
    study = make_study()
    run_notes(study, tmp_path / "whole")
    with pytest.raises(TimeUp, match=r"Finished: 0 of 1 runs\. Kept: 0 of 3 stages and the state of training"):
        run_study(study, tmp_path / "limited", seconds=0.0)
    notes = run_notes(study, tmp_path / "limited")
    assert len(notes.runs) == 1
    assert matrices(tmp_path / "limited") == matrices(tmp_path / "whole")

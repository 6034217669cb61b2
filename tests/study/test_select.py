"""Some runs of a study: which a pattern selects, and that the others are left alone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from attrition.engine.run import run_study
from attrition.names import AttritionError
from attrition.prepare.prepare import Prepared
from attrition.store.stages import Store
from attrition.study.plan import Job
from attrition.study.select import select_runs
from attrition.study.spec import Study
from attrition.study.stop import Stopped
from attrition.study.watcher import Watcher

Make = Callable[..., Study]
Run = Callable[[Study, Path], Any]
Matrices = Callable[[Path], dict[str, str]]

EN, DE, ZH = "en-US", "de-DE", "zh-CN"
PARTS: dict[str, Any] = {
    "methods": ["VANILLA", {"method": "SHARED LoRA", "name": "mine [red]"}, "MULTI"],
    "orders": [[EN, DE, ZH], [ZH, EN, DE]],
    "seeds": [0, 11],
}
ALL = [
    "VANILLA/listed-1/s0", "VANILLA/listed-1/s11", "VANILLA/listed-2/s0", "VANILLA/listed-2/s11",
    "mine [red]/listed-1/s0", "mine [red]/listed-1/s11", "mine [red]/listed-2/s0", "mine [red]/listed-2/s11",
    "MULTI/joint/s0", "MULTI/joint/s11",
]  # fmt: skip


@pytest.fixture(scope="module")
def prepared(make_study: Make, prepared_of: Callable[[Study], Prepared]) -> Prepared:
    return prepared_of(make_study(**PARTS))


def test_the_plan_lists_runs_by_method_then_order_then_seed(prepared: Prepared) -> None:
    assert [run.label for run in prepared.plan.runs] == ALL
    assert select_runs(prepared.plan, []) is prepared.plan


@pytest.mark.parametrize(
    ("patterns", "expected"),
    [
        (["vanilla/LISTED-1/s0"], ALL[:1]),
        (["Multi"], ALL[8:]),
        (["mine [red]"], ALL[4:8]),
        (["mine ?red?/*/s0"], [ALL[4], ALL[6]]),
        (["*/s1"], []),
        (["*/s11"], ALL[1::2]),
        (["MULTI/*", " vanilla/listed-2/s0 "], [ALL[2], *ALL[8:]]),
        (["vanilla--listed-1--s0--*"], ALL[:1]),
    ],
    ids=lambda value: " ".join(value) or "nothing",
)
def test_patterns(patterns: list[str], expected: list[str], prepared: Prepared) -> None:
    if not expected:
        with pytest.raises(AttritionError, match="unknown run"):
            select_runs(prepared.plan, patterns)
        return
    plan = select_runs(prepared.plan, patterns)
    assert [run.label for run in plan.runs] == expected
    assert set(plan.jobs) == {job.key for run in plan.runs for job in run.jobs}
    assert list(plan.jobs) == [key for key in prepared.plan.jobs if key in plan.jobs], "parents before children"


def test_a_key_selects_its_run(prepared: Prepared) -> None:
    run = prepared.plan.runs[5]
    assert select_runs(prepared.plan, [run.key.upper()]).runs == (run,)


def test_a_shared_stage_is_named_after_a_selected_run(make_study: Make, tmp_path: Path) -> None:
    began: list[str] = []

    class Noting(Watcher):
        def started(self, job: Job) -> None:
            began.append(job.label)

    methods = ["SHARED LoRA", {"method": "NON-SHARED LoRA", "name": "alone"}]
    run_study(make_study(methods=methods), tmp_path, Noting(), only=["alone"])
    assert began == [f"alone: {each}" for each in (EN, DE, ZH)], "the first stage is SHARED LoRA's, too"


def test_a_pattern_of_no_run_names_the_nearest_and_all(prepared: Prepared) -> None:
    with pytest.raises(AttritionError) as caught:
        select_runs(prepared.plan, ["VANILLA", "VANILA/listed-1/s0"])
    assert "Did you mean 'VANILLA/listed-1/s0'?" in str(caught.value)
    assert all(label in str(caught.value) for label in ALL)


# --- The engine


def test_a_study_may_be_some_of_its_runs_in_its_own_sequence(
    make_study: Make, prepared_of: Callable[[Study], Prepared]
) -> None:
    study = make_study(**PARTS, only=["MULTI/*/s0", "VANILLA/listed-2/s0", "VANILLA/*/s0"])
    prepared = prepared_of(study)
    labels = [run.label for run in prepared.plan.runs]
    assert labels == ["MULTI/joint/s0", "VANILLA/listed-2/s0", "VANILLA/listed-1/s0"]
    wanted = {job.key for run in prepared.plan.runs for job in run.jobs}
    assert set(prepared.plan.jobs) == wanted
    assert [run.label for run in select_runs(prepared.plan, ["vanilla"]).runs] == labels[1:]
    with pytest.raises(AttritionError, match=r"only.*VANILA.*VANILLA"):
        prepared_of(make_study(**PARTS, only=["VANILA"]))


def test_selected_runs_are_trained_and_the_others_stay(
    make_study: Make, run_notes: Run, matrices: Matrices, tmp_path: Path
) -> None:
    study = make_study(methods=["VANILLA", "SHARED LoRA"], orders=[[EN, DE, ZH], [ZH, EN, DE]])
    run_notes(study, tmp_path / "whole")
    folder = tmp_path / "parts"
    for only, done in ((["shared lora/listed-2/*"], 1), (["VANILLA"], 3), ([], 4)):
        run_study(study, folder, only=only)
        assert len(matrices(folder)) == done
        assert not (folder / "earlier").exists()
    assert matrices(folder) == matrices(tmp_path / "whole")


def test_runs_are_finished_one_after_another(make_study: Make, tmp_path: Path, run_notes: Run) -> None:
    """Every prefix of the work is whole runs and one that has begun."""
    study = make_study(methods=["VANILLA", "NON-SHARED LoRA"], orders=[[EN, DE, ZH], [ZH, EN, DE]])
    notes = run_notes(study, tmp_path)
    # VANILLA has no stage in common between the orders; NON-SHARED has all.
    labels = [stage.chain for stage in notes.stages.values()]
    assert labels[:3] == [((EN,),), ((EN,), (DE,)), ((EN,), (DE,), (ZH,))]
    assert labels[3:6] == [((ZH,),), ((ZH,), (EN,)), ((ZH,), (EN,), (DE,))]
    assert len(labels) == 9


def test_a_checkpoint_of_a_run_that_is_not_selected_is_kept(make_study: Make, run_notes: Run, tmp_path: Path) -> None:
    study = make_study(methods=["VANILLA", "SHARED LoRA"])
    with pytest.raises(Stopped):
        run_study(study, tmp_path, seconds=0.0, only=["VANILLA"])
    (kept,) = Store(tmp_path).checkpoints()
    run_study(study, tmp_path, only=["SHARED LoRA"])
    assert Store(tmp_path).checkpoints() == (kept,)
    assert len(run_notes(study, tmp_path).runs) == 2
    assert not Store(tmp_path).checkpoints()


def test_learners_that_began_together_go_on_together(
    make_study: Make, run_notes: Run, matrices: Matrices, tmp_path: Path
) -> None:
    study = make_study("machine.population=2", methods=["SHARED LoRA"], orders=[[EN, DE, ZH], [ZH, EN, DE]])
    run_notes(study, tmp_path / "whole")
    with pytest.raises(Stopped):
        run_study(study, tmp_path / "parts", seconds=0.0)
    run_study(study, tmp_path / "parts", only=["*/listed-1/*"])
    assert len(Store(tmp_path / "parts").keys("stages")) == 4, "both first stages, and two more of the selected run"
    run_notes(study, tmp_path / "parts")
    assert set(matrices(tmp_path / "parts")) == set(matrices(tmp_path / "whole"))

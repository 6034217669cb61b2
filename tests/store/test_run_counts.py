"""The counts behind R, read without torch: from a results folder and from its archive."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from attrition.engine.run import run_study
from attrition.names import AttritionError
from attrition.results.counts import StoredCounts, run_counts
from attrition.results.read import Run, read_results
from attrition.store.archive import write_archive
from attrition.study.spec import Study

METHODS = ["VANILLA", "NON-SHARED LoRA", "MULTI"]


@pytest.fixture(scope="module", params=["all", "seen"])
def whole(request: pytest.FixtureRequest, make_study: Callable[..., Study], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a finished study; read-only."""
    study = make_study("training.epochs=12", f"evaluate={request.param}", methods=METHODS)
    return run_study(study, tmp_path_factory.mktemp("whole") / "results")


def equals_its_matrix(run: Run, stored: StoredCounts | None = None) -> bool:
    counts = run_counts(run, stored)
    assert counts is not None
    assert counts.num_utterances == 10
    assert np.array_equal(counts.f1_SL, run.matrix.scores_SL, equal_nan=True)
    if run.matrix.before_L is None:
        return counts.before is None
    assert counts.before is not None
    return np.array_equal(counts.before.f1_SL[0], run.matrix.before_L, equal_nan=True)


def test_f1_of_the_counts_is_r_to_the_last_bit(whole: Path, tmp_path: Path) -> None:
    write_archive([whole], tmp_path / "archive")
    for folder in (whole, tmp_path / "archive"):
        runs = read_results(folder).runs
        assert len(runs) == len(METHODS)
        assert all(equals_its_matrix(run) for run in runs)
        stored = StoredCounts(folder)
        assert all(equals_its_matrix(run, stored) for run in runs)
    assert max(run.matrix.scores_SL[-1].max() for run in runs) > 0, "something was learned, so that R is not all 0"


def test_tables_without_counts_have_none(whole: Path, tmp_path: Path) -> None:
    copy = tmp_path / "tables"
    shutil.copytree(whole / "runs", copy / "runs")
    assert [run_counts(run) for run in read_results(copy).runs] == [None] * len(METHODS)


def test_runs_that_do_not_name_their_evaluations_have_none(whole: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(whole, tmp_path / "older"))
    for path in copy.glob("runs/*/spec.json"):
        spec = json.loads(path.read_text())
        for stage in spec["steps"]:
            del stage["evaluation"]
        path.write_text(json.dumps(spec))
    assert [run_counts(run) for run in read_results(copy).runs] == [None] * len(METHODS)


def test_damaged_counts_are_named(whole: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(whole, tmp_path / "damaged"))
    for path in copy.glob("evaluations/*/counts.safetensors"):
        path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(AttritionError, match=r"counts\.safetensors.*attrition verify"):
        run_counts(read_results(copy).runs[0])


def test_a_matrix_of_other_counts_is_refused(whole: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(whole, tmp_path / "other"))
    (run,) = (run for run in read_results(copy).runs if run.series.kind == "VANILLA")
    table = run.folder / "matrix.csv"
    score = repr(float(run.matrix.scores_SL[-1, -1]))
    head, _, tail = table.read_text().rpartition(score)
    table.write_text(f"{head}0.987{tail}")
    (changed,) = (run for run in read_results(copy).runs if run.series.kind == "VANILLA")
    with pytest.raises(AttritionError, match=r"matrix\.csv does not match"):
        run_counts(changed)

"""The forest plot of the covariates' effects: the numbers of the mixed model, names that fit an axis."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import pytest
import vl_convert

from attrition.analysis.changes import changes, covariates
from attrition.analysis.drivers import fit_drivers
from attrition.analysis.evidence import from_matrices
from attrition.metrics.matrix import RMatrix
from attrition.report.effects import covariate_label, effect_rows, effects_forest
from attrition.results.read import read_results


def test_rows_are_the_effects_with_all_others_in_the_model(simulate: ModuleType, tmp_path: Path) -> None:
    results = read_results(simulate.write_study(tmp_path, num_languages=8, num_orders=5, methods=("VANILLA",)))
    matrices = [run.matrix for run in results.runs]
    of = changes(matrices)
    drivers = fit_drivers(of, covariates(of))
    rows = {row.name: row for row in effect_rows(from_matrices(matrices).runs)}
    assert len(rows) == len(drivers.drivers) + 1
    for driver in drivers.drivers:
        row = rows[covariate_label(driver.name, binary=driver.binary)]
        assert row.estimate == pytest.approx(driver.together.estimate, abs=1e-3)
        assert row.low == pytest.approx(driver.together.low, rel=1e-2, abs=1e-2)
    assert drivers.position is not None
    assert rows["log languages before (per sd)"].estimate == pytest.approx(drivers.position.estimate, abs=1e-3)
    assert max(map(len, rows)) <= 32
    (figure,) = effects_forest(results)
    assert "VANILLA, 5 orders." in figure.caption
    svg = vl_convert.vegalite_to_svg(figure.complete(""))
    assert ">donor: Latin script<" in svg
    assert "…" not in svg
    assert "NaN" not in svg


def test_known_measurement_error_enters(simulate: ModuleType) -> None:
    measured = simulate.measured(0, num_languages=8, num_orders=4, num_utterances=100, resamples=50)
    without, found = effect_rows(measured.runs), effect_rows(measured.runs, measured.utterances)
    assert [row.name for row in found] == [row.name for row in without]
    assert [row.estimate for row in found] != [row.estimate for row in without]


def test_nothing_is_drawn_where_no_model_fits(simulate: ModuleType, tmp_path: Path) -> None:
    assert effects_forest(read_results(simulate.write_study(tmp_path / "a", num_languages=2))) == ()
    assert effects_forest(read_results(simulate.write_study(tmp_path / "b", methods=("MULTI",)))) == ()
    scores = [R.scores_SL[:4, :4] for R in simulate.measured(0).truth[:2]]
    unknown = [RMatrix.sequential(order, each) for order, each in zip(("abcd", "bcda"), scores, strict=True)]
    assert effect_rows(from_matrices(unknown).runs) == ()

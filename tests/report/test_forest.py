"""Forest plots: sorted by estimate, coloured only where the interval excludes 0."""

from __future__ import annotations

import math
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import vl_convert

from attrition.analysis.evidence import from_matrices
from attrition.analysis.quantities import QUANTITIES
from attrition.metrics import donor_learned
from attrition.report.chapters import languages_chapter
from attrition.report.forest import ForestRow, axis_domain, forest, forest_table, language_forests, language_rows
from attrition.results.read import read_results

ROWS = [
    ForestRow(name="loss", estimate=-2.0, low=-3.0, high=-1.0),
    ForestRow(name="open", estimate=0.5, low=-0.5, high=1.5),
    ForestRow(name="gain", estimate=2.0, low=1.0, high=3.0),
    ForestRow(name="alone", estimate=5.0),
    ForestRow(name="unknown", estimate=math.nan),
]


def test_rows_are_sorted_and_only_sure_ones_have_a_sign() -> None:
    table = forest_table(ROWS)
    assert table["name"].tolist() == ["alone", "gain", "open", "loss"]
    assert table["sign"].tolist() == ["open", "gain", "open", "loss"]
    assert table["place"].tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize(("low", "high", "sign"), [(0.0, 1.0, "open"), (-1.0, 0.0, "open"), (0.1, 1.0, "gain")])
def test_an_interval_that_touches_0_includes_it(low: float, high: float, sign: str) -> None:
    assert ForestRow(name="a", estimate=0.5, low=low, high=high).sign == sign


def test_grey_is_a_value_and_colours_are_those_of_gain_and_loss() -> None:
    figure = forest(ROWS, name="f", title="T", caption="What it is.", effect=("more", "less"))
    zero, line, point = figure.definition()["layer"]
    colour = point["encoding"]["color"]
    assert colour["condition"]["test"] == "datum.sign === 'open'"
    assert colour["scale"] == {"domain": ["gain", "loss"], "range": "category"}
    assert line["encoding"]["x"]["field"] == "low"
    assert line["encoding"]["x2"]["field"] == "high"
    assert zero["encoding"]["x"]["datum"] == 0
    assert figure.caption.startswith("What it is. Sorted by the estimate, largest first.")
    assert "Blue: more; orange: less; grey: the interval includes 0." in figure.caption
    assert "not a ranking" in figure.caption
    assert "A point without a line has no interval" in figure.caption


def test_without_intervals_the_caption_says_why() -> None:
    caption = forest([ForestRow(name="a", estimate=1.0)], name="f", title="T").caption
    assert "No intervals" in caption
    assert "grey" not in caption


def test_a_wide_interval_does_not_press_the_others_together() -> None:
    wide = [*ROWS[:3], ForestRow(name="wide", estimate=0.0, low=-400.0, high=400.0)]
    low, high = axis_domain(wide)
    assert -9 < low < high < 9
    assert "A line that reaches the edge continues beyond it." in forest(wide, name="f", title="T").caption
    assert "edge" not in forest(ROWS[:3], name="f", title="T").caption
    assert axis_domain([ForestRow(name="zero", estimate=0.0, low=0.0, high=0.0)])[0] <= 0


def test_languages_are_the_moderated_estimates_in_points(simulate: ModuleType, tmp_path: Path) -> None:
    results = read_results(simulate.write_study(tmp_path, num_languages=6, num_orders=5, methods=("VANILLA",)))
    matrices = [run.matrix for run in results.runs]
    rows = {row.name: row for row in language_rows(from_matrices(matrices).runs, "donor_learned")}
    expected = donor_learned(matrices)
    assert len(rows) == 6
    assert rows["Thai (th-TH)"].estimate == pytest.approx(100 * expected["th-TH"])
    assert rows["Thai (th-TH)"].high < 0
    assert all(row.low < row.estimate < row.high for row in rows.values())


def test_test_utterances_widen_the_intervals(simulate: ModuleType) -> None:
    world = simulate.measured(0, num_languages=6, num_utterances=60, resamples=60)
    without, found = (language_rows(world.runs, "own_stage", each) for each in (None, world.utterances))
    added_L = world.utterances.main_variance_L(world.runs, QUANTITIES["own_stage"].function)
    assert min(added_L) > 0
    for narrow, wide in zip(without, found, strict=True):
        assert (wide.name, wide.estimate) == (narrow.name, narrow.estimate)
        assert wide.low < narrow.low < narrow.high < wide.high


def test_one_order_gives_points_without_intervals(simulate: ModuleType, tmp_path: Path) -> None:
    results = read_results(simulate.write_study(tmp_path, num_languages=5))
    for figure in language_forests(results):
        table = figure.variants[""]["rows"]
        assert table["low"].isna().all()
        assert set(table["sign"]) == {"open"}
        assert "No intervals" in figure.caption
        assert "1 order." in figure.caption


def test_one_language_or_none_in_sequence_has_no_forest(simulate: ModuleType, tmp_path: Path) -> None:
    assert language_forests(read_results(simulate.write_study(tmp_path / "a", num_languages=1))) == ()
    assert language_forests(read_results(simulate.write_study(tmp_path / "b", methods=("MULTI",)))) == ()


def test_52_languages_have_a_readable_row_each(simulate: ModuleType, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    results = read_results(simulate.write_study(tmp_path, num_languages=52, num_orders=5, methods=("VANILLA",)))
    chapter = languages_chapter(results)
    assert [figure.name for figure in chapter.leading] == ["forest-donor-learned", "forest-receiver-learned", "forest-effects"]
    for figure in chapter.leading[:2]:
        assert len(figure.variants[""]["rows"]) == 52
        assert figure.definition()["height"] == 52 * 14
        svg = vl_convert.vegalite_to_svg(figure.complete(""))
        assert ">Thai (th-TH)<" in svg
        assert "NaN" not in svg
    assert capfd.readouterr().err == ""
    signs = chapter.leading[0].variants[""]["rows"].set_index("name")["sign"]
    assert signs["Thai (th-TH)"] == "loss"
    assert np.mean(signs == "open") > 0.5

"""Figures 5 and 6: the printed quantity, its null counterpart and the difference, on one scale, cells marked where unsure."""

from __future__ import annotations

import math
from pathlib import Path
from types import ModuleType

import numpy as np
import pandas as pd
import pytest
import vl_convert

from attrition.analysis.evidence import from_matrices, replicates
from attrition.analysis.moderation import per_language
from attrition.analysis.null import null_matrix
from attrition.metrics import mbt
from attrition.metrics.hops import mbt_LH, mft_LH
from attrition.metrics.matrix import RMatrix
from attrition.paper.hop_maps import PANELS, hop_figure, hop_table, scale_end
from attrition.results.read import read_results


def matrices_of(simulate: ModuleType, folder: Path, num_languages: int, num_orders: int) -> list[RMatrix]:
    study = simulate.write_study(folder, num_languages=num_languages, num_orders=num_orders, methods=("VANILLA",))
    return [run.matrix for run in read_results(study).runs]


@pytest.fixture(scope="module")
def matrices(simulate: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> list[RMatrix]:
    return matrices_of(simulate, tmp_path_factory.mktemp("hops"), 8, 5)


@pytest.fixture(scope="module")
def table(matrices: list[RMatrix]) -> pd.DataFrame:
    return hop_table(from_matrices(matrices).runs, mbt_LH)


def test_panels_are_the_printed_one_its_null_and_their_difference(matrices: list[RMatrix], table: pd.DataFrame) -> None:
    wide = table.pivot(index=["language", "hop"], columns="panel", values="value")
    printed, null = mbt(matrices), mbt([null_matrix(R) for R in matrices])
    for (language, hop), line in wide.iterrows():  # type: ignore[misc]
        assert line[PANELS[0]] == pytest.approx(100 * printed[language][hop], abs=0.001, nan_ok=True)
        assert line[PANELS[1]] == pytest.approx(100 * null[language][hop], abs=0.001, nan_ok=True)
    np.testing.assert_allclose(wide[PANELS[2]], wide[PANELS[0]] - wide[PANELS[1]], atol=0.0021)
    assert wide[PANELS[1]].abs().max() > 0.1  # a null that is not 0 is what the panel is for


def test_what_nothing_was_forgotten_in_has_no_difference() -> None:
    random = np.random.default_rng(1)
    orders = [[str(name) for name in random.permutation(list("abcd"))] for _ in range(3)]
    runs = []
    for order in orders:
        scores = np.array([0.2 * (1 + "abcd".index(name)) for name in order])
        runs.append(RMatrix.sequential(order, np.tile(scores, (4, 1))))
    table = hop_table(from_matrices(runs).runs, mft_LH)
    assert table.loc[table["panel"] == PANELS[2], "value"].abs().max() == 0
    assert table.loc[table["panel"] == PANELS[0], "value"].abs().max() > 1


def test_languages_are_ordered_by_their_mean_over_hops_as_printed(table: pd.DataFrame) -> None:
    first = table[table["panel"] == PANELS[0]]
    means = first.groupby("place")["value"].mean()
    assert means.is_monotonic_decreasing
    for _, own in table.groupby("panel"):
        assert own.drop_duplicates("place")["language"].tolist() == first.drop_duplicates("place")["language"].tolist()
    assert table["hop"].max() == 6  # eight stages reach no further back


def test_the_scale_is_the_largest_value_of_all_panels(table: pd.DataFrame) -> None:
    assert set(table["limit"]) == {math.ceil(table["value"].abs().max())}
    assert scale_end([]) == 1.0
    assert scale_end([0.0]) == 1.0
    assert scale_end([-3.0]) == 3.0


def test_a_cell_is_marked_where_its_interval_includes_0_or_one_order_is_all(table: pd.DataFrame) -> None:
    measured = table[table["value"].notna()]
    unsure = ~((measured["low"] > 0) | (measured["high"] < 0))
    assert measured["marked"].tolist() == unsure.tolist()
    assert 0 < measured["marked"].sum() < len(measured)
    assert measured.loc[measured["orders"] < 2, "marked"].all()
    assert not table.loc[table["value"].isna(), "marked"].any()


def test_with_one_order_nothing_is_marked_and_the_caption_says_so(simulate: ModuleType, tmp_path: Path) -> None:
    table = hop_table(from_matrices(matrices_of(simulate, tmp_path, 5, 1)).runs, mbt_LH)
    assert not table["marked"].any()
    figure = hop_figure({"x": table}, name="figure5", title="T", symbol="MBT", equation="eq. 14")
    assert "One order gives no intervals, so no cell can be marked." in figure.caption
    assert "Dot:" not in figure.caption


def test_hops_are_rows_and_the_colours_diverge_around_0(table: pd.DataFrame) -> None:
    figure = hop_figure({"x": table}, name="figure5", title="T", symbol="MBT", equation="eq. 14")
    definition = figure.definition()
    cell, dot, _ = definition["spec"]["layer"]
    assert cell["encoding"]["y"]["field"] == "hop"
    assert cell["encoding"]["x"]["field"] == "language"
    assert cell["encoding"]["color"]["scale"]["range"] == "diverging"
    assert definition["facet"]["sort"] == list(PANELS)
    assert dot["transform"] == [{"filter": "datum.marked"}]
    assert "Dot: the 95% interval over orders includes 0" in figure.caption


def test_the_scale_is_read_from_the_data(table: pd.DataFrame) -> None:
    """The largest value has the last colour of the scale, whatever the study."""
    figure = hop_figure({"x": table}, name="figure5", title="T", symbol="MBT", equation="eq. 14")
    stretched = table.assign(limit=10 * table["limit"])
    other = hop_figure({"x": stretched}, name="figure5", title="T", symbol="MBT", equation="eq. 14")
    assert figure.definition() == other.definition()
    ends = [f">{sign}{label}<" for sign in ("", "−") for label in ("100", "50")]
    assert not any(end in vl_convert.vegalite_to_svg(figure.complete("x")) for end in ends)
    assert any(end in vl_convert.vegalite_to_svg(other.complete("x")) for end in ends)


def test_52_languages_draw_without_warnings(simulate: ModuleType, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    table = hop_table(from_matrices(matrices_of(simulate, tmp_path, 52, 2)).runs, mft_LH)
    assert len(table) == 3 * 52 * 10
    figure = hop_figure({"x": table}, name="figure6", title="T", symbol="MFT", equation="eq. 13")
    svg = vl_convert.vegalite_to_svg(figure.complete("x"))
    assert svg.count(">th-TH<") == 1
    assert "NaN" not in svg
    assert capfd.readouterr().err == ""


def test_test_utterances_widen_the_intervals_and_the_caption_says_so(simulate: ModuleType) -> None:
    world = simulate.measured(0, num_languages=6, num_orders=5, num_utterances=60, resamples=40)
    without, found = (hop_table(world.runs, mbt_LH, each) for each in (None, world.utterances))
    assert found["value"].equals(without["value"])
    assert not found["low"].equals(without["low"])
    # Each panel and hop is what the one-hop quantity gives by itself.
    added_L = world.utterances.main_variance_L(world.runs, lambda R: (mbt_LH(R)[:, 1], np.isfinite(mbt_LH(R)[:, 1]) * 1.0))
    replicated = per_language(replicates(world.runs, lambda R: (mbt_LH(R)[:, 1], np.isfinite(mbt_LH(R)[:, 1]) * 1.0)), added_L)
    one = found[(found["panel"] == PANELS[0]) & (found["hop"] == 1)].set_index("language")
    for language, each in replicated.items():
        assert one.loc[language, "low"] == pytest.approx(100 * each.low, abs=0.001, nan_ok=True)
    figure = hop_figure({"x": found}, name="figure5", title="T", symbol="MBT", equation="eq. 14")
    assert "Dot: the 95% interval over orders and test utterances includes 0" in figure.caption

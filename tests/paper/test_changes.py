"""Figure 3: bars with intervals, a legend, and no ranking that the orders do not bear out."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import vl_convert

from attrition.analysis.evidence import from_matrices
from attrition.analysis.intervals import mean_of_replicates
from attrition.metrics import mft
from attrition.metrics.matrix import RMatrix
from attrition.paper.changes import FIXED, INTERVAL, change_per_language, changes
from attrition.results.read import read_results


def runs_of(simulate: ModuleType, folder: Path, num_languages: int, num_orders: int) -> list[RMatrix]:
    study = simulate.write_study(folder, num_languages=num_languages, num_orders=num_orders, methods=("VANILLA",))
    return [run.matrix for run in read_results(study).runs]


def test_two_orders_have_students_interval(simulate: ModuleType, tmp_path: Path) -> None:
    """With two orders no variance is shared between languages: each is a t interval with one degree of freedom."""
    matrices = runs_of(simulate, tmp_path, 5, 2)
    table = changes(from_matrices(matrices).runs).set_index("language")
    for language, line in table.iterrows():
        values = [100 * mft([R], num_hops=1)[str(language)][0] for R in matrices]
        expected = mean_of_replicates(values)
        assert line["growing"] == pytest.approx(expected.value, abs=0.001)
        assert line["orders"] == expected.num_replicates
        assert (line["low"], line["high"]) == pytest.approx((expected.low, expected.high), abs=0.001, nan_ok=True)


def test_the_drawn_interval_is_cut_and_the_table_is_not(simulate: ModuleType, tmp_path: Path) -> None:
    table = changes(from_matrices(runs_of(simulate, tmp_path, 8, 2)).runs)
    known = table.dropna(subset=["low"])
    assert (known["drawn_low"] >= known["low"]).all()
    assert (known["drawn_high"] <= known["high"]).all()
    assert known["drawn_high"].max() - known["drawn_low"].min() < 5 * np.ptp([*table["growing"], 0])


def test_the_legend_names_strokes_and_lines_and_the_caption_says_how_bars_are_sorted(
    simulate: ModuleType, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    figure = change_per_language({"x": changes(from_matrices(runs_of(simulate, tmp_path, 6, 5)).runs)})
    layers = figure.definition()["layer"]
    assert layers[-1]["encoding"]["shape"]["scale"]["domain"] == [FIXED, INTERVAL]
    assert layers[-2]["encoding"]["y"]["field"] == "drawn_low"
    svg = vl_convert.vegalite_to_svg(figure.complete("x"))
    assert f">{FIXED}<" in svg
    assert f">{INTERVAL}<" in svg
    assert "NaN" not in svg
    assert capfd.readouterr().err == ""
    assert "Sorted by the bars, largest gain first." in figure.caption
    assert "If these overlap, the order of the bars is not a ranking." in figure.caption
    assert "one order" not in figure.caption


def test_one_order_has_no_intervals_and_says_so(simulate: ModuleType, tmp_path: Path) -> None:
    table = changes(from_matrices(runs_of(simulate, tmp_path, 4, 1)).runs)
    assert table["low"].isna().all()
    figure = change_per_language({"x": table})
    assert figure.definition()["layer"][-1]["encoding"]["shape"]["scale"]["domain"] == [FIXED]
    assert "With one order there are no intervals: the order of the bars is not a ranking." in figure.caption
    assert "Vertical lines" not in figure.caption
    mixed = change_per_language({"x": table, "y": changes(from_matrices(runs_of(simulate, tmp_path / "y", 4, 3)).runs)})
    assert "A method with one order there are no intervals" not in mixed.caption
    assert "Of a method with one order there are no intervals" in mixed.caption


def test_test_utterances_widen_the_intervals_and_the_caption_says_so(simulate: ModuleType) -> None:
    world = simulate.measured(0, num_languages=6, num_orders=5, num_utterances=60, resamples=60)
    without, found = (changes(world.runs, each) for each in (None, world.utterances))
    narrow, wide = ((table["high"] - table["low"]).dropna() for table in (without, found))
    assert found["growing"].tolist() == without["growing"].tolist()
    assert wide.sum() > narrow.sum()
    assert "95% intervals of the bars, over orders and test utterances." in change_per_language({"x": found}).caption
    assert "95% intervals of the bars, over orders." in change_per_language({"x": without}).caption
    both = change_per_language({"x": found, "y": without}).caption
    assert "over orders and test utterances (over orders alone where no counts are stored)" in both

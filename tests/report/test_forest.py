"""Forest plots: rows sorted, coloured only where the interval excludes 0, and drawn at any size."""

from __future__ import annotations

import math

import pytest
import vl_convert

from attrition.analysis.evidence import from_matrices
from attrition.analysis.worlds import locales, world
from attrition.report.forest import Row, forest, language_forests


def row(name: str, estimate: float, half: float) -> Row:
    return Row(name=name, estimate=estimate, low=estimate - half, high=estimate + half)


def test_rows_are_sorted_and_say_what_their_interval_tells() -> None:
    rows = [row("a", -3, 1), row("b", 2, 1), row("c", 0.5, 1), row("d", 1, math.nan), row("e", math.nan, 1)]
    table = forest(rows, name="x", title="X", caption="X.", axis="points").variants[""]["rows"]
    assert list(table["name"]) == ["b", "d", "c", "a"]
    assert list(table["says"]) == ["gain", "not told from 0", "not told from 0", "loss"]


@pytest.mark.parametrize("number", [3, 52])
def test_languages_are_drawn(number: int, capfd: pytest.CaptureFixture[str]) -> None:
    figures = language_forests(from_matrices(world("destructive", locales(number), 0).runs(5, seed=0)).runs, "VANILLA")
    assert [figure.name for figure in figures] == ["forest-donor-learned", "forest-receiver-learned"]
    table = figures[0].variants[""]["rows"]
    assert len(table) == number
    assert (table["says"].iloc[-1] == "loss") == (number > 3)
    svg = vl_convert.vegalite_to_svg(figures[0].complete(""))
    assert svg.count("zh-CN") > 0
    assert capfd.readouterr().err == ""


def test_one_order_has_points_without_intervals() -> None:
    figure = language_forests(from_matrices(world("nothing", locales(4), 0).runs(1, seed=0)).runs, "VANILLA")[0]
    table = figure.variants[""]["rows"]
    assert table["low"].isna().all()
    assert set(table["says"]) == {"not told from 0"}
    assert "one order" in figure.caption


def test_no_sequential_runs_no_forest() -> None:
    assert language_forests((), "") == ()

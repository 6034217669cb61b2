"""How R, results and tables look in a notebook."""

from __future__ import annotations

from html.parser import HTMLParser
from pathlib import Path

import altair as alt
import numpy as np
import pandas as pd
import pytest

from attrition.metrics.matrix import RMatrix
from attrition.report.overview import methods_table
from attrition.report.tables import Column, Number, Table
from attrition.results.read import FRAME_COLUMNS, read_results

NAN = float("nan")


class _Cells(HTMLParser):
    """The cells of all tables of a page, in their sequence; fails where a tag is left open."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self._open: list[str] = []
        self.feed(text)
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self._open.append(tag)
        if tag in ("td", "th"):
            self.found.append("")

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if {"td", "th"} & set(self._open):
            self.found[-1] += data


@pytest.fixture
def R() -> RMatrix:
    return RMatrix(np.array([[0.8, NAN], [0.7, 0.75]]), ("a<b", "b"), (("a<b",), ("b",)), np.array([0.01, 0.02]))


def test_a_matrix_is_a_table_in_percent(R: RMatrix) -> None:
    cells = _Cells(R._repr_html_()).found
    assert cells == ["After training on", "a<b", "b", "before", "1.0", "2.0", "a<b", "80.0", "–", "b", "70.0", "75.0"]


def test_a_matrix_is_plotted_with_its_own_numbers(R: RMatrix) -> None:
    scores, changes = (R.plot("macro F1", change=change).to_dict() for change in (False, True))
    assert [row["f1"] for row in scores["datasets"]["cells"]] == [1, 2, 80, None, 70, 75]
    assert [row["change"] for row in changes["datasets"]["cells"]] == [None, None, 79, None, -10, None]
    assert "macro F1 (%)" in str(scores)
    assert "Change (points)" in str(changes)
    with alt.renderers.enable("html"):
        assert set(R.plot()._repr_mimebundle_(None, None)) == {"text/html"}


def test_a_plot_can_be_written(R: RMatrix, tmp_path: Path) -> None:
    R.plot().save(str(tmp_path / "r.svg"))
    svg = (tmp_path / "r.svg").read_text(encoding="utf-8")
    assert all(f">{number}<" in svg for number in (80, 70, 75))


def test_results_are_the_table_of_methods(study: Path) -> None:
    results = read_results(study)
    html, table = results._repr_html_(), methods_table(results)
    assert _Cells(html).found == [*(column.head for column in table.columns), *(text for row in table.texts() for text in row)]
    assert f"{len(results.runs)} finished runs, 0 not finished." in html


def test_every_score_has_its_row(study: Path) -> None:
    results = read_results(study)
    frame = results.to_frame()
    assert tuple(frame.columns) == FRAME_COLUMNS
    assert set(frame["run"]) == {run.label for run in results.runs}
    for run in results.runs:
        own = frame[frame["run"] == run.label]
        assert set(own["order"]) == {run.spec.order.name}
        stages = range(0 if run.matrix.before_L is not None else 1, run.matrix.num_stages + 1)
        wide = own.pivot_table(index="stage", columns="language", values="score", dropna=False)[list(run.matrix.languages)]
        assert wide.index.tolist() == list(stages)
        np.testing.assert_array_equal(wide.loc[1:].to_numpy(), run.matrix.scores_SL)


def test_a_table_is_a_frame() -> None:
    columns = (Column(title="Method"), Column(title="Change", times=100))
    rows = (("NA", Number(value=-0.125, low=-0.25, high=0.0)), ("None", Number(value=NAN)))
    frame = Table(name="t", title="", columns=columns, rows=rows).to_frame()
    expected = {"Method": ["NA", "None"], "Change": [-0.125, NAN], "Change low": [-0.25, NAN], "Change high": [0.0, NAN]}
    pd.testing.assert_frame_equal(frame, pd.DataFrame(expected))

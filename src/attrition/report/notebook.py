"""R and results in a notebook."""

from __future__ import annotations

from typing import Any

import altair as alt

from attrition.metrics.matrix import RMatrix
from attrition.names import counted
from attrition.report.figures import stage_label
from attrition.report.heat_maps import BEFORE, maps_of
from attrition.report.overview import methods_table
from attrition.report.tables import Column, Number, Table
from attrition.results.read import Results


def plot(R: RMatrix, score: str = "F1", *, change: bool = False) -> Any:
    """Return R as an Altair chart with its data: the scores, or with `change` the changes from each stage to the next."""
    return alt.Chart.from_dict(maps_of({"": R}, score)[change].complete(""))


def table_of(R: RMatrix) -> Table:
    """Return R as a table in percent: a row for each stage, the row before training first."""
    before = [] if R.before_L is None else [(BEFORE, R.before_L)]
    rows = [*before, *zip(map(stage_label, R.trained), R.scores_SL, strict=True)]
    return Table(
        name="r",
        title="R: the score on each language after each stage",
        columns=(Column(title="After training on"), *(Column(title=each, times=100) for each in R.languages)),
        rows=tuple((label, *(Number(value=value) for value in row_L.tolist())) for label, row_L in rows),
        caption="In percent. – was not measured.",
    )


def results_html(results: Results) -> str:
    """Return each method's scores and loss as an HTML table, with the number of unfinished runs."""
    runs = f"{counted(len(results.runs), 'finished run')}, {len(results.unfinished)} not finished. "
    return methods_table(results)._repr_html_() + f"<p>{runs}<code>.runs</code> holds them.</p>"

"""Forest plots: estimates with 95% intervals, one row each, sorted; coloured only if the interval excludes 0."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import altair as alt
import pandas as pd

from attrition.analysis.evidence import RunEvidence, from_results, replicates
from attrition.analysis.intervals import Estimate
from attrition.analysis.moderation import per_language
from attrition.analysis.quantities import QUANTITIES
from attrition.analysis.utterances import Utterances
from attrition.report.figures import Figure, language_name
from attrition.report.tables import signed
from attrition.results.read import Results

ROW = 14
"""Pixels of a row."""

GREY = "#868d95"
"""The colour of an estimate whose interval includes 0, visible in both themes."""

FAR = 1.5
"""An axis extends at most this many times the span of the estimates beyond them; wider intervals are cut."""

MANY_ROWS = 20
"""With more rows the axis is at the top."""

NO_RANKING = "If intervals overlap, the order of the rows is not a ranking."

FORESTS: Mapping[str, str] = {
    "donor_learned": "Mean change of {} on the languages learned before, when this language is trained.",
    "receiver_learned": "Mean change of {} on this language at each stage after its own.",
}
"""The quantities with a forest plot, and their descriptions; {} is the score."""

_TITLES = {
    "donor_learned": "Donors: effect of training a language on the languages learned before",
    "receiver_learned": "Receivers: effect of later training on a language",
}


@dataclass(frozen=True, kw_only=True)
class ForestRow:
    """One estimate with its 95% interval, in the units of the axis; `low` and `high` are NaN without an interval."""

    name: str
    estimate: float
    low: float = math.nan
    high: float = math.nan

    @property
    def sign(self) -> str:
        """`gain` or `loss` if the interval excludes 0, otherwise `open`."""
        if self.low > 0:
            return "gain"
        return "loss" if self.high < 0 else "open"


def forest(
    rows: Sequence[ForestRow],
    *,
    name: str,
    title: str,
    caption: str = "",
    axis: str = "change (points)",
    effect: tuple[str, str] = ("gain", "loss"),
) -> Figure:
    """Return a forest plot: a point and its 95% interval per row, largest estimate first, and a line at 0.

    Args:
        rows: in any order. Rows without an estimate (NaN) are left out; at least one must have an estimate.
        name: of the figure and its files.
        title: of the figure.
        caption: description of the numbers. Sorting and colours are added to it.
        axis: title of the axis, with the unit.
        effect: names of a positive and a negative estimate in the caption.
    """
    table = forest_table(rows)
    with_interval = int(table["low"].notna().sum())
    said = [caption, "Sorted by the estimate, largest first."]
    if with_interval:
        said.append(
            f"Lines: 95% intervals. Blue: {effect[0]}; orange: {effect[1]}; grey: the interval includes 0. {NO_RANKING}"
        )
    else:
        said.append("No intervals: one order cannot separate an effect from chance, and the order of the rows is no ranking.")
    if 0 < with_interval < len(table):
        said.append("A point without a line has no interval; it is grey.")
    span = axis_domain(rows)
    if (table["low"] < span[0]).any() or (table["high"] > span[1]).any():
        said.append("A line that reaches the edge continues beyond it.")
    return Figure(
        name=name,
        title=title,
        caption=" ".join(part for part in said if part),
        chart=_chart(len(table), axis, span),
        variants={"": {"rows": table}},
        findings={"": _finding(table, effect)},
    )


def _finding(table: pd.DataFrame, effect: tuple[str, str]) -> str:
    """Return a sentence with the number of intervals that exclude 0, and the extreme estimates."""
    most, least = (f"{row['name']} ({signed(row['estimate'])})" for _, row in table.iloc[[0, -1]].iterrows())
    ends = f"From {most} to {least} points." if len(table) > 1 else f"{most} points."
    if table["low"].isna().all():
        return ends
    clear = {sign: int((table["sign"] == sign).sum()) for sign in ("gain", "loss")}
    numbers = f"{clear['loss']} show a {effect[1]} and {clear['gain']} a {effect[0]} whose interval excludes 0"
    return f"Of {len(table)} rows, {numbers}. {ends}"


def forest_table(rows: Sequence[ForestRow]) -> pd.DataFrame:
    """Return the table of a forest plot, largest estimate first.

    >>> forest_table([ForestRow(name="a", estimate=-2, low=-3, high=-1), ForestRow(name="b", estimate=1)])["sign"].tolist()
    ['open', 'loss']
    """
    known = sorted((row for row in rows if not math.isnan(row.estimate)), key=lambda row: -row.estimate)
    return pd.DataFrame(
        [
            {
                "name": row.name,
                "estimate": round(row.estimate, 3),
                "low": round(row.low, 3),
                "high": round(row.high, 3),
                "sign": row.sign,
                "place": place,
            }
            for place, row in enumerate(known)
        ],
        columns=["name", "estimate", "low", "high", "sign", "place"],
    )


def axis_domain(rows: Sequence[ForestRow]) -> tuple[float, float]:
    """Return the ends of the axis: it contains 0, all estimates, and intervals up to the limit `FAR`.

    >>> axis_domain([ForestRow(name="a", estimate=1.0, low=-100.0, high=102.0)])
    (-1.6, 2.6)
    """
    known = [row for row in rows if not math.isnan(row.estimate)]
    bottom = min([0.0, *(row.estimate for row in known)])
    top = max([0.0, *(row.estimate for row in known)])
    span = top - bottom or 1.0
    low = max(bottom - FAR * span, min([bottom, *(row.low for row in known if not math.isnan(row.low))]))
    high = min(top + FAR * span, max([top, *(row.high for row in known if not math.isnan(row.high))]))
    margin = 0.025 * (high - low)
    return round(low - margin, 3), round(high + margin, 3)


def _chart(num_rows: int, axis: str, span: tuple[float, float]) -> alt.LayerChart:
    x_axis = alt.Axis(gridOpacity=0.6, tickCount=8, orient="top" if num_rows > MANY_ROWS else "bottom")
    x = alt.X("estimate:Q", title=axis, axis=x_axis, scale=alt.Scale(domain=list(span), nice=False))
    y_axis = alt.Axis(ticks=False, domain=False, labelLimit=210, labelOverlap=False, grid=True, gridOpacity=0.7)
    base = alt.Chart(alt.NamedData("rows")).encode(
        y=alt.Y("name:N", sort=alt.EncodingSortField("place", op="min"), title=None, axis=y_axis),
        color=alt.condition(
            "datum.sign === 'open'",
            alt.value(GREY),
            alt.Color("sign:N", scale=alt.Scale(domain=["gain", "loss"], range="category"), legend=None),
        ),
    )
    zero = alt.Chart(alt.NamedData("rows")).transform_filter("datum.place === 0").mark_rule(strokeWidth=1.25)
    zero = zero.encode(x=alt.datum(0))
    line = base.transform_filter("isValid(datum.low)").mark_rule(strokeWidth=2, clip=True)
    line = line.encode(x=alt.X("low:Q", title=axis), x2="high:Q")
    point = base.mark_circle(size=44, opacity=1).encode(x=x)
    height = num_rows * (ROW if num_rows > MANY_ROWS else ROW + 6)
    return alt.layer(zero, line, point).properties(width="container", height=height)


# Languages


def language_forests(results: Results) -> tuple[Figure, ...]:
    """Return the forest plots of `FORESTS` for the sequential runs of one method; () if no language has an estimate."""
    evidence = from_results(results)
    runs = [run for run in evidence.sequential() if run.matrix.num_stages > 1]
    if not runs:
        return ()
    ids = {id(run.matrix) for run in runs}
    series = next(run.series for run in results.runs if id(run.matrix) in ids)
    found = []
    for name, about in FORESTS.items():
        rows = language_rows(runs, name, evidence.utterances)
        if rows:
            orders = len({run.matrix.trained for run in runs})
            which = f"{results.series_labels[series]}, {orders} order{'s' if orders != 1 else ''}."
            if orders > 1:
                counted = evidence.utterances is not None and evidence.utterances.cover(runs)
                which += f" Intervals are over orders{' and test utterances' if counted else ''}."
            stem, caption = f"forest-{name.replace('_', '-')}", f"{about.format(results.score)} {which}"
            axis = f"change of {results.score} (points)"
            found.append(forest(rows, name=stem, title=_TITLES[name], caption=caption, axis=axis))
    return tuple(found)


def language_rows(runs: Sequence[RunEvidence], quantity: str, utterances: Utterances | None = None) -> tuple[ForestRow, ...]:
    """Return a row for every language that has an estimate of `quantity` (a key of `QUANTITIES`), in points of F1.

    Intervals are over orders, and over test utterances too if their counts are given.
    """
    function = QUANTITIES[quantity].function
    added_L = None if utterances is None else utterances.main_variance_L(runs, function)
    estimates = per_language(replicates(runs, function), added_L)
    return tuple(
        forest_row(language_name(language), each, times=100)
        for language, each in estimates.items()
        if not math.isnan(each.value)
    )


def forest_row(name: str, each: Estimate, *, times: float = 1.0) -> ForestRow:
    """Return the row of an estimate. `times`: factor to the units of the axis.

    >>> forest_row("a", Estimate(value=0.01), times=100)
    ForestRow(name='a', estimate=1.0, low=nan, high=nan)
    """
    return ForestRow(name=name, estimate=times * each.value, low=times * each.low, high=times * each.high)

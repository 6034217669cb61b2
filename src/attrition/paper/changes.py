"""The paper's Figure 3: the change by each language's training on the languages learned so far."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import altair as alt
import pandas as pd

from attrition.analysis.evidence import RunEvidence, replicates
from attrition.analysis.moderation import per_language
from attrition.analysis.quantities import QUANTITIES
from attrition.analysis.utterances import Utterances
from attrition.report.figures import Figure, language_name
from attrition.report.forest import ForestRow, axis_domain, forest_row
from attrition.report.tables import signed
from attrition.report.theme import THEMES

INK = THEMES["light"].ink

FIXED = "change on the languages learned before alone (fixed)"
INTERVAL = "95% interval of the bar"
"""The names of the strokes and the lines in the legend."""


def column_width(num_languages: int) -> int:
    """Return the width in pixels of one language's column: wide enough for a bar with few languages, for a label with 52.

    >>> column_width(4), column_width(52)
    (40, 14)
    """
    return 14 if num_languages > 28 else 22 if num_languages > 12 else 40


def change_per_language(variants: Mapping[str, pd.DataFrame]) -> Figure:
    """Return Figure 3 from a table for each variant (see `changes`)."""
    size = column_width(max(len(table) for table in variants.values()))
    base = alt.Chart(alt.NamedData("changes")).encode(
        x=alt.X(
            "language:N",
            sort=alt.EncodingSortField("place", op="min"),
            title="language trained",
            axis=alt.Axis(labelAngle=-90, ticks=False, labelOverlap=False),
        ),
    )
    title = "change of F1 (points)"
    legend = alt.Legend(orient="top", title="change of P (growing):", titleLimit=300, symbolOpacity=1)
    bars = base.mark_bar(width={"band": 0.75}, opacity=0.75).encode(
        y=alt.Y("growing:Q", title=title),
        color=alt.Color("sign:N", scale=alt.Scale(domain=["gain", "loss"], range="category"), legend=legend),
    )
    keys = alt.Legend(orient="top", title=None, labelLimit=400, symbolStrokeColor=INK, symbolSize=120)
    known = any(table["low"].notna().any() for table in variants.values())
    shapes = alt.Scale(domain=[FIXED, INTERVAL] if known else [FIXED], range=["stroke", "M0,-1L0,1"] if known else ["stroke"])
    marks = base.transform_calculate(scope=f"'{FIXED}'").mark_point(
        size=(max(8, size - 6)) ** 2, strokeWidth=2.5, opacity=1, color=INK
    )
    marks = marks.encode(y=alt.Y("fixed:Q", title=title), shape=alt.Shape("scope:N", scale=shapes, legend=keys))
    interval = base.transform_filter("isValid(datum.low)").mark_rule(strokeWidth=1.25, color=INK)
    interval = interval.encode(y=alt.Y("drawn_low:Q", title=title), y2="drawn_high:Q")
    zero = alt.Chart(alt.NamedData("changes")).transform_filter("datum.place === 0").mark_rule().encode(y=alt.datum(0))
    chart = alt.layer(bars, zero, interval, marks)
    return Figure(
        name="figure3",
        title="Change per trained language (Figure 3)",
        caption=_caption(variants),
        chart=chart.properties(width=alt.Step(size), height=260),
        variants={name: {"changes": table} for name, table in variants.items()},
        findings={name: _finding(table) for name, table in variants.items()},
        fits=False,
    )


def _finding(table: pd.DataFrame) -> str:
    if len(table) < 2:
        return ""
    ends = [f"{row['name']} ({signed(row['growing'])})" for _, row in table.iloc[[0, -1]].iterrows()]
    return f"Training {ends[0]} gains most, {ends[1]} least, in points."


def _caption(variants: Mapping[str, pd.DataFrame]) -> str:
    said = [
        "Bars: change of the mean F1 of all languages learned, the new one included (growing, as printed).",
        "Horizontal strokes: change only on the languages learned before (fixed).",
        "Both are means over orders. Sorted by the bars, largest gain first.",
    ]
    known = [bool(table["low"].notna().any()) for table in variants.values()]
    if any(known):
        said.append(f"Vertical lines: 95% intervals of the bars, {over(list(variants.values()))}.")
        said.append("If these overlap, the order of the bars is not a ranking.")
        if any(table["low"].notna().any() and table["low"].isna().any() for table in variants.values()):
            said.append("A bar without a line has one order only.")
    if not all(known):
        which = "Of a method with" if any(known) else "With"
        said.append(f"{which} one order there are no intervals: the order of the bars is not a ranking.")
    if any(
        (table["drawn_low"] > table["low"]).any() or (table["drawn_high"] < table["high"]).any() for table in variants.values()
    ):
        said.append("Very wide intervals are cut.")
    return " ".join(said)


def over(tables: Sequence[pd.DataFrame]) -> str:
    """Return the sources of variation in the intervals of some tables, from their column `utterances`.

    >>> over([pd.DataFrame({"low": [0.1], "utterances": [True]})])
    'over orders and test utterances'
    """
    known = [bool(table["utterances"].any()) for table in tables if table["low"].notna().any()]
    if not any(known):
        return "over orders"
    return "over orders and test utterances" + ("" if all(known) else " (over orders alone where no counts are stored)")


def changes(runs: Sequence[RunEvidence], utterances: Utterances | None = None) -> pd.DataFrame:
    """Return a row per language, largest gain first: both scopes in points, the interval of `growing`, the number of orders.

    `drawn_low` and `drawn_high` are the drawn part of the interval (see `forest.axis_domain`). The interval is over orders, and
    also over test utterances if `utterances` has the counts of all runs; the column `utterances` says so.
    """
    function = QUANTITIES["shift_growing"].function
    added_L = None if utterances is None else utterances.main_variance_L(runs, function)
    growing = per_language(replicates(runs, function), added_L)
    fixed = per_language(replicates(runs, QUANTITIES["shift_fixed"].function))
    rows: list[ForestRow] = [forest_row(name, each, times=100) for name, each in growing.items() if not math.isnan(each.value)]
    rows.sort(key=lambda row: -row.estimate)
    bottom, top = axis_domain(rows)
    table = [
        {
            "language": row.name,
            "name": language_name(row.name),
            "growing": round(row.estimate, 3),
            "low": round(row.low, 3),
            "high": round(row.high, 3),
            "drawn_low": round(max(row.low, bottom) if row.low == row.low else row.low, 3),
            "drawn_high": round(min(row.high, top) if row.high == row.high else row.high, 3),
            "fixed": round(100 * fixed[row.name].value, 3),
            "composition": round(row.estimate - 100 * fixed[row.name].value, 3),
            "orders": growing[row.name].num_replicates,
            "utterances": added_L is not None,
            "sign": "loss" if row.estimate < 0 else "gain",
            "place": place,
        }
        for place, row in enumerate(rows)
    ]
    columns = (
        "language",
        "name",
        "growing",
        "low",
        "high",
        "drawn_low",
        "drawn_high",
        "fixed",
        "composition",
        "orders",
        "utterances",
        "sign",
    )
    return pd.DataFrame(table, columns=[*columns, "place"])

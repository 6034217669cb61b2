"""Forest plots: an estimate with its interval a row, coloured only where the interval excludes 0."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import altair as alt
import pandas as pd

from attrition.analysis.evidence import RunEvidence, distinct, replicates
from attrition.analysis.moderation import per_language
from attrition.analysis.quantities import QUANTITIES
from attrition.report.figures import Figure, language_name
from attrition.report.theme import THEMES

SHOWN = ("donor_learned", "receiver_learned")
"""The quantities of languages that are drawn."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """A name, an estimate in points, and its 95% interval; NaN ends where there is none."""

    name: str
    estimate: float
    low: float
    high: float


def forest(rows: Iterable[Row], *, name: str, title: str, caption: str, axis: str) -> Figure:
    """Return a forest plot of the rows that have an estimate, the largest first.

    Args:
        rows: in any sequence.
        name: of the figure's files.
        title: of the figure.
        caption: what the estimates are, from how many orders; how rows are sorted and coloured is added.
        axis: the title of the x axis.
    """
    table = _table(rows)
    return Figure(
        name=name,
        title=title,
        caption=f"{caption} Largest first: neighbours whose intervals overlap are not told apart. "
        "Coloured where the 95% interval excludes 0, grey elsewhere and where there is no interval.",
        chart=_chart(axis),
        variants={"": {"rows": table}},
    )


def _table(rows: Iterable[Row]) -> pd.DataFrame:
    known = sorted((row for row in rows if not math.isnan(row.estimate)), key=lambda row: -row.estimate)
    return pd.DataFrame(
        [
            {
                "name": row.name,
                "estimate": round(row.estimate, 3),
                "low": round(row.low, 3),
                "high": round(row.high, 3),
                "says": _says(row),
                "place": place,
            }
            for place, row in enumerate(known)
        ],
        columns=["name", "estimate", "low", "high", "says", "place"],
    )


def _says(row: Row) -> str:
    """What the interval says of the sign."""
    if math.isnan(row.low) or row.low <= 0 <= row.high:
        return "not told from 0"
    return "gain" if row.estimate > 0 else "loss"


def _chart(axis: str) -> Any:
    light = THEMES["light"]
    colour = alt.Color(
        "says:N",
        title=None,
        scale=alt.Scale(domain=["gain", "loss", "not told from 0"], range=[light.diverging[-2], light.diverging[1], "#8b949e"]),
        legend=alt.Legend(orient="top"),
    )
    base = alt.Chart(alt.NamedData("rows")).encode(
        y=alt.Y(
            "name:N",
            sort=alt.EncodingSortField("place", op="min"),
            title=None,
            axis=alt.Axis(ticks=False, domain=False, labelLimit=220, labelOverlap=False),
        ),
        color=colour,
        tooltip=[
            alt.Tooltip("name:N", title=""),
            alt.Tooltip("estimate:Q", title="points", format="+.2f"),
            alt.Tooltip("low:Q", title="95% from", format="+.2f"),
            alt.Tooltip("high:Q", title="to", format="+.2f"),
        ],
    )
    lines = (
        base.transform_filter("isValid(datum.low)").mark_rule(strokeWidth=2).encode(x=alt.X("low:Q", title=axis), x2="high:Q")
    )
    points = base.mark_circle(size=46, opacity=1).encode(x=alt.X("estimate:Q", title=axis))
    zero = alt.Chart(alt.NamedData("rows")).mark_rule(strokeDash=[3, 3]).encode(x=alt.datum(0))
    return alt.layer(zero, lines, points).properties(width="container", height=alt.Step(15))


def language_forests(runs: Sequence[RunEvidence], label: str) -> tuple[Figure, ...]:
    """Return the forest plots of languages as donors and as receivers, from the sequential runs of one method.

    Args:
        runs: of one method.
        label: what the method is called.
    """
    kept = [run for run in distinct(runs) if run.matrix.num_stages > 1]
    if not kept:
        return ()
    orders = len({run.matrix.trained for run in kept})
    figures = []
    for name in SHOWN:
        quantity = QUANTITIES[name]
        found = per_language(replicates(kept, quantity.function))
        rows = [
            Row(name=language_name(language), estimate=100 * each.value, low=100 * each.low, high=100 * each.high)
            for language, each in found.items()
            if not math.isnan(each.value)
        ]
        if not rows:
            continue
        spread = f"{orders} orders" if orders > 1 else "one order, so without intervals"
        figures.append(
            forest(
                rows,
                name=f"forest-{name.replace('_', '-')}",
                title=f"{quantity.title}: {quantity.about}",
                caption=f"{label}, {spread}: {quantity.about}, in points of F1.",
                axis=f"{quantity.about} (points of F1)",
            )
        )
    return tuple(figures)

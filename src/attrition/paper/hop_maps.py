"""The paper's Figures 5 and 6, each with its null counterpart and the difference.

The null counterpart is the same formula on a matrix in which every language keeps the score of its own stage. It shows the
values of MBT and MFT without forgetting and transfer.

Shape letters: L languages, H hops.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import altair as alt
import numpy as np
import pandas as pd

from attrition.analysis.evidence import Replicates, RunEvidence, replicates
from attrition.analysis.intervals import Estimate
from attrition.analysis.moderation import per_language
from attrition.analysis.null import null_matrix
from attrition.analysis.quantities import Values
from attrition.analysis.utterances import Utterances
from attrition.metrics.hops import NUM_HOPS
from attrition.metrics.matrix import RMatrix
from attrition.metrics.means import mean_measured
from attrition.metrics.several import Floats
from attrition.paper.changes import column_width, over
from attrition.report.figures import Figure, language_name
from attrition.report.tables import signed

Hops = Callable[[RMatrix], Floats]
"""A number per language and hop (L, H) of one run."""

PANELS = ("as printed", "null counterpart", "difference")
"""The panels from top to bottom."""

GAIN_OR_LOSS = "Cool: gain, warm: loss."


def hop_table(runs: Sequence[RunEvidence], function: Hops, utterances: Utterances | None = None) -> pd.DataFrame:
    """Return a row for each panel, language and hop: the mean over orders in points, its interval, and its mark.

    `marked`: the 95% interval includes 0, or there are fewer than two orders; never if all runs have one order. The interval is
    over orders, and also over test utterances if their counts are given; `utterances` says so. `limit`: the end of the colour
    scale, the same for all panels.

    Args:
        runs: of one method.
        function: `mbt_LH` or `mft_LH`.
        utterances: the counts behind the runs.
    """

    def values(R: RMatrix) -> Values:
        printed_LH, null_LH = function(R), function(null_matrix(R))
        found_LHP = np.stack([printed_LH, null_LH, printed_LH - null_LH], axis=2)  # P panels
        return found_LHP, (~np.isnan(found_LHP)).astype(np.float64)

    table_LHP = replicates(runs, values)
    added_LHP = None if utterances is None else utterances.main_variance_L(runs, values)
    found = {panel: _estimates(table_LHP, added_LHP, place) for place, panel in enumerate(PANELS)}
    literal = found[PANELS[0]]
    languages = list(literal[0])
    values_HL = 100 * np.array([[each[language].value for language in languages] for each in literal])
    mean_L = mean_measured(values_HL, axis=0)
    order = [int(place) for place in np.argsort(-mean_L, kind="stable") if not np.isnan(mean_L[place])]
    num_hops = 1 + max(np.flatnonzero((~np.isnan(values_HL)).any(axis=1)), default=0)  # no empty rows with few stages
    several = any(each.num_replicates > 1 for hop in literal for each in hop.values())
    rows = []
    for panel, hops in found.items():
        for place, column in enumerate(order):
            for hop in range(num_hops):
                each = hops[hop][languages[column]]
                rows.append(
                    {
                        "panel": panel,
                        "language": languages[column],
                        "name": language_name(languages[column]),
                        "place": place,
                        "hop": hop,
                        "value": round(100 * each.value, 3),
                        "low": round(100 * each.low, 3),
                        "high": round(100 * each.high, 3),
                        "orders": each.num_replicates,
                        "utterances": added_LHP is not None,
                        "marked": several and not math.isnan(each.value) and not (each.low > 0 or each.high < 0),
                        "mean": round(float(mean_L[column]), 3),
                    }
                )
    columns = ["panel", "language", "name", "place", "hop", "value", "low", "high", "orders", "utterances", "marked", "mean"]
    table = pd.DataFrame(rows, columns=columns)
    table["limit"] = scale_end(table["value"].tolist())
    return table


def _estimates(table_LHP: Replicates, added_LHP: Floats | None, panel: int) -> list[dict[str, Estimate]]:
    """Return for each hop every language's mean over orders; variances are moderated over the languages, as everywhere."""

    def at(hop: int) -> Replicates:
        values_OL, weights_OL = table_LHP.values_OL[:, :, hop, panel], table_LHP.weights_OL[:, :, hop, panel]
        return replace(table_LHP, values_OL=values_OL, weights_OL=weights_OL)

    return [per_language(at(hop), None if added_LHP is None else added_LHP[:, hop, panel]) for hop in range(NUM_HOPS)]


def scale_end(values: Sequence[float]) -> float:
    """Return the end of a symmetric colour scale: the largest absolute value, rounded up to a whole number or a tenth.

    >>> scale_end([-8.3, 2.0]), scale_end([0.31]), scale_end([float("nan")])
    (9.0, 0.4, 1.0)
    """
    largest = max((abs(value) for value in values if not math.isnan(value)), default=0.0)
    if largest == 0:
        return 1.0
    return float(math.ceil(largest)) if largest > 1 else math.ceil(10 * largest) / 10


def hop_figure(variants: Mapping[str, pd.DataFrame], *, name: str, title: str, symbol: str, equation: str) -> Figure:
    """Return Figure 5 or 6 from a table for each variant (see `hop_table`)."""
    size = column_width(max(table["language"].nunique() for table in variants.values()))
    return Figure(
        name=name,
        title=title,
        caption=_caption(variants, symbol, equation),
        chart=_chart(size, f"{symbol} (points)"),
        variants={variant: {"hops": table} for variant, table in variants.items()},
        findings={variant: _finding(table, symbol) for variant, table in variants.items()},
        fits=False,
    )


def _finding(table: pd.DataFrame, symbol: str) -> str:
    """Return a sentence with the mean of each panel over languages and hops."""
    means = table.groupby("panel")["value"].mean()
    said = ", ".join(f"{panel} {signed(means[panel])}" for panel in PANELS)
    return f"Mean {symbol} over languages and hops, in points: {said}."


def _caption(variants: Mapping[str, pd.DataFrame], symbol: str, equation: str) -> str:
    several = [bool((table["orders"] > 1).any()) for table in variants.values()]
    said = [
        f"{GAIN_OR_LOSS} As printed: {symbol} ({equation}). Null counterpart: the same formula if every language "
        "keeps the F1 of its own stage. Difference: the first minus the second, the effect of forgetting and transfer.",
        "All three have one colour scale, up to the largest absolute value.",
        "Columns: languages by their mean over hops as printed, largest first; this is not a ranking.",
        "Values are means over orders.",
    ]
    if any(several):
        said.append(f"Dot: the 95% interval {over(list(variants.values()))} includes 0, or there are fewer than two orders.")
    if not all(several):
        said.append(f"{'A method with' if any(several) else 'With'} one order has no intervals, so no cell can be marked.")
    said.append("Stroke: no order has enough stages on that side.")
    return " ".join(said).replace("With one order has no intervals", "One order gives no intervals")


def _chart(size: int, title: str) -> Any:
    x_axis = alt.Axis(labelAngle=-90, ticks=False, domain=False, labelOverlap=False)
    base = alt.Chart().encode(
        x=alt.X("language:N", sort=alt.EncodingSortField("place", op="min"), title=None, axis=x_axis),
        y=alt.Y("hop:O", title="hop", axis=alt.Axis(ticks=False, domain=False)),
    )
    # The table has the end of the scale, so each method has its own.
    end = "data('hops')[0].limit"
    scale = alt.Scale(
        range="diverging",
        interpolate="rgb",
        domainMin=alt.expr(f"-{end}"),
        domainMax=alt.expr(end),
        domainMid=0,
        nice=False,
        clamp=True,
    )
    legend = alt.Legend(orient="bottom", direction="horizontal", gradientLength=200, gradientThickness=10)
    measured = base.mark_rect().encode(color=alt.Color("value:Q", title=title, scale=scale, legend=legend))
    ink = alt.expr("abs(datum.value) > 0.6 * datum.limit ? '#ffffff' : '#101418'")
    dot = base.mark_circle(size=9 if size < 20 else 14, opacity=0.85, color=ink)
    missing = base.mark_text(text="⁄", opacity=0.35)
    layers = alt.layer(
        measured.transform_filter("isValid(datum.value)"),
        dot.transform_filter("datum.marked"),
        missing.transform_filter("!isValid(datum.value)"),
        data=alt.NamedData("hops"),
    ).properties(width=alt.Step(size), height=alt.Step(16))
    header = alt.Header(title=None, labelAnchor="start", labelFontSize=12, labelPadding=4)
    return layers.facet(alt.Facet("panel:N", sort=list(PANELS), header=header, title=None), columns=1, spacing=14)

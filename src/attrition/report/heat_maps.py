"""R as heat maps: the scores, and their changes from each stage to the next."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt
import numpy as np
import pandas as pd

from attrition.metrics.matrix import RMatrix
from attrition.report.figures import Figure, stage_label
from attrition.results.read import Results

BEFORE = "before"
"""The label of R's row before training."""


def cells(R: RMatrix) -> pd.DataFrame:
    """Return R as a heat map's table: one row for each cell, languages in the order of learning.

    Columns: language, x, stage, y (0 = before training, if measured), f1 and change (from the stage before) in points,
    NaN where not measured, and state: unseen, learned or new (learned at this very stage).
    """
    columns = sorted(range(len(R.languages)), key=lambda j: (int(R.stage_L[j]), j))
    rows = [] if R.before_L is None else [R.before_L]
    scores_SL = 100 * np.vstack([*rows, R.scores_SL])
    change_SL = np.vstack([np.full(len(R.languages), np.nan), np.diff(scores_SL, axis=0)])
    first = R.num_stages - len(scores_SL)  # -1 if row 0 is before training
    labels = [BEFORE if first + y < 0 else stage_label(R.trained[first + y]) for y in range(len(scores_SL))]
    names = [R.languages[j] for j in columns]
    frame = pd.DataFrame(
        {
            "language": names * len(labels),
            "x": list(range(len(names))) * len(labels),
            "stage": np.repeat(labels, len(names)),
            "y": np.repeat(np.arange(len(labels)), len(names)),
            "f1": scores_SL[:, columns].ravel().round(2),
            "change": change_SL[:, columns].ravel().round(2),
        }
    )
    own_L = R.stage_L[columns]
    stage_S1 = first + np.arange(len(labels))[:, None]
    frame["state"] = np.select([stage_S1 < own_L, stage_S1 == own_L], ["unseen", "new"], "learned").ravel()
    return frame


def cell_size(num_languages: int) -> int:
    """Return the size in pixels of a heat map's cell: large enough for its number with few languages, for a label with 52.

    >>> cell_size(4), cell_size(52)
    (52, 14)
    """
    return next(size for most, size in ((6, 52), (10, 40), (16, 32), (28, 20), (10_000, 14)) if num_languages <= most)


def heat_maps(results: Results) -> tuple[Figure, Figure]:
    """Return the heat maps of every run's R: the scores, and their changes from each stage to the next."""
    return maps_of({run.key: run.matrix for run in results.runs}, results.score)


def maps_of(named: Mapping[str, RMatrix], score: str) -> tuple[Figure, Figure]:
    """Return both figures of some matrices, on the same colour scales; each name is a variant of the figures."""
    variants, matrices = {name: {"cells": cells(R)} for name, R in named.items()}, list(named.values())
    (low, high), swing = score_span(matrices), change_end(matrices)
    widest = max(len(R.languages) for R in matrices)
    key = "Large squares: already learned; outlined: learned at this stage; small: not yet learned. A stroke: not measured."
    shared = {"variants": variants, "fits": False}
    return (
        Figure(
            name="r",
            title=f"R: {score} on each language after each stage",
            caption=f"Rows: what was trained, from top to bottom. Columns: the language tested. {key}",
            chart=_heat_map(
                "f1",
                f"{score} (%)",
                alt.Scale(range="heatmap", interpolate="rgb", domain=[low, high], clamp=True),
                (low + high) / 2,
                widest,
            ),
            **shared,  # type: ignore[arg-type]
        ),
        Figure(
            name="r-change",
            title=f"Change of {score} from the stage before",
            caption=f"Warm: lost, cool: gained, in points of {score}. Rows: what was trained. "
            f"Columns: the language tested. {key}",
            chart=_heat_map(
                "change",
                "Change (points)",
                alt.Scale(range="diverging", interpolate="rgb", domain=[-swing, swing], domainMid=0, clamp=True),
                swing / 2,
                widest,
            ),
            **shared,  # type: ignore[arg-type]
        ),
    )


def score_span(matrices: Sequence[RMatrix]) -> tuple[int, int]:
    """Return the ends of the colour scale of scores, in percent, without untrained scores near 0."""
    return _round_span(pd.Series(np.concatenate([100 * R.scores_SL.ravel() for R in matrices])))


def change_end(matrices: Sequence[RMatrix]) -> int:
    """Return the end of the colour scale of changes, in points, which covers nearly all changes."""
    found = np.concatenate([cells(R)["change"].abs().to_numpy() for R in matrices])
    return max(5, 5 * math.ceil(np.nanquantile(found, 0.99) / 5)) if not np.isnan(found).all() else 5


def _round_span(values: pd.Series[float]) -> tuple[int, int]:
    """Return the span of the values in multiples of five, never empty; 0 to 100 if nothing was measured.

    >>> _round_span(pd.Series([41.0, 58.5])), _round_span(pd.Series([40.0])), _round_span(pd.Series([float("nan")]))
    ((40, 60), (40, 45), (0, 100))
    """
    if values.isna().all():
        return 0, 100
    low, high = 5 * math.floor(values.min() / 5), 5 * math.ceil(values.max() / 5)
    return low, max(high, low + 5)


def transfer_maps(results: Results) -> tuple[Figure, ...]:
    """Return scores of each language's learner, right after its stage, on every language; () if one learner serves all."""
    tables = {run.key: {"cells": _transfer_cells(run.transfer)} for run in results.runs if run.transfer is not None}
    if not tables:
        return ()
    several = any(run.transfer is not None and run.spec.method.shared_by != "language" for run in results.runs)
    every = pd.concat([named["cells"] for named in tables.values()])
    low, high = _round_span(every["f1"])
    scale = alt.Scale(range="heatmap", interpolate="rgb", domain=[low, high], clamp=True)
    return (
        Figure(
            name="transfer",
            title="Transfer: each language's learner on every language",
            caption="Rows: the learner of one language, right after its stage. Columns: the language tested. Outlined: its own "
            "language." + (" A learner of several languages is trained again at their later stages." if several else ""),
            chart=_heat_map("f1", f"{results.score} (%)", scale, (low + high) / 2, every["x"].max() + 1),
            variants=tables,
            fits=False,
        ),
    )


def _transfer_cells(transfer: RMatrix) -> pd.DataFrame:
    """Return a transfer matrix as cells. Its rows are not a sequence: no cell is unseen, and there are no changes."""
    frame = cells(RMatrix(transfer.scores_SL, transfer.languages, transfer.trained))
    frame["state"] = frame["state"].where(frame["state"] == "new", "other")
    frame["change"] = np.nan
    return frame


def _heat_map(value: str, title: str, scale: alt.Scale, ink_turns_at: float, num_languages: int) -> Any:
    """Return a heat map of `value`; above `ink_turns_at` the numbers in cells are light."""
    size = cell_size(num_languages)
    x = alt.X(
        "language:N",
        sort=alt.EncodingSortField("x", op="min"),
        title="tested on",
        axis=_cell_axis(orient="top", labelAngle=-90),
    )
    y = alt.Y("stage:N", sort=alt.EncodingSortField("y", op="min"), title="after training on", axis=_cell_axis(labelLimit=150))
    legend = alt.Legend(orient="bottom", direction="horizontal", gradientLength=200, gradientThickness=10, titleAnchor="start")
    colour = alt.Color(f"{value}:Q", title=title, scale=scale, legend=legend)
    base = alt.Chart(alt.NamedData("cells")).encode(x=x, y=y)
    if value == "change":
        base = base.transform_filter(f"datum.stage != '{BEFORE}'")  # nothing comes before it
    measured = f"isValid(datum.{value})"
    gap = 0.06 if size > 20 else 0.0

    def squares(condition: str, band: float, **outline: Any) -> Any:
        mark = base.mark_rect(width={"band": band}, height={"band": band}, **outline)
        return mark.transform_filter(f"{measured} && ({condition})").encode(color=colour)

    amount = f"abs(datum.{value})" if value == "change" else f"datum.{value}"
    layers = [
        squares("datum.state == 'unseen'", 0.62),
        squares("datum.state != 'unseen'", 1 - gap),
        squares(
            "datum.state == 'new'", 1 - max(gap, 0.1), stroke="#000000", strokeWidth=2 if size > 20 else 1.25, fillOpacity=0
        ),
        base.mark_text(text="⁄", fontSize=max(9, size // 3), opacity=0.35).transform_filter(f"!{measured}"),
    ]
    if size > 20:
        number = base.mark_text(fontSize=12, color=alt.expr(f"({amount}) > {ink_turns_at} ? '#ffffff' : '#101418'"))
        text = alt.Text(f"{value}:Q", format="+.0f" if value == "change" else ".0f")
        layers.append(number.transform_filter(measured).encode(text=text))
    return alt.layer(*layers).properties(width=alt.Step(size), height=alt.Step(size))


def _cell_axis(**settings: Any) -> alt.Axis:
    return alt.Axis(ticks=False, domain=False, labelPadding=5, labelOverlap=False, labelFontSize=11, **settings)

"""The paper's Figures 3 to 6, drawn from this study (its Figures 2 and 7 are the page's first two).

Each series of runs is a variant: a method, averaged over its orders and seeds.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from typing import Any

import altair as alt
import numpy as np
import pandas as pd

from attrition.analysis.evidence import distinct, from_matrices, replicates
from attrition.analysis.intervals import mean_of_replicates
from attrition.analysis.moderation import per_language
from attrition.analysis.null import null_matrix
from attrition.analysis.quantities import QUANTITIES
from attrition.matrix import RMatrix
from attrition.metrics import shift_fixed, shift_growing
from attrition.metrics.hops import mbt_LH, mft_LH
from attrition.metrics.means import mean_measured
from attrition.metrics.several import Floats, languages_of, per_order
from attrition.report.curves import faint_unless_chosen, progress_lines
from attrition.report.figures import Figure, language_name
from attrition.results.read import Results, Run, Series

GAIN_OR_LOSS = "Cool: gain, warm: loss."

FIXED_SCOPE = "change on the languages learned before alone (fixed scope)"


def slug(label: str) -> str:
    """A label as part of a file name.

    >>> slug("SHARED LoRA · r = 32")
    'shared-lora-r-32'
    """
    return re.sub(r"\W+", "-", label.lower()).strip("-")


def file_names(labels: Sequence[str]) -> dict[str, str]:
    """Return the part of a file name for each label: its slug, with a number behind it where an earlier one has the same.

    >>> file_names(["mine", "mine!", "mine-2", "mine?"])
    {'mine': 'mine', 'mine!': 'mine-3', 'mine-2': 'mine-2', 'mine?': 'mine-4'}
    """
    names: dict[str, str] = {}
    slugs = [slug(label) or "x" for label in labels]
    for place, (label, own) in enumerate(zip(labels, slugs, strict=True)):
        name, number = own, 1
        while name in names.values() or (number > 1 and name in slugs) or (number == 1 and own in slugs[:place]):
            number += 1
            name = f"{own}-{number}"
        names[label] = name
    return names


def sequential_series(results: Results) -> dict[Series, tuple[Run, ...]]:
    """The series in which one learner meets language after language, so that later ones can change earlier ones."""
    return {
        series: runs
        for series, runs in results.series.items()
        if all(run.matrix.num_stages > 1 and run.spec.method.shared_by != "language" for run in runs)
    }


def series_choices(results: Results) -> list[tuple[str, str]]:
    """The variants of the figures by series, each with its label; VANILLA first, as in the paper."""
    chosen = sorted(sequential_series(results), key=lambda series: series.kind != "VANILLA")
    labels = [results.series_labels[series] for series in chosen]
    names = file_names(list(results.series_labels.values()))
    return [(names[label], label) for label in labels]


def paper_figures(results: Results) -> tuple[Figure, ...]:
    """Figures 3, 5 and 6 of every sequential series, and Figure 4 where there are several models."""
    chosen = sequential_series(results)
    figures = []
    if chosen:
        names = file_names(list(results.series_labels.values()))
        variants = {names[results.series_labels[series]]: [run.matrix for run in runs] for series, runs in chosen.items()}
        changes = {name: _changes(matrices) for name, matrices in variants.items()}
        if any(len(table) for table in changes.values()):  # else nothing was measured twice
            figures.append(change_per_language(changes))
        backward = {name: _hops(matrices, mbt_LH) for name, matrices in variants.items()}
        forward = {name: _hops(matrices, mft_LH) for name, matrices in variants.items()}
        for name, title, symbol, tables in (
            ("figure5", "Multi-hop backward transfer (Figure 5)", "MBT", backward),
            ("figure6", "Multi-hop forward transfer (Figure 6)", "MFT", forward),
        ):
            if any(len(each["hops"]) for each in tables.values()):
                figures.append(_multi_hop(name, title, symbol, tables))
    if len({series.model for series in results.series}) > 1:
        figures.insert(min(1, len(figures)), models_side_by_side(results))
    return tuple(figures)


def change_per_language(variants: dict[str, pd.DataFrame]) -> Figure:
    """Figure 3: what training each language changed on those learned so far, from the largest gain to the largest loss."""
    widest = max(len(table) for table in variants.values())
    size = 14 if widest > 28 else 22 if widest > 12 else 40
    base = alt.Chart(alt.NamedData("changes")).encode(
        x=alt.X(
            "language:N",
            sort=alt.EncodingSortField("place", op="min"),
            title="language trained",
            axis=alt.Axis(labelAngle=-90, ticks=False, labelOverlap=False),
        ),
        tooltip=[
            alt.Tooltip("name:N", title="training"),
            alt.Tooltip("growing:Q", title="change of P (growing)", format="+.2f"),
            alt.Tooltip("low:Q", title="95% from", format="+.2f"),
            alt.Tooltip("high:Q", title="to", format="+.2f"),
            alt.Tooltip("fixed:Q", title="change on those learned before (fixed)", format="+.2f"),
            alt.Tooltip("composition:Q", title="composition effect", format="+.2f"),
            alt.Tooltip("orders:Q", title="orders and seeds"),
        ],
    )
    title = "change of F1 (points)"
    bars = base.mark_bar(width={"band": 0.75}).encode(
        y=alt.Y("growing:Q", title=title),
        color=alt.Color("sign:N", scale=alt.Scale(domain=["gain", "loss"], range="category"), legend=None),
    )
    ink = alt.expr("dark ? '#ffffff' : '#000000'")
    marks = base.mark_point(strokeWidth=3, size=max(8, size - 6) ** 2, color=ink).encode(
        y=alt.Y("fixed:Q", title=title),
        shape=alt.Shape(
            "scope:N", title=None, scale=alt.Scale(range=["stroke"]), legend=alt.Legend(orient="top", labelLimit=420)
        ),
    )
    spread = base.transform_filter("isValid(datum.low)").mark_rule(color=ink, opacity=0.6)
    spread = spread.encode(y=alt.Y("low:Q", title=title), y2="high:Q")
    zero = alt.Chart(alt.NamedData("changes")).mark_rule().encode(y=alt.datum(0))
    chart = alt.layer(bars, zero, spread, marks).add_params(alt.param(name="dark", value=False))
    return Figure(
        name="figure3",
        title="Change per trained language (Figure 3)",
        caption="Bars: change of the mean F1 of all languages learned, the new one included (growing, as printed). "
        "Thick strokes: change on the languages learned before alone (fixed). "
        "Thin lines: 95% intervals of the bars over orders, none for a single order. "
        "Sorted by the bars: where intervals overlap, the sequence says nothing.",
        chart=chart.properties(width=alt.Step(size), height=260),
        variants={name: {"changes": table} for name, table in variants.items()},
        fits=False,
    )


def _changes(matrices: Sequence[Any]) -> pd.DataFrame:
    growing, fixed = shift_growing(matrices), shift_fixed(matrices)
    frame = pd.DataFrame(
        {
            "language": list(growing.languages),
            "name": [language_name(name) for name in growing.languages],
            "growing": (100 * growing.values).round(3),
            "fixed": (100 * fixed.values).round(3),
            "orders": growing.counts,
        }
    ).dropna(subset=["growing"])
    found = per_language(replicates(from_matrices(matrices).runs, QUANTITIES["shift_growing"].function))
    frame["low"] = [round(100 * found[name].low, 3) for name in frame["language"]]
    frame["high"] = [round(100 * found[name].high, 3) for name in frame["language"]]
    frame["scope"] = FIXED_SCOPE
    frame["composition"] = (frame["growing"] - frame["fixed"]).round(3)
    frame["sign"] = np.where(frame["growing"] < 0, "loss", "gain")
    frame = frame.sort_values("growing", ascending=False, kind="stable")
    frame["place"] = range(len(frame))
    return frame.reset_index(drop=True)


def _multi_hop(name: str, title: str, symbol: str, variants: dict[str, dict[str, pd.DataFrame]]) -> Figure:
    """Figures 5 and 6: languages by hops, languages ordered by their mean over hops; below, the same without any transfer."""
    every = pd.concat([table["value"].abs() for tables in variants.values() for table in tables.values()])
    limit = max(0.5, math.ceil(2 * float(every.max())) / 2) if every.notna().any() else 1.0
    widest = max(tables["hops"]["language"].nunique() for tables in variants.values())
    size = 14 if widest > 28 else 22 if widest > 12 else 40
    panels = [
        _hop_panel(f"{symbol} as printed", "hops", symbol, limit, size, marked=True),
        _hop_panel("Null counterpart: the same formula when nothing transfers", "null", symbol, limit, size, marked=False),
    ]
    return Figure(
        name=name,
        title=title,
        caption=f"{GAIN_OR_LOSS} Languages by their mean over hops, largest first, in both panels; means over orders. "
        "A dot: the 95% interval over orders includes 0, or there is one order only. "
        "A stroke: no order has so many stages on that side. "
        "The lower panel is what composition alone gives: languages of different scores joining a mean.",
        chart=alt.vconcat(*panels, spacing=18).resolve_scale(color="shared"),
        variants=dict(variants),
        fits=False,
    )


def _hop_panel(title: str, data: str, symbol: str, limit: float, size: int, *, marked: bool) -> Any:
    x_axis = alt.Axis(labelAngle=-90, ticks=False, domain=False, labelOverlap=False)
    base = alt.Chart(alt.NamedData(data)).encode(
        x=alt.X("language:N", sort=alt.EncodingSortField("place", op="min"), title=None, axis=x_axis),
        y=alt.Y("hop:O", title="hop", axis=alt.Axis(ticks=False, domain=False)),
        tooltip=[
            alt.Tooltip("name:N", title="language"),
            alt.Tooltip("hop:Q", title="hop"),
            alt.Tooltip("value:Q", title=f"{symbol} (points)", format="+.2f"),
            alt.Tooltip("low:Q", title="95% from", format="+.2f"),
            alt.Tooltip("high:Q", title="to", format="+.2f"),
            alt.Tooltip("orders:Q", title="orders"),
            alt.Tooltip("mean:Q", title="mean over hops", format="+.2f"),
        ],
    )
    colour = alt.Color(
        "value:Q",
        title=f"{symbol} (points)",
        scale=alt.Scale(range="diverging", interpolate="rgb", domain=[-limit, limit], domainMid=0, clamp=True),
        legend=alt.Legend(orient="bottom", direction="horizontal", gradientLength=200, gradientThickness=10),
    )
    layers = [
        base.mark_rect().encode(color=colour).transform_filter("isValid(datum.value)"),
        base.mark_text(text="⁄", opacity=0.35).transform_filter("!isValid(datum.value)"),
    ]
    if marked:
        layers.append(base.mark_circle(size=9, opacity=0.75, color="#6b7280").transform_filter("datum.unsure"))
    return alt.layer(*layers).properties(width=alt.Step(size), height=alt.Step(18), title=title)


def _hops(matrices: Sequence[RMatrix], metric: Callable[[RMatrix], Floats]) -> dict[str, pd.DataFrame]:
    """The table of a metric's hops, and that of its null counterpart with the languages in the same sequence."""
    runs = from_matrices(matrices).runs
    literal_OLH = per_order([run.matrix for run in distinct(runs)], metric)
    null_OLH = per_order([null_matrix(run.matrix) for run in distinct(runs)], metric)
    languages = languages_of([run.matrix for run in distinct(runs)])
    mean_L = mean_measured(mean_measured(literal_OLH, axis=0), axis=1)
    known = [place for place in np.argsort(-np.nan_to_num(mean_L, nan=-np.inf), kind="stable") if not np.isnan(mean_L[place])]
    measured_H = (~np.isnan(literal_OLH)).any(axis=(0, 1))
    num_hops = 1 + max(np.flatnonzero(measured_H), default=0)  # no empty rows where stages are few
    return {
        name: _hop_table(values_OLH[:, known, :num_hops], [languages[place] for place in known])
        for name, values_OLH in (("hops", literal_OLH), ("null", null_OLH))
    }


HOP_COLUMNS = ["language", "name", "place", "hop", "value", "low", "high", "unsure", "orders", "mean"]


def _hop_table(values_OLH: Floats, names: Sequence[str]) -> pd.DataFrame:
    """A row for each language and hop: the mean over orders with its interval."""
    rows = []
    means_L = mean_measured(mean_measured(values_OLH, axis=0), axis=1)
    for place, language in enumerate(names):
        for hop in range(values_OLH.shape[2]):
            found = mean_of_replicates(values_OLH[:, place, hop])
            rows.append(
                {
                    "language": language,
                    "name": language_name(language),
                    "place": place,
                    "hop": hop,
                    "value": round(100 * found.value, 3),
                    "low": round(100 * found.low, 3),
                    "high": round(100 * found.high, 3),
                    "unsure": not math.isnan(found.value) and not (found.low > 0 or found.high < 0),
                    "orders": int((~np.isnan(values_OLH[:, place, hop])).sum()),
                    "mean": round(100 * float(means_L[place]), 3),
                }
            )
    return pd.DataFrame(rows, columns=HOP_COLUMNS)


def models_side_by_side(results: Results) -> Figure:
    """Figure 4: the progress of every method, one panel for each model."""
    labels = {
        series: series.method
        if series.rank is None or f"{series.rank}" in series.method
        else f"{series.method} · r = {series.rank}"
        for series in results.series
    }
    lines = progress_lines(results, labels)
    order = list(dict.fromkeys(labels.values()))
    kinds = {labels[series]: (series.method, series.rank) for series in results.series}
    chosen = alt.selection_point(name="chosen", fields=["series"], bind="legend")
    base = alt.Chart().encode(
        x=alt.X(
            "step:Q",
            title="languages learned",
            axis=alt.Axis(format="d", grid=False, tickMinStep=1),
            scale=alt.Scale(domain=[1, max(2, len(results.languages))], nice=False),
        ),
        y=alt.Y("f1:Q", title="F1 (%)", scale=alt.Scale(zero=False)),
        color=alt.Color(
            "series:N",
            scale=alt.Scale(domain=order, range="category"),
            legend=alt.Legend(orient="bottom", columns=3, title=None, symbolType="circle", symbolOpacity=1),
        ),
        opacity=faint_unless_chosen(chosen),
        tooltip=[
            alt.Tooltip("model:N", title="model"),
            alt.Tooltip("series:N", title="method"),
            alt.Tooltip("step:Q", title="languages learned"),
            alt.Tooltip("f1:Q", title="F1 (%)", format=".1f"),
        ],
    )
    dash = alt.StrokeDash("joint:N", scale=alt.Scale(domain=[False, True], range=[[1, 0], [2, 4]]), legend=None)
    line = base.mark_line(strokeWidth=2.25).encode(strokeDash=dash)
    point = base.transform_filter("!datum.joint").mark_circle(size=26).add_params(chosen)
    panels = alt.layer(line, point, data=alt.NamedData("lines")).properties(width=330, height=260)
    return Figure(
        name="figure4",
        title="Models side by side (Figure 4)",
        caption="Mean F1 over the languages learned, after each stage, a panel for each model; dotted: all languages at once.",
        chart=panels.facet(column=alt.Column("model:N", title=None, header=alt.Header(labelFontSize=13))),
        variants={"": {"lines": lines}},
        category=[kinds[label] for label in order],
        fits=False,
    )

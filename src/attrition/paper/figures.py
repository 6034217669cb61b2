"""The paper's Figures 3 to 6, drawn from this study (its Figures 2 and 7 are the page's first two).

Each series of runs is a variant: a method, averaged over its orders and seeds.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import altair as alt
import numpy as np
import pandas as pd

from attrition.metrics import PerLanguage, mbt, mft, shift_fixed, shift_growing
from attrition.metrics.means import mean_measured
from attrition.report.curves import faint_unless_chosen, progress_lines
from attrition.report.figures import Figure, language_name
from attrition.results.read import Results, Run, Series

GAIN_OR_LOSS = "Cool: gain, warm: loss."


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
        figures.append(change_per_language({name: _changes(matrices) for name, matrices in variants.items()}))
        backward = {name: _hops(mbt(matrices)) for name, matrices in variants.items()}
        forward = {name: _hops(mft(matrices)) for name, matrices in variants.items()}
        figures.append(_multi_hop("figure5", "Multi-hop backward transfer (Figure 5)", "MBT", backward))
        figures.append(_multi_hop("figure6", "Multi-hop forward transfer (Figure 6)", "MFT", forward))
    if len({series.model for series in results.series}) > 1:
        figures.insert(1, models_side_by_side(results))
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
    marks = base.mark_tick(thickness=3, width=max(8, size - 6), color=alt.expr("dark ? '#ffffff' : '#000000'")).encode(
        y=alt.Y("fixed:Q", title=title)
    )
    zero = alt.Chart(alt.NamedData("changes")).mark_rule().encode(y=alt.datum(0))
    chart = alt.layer(bars, zero, marks).add_params(alt.param(name="dark", value=False))
    return Figure(
        name="figure3",
        title="Change per trained language (Figure 3)",
        caption="Bars: change of the mean F1 of all languages learned, the new one included (growing, as printed). "
        "Strokes: change on the languages learned before alone (fixed). Means over orders and seeds.",
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
    frame["composition"] = (frame["growing"] - frame["fixed"]).round(3)
    frame["sign"] = np.where(frame["growing"] < 0, "loss", "gain")
    frame = frame.sort_values("growing", ascending=False, kind="stable")
    frame["place"] = range(len(frame))
    return frame.reset_index(drop=True)


def _multi_hop(name: str, title: str, symbol: str, variants: dict[str, pd.DataFrame]) -> Figure:
    """Figures 5 and 6: languages by hops, languages ordered by their mean over hops."""
    every = pd.concat(variants.values())
    limit = max(0.5, float(np.nanquantile(every["value"].abs(), 0.98))) if every["value"].notna().any() else 1.0
    widest = max(table["language"].nunique() for table in variants.values())
    size = 14 if widest > 28 else 22 if widest > 12 else 40
    x_axis = alt.Axis(labelAngle=-90, ticks=False, domain=False, labelOverlap=False)
    base = alt.Chart(alt.NamedData("hops")).encode(
        x=alt.X("language:N", sort=alt.EncodingSortField("place", op="min"), title=None, axis=x_axis),
        y=alt.Y("hop:O", title="hop", axis=alt.Axis(ticks=False, domain=False)),
        tooltip=[
            alt.Tooltip("name:N", title="language"),
            alt.Tooltip("hop:Q", title="hop"),
            alt.Tooltip("value:Q", title=f"{symbol} (points)", format="+.2f"),
            alt.Tooltip("orders:Q", title="orders and seeds"),
            alt.Tooltip("mean:Q", title="mean over hops", format="+.2f"),
        ],
    )
    colour = alt.Color(
        "value:Q",
        title=f"{symbol} (points)",
        scale=alt.Scale(range="diverging", interpolate="rgb", domain=[-limit, limit], domainMid=0, clamp=True),
        legend=alt.Legend(orient="bottom", direction="horizontal", gradientLength=200, gradientThickness=10),
    )
    measured = base.mark_rect().encode(color=colour).transform_filter("isValid(datum.value)")
    missing = base.mark_text(text="⁄", opacity=0.35).transform_filter("!isValid(datum.value)")
    return Figure(
        name=name,
        title=title,
        caption=f"{GAIN_OR_LOSS} Languages by their mean over hops, largest first; means over orders and seeds; "
        "a stroke: no order has so many stages on that side.",
        chart=alt.layer(measured, missing).properties(width=alt.Step(size), height=alt.Step(18)),
        variants={variant: {"hops": table} for variant, table in variants.items()},
        fits=False,
    )


def _hops(found: PerLanguage) -> pd.DataFrame:
    mean_L = mean_measured(found.values, axis=1)
    known = [place for place in np.argsort(-np.nan_to_num(mean_L, nan=-np.inf), kind="stable") if not np.isnan(mean_L[place])]
    num_hops = 1 + max(np.flatnonzero(found.counts.any(axis=0)), default=0)  # no empty rows where stages are few
    values_LH = 100 * found.values[known, :num_hops]
    names = [found.languages[place] for place in known]
    return pd.DataFrame(
        {
            "language": np.repeat(names, num_hops),
            "name": np.repeat([language_name(name) for name in names], num_hops),
            "place": np.repeat(np.arange(len(names)), num_hops),
            "hop": np.tile(np.arange(num_hops), len(names)),
            "value": values_LH.ravel().round(3),
            "orders": found.counts[known, :num_hops].ravel(),
            "mean": np.repeat((100 * mean_L[known]).round(3), num_hops),
        }
    )


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

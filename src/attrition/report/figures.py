"""The report's charts, each one definition for the page (interactive) and for the files (PNG, SVG, PDF).

A chart never holds its data: it names tables, which are filled in when it is drawn. So one definition serves every run of a study,
and the page carries each number once.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import altair as alt
import numpy as np
import pandas as pd

from attrition.languages import LANGUAGES
from attrition.matrix import RMatrix
from attrition.metrics import learned_mean
from attrition.report.results import PARTS, Results, Run
from attrition.report.theme import Mode, config, series_colours

BEFORE = "before"
"""The label of R's row before training."""

WIDTH = 680
"""Width in pixels of a chart that fills its box, where there is no box."""

Tables = Mapping[str, pd.DataFrame]


@dataclass(frozen=True, kw_only=True)
class Figure:
    """A chart, the tables it draws, and what to say of it.

    `variants` maps a choice ("VANILLA, order 1") to the tables drawn for it; a figure without a choice has one, named "".
    `category` holds the (method, rank) of each series, whose colours follow from it. `fits` says that the chart takes the
    width of its box; otherwise it has its own, and its box scrolls.
    """

    name: str
    title: str
    caption: str
    chart: Any
    variants: Mapping[str, Tables]
    category: Sequence[tuple[str, int | None]] = field(default=())
    fits: bool = True

    def definition(self) -> dict[str, Any]:
        """The chart in Vega-Lite, without data."""
        definition: dict[str, Any] = self.chart.to_dict(validate=True)
        definition.pop("config", None)
        definition["description"] = f"{self.title}. {self.caption}"
        return definition

    def theme(self, mode: Mode) -> dict[str, Any]:
        """Vega-Lite's configuration for this chart in one mode."""
        return config(mode, category=series_colours(self.category, mode) if self.category else None)

    def complete(self, variant: str) -> dict[str, Any]:
        """The chart in Vega-Lite with its data, a fixed width and the light theme, ready for a file."""
        definition = self.definition()
        if self.fits:
            definition["width"] = WIDTH
        definition["datasets"] = {name: records(table) for name, table in self.variants[variant].items()}
        definition["config"] = self.theme("light")
        return definition


def records(table: pd.DataFrame) -> list[dict[str, Any]]:
    """The rows of a table as JSON values, NaN as null.

    >>> records(pd.DataFrame({"language": ["en-US"], "score": [float("nan")]}))
    [{'language': 'en-US', 'score': None}]
    """
    columns = [[plain(value) for value in table[name].tolist()] for name in table.columns]
    return [dict(zip(table.columns, row, strict=True)) for row in zip(*columns, strict=True)]


def plain(value: object) -> object:
    """A cell as a JSON value: NaN is null."""
    return None if isinstance(value, float) and math.isnan(value) else value


def language_name(locale: str) -> str:
    """The language's English name and its locale; of a label that is no locale, the label.

    >>> language_name("th-TH"), language_name("Klingon")
    ('Thai (th-TH)', 'Klingon')
    """
    return f"{LANGUAGES[locale].name} ({locale})" if locale in LANGUAGES else locale


def stage_label(trained: Sequence[str]) -> str:
    """What a stage trained, short enough for an axis.

    >>> stage_label(["en-US"]), stage_label(["en-US", "de-DE"]), stage_label(["en-US", "de-DE", "sw-KE"])
    ('en-US', 'en-US + de-DE', 'en-US + 2')
    """
    return " + ".join(trained) if len(trained) < 3 else f"{trained[0]} + {len(trained) - 1}"


# R


def cells(R: RMatrix) -> pd.DataFrame:
    """R as one row for each cell, columns in the order of learning: what a heat map draws.

    Columns: language, x, stage, y (0 = before training, if measured), f1 and change (from the stage before) in points,
    NaN where not measured, and state: unseen, learned or new (learned at this very stage).
    """
    columns = sorted(range(len(R.languages)), key=lambda j: (int(R.stage_L[j]), j))
    rows = [] if R.before_L is None else [R.before_L]
    scores_SL = 100 * np.vstack([*rows, R.scores_SL])
    change_SL = np.vstack([np.full(len(R.languages), np.nan), np.diff(scores_SL, axis=0)])
    first = R.num_stages - len(scores_SL)  # -1 where row 0 is the one before training
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
    frame["name"] = [language_name(name) for name in names] * len(labels)
    return frame


def cell_size(num_languages: int) -> int:
    """Pixels of a heat map's cell: large enough for its number where there are few, and for a label where there are 52.

    >>> cell_size(4), cell_size(52)
    (52, 14)
    """
    return next(size for most, size in ((6, 52), (10, 40), (16, 32), (28, 20), (10_000, 14)) if num_languages <= most)


def heat_maps(results: Results) -> tuple[Figure, Figure]:
    """R of every run: the scores, and their changes from each stage to the next."""
    variants = {run.label: {"cells": cells(run.matrix)} for run in results.runs}
    tables = [tables["cells"] for tables in variants.values()]
    every = pd.concat(tables)
    low, high = 5 * math.floor(every["f1"].min() / 5), 5 * math.ceil(every["f1"].max() / 5)
    swing = max(5, 5 * math.ceil(np.nanquantile(every["change"].abs(), 0.99) / 5)) if every["change"].notna().any() else 5
    widest = max(table["x"].max() + 1 for table in tables)
    key = "Large squares: already learned. Outlined: learned at this stage. Small squares: not yet learned. A stroke: not measured."
    shared = {"variants": variants, "fits": False}
    return (
        Figure(
            name="r",
            title="R: F1 on each language after each stage",
            caption=f"Rows: what was trained, from top to bottom. Columns: the language tested. {key}",
            chart=_heat_map("f1", "F1 (%)", alt.Scale(range="heatmap", domain=[low, max(high, low + 5)]), (low + high) / 2, widest),
            **shared,  # type: ignore[arg-type]
        ),
        Figure(
            name="r-change",
            title="Change of F1 from the stage before",
            caption=f"Warm: lost, cool: gained, in points of F1. Rows: what was trained. Columns: the language tested. {key}",
            chart=_heat_map(
                "change",
                "Change (points)",
                alt.Scale(range="diverging", domain=[-swing, swing], domainMid=0, clamp=True),
                swing / 2,
                widest,
            ),
            **shared,  # type: ignore[arg-type]
        ),
    )


def _heat_map(value: str, title: str, scale: alt.Scale, ink_turns_at: float, num_languages: int) -> Any:
    """A heat map of `value`; `ink_turns_at` is where a number printed on a cell changes from dark to light."""
    size = cell_size(num_languages)
    x = alt.X("language:N", sort=alt.EncodingSortField("x", op="min"), title="tested on", axis=_cell_axis(orient="top", labelAngle=-90))
    y = alt.Y("stage:N", sort=alt.EncodingSortField("y", op="min"), title="after training on", axis=_cell_axis(labelLimit=150))
    dark = alt.param(name="dark", value=False)
    legend = alt.Legend(orient="bottom", direction="horizontal", gradientLength=200, gradientThickness=10, titleAnchor="start")
    colour = alt.Color(f"{value}:Q", title=title, scale=scale, legend=legend)
    base = alt.Chart(alt.NamedData("cells")).encode(x=x, y=y)
    measured = f"isValid(datum.{value})"
    ink = alt.expr("dark ? '#ffffff' : '#000000'")
    gap = 0.06 if size > 20 else 0.0

    def squares(condition: str, band: float, **outline: Any) -> Any:
        mark = base.mark_rect(width={"band": band}, height={"band": band}, **outline)
        return mark.transform_filter(f"{measured} && ({condition})").encode(color=colour)

    amount = f"abs(datum.{value})" if value == "change" else f"datum.{value}"
    layers = [
        squares("datum.state == 'unseen'", 0.62),
        squares("datum.state != 'unseen'", 1 - gap),
        squares("datum.state == 'new'", 1 - max(gap, 0.1), stroke=ink, strokeWidth=2 if size > 20 else 1.25, fillOpacity=0),
        base.mark_text(text="⁄", fontSize=max(9, size // 3), opacity=0.35).transform_filter(f"!{measured}"),
    ]
    if size > 20:
        number = base.mark_text(fontSize=12, color=alt.expr(f"(({amount}) > {ink_turns_at}) === dark ? '#101418' : '#ffffff'"))
        text = alt.Text(f"{value}:Q", format="+.0f" if value == "change" else ".0f")
        layers.append(number.transform_filter(measured).encode(text=text))
    hover = alt.selection_point(name="hovered", on="pointerover", clear="pointerout", empty=False, fields=["x", "y"])
    shown = base.mark_rect(fillOpacity=0, stroke=ink).encode(
        strokeWidth=alt.condition(hover, alt.value(2), alt.value(0)),
        tooltip=[
            alt.Tooltip("name:N", title="tested on"),
            alt.Tooltip("stage:N", title="after"),
            alt.Tooltip("f1:Q", title="F1 (%)", format=".1f"),
            alt.Tooltip("change:Q", title="change (points)", format="+.1f"),
            alt.Tooltip("state:N", title="language is"),
        ],
    )
    layers.append(shown.add_params(hover))
    return alt.layer(*layers).add_params(dark).properties(width=alt.Step(size), height=alt.Step(size))


def _cell_axis(**settings: Any) -> alt.Axis:
    return alt.Axis(ticks=False, domain=False, labelPadding=5, labelOverlap=False, labelFontSize=11, **settings)


# F1 of the learned languages


def progress(results: Results) -> Figure:
    """P, the mean F1 of the languages learned so far, over the sequence, by series; joint training as a dotted level."""
    longest = max(len(run.matrix.languages) for run in results.runs)
    lines: list[dict[str, Any]] = []
    for series, runs in results.series.items():
        label = results.series_labels[series]
        if all(run.matrix.joint for run in runs):
            finals = [100 * float(learned_mean(run.matrix)[-1]) for run in runs]
            steps = [(step, finals, "all languages at once") for step in (1, longest)]
        else:
            steps = _steps([run for run in runs if not run.matrix.joint])
        for step, values, trained in steps:
            measured = [value for value in values if not math.isnan(value)]
            if measured:
                lines.append(
                    {
                        "series": label,
                        "step": step,
                        "f1": round(sum(measured) / len(measured), 2),
                        "low": round(min(measured), 2),
                        "high": round(max(measured), 2),
                        "runs": len(measured),
                        "trained": trained,
                        "joint": all(run.matrix.joint for run in runs),
                    }
                )
    labels = [results.series_labels[series] for series in results.series]
    several = any(len(runs) > 1 for runs in results.series.values())
    return Figure(
        name="progress",
        title="F1 of the languages learned so far",
        caption="Mean F1 over the languages learned, after each stage; dotted: all languages learned at once."
        + (" Lines are means over orders and seeds, bands their range." if several else ""),
        chart=_progress_chart(labels, longest),
        variants={"": {"lines": pd.DataFrame(lines)}},
        category=[(series.method, series.rank) for series in results.series],
    )


def _steps(runs: Sequence[Run]) -> list[tuple[int, list[float], str]]:
    """Per number of languages learned: P of each run that passes there, and what was trained to get there."""
    found: dict[int, tuple[list[float], list[str]]] = {}
    for run in runs:
        learned = np.cumsum([len(stage) for stage in run.matrix.trained])
        for step, value, stage in zip(learned.tolist(), learned_mean(run.matrix), run.matrix.trained, strict=True):
            values, stages = found.setdefault(step, ([], []))
            values.append(100 * float(value))
            stages.append(stage_label(stage))
    return [(step, values, ", ".join(dict.fromkeys(stages))) for step, (values, stages) in sorted(found.items())]


def _progress_chart(labels: Sequence[str], num_steps: int) -> Any:
    chosen = alt.selection_point(name="chosen", fields=["series"], bind="legend")
    ticks = {"values": list(range(1, num_steps + 1))} if num_steps <= 12 else {}
    axis = alt.Axis(format="d", grid=False, tickMinStep=1, **ticks)
    x = alt.X("step:Q", title="languages learned", axis=axis, scale=alt.Scale(domain=[1, max(num_steps, 2)], nice=False))
    y = alt.Y("f1:Q", title="F1 (%)", scale=alt.Scale(zero=False))
    legend = alt.Legend(orient="bottom", columns=2, title=None, symbolType="stroke", symbolStrokeWidth=3)
    colour = alt.Color("series:N", scale=alt.Scale(domain=list(labels), range="category"), legend=legend)
    dash = alt.StrokeDash("joint:N", scale=alt.Scale(domain=[False, True], range=[[1, 0], [2, 4]]), legend=None)
    faint = alt.condition(chosen, alt.value(1.0), alt.value(0.12))
    base = alt.Chart(alt.NamedData("lines")).encode(x=x, color=colour)
    band = base.mark_area(clip=True).encode(
        y=alt.Y("low:Q", title="F1 (%)"), y2="high:Q", opacity=alt.condition(chosen, alt.value(0.13), alt.value(0.02))
    )
    line = base.mark_line(strokeWidth=2.25, clip=True).encode(y=y, strokeDash=dash, opacity=faint, detail="series:N")
    point = base.transform_filter("!datum.joint").mark_circle(size=26 if num_steps > 12 else 50, opacity=1)
    point = point.encode(
        y=y,
        opacity=faint,
        tooltip=[
            alt.Tooltip("series:N", title="method"),
            alt.Tooltip("step:Q", title="languages learned"),
            alt.Tooltip("trained:N", title="last learned"),
            alt.Tooltip("f1:Q", title="F1 (%)", format=".1f"),
            alt.Tooltip("runs:Q", title="runs"),
        ],
    )
    return alt.layer(band, line, point.add_params(chosen)).properties(width="container", height=300)


# Training and time


def training_curves(results: Results) -> tuple[Figure, ...]:
    """F1 on the development set and the training loss by epoch, stage after stage; nothing where no run recorded them."""
    variants = {run.label: {"epochs": _epochs(run)} for run in results.runs if len(run.history)}
    if not variants:
        return ()
    dots = "The marked epoch of each stage is the one whose weights were kept."
    return (
        Figure(
            name="dev-f1",
            title="F1 on the development set, epoch by epoch",
            caption=f"One line for each stage, in the order of training. {dots}",
            chart=_epoch_chart("dev_f1", "dev F1 (%)"),
            variants=variants,
        ),
        Figure(
            name="train-loss",
            title="Training loss, epoch by epoch",
            caption=f"One line for each stage, in the order of training. {dots}",
            chart=_epoch_chart("train_loss", "training loss"),
            variants=variants,
        ),
    )


def _epochs(run: Run) -> pd.DataFrame:
    frame = run.history[["stage", "trained", "epoch", "train_loss", "dev_f1", "best"]].copy()
    frame["trained"] = [stage_label(str(trained).split("+")) for trained in frame["trained"]]
    frame["dev_f1"] = (100 * frame["dev_f1"].astype(float)).round(2)
    frame["train_loss"] = frame["train_loss"].astype(float).round(4)
    frame["best"] = frame["best"].astype(bool)
    frame["total"] = range(1, len(frame) + 1)
    return frame


def _epoch_chart(value: str, title: str) -> Any:
    base = alt.Chart(alt.NamedData("epochs")).encode(
        x=alt.X("total:Q", title="epochs, over the whole sequence", axis=alt.Axis(grid=False, tickMinStep=1, format="d")),
        y=alt.Y(f"{value}:Q", title=title, scale=alt.Scale(zero=value == "train_loss")),
        tooltip=[
            alt.Tooltip("trained:N", title="training on"),
            alt.Tooltip("epoch:Q", title="epoch"),
            alt.Tooltip("train_loss:Q", title="training loss", format=".3f"),
            alt.Tooltip("dev_f1:Q", title="dev F1 (%)", format=".1f"),
        ],
    )
    colour = alt.Color("odd:N", scale=alt.Scale(range="category"), legend=None)
    striped = base.transform_calculate(odd="datum.stage % 2").encode(color=colour, detail="stage:N")
    line = striped.mark_line(strokeWidth=2)
    best = striped.transform_filter("datum.best").mark_point(filled=True, size=45, opacity=1)
    return alt.layer(line, best).properties(width="container", height=180)


def time_spent(results: Results) -> Figure:
    """Where each run's time went: data, training, evaluation, the rest."""
    spent = [
        {"run": run.label, "part": part, "minutes": round(run.times[part] / 60, 3), "place": place, "part_place": number}
        for place, run in enumerate(results.runs)
        for number, part in enumerate(PARTS)
    ]
    bar = (
        alt.Chart(alt.NamedData("times"))
        .mark_bar(height={"band": 0.7})
        .encode(
            x=alt.X("minutes:Q", title="minutes", stack=True, axis=alt.Axis(gridOpacity=0.6)),
            y=alt.Y("run:N", sort=alt.EncodingSortField("place", op="min"), title=None, axis=alt.Axis(labelLimit=190, ticks=False)),
            color=alt.Color(
                "part:N",
                scale=alt.Scale(domain=list(PARTS), range="category"),
                legend=alt.Legend(orient="bottom", title=None, columns=4),
            ),
            order=alt.Order("part_place:Q"),
            tooltip=[
                alt.Tooltip("run:N", title="run"),
                alt.Tooltip("part:N", title="part"),
                alt.Tooltip("minutes:Q", title="minutes", format=".2f"),
            ],
        )
        .properties(width="container", height=alt.Step(26))
    )
    return Figure(
        name="times",
        title="Time spent",
        caption="Minutes of each run by part. A stage that several runs share is trained once and counted where it was trained.",
        chart=bar,
        variants={"": {"times": pd.DataFrame(spent)}},
    )

"""What happens along the way: F1 over the sequence, training epoch by epoch, and where the time went."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt
import numpy as np
import pandas as pd

from attrition.metrics import learned_mean
from attrition.report.figures import Figure, stage_label
from attrition.results.read import PARTS, Results, Run, Series


def progress(results: Results) -> Figure:
    """P, the mean F1 of the languages learned so far, over the sequence, by series; joint training as a dotted level."""
    several = any(len(runs) > 1 for runs in results.series.values())
    return Figure(
        name="progress",
        title="F1 of the languages learned so far",
        caption="Mean F1 over the languages learned, after each stage; dotted: all languages learned at once."
        + (" Lines are means over orders and seeds, bands their range." if several else ""),
        chart=_progress_chart(list(results.series_labels.values()), len(results.languages)),
        variants={"": {"lines": progress_lines(results, results.series_labels)}},
        category=[(series.method, series.rank) for series in results.series],
    )


def progress_lines(results: Results, labels: Mapping[Series, str]) -> pd.DataFrame:
    """One row for each series and number of languages learned: the mean of P over runs and its range, in percent."""
    longest = len(results.languages)
    lines: list[dict[str, Any]] = []
    for series, runs in results.series.items():
        joint = all(run.matrix.joint for run in runs)
        if joint:
            finals = [100 * float(learned_mean(run.matrix)[-1]) for run in runs]
            steps = [(step, finals, "all languages at once") for step in (1, longest)]
        else:
            steps = _steps([run for run in runs if not run.matrix.joint])
        for step, values, trained in steps:
            measured = [value for value in values if not math.isnan(value)]
            if measured:
                lines.append(
                    {
                        "series": labels[series],
                        "model": results.models[series.model],
                        "step": step,
                        "f1": round(sum(measured) / len(measured), 2),
                        "low": round(min(measured), 2),
                        "high": round(max(measured), 2),
                        "runs": len(measured),
                        "trained": trained,
                        "joint": joint,
                    }
                )
    return pd.DataFrame(lines)


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


def faint_unless_chosen(chosen: Any) -> Any:
    """The opacity of a line: full, unless others were chosen in the legend."""
    return alt.condition(chosen, alt.value(1.0), alt.value(0.12))


def _progress_chart(labels: Sequence[str], num_steps: int) -> Any:
    chosen = alt.selection_point(name="chosen", fields=["series"], bind="legend")
    ticks = {"values": list(range(1, num_steps + 1))} if num_steps <= 12 else {}
    axis = alt.Axis(format="d", grid=False, tickMinStep=1, **ticks)
    x = alt.X("step:Q", title="languages learned", axis=axis, scale=alt.Scale(domain=[1, max(num_steps, 2)], nice=False))
    y = alt.Y("f1:Q", title="F1 (%)", scale=alt.Scale(zero=False))
    columns = alt.expr("width < 480 ? 1 : 2")  # side by side they would leave a phone's screen
    legend = alt.Legend(orient="bottom", columns=columns, title=None, symbolType="circle", symbolOpacity=1, labelLimit=330)
    colour = alt.Color("series:N", scale=alt.Scale(domain=list(labels), range="category"), legend=legend)
    dash = alt.StrokeDash("joint:N", scale=alt.Scale(domain=[False, True], range=[[1, 0], [2, 4]]), legend=None)
    faint = faint_unless_chosen(chosen)
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
    variants = {run.key: {"epochs": _epochs(run)} for run in results.runs if len(run.history)}
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
            caption=f"Mean over the batches of an epoch. One line for each stage, in the order of training. {dots}",
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
            y=alt.Y(
                "run:N", sort=alt.EncodingSortField("place", op="min"), title=None, axis=alt.Axis(labelLimit=190, ticks=False)
            ),
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
        .properties(width="container", height=26 * len(results.runs))
    )
    return Figure(
        name="times",
        title="Time spent",
        caption="Minutes of each run by part. A stage that several runs share was trained once, and counts in each of them.",
        chart=bar,
        variants={"": {"times": pd.DataFrame(spent)}},
    )

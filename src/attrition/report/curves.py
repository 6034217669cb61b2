"""Charts of training by epoch, and of the time of each part."""

from __future__ import annotations

from typing import Any

import altair as alt
import pandas as pd

from attrition.report.figures import Figure, stage_label
from attrition.results.read import PARTS, Results, Run


def training_curves(results: Results) -> tuple[Figure, ...]:
    """Return charts of the score on the dev set and the training loss by epoch; () if no run recorded them."""
    variants = {run.key: {"epochs": _epochs(run)} for run in results.runs if len(run.history)}
    if not variants:
        return ()
    dev = f"dev {results.score} (%)"
    dots = "The marked epoch of each stage is the one whose weights were kept."
    return (
        Figure(
            name="dev-f1",
            title=f"{results.score} on the development set, epoch by epoch",
            caption=f"One line for each stage, in the order of training. {dots}",
            chart=_epoch_chart("dev_f1", dev),
            variants=variants,
            findings={
                key: _kept(tables["epochs"], "dev_f1", f"The kept epochs reach dev {results.score}")
                for key, tables in variants.items()
            },
        ),
        Figure(
            name="train-loss",
            title="Training loss, epoch by epoch",
            caption=f"Mean over the batches of an epoch. One line for each stage, in the order of training. {dots}",
            chart=_epoch_chart("train_loss", "training loss"),
            variants=variants,
            findings={
                key: _kept(tables["epochs"], "train_loss", "The kept epochs have a training loss of")
                for key, tables in variants.items()
            },
        ),
    )


def _kept(epochs: pd.DataFrame, column: str, begins: str) -> str:
    """Return a sentence with the range of a column over the epochs whose weights were kept; "" if none is marked."""
    kept = epochs.loc[epochs["best"], column].dropna()
    digits = 1 if column == "dev_f1" else 3
    return f"{begins} {kept.min():.{digits}f} to {kept.max():.{digits}f}." if len(kept) else ""


def _epochs(run: Run) -> pd.DataFrame:
    frame = run.history[["stage", "trained", "epoch", "train_loss", "dev_f1", "best"]].copy()
    frame["trained"] = [stage_label(str(trained).split("+")) for trained in frame["trained"]]
    frame["dev_f1"] = (100 * frame["dev_f1"].astype(float)).round(2)
    frame["train_loss"] = frame["train_loss"].astype(float).round(4)
    frame["best"] = frame["best"].astype(bool)
    frame["total"] = range(1, len(frame) + 1)
    return frame


def _epoch_chart(value: str, title: str) -> Any:
    """Return the chart of one value by epoch."""
    base = alt.Chart(alt.NamedData("epochs")).encode(
        x=alt.X("total:Q", title="epoch, over the whole sequence", axis=alt.Axis(grid=False, tickMinStep=1, format="d")),
        y=alt.Y(f"{value}:Q", title=title, scale=alt.Scale(zero=True)),
    )
    colour = alt.Color("odd:N", scale=alt.Scale(range="category"), legend=None)
    striped = base.transform_calculate(odd="datum.stage % 2").encode(color=colour, detail="stage:N")
    line = striped.mark_line(strokeWidth=2)
    best = striped.transform_filter("datum.best").mark_point(filled=True, size=45, opacity=1)
    return alt.layer(line, best).properties(width="container", height=180)


def time_spent(results: Results) -> Figure:
    """Return a chart of each run's time by part: data, training, evaluation, the rest."""
    spent = [
        {"run": run.label, "part": part, "minutes": round(run.times[part] / 60, 3), "place": place, "part_place": number}
        for place, run in enumerate(results.runs)
        for number, part in enumerate(PARTS)
    ]
    total = {part: sum(run.times[part] for run in results.runs) / 60 for part in PARTS}
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
        )
        .properties(width="container", height=26 * len(results.runs))
    )
    return Figure(
        name="times",
        title="Time spent",
        findings={"": f"Training took {total['training']:.1f} of {sum(total.values()):.1f} minutes in all runs."},
        caption="Minutes of each run by part. A stage that several runs share was trained once, and counts in each of them.",
        chart=bar,
        variants={"": {"times": pd.DataFrame(spent)}},
    )

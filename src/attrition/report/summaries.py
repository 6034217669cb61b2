"""The standard tables of a study, and its runs in words, all computed from R."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import chain
from typing import Literal

from attrition.analysis.words import words
from attrition.metrics import METRICS, NUMBERS
from attrition.report.tables import Cell, Column, Number, Table, mean_and_spread
from attrition.results.read import PARTS, Results, Run
from attrition.results.replicates import per_replicate

ALIASES = {"average_accuracy": "final_mean", "bwt": "cbt"}
"""Metrics with a second name in the literature; they share a column if they are equal."""

_IN_POINTS = (
    "In points, that is {} × 100; an arrow shows the better side; – is undefined, as a joint run learns everything at once, "
    "or was not measured."
)


def metric_columns(results: Results) -> list[Column]:
    """Return the columns of the metrics table, each with its formula and source as its help."""
    return [metric_column(name, _also_known_as(name, results.runs), results.score) for name in _shown(results.runs)]


def metric_column(name: str, second_name: str = "", score: str = "F1") -> Column:
    """Return the column of one metric, in points, with formula and source as help; `score` is the name of the score."""
    info = METRICS[name]
    better: dict[bool | None, Literal["high", "low"] | None] = {True: "high", False: "low", None: None}
    return Column(
        title=info.title.replace("F1", score),
        times=100,
        signed=info.low < 0,
        better=better[info.higher_is_better],
        help=f"{info.formula} ({info.source}){second_name}.",
    )


def metrics_by_series(results: Results) -> Table:
    """Return the metrics of each series: the mean over its replicates."""
    names = _shown(results.runs)
    several = len(results.series) < len(results.runs)
    rows: list[tuple[Cell, ...]] = []
    for series, runs in results.series.items():
        values = [
            mean_and_spread(per_replicate(runs, [run.metrics.get(name, math.nan) for run in runs]).tolist()) for name in names
        ]
        rows.append((results.series_labels[series], *([Number(value=len(runs))] if several else []), *values))
    count = (
        [Column(title="Runs", digits=0, help="Different orders and seeds in the mean; copies count once.")] if several else []
    )
    spread = " Means over orders ± their standard deviation; seeds of one order are averaged first." if several else ""
    return Table(
        name="metrics",
        title="Metrics of each method",
        columns=(Column(title="Method"), *count, *metric_columns(results)),
        rows=tuple(rows),
        caption=_IN_POINTS.format(results.score) + spread,
    )


def metrics_by_run(results: Results) -> Table:
    """Return the metrics of each run."""
    names = _shown(results.runs)
    rows: list[tuple[Cell, ...]] = [
        (run.label, *(Number(value=run.metrics.get(name, math.nan)) for name in names)) for run in results.runs
    ]
    columns = (Column(title="Run"), *metric_columns(results))
    return Table(
        name="metrics-runs",
        title="Metrics of each run",
        columns=columns,
        rows=tuple(rows),
        caption=_IN_POINTS.format(results.score),
    )


def times_table(results: Results) -> Table:
    """Return minutes by part, and numbers of trained and stored parameters."""
    columns = (
        Column(title="Run"),
        *(Column(title=f"{part} (min)", digits=2, times=1 / 60) for part in PARTS),
        Column(title="all (min)", digits=2, times=1 / 60),
        Column(title="trainable (M)", digits=2, times=1e-6, help="Parameters that training changes, in millions."),
        Column(
            title="stored (M)", digits=2, times=1e-6, help="Parameters to store in addition to the shared base, in millions."
        ),
    )
    rows: list[tuple[Cell, ...]] = [
        (
            run.label,
            *(Number(value=run.times[part]) for part in PARTS),
            Number(value=sum(run.times.values())),
            *(Number(value=run.spec.parameters.get(name, math.nan)) for name in ("trainable", "stored")),
        )
        for run in results.runs
    ]
    return Table(
        name="times",
        title="Time and parameters",
        columns=columns,
        rows=tuple(rows),
        caption="The CSV holds seconds and single parameters.",
    )


def run_words(run: Run) -> list[str]:
    """Return sentences on a run's gains and losses, with names of languages."""
    return list(words(run.matrix, run.score))


def _shown(runs: Sequence[Run]) -> list[str]:
    """Return the metrics of any run, in the registry's order, without second names."""
    recorded = set(chain.from_iterable(run.metrics for run in runs))
    return [name for name in NUMBERS if name in recorded and not (name in ALIASES and _equal(name, ALIASES[name], runs))]


def _also_known_as(name: str, runs: Sequence[Run]) -> str:
    others = [METRICS[alias].title for alias, of in ALIASES.items() if of == name and _equal(alias, of, runs)]
    return "".join(f"; also called {title}" for title in others)


def _equal(name: str, other: str, runs: Sequence[Run]) -> bool:
    pairs = [(run.metrics.get(name, math.nan), run.metrics.get(other, math.nan)) for run in runs]
    return all(a == b or (math.isnan(a) and math.isnan(b)) for a, b in pairs)

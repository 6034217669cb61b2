"""R and the metrics in the terminal, as tables of rich."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from rich.style import Style
from rich.table import Table as RichTable
from rich.text import Text

from attrition.metrics.matrix import RMatrix
from attrition.report.figures import stage_label
from attrition.report.heat_maps import BEFORE
from attrition.report.summaries import metric_column
from attrition.report.tables import UNDEFINED, Cell, Column, Number, Table
from attrition.report.theme import THEMES
from attrition.results.read import Run

SHOWN = ("final_mean", "cft", "cbt", "fwt", "forgetting")
"""The metrics that fit beside each other in a terminal."""


LEAST_SPAN = 0.2
"""The least span of scores that the colours cover, so that noise does not look like a difference."""


def terminal_matrix(R: RMatrix, *, title: str = "R", width: int = 80, score: str = "F1") -> RichTable:
    """R as a coloured table, `score` in percent: learned cells bold, those not yet learned dim, – where nothing was measured.

    A matrix too wide for `width` columns keeps the languages learned first and last, and says how many it left out.

    >>> table = terminal_matrix(RMatrix.sequential(["en-US", "th-TH"], [[0.5, 0.25], [0.375, 0.75]]))
    >>> [str(column.header) for column in table.columns], table.row_count
    (['after', 'en-US', 'th-TH'], 2)
    """
    columns = sorted(range(len(R.languages)), key=lambda j: (int(R.stage_L[j]), j))
    stages = list(range(R.num_stages))
    labels = [stage_label(trained) for trained in R.trained]
    first = max(map(len, [*labels, BEFORE, "after"])) + 3
    fits = max(2, (width - first) // (max(len(name) for name in R.languages) + 3))
    shown_columns, shown_stages = _ends(columns, fits), _ends(stages, max(fits, 24))
    table = RichTable(
        title=Text(title), caption=_left_out(len(columns), fits, score), title_justify="left", caption_justify="left"
    )
    table.add_column("after", no_wrap=True, style="bold")
    for j in shown_columns:
        table.add_column(Text("…" if j is None else R.languages[j]), justify="right", no_wrap=True)
    learned = R.scores_SL[R.learned_SL & ~np.isnan(R.scores_SL)]
    high = float(learned.max(initial=0.0))
    low = min(float(learned.min(initial=1.0)), high - LEAST_SPAN)
    if R.before_L is not None:
        row = [Text("…") if j is None else _score(float(R.before_L[j]), low, high, learned=False) for j in shown_columns]
        table.add_row(Text(BEFORE, style="dim"), *row)
    for i in shown_stages:
        if i is None:
            table.add_row("…", *("…" for _ in shown_columns))
            continue
        cells = [
            Text("…") if j is None else _score(float(R.scores_SL[i, j]), low, high, learned=bool(R.learned_SL[i, j]))
            for j in shown_columns
        ]
        table.add_row(Text(labels[i]), *cells)
    return table


def terminal_metrics(
    runs: Sequence[Run] | Mapping[str, Mapping[str, float]], *, title: str = "Metrics", score: str = "F1"
) -> RichTable:
    """The main metrics of runs side by side, in points, the best of each column bold.

    Takes the runs of `read_results`, or a name and metrics (0-1) for each.

    >>> terminal_metrics({"VANILLA": {"final_mean": 0.5, "cbt": -0.125}}).row_count
    1
    """
    named = runs if isinstance(runs, Mapping) else {run.label: run.metrics for run in runs}
    shown = [name for name in SHOWN if any(name in metrics for metrics in named.values())]
    columns = [Column(title="Method"), *(metric_column(name, score=score) for name in shown)]
    rows: list[tuple[Cell, ...]] = [
        (label, *(Number(value=metrics.get(name, math.nan)) for name in shown)) for label, metrics in named.items()
    ]
    table = Table(name="metrics", title=title, columns=tuple(columns), rows=tuple(rows))
    rich_table = RichTable(
        title=Text(title), title_justify="left", caption=f"In points ({score} × 100).", caption_justify="left"
    )
    for column, numeric in zip(table.columns, table.is_numeric(), strict=True):
        rich_table.add_column(Text(column.head), justify="right" if numeric else "left")
    for texts, bests in zip(table.texts(), table.is_best(), strict=True):
        rich_table.add_row(*(Text(text, style="bold green" if best else "") for text, best in zip(texts, bests, strict=True)))
    return rich_table


def _ends(items: Sequence[int], most: int) -> list[int | None]:
    """The items, or their first and last ones around None where there are more than `most`.

    >>> _ends([0, 1, 2, 3, 4, 5], 4)
    [0, 1, None, 5]
    """
    if len(items) <= most:
        return list(items)
    last = (most - 1) // 2
    return [*items[: most - 1 - last], None, *items[len(items) - last :]]


def _left_out(num_columns: int, fits: int, score: str) -> str:
    key = f"{_capital(score)} in %. Bold: learned; dim: not yet."
    return key if num_columns <= fits else f"{key} {num_columns - fits + 1} languages are left out to fit; the report has them."


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _score(value: float, low: float, high: float, *, learned: bool) -> Text:
    if math.isnan(value):
        return Text(UNDEFINED, style="dim")
    if not learned:
        return Text(f"{100 * value:.1f}", style="dim")
    scale = THEMES["light"].sequential
    share = min(max((value - low) / (high - low), 0.0), 1.0)
    background = scale[round(share * (len(scale) - 1))]
    ink = "#ffffff" if share > 0.55 else "#101418"
    return Text(f"{100 * value:.1f}", style=Style(bold=True, color=ink, bgcolor=background))

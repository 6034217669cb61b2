"""The paper's Tables 1, 2 and 3: its printed numbers, ours, and the difference."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Callable, Sequence
from functools import cache
from importlib import resources
from typing import Literal

from attrition.analysis.quantities import final_L
from attrition.languages import VITALITIES, OwnLanguages, language_of
from attrition.languages.orders import PAPER_ORDERS
from attrition.metrics import cbt, cft, final_mean
from attrition.metrics.matrix import RMatrix
from attrition.metrics.means import mean_measured
from attrition.names import counted
from attrition.report.tables import Cell, Column, Number, Table
from attrition.results.read import Results, Run
from attrition.results.replicates import per_replicate

PAPER_MODEL = "XLM-R base"
NOT_RUN = Number(value=math.nan)

Value = Callable[[Sequence[Run]], float]
"""A function of the runs of one row."""


@cache
def printed(name: str) -> tuple[dict[str, str], ...]:
    """Return the rows of a table as the paper prints it.

    >>> printed("table2")[0]["cbt"]
    '-0.08'
    """
    text = resources.files("attrition.paper").joinpath("data", f"{name}.csv").read_text(encoding="utf-8")
    return tuple(csv.DictReader(io.StringIO(text)))


def paper_tables(results: Results) -> tuple[Table, ...]:
    """Return Tables 1 and 2 if a method of the paper was run on real text, and Table 3 if an order of the paper was used."""
    kinds = {run.series.kind for run in results.runs if not run.spec.corpus.generated}
    tables = []
    if kinds - {""}:
        tables.append(table_1(results))
    if kinds & {"VANILLA", "SHARED LoRA"}:
        tables.append(table_2(results))
    if any(run.spec.order.name in PAPER_ORDERS for run in results.runs):
        tables.append(table_3(results))
    return tuple(tables)


def table_1(results: Results) -> Table:
    """Return parameters, final F1, and F1 by vitality, as printed in the paper and as measured here (both in percent)."""
    measures: list[tuple[str, str, Value, Literal["high", "low"]]] = [
        ("params_millions", "Params (M)", _millions, "low"),
        ("f1", "F1", lambda runs: 100 * _mean_of(runs, final_mean), "high"),
        *((group.lower(), group, _vitality(group, results.own_languages), "high") for group in VITALITIES),
    ]
    notes = " ".join(f"{row['method']} r = {row['rank']}: {row['note']}." for row in printed("table1") if row["note"])
    return _side_by_side(
        results,
        "table1",
        "Table 1: parameters and F1 (%) by method",
        [(key, title, value, better, 2) for key, title, value, better in measures],
        f"Paper: {PAPER_MODEL}, 52 languages of MASSIVE. {_here(results)} Low, Mid, High: vitality, Joshi classes 0-2, 3-4, 5 "
        f"(the paper does not say where it cuts). {notes}",
    )


def table_2(results: Results) -> Table:
    """Return CBT and CFT of the sequential methods, as printed in the paper and as measured here (both in points of F1)."""
    return _side_by_side(
        results,
        "table2",
        "Table 2: backward and forward transfer (points of F1)",
        [
            ("cbt", "CBT", lambda runs: 100 * _mean_of(runs, cbt), "high", 2),
            ("cft", "CFT", lambda runs: 100 * _mean_of(runs, cft), "high", 2),
        ],
        f"Paper: {PAPER_MODEL}, 52 languages of MASSIVE. {_here(results)} CBT compares with the last row. "
        "The paper prints fractions of F1; here they are multiplied by 100.",
        printed_in=100,
    )


def table_3(results: Results) -> Table:
    """Return the paper's five orders, with errors corrected, and the number of runs here with each."""
    rows: list[tuple[Cell, ...]] = []
    for name, order in PAPER_ORDERS.items():
        runs = [run for run in results.runs if run.spec.order.name == name]
        slips = [f"printed {printed_as}, read as {read_as}" for printed_as, read_as in order.corrections.items()]
        rows.append((name, Number(value=len(runs)), ", ".join(order.locales), "; ".join([*slips, *filter(None, [order.note])])))
    return Table(
        name="table3",
        title="Table 3: the orders of languages",
        columns=(Column(title="Order"), Column(title="Runs here", digits=0), Column(title="Languages"), Column(title="Note")),
        rows=tuple(rows),
        caption=f"A study of fewer languages keeps their sequence. Here: {counted(len(results.languages), 'language')}.",
    )


def _side_by_side(
    results: Results,
    name: str,
    title: str,
    measures: Sequence[tuple[str, str, Value, Literal["high", "low"], int]],
    caption: str,
    printed_in: float = 1,
) -> Table:
    """Return the paper's rows, then our other rows; for each measure the printed number, ours, and the difference."""
    rows: list[tuple[Cell, ...]] = []
    ours = {(series.kind, series.rank, series): runs for series, runs in results.series.items()}
    left = dict(ours)
    for row in printed(name):
        rank = int(row["rank"]) if row["rank"] else None
        matching: list[tuple[Run, ...]] = [left.pop(key) for key in ours if key[:2] == (row["method"], rank)]
        for runs in matching or [()]:
            cells: list[Cell] = []
            for column, _, value, _, _ in measures:
                theirs = printed_in * float(row[column])
                mine = value(runs) if runs else math.nan
                cells += [Number(value=theirs), Number(value=mine), Number(value=mine - theirs)]
            rows.append((_row_name(results, row["method"], rank, runs), *cells))
    wanted = {row["method"] for row in printed(name)}
    for (kind, rank, _), runs in left.items():
        if kind in wanted:
            found = [Number(value=value(runs)) for _, _, value, _, _ in measures]
            rows.append((_row_name(results, kind, rank, runs), *(cell for mine in found for cell in (NOT_RUN, mine, NOT_RUN))))
    columns = [Column(title="Method")]
    for _, heading, _, better, digits in measures:
        columns += [
            Column(title=f"{heading}, paper", group=heading, short="paper", digits=digits, better=better),
            Column(title=f"{heading}, here", group=heading, short="here", digits=digits, better=better),
            Column(title=f"{heading}, difference", group=heading, short="diff.", digits=digits, signed=True),
        ]
    return Table(name=name, title=title, columns=tuple(columns), rows=tuple(rows), caption=caption)


def _row_name(results: Results, method: str, rank: int | None, runs: Sequence[Run]) -> str:
    """Return the paper's name of a row, with an addition if several of our rows have this name."""
    own = f"r = {rank}"
    name = method if rank is None else f"{method} {own}"
    label = results.series_labels[runs[0].series] if runs else method
    others = [part for part in label.split(" · ") if part not in (method, own, name)]
    return f"{name} ({', '.join(others)})" if others else name


def _millions(runs: Sequence[Run]) -> float:
    return float(runs[0].spec.parameters.get("trainable", math.nan)) / 1e6


def _vitality(group: str, own: OwnLanguages) -> Value:
    def mean_of_group(R: RMatrix) -> float:
        scores = zip(R.languages, final_L(R).tolist(), strict=True)
        return float(mean_measured([score for name, score in scores if language_of(name, own).vitality == group]))

    return lambda runs: 100 * _mean_of(runs, mean_of_group)


def _mean_of(runs: Sequence[Run], measure: Callable[[RMatrix], float]) -> float:
    """Return the mean of a number over the replicates of a method."""
    return float(mean_measured(per_replicate(runs, [measure(run.matrix) for run in runs])))


def _here(results: Results) -> str:
    models = ", ".join(results.models.values())
    corpora = ", ".join(dict.fromkeys(run.series.setup.corpus for run in results.runs))
    languages = counted(len(results.languages), "language")
    return f"Here: {models}, {languages} of {corpora}: the difference comes from the whole set-up."

"""Tables of error types and slots, at a language's own stage and at the end."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence

import pandas as pd

from attrition.analysis.intervals import mean_of_replicates
from attrition.report.chapters import Chapter
from attrition.report.tables import Cell, Column, Number, Table, number_of
from attrition.results.errors import COUNTED, errors_of
from attrition.results.packed_counts import ERROR_COLUMNS
from attrition.results.read import Results, Run

MOMENTS = {"own": "own stage", "end": "end"}

FEWEST_SPANS = 20
"""A slot with fewer gold spans in a run is only in the file."""

_TITLES = ("Found", "Wrong label", "Wrong edges", "Both wrong", "Missed", "Spurious")
_HELP = (
    "Gold spans with the right edges and label.",
    "A predicted span has the same edges and another label.",
    "A predicted span of the same label overlaps it; the edges differ.",
    "A predicted span of another label overlaps it; the edges differ.",
    "No predicted span overlaps it.",
    "Predicted spans that overlap no gold span, for 100 gold spans.",
)
_SHARES = ("tp", *ERROR_COLUMNS)


def errors_chapter(results: Results) -> Chapter:
    """Return the chapter on types of errors; empty if no sequential run counted them."""
    found = {results.series_labels[series]: orders for series, runs in results.series.items() if (orders := _by_order(runs))}
    return Chapter(
        anchor="errors",
        title="What goes first",
        text="Each gold span is found or has one type of error. All languages but those of the last stage, at their own stage "
        "and after the last one.",
        tables=(_types_table(found),) if found else (),
        folded=(_slots_table(found, FEWEST_SPANS),) if found else (),
        files=(_slots_table(found, 0, "error-slots-all"),) if found else (),
    )


def _by_order(runs: Sequence[Run]) -> list[pd.DataFrame]:
    """Return counts by slot and moment for each order, summed over languages and averaged over seeds."""
    frames: dict[Hashable, list[pd.DataFrame]] = {}
    for run in runs:
        if run.spec.method.order_matters and (errors := errors_of(run)) is not None:
            frames.setdefault(run.replicate, []).append(errors.groupby(["slot", "moment"])[[*COUNTED]].sum())
    return [sum(each[1:], each[0]) / len(each) for each in frames.values()]


def _types_table(found: Mapping[str, Sequence[pd.DataFrame]]) -> Table:
    rows: list[tuple[Cell, ...]] = []
    for label, orders in found.items():
        totals = [order.groupby("moment").sum() for order in orders]
        own, end = ([_shares(each.T[moment]) for each in totals] for moment in MOMENTS)
        rows += [(label, words, *_means(each)) for words, each in zip(MOMENTS.values(), (own, end), strict=True)]
        rows.append((label, "change", *_means([after - before for before, after in zip(own, end, strict=True)])))
    return Table(
        name="errors",
        title="Gold spans by type of error",
        columns=(
            Column(title="Runs"),
            Column(title="When"),
            *(Column(title=title, times=100, help=each) for title, each in zip(_TITLES, _HELP, strict=True)),
        ),
        rows=tuple(rows),
        caption="In % of gold spans. In brackets: 95% intervals over orders, where there are several. A negative change of "
        "spans found is forgetting.",
    )


def _slots_table(found: Mapping[str, Sequence[pd.DataFrame]], fewest: int, name: str = "error-slots") -> Table:
    """Return the table of slots, the largest loss first."""
    rows: list[tuple[float, tuple[Cell, ...]]] = []
    for label, orders in found.items():
        for slot in orders[0].index.unique("slot"):
            own, end = ([order.loc[(slot, moment)] for order in orders] for moment in MOMENTS)
            gold = sum(float(each["tp"] + each["fn"]) for each in own) / len(own)
            if not gold or gold < fewest:
                continue
            before, after = ([_shares(each) for each in at] for at in (own, end))
            changes = [late - early for early, late in zip(before, after, strict=True)]
            mean = pd.DataFrame(changes).mean()
            grown = _TITLES[1:][int(mean[list(ERROR_COLUMNS[:-1])].to_numpy().argmax())]
            found_own, found_end, change = (_means([each[["tp"]] for each in at])[0] for at in (before, after, changes))
            points = (Number(value=found_own.value), Number(value=found_end.value), change)
            rows.append((mean["tp"], (label, slot, Number(value=gold), *points, grown.lower() if mean["tp"] < 0 else "")))
    return Table(
        name=name,
        title="Slots, the largest loss first",
        columns=(
            Column(title="Runs"),
            Column(title="Slot"),
            Column(title="Gold spans", digits=0, help="In all languages, in one run."),
            Column(title="Found at own stage", times=100, help="In % of gold spans."),
            Column(title="Found at the end", times=100, help="In % of gold spans."),
            Column(title="Change", times=100, signed=True, help="In points; 95% interval over orders."),
            Column(title="Mostly becomes", help="The type of error whose share grows most."),
        ),
        rows=tuple(cells for _, cells in sorted(rows, key=lambda row: row[0])),
        caption=f"Slots with at least {fewest} gold spans in a run." if fewest else "",
    )


def _shares(counts: pd.Series) -> pd.Series:
    """Return each count as a share of gold spans."""
    wanted: pd.Series = counts[list(_SHARES)]
    return wanted / float(counts["tp"] + counts["fn"])


def _means(values: Sequence[pd.Series]) -> tuple[Number, ...]:
    return tuple(number_of(mean_of_replicates([float(each[name]) for each in values])) for name in values[0].index)

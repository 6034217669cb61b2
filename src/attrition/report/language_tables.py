"""Tables of languages and groups as donors and receivers, with intervals, from the sequential runs of one method."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Literal

from attrition.analysis.evidence import by_series, from_results, replicates, seeds_averaged
from attrition.analysis.groups import GroupEstimate, by_group, by_group_of_runs, trained_of
from attrition.analysis.intervals import Estimate
from attrition.analysis.moderation import per_language
from attrition.analysis.pairwise import DonorsAndReceivers, Ranked, donors_and_receivers
from attrition.analysis.position import Slope, position_effect
from attrition.analysis.quantities import QUANTITIES
from attrition.languages import UNKNOWN_GROUP, OwnLanguages, grouping, language_of
from attrition.metrics import composition, receiver, shift_fixed, shift_growing
from attrition.metrics.matrix import RMatrix
from attrition.metrics.several import PerLanguage, languages_of
from attrition.names import capitalised, counted
from attrition.report.figures import language_name
from attrition.report.tables import UNDEFINED, Cell, Column, Number, Table, number_of
from attrition.results.read import Results, Run
from attrition.results.replicates import distinct

SHOWN_GROUPINGS = MappingProxyType({"latin": "", "vitality": "vitality: "})
"""Groupings with few groups, for the page, and the prefixes of their groups' names."""

GROUPINGS = MappingProxyType({**SHOWN_GROUPINGS, "script": "script: ", "family": "family: ", "branch": "branch: "})
"""All groupings, for files."""

GROUPING_MEASURES = ("final", "kept", "shift_growing", "shift_fixed", "mft", "mbt")
"""The columns for each group of a requested grouping."""

_GROUP_COLUMNS = (
    *(Column(title="Group"), Column(title="Quantity"), Column(title="Languages", digits=0)),
    Column(title="Mean", times=100, digits=2),
    *(
        Column(title=f"95% over {over}, {end}", group=f"95% over {over}", short=end, times=100, digits=2)
        for over in ("languages", "orders")
        for end in ("low", "high")
    ),
)
_GROUP_CAPTION = "In points; 95% intervals by Student's t, – where there are fewer than two."

_CHANGES = ("kept", "own_stage", "final", "receiver_learned", "donor_learned")
"""The quantities of the table of what each language lost."""

SHOWN_MEASURES = ("final", "kept", "shift_fixed", "mft", "mbt")
"""The measures on the page; the file has all measures."""


def language_tables(results: Results) -> tuple[tuple[Table, ...], tuple[Table, ...]]:
    """Return tables for the page (languages, groups) and for files (every group, every pair); none without sequential runs."""
    runs = _sequential(results)
    if not runs or runs[0].matrix.num_stages < 2:
        return (), ()
    matrices = seeds_averaged(from_results(results).sequential())
    series = results.series_labels[runs[0].series]
    which = f"{series}, {counted(len(distinct(runs)), 'run')}; seeds of one order are averaged first."
    found = donors_and_receivers(matrices)
    languages = _languages_table(matrices, found, which, results.own_languages)
    pairs = _pairs_table(found.pairs, which)
    own = results.own_languages
    if not any(language_of(label, own).script for label in languages_of(matrices)):
        return (languages,), (pairs,)
    shown = _groups_table("groups", "Groups of languages", matrices, SHOWN_GROUPINGS, SHOWN_MEASURES, which, own)
    every = _groups_table("groups-all", "Every group and measure", matrices, GROUPINGS, tuple(QUANTITIES), which, own)
    return (languages, shown), (every, pairs)


def language_changes(results: Results) -> tuple[Table, ...]:
    """Return the table of each language's change, largest loss first, with intervals; () without sequential runs."""
    evidence = from_results(results)
    runs = [run for run in evidence.sequential() if run.matrix.num_stages > 1]
    if not runs:
        return ()
    found: dict[str, dict[str, Estimate]] = {}
    for name in _CHANGES:
        function = QUANTITIES[name].function
        added_L = None if evidence.utterances is None else evidence.utterances.main_variance_L(runs, function)
        found[name] = per_language(replicates(runs, function), added_L)
    own = results.own_languages
    known = {language: language_of(language, own) for language in found["kept"]}
    kept = {language: each.value for language, each in found["kept"].items()}
    rows: list[tuple[Cell, ...]] = [
        (
            language_name(language, own),
            *(number_of(found[name][language]) for name in _CHANGES),
            known[language].script or UNDEFINED,
            known[language].family or UNDEFINED,
        )
        for language in sorted(known, key=lambda each: math.inf if math.isnan(kept[each]) else kept[each])
    ]
    columns = (
        Column(title="Language"),
        _points("Change", "", "", "From the own stage to the end, in points: negative is forgetting.", digits=1),
        Column(
            title=f"{capitalised(results.score)} at own stage",
            times=100,
            better="high",
            help="In percent, right after its own stage.",
        ),
        Column(
            title=f"{capitalised(results.score)} at the end", times=100, better="high", help="In percent, after the last stage."
        ),
        _points("Per later stage", "", "", "Mean change at each stage after its own, in points.", digits=1),
        _points("Effect on others", "", "", "Mean change on languages learned before, when it is trained.", digits=1),
        Column(title="Script"),
        Column(title="Family"),
    )
    series = results.series_labels[_sequential(results)[0].series]
    intervals = (
        "In brackets: 95% confidence intervals."
        if any(each.known for by_language in found.values() for each in by_language.values())
        else "One order gives no confidence intervals."
    )
    caption = f"{series}. Largest loss first. {intervals} – was not measured: a language learned last has no later stage."
    return (Table(name="changes", title="What each language lost", columns=columns, rows=tuple(rows), caption=caption),)


def _sequential(results: Results) -> tuple[Run, ...]:
    """Return the runs for verdicts on languages."""
    chosen = {id(each.matrix) for each in from_results(results).sequential()}
    return tuple(run for run in results.runs if id(run.matrix) in chosen)


def grouping_tables(results: Results, groupings: Sequence[str]) -> tuple[Table, ...]:
    """Return a table for each grouping (a name or a user's file): every method, group and measure that is defined.

    Raises:
        AttritionError: a grouping is unknown, cannot be read, or lacks a trained language.
    """
    return tuple(_grouping_table(results, by, number) for number, by in enumerate(groupings, start=1))


def _grouping_table(results: Results, by: str, number: int) -> Table:
    rows: list[tuple[Cell, ...]] = []
    for series, runs in by_series(results).items():
        groups = grouping(by, trained_of([run.matrix for run in runs]), own=results.own_languages)
        estimates = by_group_of_runs(runs, groups, quantities=GROUPING_MEASURES)
        label = results.series_labels[series]
        rows += [(label, each.group, *_group_row(each)) for each in estimates if not math.isnan(each.mean)]
    columns = (Column(title="Method"), *_GROUP_COLUMNS)
    caption = f"Every language's mean over orders, and the mean of these over a group. {_group_caption(rows, 1)}"
    return Table(name=f"groups-{number}", title=f"By {Path(by).name}", columns=columns, rows=tuple(rows), caption=caption)


def _languages_table(matrices: Sequence[RMatrix], found: DonorsAndReceivers, which: str, own: OwnLanguages) -> Table:
    """Return each language as donor and receiver, with its ranks and its shifts; best donors first."""
    receivers = receiver(matrices)
    growing, fixed, composed = shift_growing(matrices), shift_fixed(matrices), composition(matrices)
    adjusted = position_effect(matrices)
    places = {language: place for place, language in enumerate(adjusted.languages)}
    rows: list[tuple[Cell, ...]] = []
    unranked = [language for language in receivers.languages if language not in {entry.language for entry in found.donors}]
    for language in [*(entry.language for entry in found.donors), *unranked]:
        place = places[language]
        rows.append(
            (
                language_name(language, own),
                _rank(found.donors, language),
                _value(found.donors, language),
                _value(found.donors_learned, language),
                _value(found.donors_unlearned, language),
                _rank(found.receivers, language),
                _value(found.receivers, language),
                Number(value=growing[language]),
                Number(value=fixed[language]),
                Number(value=composed[language]),
                Number(value=float(adjusted.adjusted_L[place]), spread=float(adjusted.standard_error_L[place])),
                *_slope(adjusted.by_language[language]),
                Number(value=float(adjusted.position_L[place])),
            )
        )
    donors = "The mean change on the others when it is trained, mean over b of D[a, b]"
    doubling = "Its own slope: the change of its fixed shift per doubling of the number of languages learned before."
    columns = (
        Column(title="Language"),
        Column(title="Donor, rank", group="Donor", short="rank", digits=0),
        _points("Donor, all", "Donor", "all", f"{donors}."),
        _points("Donor, learned", "Donor", "learned", f"{donors}, b learned before a."),
        _points("Donor, to come", "Donor", "to come", f"{donors}, b not learned yet."),
        Column(title="Receiver, rank", group="Receiver", short="rank", digits=0),
        _points("Receiver, all", "Receiver", "all", "The mean change on it when others are trained, mean over a of D[a, b]."),
        _points("Shift, growing", "Shift", "growing", "P_p - P_(p-1), its own score included."),
        _points("Shift, fixed", "Shift", "fixed", "The change on the languages learned before."),
        _points("Shift, composition", "Shift", "composition", "Growing minus fixed.", better=False),
        _points("Shift, adjusted", "Shift", "adjusted", "Fixed, adjusted to one position, ± its standard error."),
        *(
            _points(f"Per doubling, {short}", "Per doubling", short, f"{doubling} {text}", better=False)
            for short, text in (("slope", "Needs 3 orders."), ("low", "95% interval."), ("high", "95% interval."))
        ),
        Column(title="Position", digits=1, help="Its mean position in the orders."),
    )
    caption = f"{which} In points, a gain positive; ranks: 1 is best. {adjusted.statement}"
    return Table(name="languages", title="Donors and receivers", columns=columns, rows=tuple(rows), caption=caption)


def _points(title: str, group: str, short: str, text: str, *, better: bool = True, digits: int = 2) -> Column:
    best: Literal["high"] | None = "high" if better else None
    return Column(title=title, group=group, short=short, times=100, signed=True, better=best, digits=digits, help=text)


def _slope(slope: Slope) -> tuple[Number, ...]:
    """Return the slope and the ends of its interval, per doubling of the number of languages learned before."""
    return tuple(Number(value=value * math.log(2)) for value in (slope.value, slope.low, slope.high))


def _rank(entries: Sequence[Ranked], language: str) -> Number:
    return Number(value=next((float(entry.rank) for entry in entries if entry.language == language), math.nan))


def _value(entries: Sequence[Ranked], language: str) -> Number:
    return Number(value=next((entry.value for entry in entries if entry.language == language), math.nan))


def _groups_table(
    name: str,
    title: str,
    matrices: Sequence[RMatrix],
    groupings: MappingProxyType[str, str],
    measures: Sequence[str],
    which: str,
    own: OwnLanguages,
) -> Table:
    """Return the mean of each group and measure, with intervals over languages and over orders."""
    rows: list[tuple[Cell, ...]] = []
    for by, before in groupings.items():
        estimates = by_group(matrices, grouping(by, languages_of(matrices), own=own), quantities=measures)
        rows += [(before + estimate.group, *_group_row(estimate)) for estimate in estimates]
    caption = f"{which} {_group_caption(rows, 0)}"
    return Table(name=name, title=title, columns=_GROUP_COLUMNS, rows=tuple(rows), caption=caption)


def _group_caption(rows: Sequence[tuple[Cell, ...]], column: int) -> str:
    """Return an explanation of the intervals, and of the group of unknown languages if there is one."""
    unknown = f"Languages without known attributes form the group '{UNKNOWN_GROUP}': see `corpus.languages`."
    return f"{_GROUP_CAPTION} {unknown}" if any(str(row[column]).endswith(UNKNOWN_GROUP) for row in rows) else _GROUP_CAPTION


def _group_row(estimate: GroupEstimate) -> tuple[Cell, ...]:
    intervals = (estimate.over_languages, estimate.over_orders)
    return (
        QUANTITIES[estimate.quantity].title,
        Number(value=estimate.num_languages),
        Number(value=estimate.mean),
        *(Number(value=value) for interval in intervals for value in (interval.low, interval.high)),
    )


def _pairs_table(pairs: PerLanguage, which: str) -> Table:
    """Return D, a row for each pair with its number of orders."""
    rows: list[tuple[Cell, ...]] = [
        (trained, changed, Number(value=float(pairs.values[a, b])), Number(value=float(pairs.counts[a, b])))
        for a, trained in enumerate(pairs.languages)
        for b, changed in enumerate(pairs.languages)
        if a != b and pairs.counts[a, b]
    ]
    columns = (
        Column(title="Trained (a)"),
        Column(title="Changed (b)"),
        Column(title="D[a, b]", times=100, digits=2, signed=True),
        Column(title="Orders", digits=0),
    )
    return Table(name="pairs", title="Effects of pairs", columns=columns, rows=tuple(rows), caption=which)

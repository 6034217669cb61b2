"""The paper's claims put to this study's data: supported, contradicted, or not decided, each with its statistic and interval.

A claim is one or more comparisons, each with a sign that the paper expects. A comparison supports the claim when its 95%
intervals, over languages and over runs (orders and seeds), lie wholly on that side of 0, and contradicts it when they lie
wholly on the other. What the data cannot decide is said to be not decided, with what it would need.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from attrition.analysis.bootstrap import Interval, draws_BU, percentile_interval
from attrition.analysis.groups import MEASURES, group_difference
from attrition.matrix import RMatrix
from attrition.metrics.means import mean_measured
from attrition.metrics.several import Floats, languages_of, per_order
from attrition.report.results import Results, Run
from attrition.report.tables import MINUS, Column, Table

NUM_RESAMPLES = 1000

Outcome = Literal["supports", "contradicts", "open"]
Verdict = Literal["Supported", "Partly supported", "Mixed", "Partly contradicted", "Contradicted", "Not decided"]


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """A difference in points, with its intervals over languages and over runs.

    `expected` is the paper's sign, `margin` how far from 0 (points) the intervals must lie; for `small` differences
    the claim is that they lie within the margin.
    """

    what: str
    over_languages: Interval
    over_runs: Interval
    num_languages: int
    num_runs: int
    expected: Literal[-1, 1] = 1
    margin: float = 0.0
    claims_small: bool = False

    @property
    def outcome(self) -> Outcome:
        """Whether the intervals lie on the side that the paper expects; those that cannot be computed decide nothing."""
        intervals = [interval for interval in (self.over_languages, self.over_runs) if not math.isnan(interval.low)]
        lows = [100 * self.expected * (interval.low if self.expected > 0 else interval.high) for interval in intervals]
        highs = [100 * self.expected * (interval.high if self.expected > 0 else interval.low) for interval in intervals]
        if not intervals:
            return "open"
        if self.claims_small:
            within = max(highs) < self.margin
            return "supports" if within else "contradicts" if min(lows) > self.margin else "open"
        if min(lows) > self.margin:
            return "supports"
        return "contradicts" if max(highs) < -self.margin else "open"

    def words(self) -> str:
        """The statistic as it is read."""
        parts = [f"{self.what}: {_points(self.over_languages.estimate)} points"]
        if not math.isnan(self.over_languages.low):
            parts.append(f"95% over {self.num_languages} languages {_range(self.over_languages)}")
        if not math.isnan(self.over_runs.low):
            parts.append(f"over {self.num_runs} runs {_range(self.over_runs)}")
        elif self.num_runs == 1:
            parts.append("one run")
        return parts[0] + (f" ({', '.join(parts[1:])})" if parts[1:] else "") + "."


@dataclass(frozen=True)
class Needs:
    """What a comparison would need and this study does not have."""

    what: str


Found = Comparison | Needs


@dataclass(frozen=True, kw_only=True)
class Claim:
    """A claim of the paper, the verdict of this study's data, and the numbers behind it."""

    title: str
    section: str
    found: tuple[Found, ...]

    @property
    def verdict(self) -> Verdict:
        """What the comparisons say together; not decided where none decides, or where one of them lacks its data."""
        outcomes = [each.outcome for each in self.found if isinstance(each, Comparison)]
        if len(outcomes) < len(self.found) or not outcomes:
            return "Not decided"
        if all(outcome == "supports" for outcome in outcomes):
            return "Supported"
        if all(outcome == "contradicts" for outcome in outcomes):
            return "Contradicted"
        if "supports" in outcomes:
            return "Mixed" if "contradicts" in outcomes else "Partly supported"
        return "Partly contradicted" if "contradicts" in outcomes else "Not decided"

    @property
    def lacks_nothing(self) -> bool:
        """Whether every comparison could be made, whatever came of it."""
        return not any(isinstance(each, Needs) for each in self.found)

    @property
    def words(self) -> str:
        """The comparisons, and what is missing."""
        said = [each.words() for each in self.found if isinstance(each, Comparison)]
        needed = list(dict.fromkeys(each.what for each in self.found if isinstance(each, Needs)))
        return " ".join([*said, *([f"Needs {'; '.join(needed)}."] if needed else [])])


@dataclass(frozen=True)
class Evidence:
    """The runs of a study, as claims ask for them."""

    results: Results

    def of(self, kind: str, *, rank: int | None = None) -> tuple[Run, ...]:
        """The runs of a method of the paper: of the given rank, or of the one that has most runs; () if there is none.

        Runs of several models, corpora or cuts are never mixed: the series with most runs is taken.
        """
        matching = [
            runs
            for series, runs in self.results.series.items()
            if series.kind == kind and (rank is None or series.rank == rank)
        ]
        return max(matching, key=len, default=())

    def ranks(self, kind: str) -> list[int]:
        """The ranks at which a method was run, in rising order."""
        return sorted({series.rank for series in self.results.series if series.kind == kind and series.rank is not None})

    def sequential(self) -> tuple[Run, ...]:
        """The runs that claims about languages are put to: VANILLA as in the paper, or SHARED LoRA where there is none."""
        return self.of("VANILLA") or self.of("SHARED LoRA")


def methods_differ(
    evidence: Evidence,
    first: str,
    second: str,
    measure: str,
    *,
    expected: Literal[-1, 1] = 1,
    ranks: tuple[int | None, int | None] = (None, None),
    margin: float = 0.0,
    claims_small: bool = False,
) -> Found:
    """Method `first` minus method `second`, language by language, on runs of the same order and seed where both have them."""
    one, other = evidence.of(first, rank=ranks[0]), evidence.of(second, rank=ranks[1])
    names = [_named(kind, rank) for kind, rank in zip((first, second), ranks, strict=True)]
    missing = [name for name, runs in zip(names, (one, other), strict=True) if not runs]
    if missing:
        return Needs(f"runs of {' and '.join(missing)}")
    differences_OL = _differences(one, other, unseen_L if measure == "unseen" else MEASURES[measure].function)
    if len(differences_OL) < 2 and any(
        not run.matrix.joint and run.spec.method.shared_by != "language" for run in (*one, *other)
    ):
        return Needs("a second order or seed")
    what = f"{names[0]} minus {names[1]}, {MEASURE_NAMES[measure]}"
    return _comparison(what, differences_OL, expected, margin, claims_small)


def method_mean(evidence: Evidence, kind: str, measure: str, *, expected: Literal[-1, 1]) -> Found:
    """The mean of a measure over the languages of one method, against 0."""
    runs = evidence.of(kind)
    if not runs:
        return Needs(f"runs of {kind}")
    if len(runs) < 2:
        return Needs("a second order or seed")
    values_OL = per_order([run.matrix for run in runs], MEASURES[measure].function)
    return _comparison(f"{kind}, {MEASURE_NAMES[measure]}", values_OL, expected, 0.0, False)


def groups_differ(
    evidence: Evidence,
    groups: Mapping[str, str],
    first: str,
    second: str,
    measure: str,
    *,
    expected: Literal[-1, 1],
    runs: Sequence[Run] | None = None,
) -> Found:
    """The mean over the languages of group `first` minus that of group `second`, in the runs given or the sequential ones."""
    runs = evidence.sequential() if runs is None else runs
    if not runs:
        return Needs("runs of VANILLA or SHARED LoRA")
    sequential = runs[0].matrix.num_stages > 1 and runs[0].spec.method.shared_by != "language"
    if sequential and len({run.spec.order.languages for run in runs}) < 2:
        return Needs("a second order, to tell languages from their positions")
    matrices = [run.matrix for run in runs]
    members = {language: groups.get(language, "") for language in languages_of(matrices)}
    for group in (first, second):
        size = sum(of == group for of in members.values())
        if size < 2:
            return Needs(f"two languages or more of the group {group} (here: {size})")
    found = group_difference(matrices, members, first, second, measure, num_resamples=NUM_RESAMPLES)
    if math.isnan(found.mean):
        return Needs(f"more stages, so that {MEASURE_NAMES[measure]} is defined in both groups")
    return Comparison(
        what=f"{runs[0].spec.method.name}, {MEASURE_NAMES[measure]}, {first} minus {second}",
        over_languages=found.over_languages,
        over_runs=found.over_orders,
        num_languages=found.num_languages,
        num_runs=found.num_orders,
        expected=expected,
    )


def claims_table(claims: Sequence[Claim]) -> Table:
    """The claims as a table: section, claim, verdict, evidence."""
    return Table(
        name="claims",
        title="The paper's claims and this study's data",
        columns=tuple(Column(title=title) for title in ("Section", "Claim", "Verdict", "Evidence")),
        rows=tuple((claim.section, claim.title, claim.verdict, claim.words) for claim in claims),
    )


MEASURE_NAMES: Mapping[str, str] = {
    "final": "final F1",
    "change": "change from its own stage to the end",
    "unseen": "F1 before its own stage",
    "mft": "MFT",
    "mbt": "MBT",
    "donor": "donor strength",
    "receiver": "receiver strength",
    "shift_growing": "change of P when trained (growing)",
    "shift_fixed": "change on those learned before when trained (fixed)",
}


def unseen_L(R: RMatrix) -> Floats:
    """Each language's mean score over the stages before its own: what CFT averages, language by language.

    >>> unseen_L(RMatrix.sequential("abc", [[.75, .25, .125], [.5, .875, .25], [.625, .5, 1]])).tolist()
    [nan, 0.25, 0.1875]
    """
    return mean_measured(np.where(R.learned_SL, np.nan, R.scores_SL), axis=0)


def _differences(one: Sequence[Run], other: Sequence[Run], function: Callable[[RMatrix], Floats]) -> Floats:
    """Differences per pair of runs and language: pairs of one order and seed where both sides have them, else the means."""
    matrices = [run.matrix for run in (*one, *other)]
    values_OL = per_order(matrices, function)
    first_OL, second_OL = values_OL[: len(one)], values_OL[len(one) :]
    places = {(run.spec.order.languages, run.spec.seed): place for place, run in enumerate(other)}
    pairs = [(place, places.get((run.spec.order.languages, run.spec.seed))) for place, run in enumerate(one)]
    paired = [(a, b) for a, b in pairs if b is not None]
    if len(paired) == min(len(one), len(other)):
        return np.array([first_OL[a] - second_OL[b] for a, b in paired])
    if len(one) == 1 or len(other) == 1:  # one run of a method that knows no order, against all of the other
        return np.asarray(first_OL - second_OL)
    return np.asarray(mean_measured(first_OL, axis=0) - mean_measured(second_OL, axis=0))[None, :]


def _comparison(what: str, values_OL: Floats, expected: Literal[-1, 1], margin: float, claims_small: bool) -> Comparison:
    per_language_L = mean_measured(values_OL, axis=0)
    per_language_L = per_language_L[~np.isnan(per_language_L)]
    per_run_O = mean_measured(values_OL, axis=1)
    per_run_O = per_run_O[~np.isnan(per_run_O)]
    return Comparison(
        what=what,
        over_languages=_interval(per_language_L),
        over_runs=_interval(per_run_O),
        num_languages=len(per_language_L),
        num_runs=len(per_run_O),
        expected=expected,
        margin=margin,
        claims_small=claims_small,
    )


def _interval(values: Floats) -> Interval:
    """The bootstrap interval of a mean; undefined for fewer than two values."""
    mean = float(mean_measured(values))
    if len(values) < 2:
        return percentile_interval(mean, np.empty(0))
    return percentile_interval(mean, draws_BU(len(values), NUM_RESAMPLES, seed=0).astype(np.float64) @ values / len(values))


def _named(kind: str, rank: int | None) -> str:
    return kind if rank is None else f"{kind} r = {rank}"


def _points(fraction: float) -> str:
    return f"{100 * fraction:+.1f}".replace("-", MINUS)


def _range(interval: Interval) -> str:
    return f"{_points(interval.low)} to {_points(interval.high)}"

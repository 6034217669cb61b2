"""What decides a claim: differences between methods, groups of languages and single languages, each with its intervals.

Shape letters: O orders (runs), L languages.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Literal

import numpy as np

from attrition.analysis.bootstrap import Interval, draws_BU, percentile_interval
from attrition.analysis.groups import MEASURES, group_difference
from attrition.matrix import RMatrix
from attrition.metrics import learned_mean
from attrition.metrics.means import mean_measured
from attrition.metrics.several import Floats, languages_of, per_order
from attrition.report.claims import Comparison, Evidence, Found, Needs
from attrition.results.read import Run

NUM_RESAMPLES = 1000

Sign = Literal[-1, 1]


def methods_differ(
    evidence: Evidence,
    first: str,
    second: str,
    measure: str,
    *,
    expected: Sign = 1,
    ranks: tuple[int | None, int | None] = (None, None),
    at_least: float = 0.0,
    at_most: float = math.inf,
) -> Found:
    """Method `first` minus method `second`, language by language, on runs of the same order and seed where both have them."""
    one, other = evidence.of(first, rank=ranks[0]), evidence.of(second, rank=ranks[1])
    names = [_named(kind, rank) for kind, rank in zip((first, second), ranks, strict=True)]
    missing = [name for name, runs in zip(names, (one, other), strict=True) if not runs]
    if missing:
        return Needs(f"runs of {' and '.join(missing)}")
    differences_OL = _differences(one, other, _function(measure))
    if len(differences_OL) < 2 and any(depends_on_order(run) for run in (*one, *other)):
        return Needs("a second order or seed")
    what = f"{names[0]} minus {names[1]}, {MEASURE_NAMES[measure]}"
    return compare(what, differences_OL, expected, at_least=at_least, at_most=at_most)


def method_mean(evidence: Evidence, kind: str, measure: str, *, expected: Sign) -> Found:
    """The mean of a measure over the languages of one method, against 0."""
    runs = evidence.of(kind)
    if not runs:
        return Needs(f"runs of {kind}")
    if len(runs) < 2:
        return Needs("a second order or seed")
    values_OL = per_order([run.matrix for run in runs], _function(measure))
    return compare(f"{kind}, {MEASURE_NAMES[measure]}", values_OL, expected)


def groups_differ(
    evidence: Evidence,
    groups: Mapping[str, str],
    first: str,
    second: str,
    measure: str,
    *,
    expected: Sign,
    runs: Sequence[Run] | None = None,
) -> Found:
    """The mean over the languages of group `first` minus that of group `second`, in the runs given or the sequential ones."""
    runs = evidence.sequential() if runs is None else runs
    if not runs:
        return Needs("runs of VANILLA or SHARED LoRA")
    if one_order(runs):
        return Needs(ANOTHER_ORDER)
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


ANOTHER_ORDER = "a second order, to tell languages from their positions"

MEASURE_NAMES: Mapping[str, str] = {
    "final": "final F1",
    "change": "change from its own stage to the end",
    "unseen": "F1 before its own stage",
    "taught": "F1 just before its own stage minus F1 before any training",
    "mft": "MFT",
    "mbt": "MBT",
    "donor": "donor strength",
    "receiver": "receiver strength",
    "shift_growing": "change of P when trained (growing)",
    "shift_fixed": "change on those learned before when trained (fixed)",
}


def models_differ(first: Evidence, second: Evidence, names: tuple[str, str], kind: str, *, expected: Sign) -> Found:
    """One method with two models: the final F1 with the first minus that with the second, language by language."""
    one, other = first.of(kind), second.of(kind)
    if not one or not other:
        return Needs(f"runs of {kind} with both models")
    differences_OL = _differences(one, other, _function("final"))
    if len(differences_OL) < 2 and any(depends_on_order(run) for run in (*one, *other)):
        return Needs("a second order or seed")
    return compare(f"{kind}, final F1, {names[0]} minus {names[1]}", differences_OL, expected)


def language_differs(
    evidence: Evidence, language: str, measure: str, *, expected: Sign, others: Collection[str] | None = None
) -> Found:
    """A single language minus the mean of the others (all, or those named) in the sequential runs."""
    runs = evidence.sequential()
    if not runs:
        return Needs("runs of VANILLA or SHARED LoRA")
    if one_order(runs):
        return Needs(ANOTHER_ORDER)
    matrices = [run.matrix for run in runs]
    languages = languages_of(matrices)
    compared = [place for place, name in enumerate(languages) if name != language and (others is None or name in others)]
    if language not in languages or len(compared) < 2:
        return Needs(f"{language} and " + (f"two of {', '.join(others)}" if others else "two other languages"))
    values_OL = per_order(matrices, _function(measure))
    differences_OL = values_OL[:, [languages.index(language)]] - values_OL[:, compared]
    if np.isnan(differences_OL).all():
        return Needs(f"more stages, so that {MEASURE_NAMES[measure]} of {language} is defined")
    rest = "the others" if others is None else ", ".join(languages[place] for place in compared)
    return compare(f"{name_of(runs)}, {MEASURE_NAMES[measure]}, {language} minus {rest}", differences_OL, expected)


def gap_differs(
    one: Sequence[Run],
    other: Sequence[Run],
    groups: Mapping[str, str],
    names: tuple[str, str],
    measure: str,
    *,
    expected: Sign,
) -> Found:
    """The gap between two groups in some runs minus the gap in others, on runs of the same order and seed."""
    pairs = _pairs(one, other)
    if len(pairs) < 2:
        return Needs("two runs of the same orders and seeds under each cut into words")
    values_OL = _differences([one[a] for a, _ in pairs], [other[b] for _, b in pairs], _function(measure))
    languages = languages_of([run.matrix for run in (*one, *other)])
    first, second = ([i for i, language in enumerate(languages) if groups.get(language) == name] for name in names)
    if min(len(first), len(second)) < 2:
        return Needs(f"two languages or more of the groups {' and '.join(names)}")
    gap_OL = values_OL[:, first] - mean_measured(values_OL[:, second], axis=1)[:, None]
    cuts = " against ".join(runs[0].series.cuts or "blanks" for runs in (one, other))
    return compare(f"{name_of(one)}, {MEASURE_NAMES[measure]}, {names[0]} minus {names[1]}, {cuts}", gap_OL, expected)


def curve_mean(
    evidence: Evidence, kind: str, curve: str, *, expected: Sign, at_least: float = 0.0, at_most: float = math.inf
) -> Found:
    """A number of P over the sequence of one method (see `CURVES`), between limits in points."""
    runs = evidence.of(kind)
    if len(runs) < 2:
        return Needs("a second order or seed" if runs else f"runs of {kind}")
    return compare(f"{kind}, {CURVE_NAMES[curve]}", _curve_O1(runs, curve), expected, at_least=at_least, at_most=at_most)


def curves_differ(evidence: Evidence, first: str, second: str, curve: str, *, expected: Sign) -> Found:
    """A number of P over the sequence: method `first` minus method `second`, on runs of the same order and seed."""
    one, other = evidence.of(first), evidence.of(second)
    missing = [kind for kind, runs in ((first, one), (second, other)) if not runs]
    if missing:
        return Needs(f"runs of {' and '.join(missing)}")
    pairs = _pairs(one, other)
    if len(pairs) < 2:
        return Needs("a second order or seed")
    values_O1 = _curve_O1([one[a] for a, _ in pairs], curve) - _curve_O1([other[b] for _, b in pairs], curve)
    return compare(f"{first} minus {second}, {CURVE_NAMES[curve]}", values_O1, expected)


def unseen_L(R: RMatrix) -> Floats:
    """Each language's mean score over the stages before its own: what CFT averages, language by language.

    >>> unseen_L(RMatrix.sequential("abc", [[.75, .25, .125], [.5, .875, .25], [.625, .5, 1]])).tolist()
    [nan, 0.25, 0.1875]
    """
    return mean_measured(np.where(R.learned_SL, np.nan, R.scores_SL), axis=0)


def taught_L(R: RMatrix) -> Floats:
    """What training other languages taught about each, just before its own stage: R[p-1, x] - R[0, x], the terms of FWT.

    >>> R = RMatrix.sequential("abc", [[.75, .25, .125], [.5, .875, .25], [.625, .5, 1]], before_L=[.125, 0, .125])
    >>> taught_L(R).tolist()
    [nan, 0.25, 0.125]
    """
    if R.before_L is None:
        return np.full(len(R.languages), np.nan)
    just_before_L = R.scores_SL[R.stage_L.clip(max=R.num_stages) - 1, np.arange(len(R.languages))]
    return np.where((R.stage_L > 0) & (R.stage_L < R.num_stages), just_before_L - R.before_L, np.nan)


def fall(R: RMatrix) -> float:
    """P at the end minus P at its height: what the mean over learned languages lost on the way.

    >>> fall(RMatrix.sequential("abc", [[.75, .25, .125], [.5, .875, .25], [.625, .5, .875]]))  # .6667 - .75
    -0.08333...
    """
    P_S = learned_mean(R)
    return float(P_S[-1] - P_S.max())


def swing(R: RMatrix) -> float:
    """The height of P minus its depth over the sequence.

    >>> swing(RMatrix.sequential("abc", [[.75, .25, .125], [.5, .875, .25], [.625, .5, 1]]))  # .75 - .6875
    0.0625
    """
    P_S = learned_mean(R)
    return float(P_S.max() - P_S.min())


CURVES: Mapping[str, Callable[[RMatrix], float]] = {"fall": fall, "swing": swing}

CURVE_NAMES: Mapping[str, str] = {"fall": "P at the end minus P at its height", "swing": "range of P over the sequence"}


def _curve_O1(runs: Sequence[Run], curve: str) -> Floats:
    return np.array([[CURVES[curve](run.matrix)] for run in runs])


def _function(measure: str) -> Callable[[RMatrix], Floats]:
    own = {"unseen": unseen_L, "taught": taught_L}
    return own[measure] if measure in own else MEASURES[measure].function


def depends_on_order(run: Run) -> bool:
    """Whether later languages can change what earlier ones score: not with joint training, nor with a learner for each."""
    return not run.matrix.joint and run.spec.method.shared_by != "language"


def one_order(runs: Sequence[Run]) -> bool:
    """Whether languages cannot be told from their positions."""
    return depends_on_order(runs[0]) and runs[0].matrix.num_stages > 1 and len({run.spec.order.languages for run in runs}) < 2


def name_of(runs: Sequence[Run]) -> str:
    return runs[0].spec.method.name


def _pairs(one: Sequence[Run], other: Sequence[Run]) -> list[tuple[int, int]]:
    """The places of runs of the same order and seed."""
    places = {(run.spec.order.languages, run.spec.seed): place for place, run in enumerate(other)}
    keys = [(run.spec.order.languages, run.spec.seed) for run in one]
    return [(place, places[key]) for place, key in enumerate(keys) if key in places]


def _differences(one: Sequence[Run], other: Sequence[Run], function: Callable[[RMatrix], Floats]) -> Floats:
    """Differences per pair of runs and language: runs of one order and seed, or each run against a method without orders."""
    values_OL = per_order([run.matrix for run in (*one, *other)], function)
    first_OL, second_OL = values_OL[: len(one)], values_OL[len(one) :]
    ordered = [all(depends_on_order(run) for run in runs) for runs in (one, other)]
    if ordered == [True, False]:
        return np.asarray(first_OL - mean_measured(second_OL, axis=0))
    if ordered == [False, True]:
        return np.asarray(mean_measured(first_OL, axis=0) - second_OL)
    paired = _pairs(one, other)
    if len(paired) == min(len(one), len(other)):
        return np.array([first_OL[a] - second_OL[b] for a, b in paired])
    return np.asarray(mean_measured(first_OL, axis=0) - mean_measured(second_OL, axis=0))[None, :]


def compare(
    what: str,
    values_OL: Floats,
    expected: Sign,
    *,
    at_least: float = 0.0,
    at_most: float = math.inf,
    units: str = "languages",
) -> Comparison:
    """The mean of a value per run and unit (a language, or whatever `units` says), with intervals over both."""
    per_language_L = mean_measured(values_OL, axis=0)
    per_language_L = per_language_L[~np.isnan(per_language_L)]
    per_run_O = mean_measured(values_OL, axis=1)
    per_run_O = per_run_O[~np.isnan(per_run_O)]
    return Comparison(
        what=what,
        over_languages=interval_of(per_language_L),
        over_runs=interval_of(per_run_O),
        num_languages=len(per_language_L),
        num_runs=len(per_run_O),
        expected=expected,
        at_least=at_least,
        at_most=at_most,
        units=units,
    )


def interval_of(values: Floats) -> Interval:
    """The bootstrap interval of a mean; undefined for fewer than two values."""
    mean = float(mean_measured(values))
    if len(values) < 2:
        return percentile_interval(mean, np.empty(0))
    return percentile_interval(mean, draws_BU(len(values), NUM_RESAMPLES, seed=0).astype(np.float64) @ values / len(values))


def _named(kind: str, rank: int | None) -> str:
    return kind if rank is None else f"{kind} r = {rank}"

"""Comparisons that look into the stages: the effect of one language on another, of early and late stages, of positions.

Shape letters: O orders (runs), S stages, L languages (L, L: the trained a, the changed b), B resamples.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Sequence

import numpy as np
from numpy.typing import NDArray

from attrition.analysis.bootstrap import draws_BU, percentile_interval
from attrition.analysis.groups import MEASURES
from attrition.analysis.position import Scope, due_to_position_L, shifts_and_positions
from attrition.matrix import RMatrix
from attrition.metrics.donors import effects_LL
from attrition.metrics.means import mean_measured
from attrition.metrics.several import Floats, languages_of, per_order
from attrition.report.claims import Comparison, Evidence, Found, Needs
from attrition.report.comparisons import ANOTHER_ORDER, MEASURE_NAMES, NUM_RESAMPLES, Sign, compare, name_of, one_order
from attrition.results.read import Run

Pairs = Callable[[RMatrix], NDArray[np.bool_]]
"""Which pairs of an order are meant: (L, L), the trained a first, the changed b second."""

Condition = Callable[[RMatrix, str], bool | None]
"""Whether a language's stage in an order is of the first kind; None where it is of neither."""

FEWEST = 3
"""Stages, trained languages or orders that are resampled; fewer leave next to nothing to draw from."""

NUM_POSITION_RESAMPLES = 200


def related(group: Callable[[str], str]) -> Pairs:
    """Pairs of different languages that have the group in common.

    >>> R = RMatrix.sequential("abc", [[.75, .25, .125], [.5, .875, .25], [.625, .5, 1]])
    >>> related({"a": "x", "b": "y", "c": "x"}.get)(R).tolist()
    [[False, False, True], [False, False, False], [True, False, False]]
    """

    def pairs(R: RMatrix) -> NDArray[np.bool_]:
        names = np.array([group(language) for language in R.languages])
        return np.asarray((names[:, None] == names[None, :]) & ~np.eye(len(names), dtype=bool))

    return pairs


def near(share: float = 0.25) -> Pairs:
    """Pairs at most `share` of the sequence apart."""

    def pairs(R: RMatrix) -> NDArray[np.bool_]:
        return np.asarray(np.abs(R.stage_L[:, None] - R.stage_L[None, :]) <= share * R.num_stages)

    return pairs


def both(*conditions: Pairs) -> Pairs:
    """Pairs for which all conditions hold."""
    return lambda R: np.logical_and.reduce([condition(R) for condition in conditions])


def without(condition: Pairs) -> Pairs:
    """Pairs of different languages for which the condition does not hold."""
    return lambda R: ~condition(R) & ~np.eye(len(R.languages), dtype=bool)


def pairs_differ(evidence: Evidence, what: str, first: Pairs, second: Pairs, *, expected: Sign) -> Found:
    """D[a, b] over the first kind of pairs minus that over the second, for each trained language a that has both."""
    runs = evidence.sequential()
    lacking = _lacking(runs)
    if lacking is not None:
        return lacking

    def difference_L(R: RMatrix) -> Floats:
        effect_LL = effects_LL(R)
        one_L = mean_measured(np.where(first(R), effect_LL, np.nan), axis=1)
        return np.asarray(one_L - mean_measured(np.where(second(R), effect_LL, np.nan), axis=1))

    values_OL = per_order([run.matrix for run in runs], difference_L)
    if np.count_nonzero(~np.isnan(mean_measured(values_OL, axis=0))) < FEWEST:
        return Needs(f"{FEWEST} languages that have both kinds of pairs ({what})")
    return compare(f"{name_of(runs)}, D[a, b], {what}", values_OL, expected, units="trained languages")


def pair_effect(evidence: Evidence, trained: str, changed: str) -> list[Found]:
    """D[trained, changed] by itself and against what training it did to the others; the paper expects a gain."""
    runs = evidence.sequential()
    lacking = _lacking(runs)
    if lacking is not None:
        return [lacking]
    matrices = [run.matrix for run in runs]
    languages = languages_of(matrices)
    if trained not in languages or changed not in languages or len(languages) < 4:
        return [Needs(f"{trained}, {changed} and two other languages")]
    row_OL = per_order(matrices, lambda R: effects_LL(R)[R.languages.index(trained)] if trained in R.languages else _none(R))
    place = languages.index(changed)
    others = [other for other, name in enumerate(languages) if name not in (trained, changed)]
    what = f"{name_of(runs)}, D[{trained}, {changed}]"
    return [
        compare(what, row_OL[:, [place]], 1),
        compare(f"{what} minus D[{trained}, others]", row_OL[:, [place]] - row_OL[:, others], 1),
    ]


def stages_differ(
    evidence: Evidence, languages: Collection[str], what: str, is_first: Condition, measure: str, *, expected: Sign
) -> Found:
    """A measure at the stages of some languages: where `is_first` holds minus where it does not."""
    runs = evidence.sequential()
    lacking = _lacking(runs)
    if lacking is not None:
        return lacking
    kinds: dict[bool, list[float]] = {True: [], False: []}
    for run in runs:
        R = run.matrix
        for language, value in zip(R.languages, MEASURES[measure].function(R).tolist(), strict=True):
            kind = is_first(R, language) if language in languages and not math.isnan(value) else None
            if kind is not None:
                kinds[kind].append(value)
    one, other = np.array(kinds[True]), np.array(kinds[False])
    if min(len(one), len(other)) < FEWEST:
        return Needs(f"{FEWEST} stages of each kind ({what}; here: {len(one)} and {len(other)})")
    means_B = [
        draws_BU(len(each), NUM_RESAMPLES, seed=seed).astype(np.float64) @ each / len(each)
        for seed, each in enumerate((one, other))
    ]
    estimate = float(one.mean() - other.mean())
    return Comparison(
        what=f"{name_of(runs)}, {MEASURE_NAMES[measure]}, {what}",
        over_languages=percentile_interval(estimate, means_B[0] - means_B[1]),
        over_runs=percentile_interval(estimate, np.empty(0)),
        num_languages=len(one) + len(other),
        num_runs=len(runs),
        expected=expected,
        units="stages",
    )


def is_late(R: RMatrix, language: str) -> bool:
    """Whether a language is learned in the second half of the sequence.

    >>> R = RMatrix.sequential("abc", [[.75, .25, .125], [.5, .875, .25], [.625, .5, 1]])
    >>> [is_late(R, language) for language in "abc"]
    [False, False, True]
    """
    return int(R.stage_L[R.languages.index(language)]) >= (R.num_stages + 1) // 2


def follows_related(group: Callable[[str], str]) -> Condition:
    """Whether the language learned just before has the group in common; None for the first."""

    def condition(R: RMatrix, language: str) -> bool | None:
        stage = int(R.stage_L[R.languages.index(language)])
        return any(group(other) == group(language) for other in R.trained[stage - 1]) if stage > 0 else None

    return condition


def due_to_position(evidence: Evidence, language: str, *, scope: Scope, expected: Sign) -> Found:
    """What of a language's shift goes away when its positions are adjusted for (`analysis.position`).

    The fixed scope is the effect on other languages; the growing scope, the paper's, also moves by the language's own score.
    """
    runs = evidence.sequential()
    lacking = _lacking(runs)
    if lacking is not None:
        return lacking
    matrices = [run.matrix for run in runs]
    if len({run.spec.order.languages for run in runs}) < FEWEST or language not in languages_of(matrices):
        return Needs(f"{FEWEST} orders with {language}, to resample the effect of its positions")
    data = shifts_and_positions(matrices, scope=scope)
    place = data.languages.index(language)

    def share(rows: NDArray[np.int64]) -> float:
        return float(due_to_position_L(data.shift_OL[rows], data.log_before_OL[rows])[place])

    draws = np.random.default_rng(0).integers(len(matrices), size=(NUM_POSITION_RESAMPLES, len(matrices)))
    estimate = share(np.arange(len(matrices)))
    measure = MEASURE_NAMES[f"shift_{scope}"]
    return Comparison(
        what=f"{name_of(runs)}, {measure}, {language}, as measured minus adjusted for its positions",
        over_languages=percentile_interval(estimate, np.empty(0)),
        over_runs=percentile_interval(estimate, np.array([share(draw) for draw in draws])),
        num_languages=1,
        num_runs=len(runs),
        expected=expected,
    )


def _lacking(runs: Sequence[Run]) -> Needs | None:
    if not runs:
        return Needs("runs of VANILLA or SHARED LoRA")
    return Needs(ANOTHER_ORDER) if one_order(runs) else None


def _none(R: RMatrix) -> Floats:
    return np.full(len(R.languages), np.nan)

"""Languages by group: what a script, a family, a level of resources, or any grouping of a user's has in common in R.

A group's number is the mean over its languages of each language's mean over orders. Two intervals say how far to trust it: over
*languages* (would other languages of this kind do the same?) and over *orders* (would other orders?). Each is undefined
with fewer than two to draw from: one language, or one order, says nothing about the spread.

Shape letters: O orders, L languages, B resamples.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from attrition.analysis.bootstrap import Interval, draws_BU, percentile_interval
from attrition.matrix import RMatrix
from attrition.metrics.by_group import members
from attrition.metrics.donors import others_LL
from attrition.metrics.hops import mbt_LH, mft_LH
from attrition.metrics.means import mean_measured
from attrition.metrics.result import nulls_for_nan
from attrition.metrics.several import Floats, Matrices, as_orders, languages_of, per_order
from attrition.metrics.shift import shift_fixed_L, shift_growing_L
from attrition.names import look_up


def final_L(R: RMatrix) -> Floats:
    """The last row, over the languages learned."""
    return np.where(R.learned_SL[-1], R.scores_SL[-1], np.nan)


def change_L(R: RMatrix) -> Floats:
    """R[T, j] - R[p(j), j], over the languages learned before the last stage."""
    return np.where(R.stage_L < R.num_stages - 1, R.scores_SL[-1] - R.own_L, np.nan)


@dataclass(frozen=True, kw_only=True)
class Measure:
    """A number per language of one order: `function(R)` has shape (L,), NaN where undefined."""

    name: str
    title: str
    function: Callable[[RMatrix], Floats]


MEASURES: Mapping[str, Measure] = MappingProxyType(
    {
        measure.name: measure
        for measure in (
            Measure(name="final", title="Mean R, last row", function=final_L),
            Measure(name="change", title="Change from its own stage to the end", function=change_L),
            Measure(name="shift_growing", title="Shift when it is learned (growing)", function=shift_growing_L),
            Measure(name="shift_fixed", title="Shift when it is learned (fixed)", function=shift_fixed_L),
            Measure(name="mft", title="MFT, mean over hops", function=lambda R: mean_measured(mft_LH(R), axis=1)),
            Measure(name="mbt", title="MBT, mean over hops", function=lambda R: mean_measured(mbt_LH(R), axis=1)),
            Measure(name="donor", title="Donor strength", function=lambda R: mean_measured(others_LL(R), axis=1)),
            Measure(name="receiver", title="Receiver strength", function=lambda R: mean_measured(others_LL(R), axis=0)),
        )
    }
)
"""What can be compared by group. All are better when higher."""


@dataclass(frozen=True, kw_only=True)
class GroupEstimate:
    """The mean of a measure over a group, or the difference of two groups (`group` is then `a - b`)."""

    group: str
    measure: str
    mean: float
    num_languages: int
    num_orders: int
    over_languages: Interval
    over_orders: Interval


@dataclass(frozen=True, eq=False)
class _Samples:
    """One group's mean, as measured and as resampled over languages and over orders (B,); None: too few to draw from."""

    mean: float
    num_languages: int
    over_languages_B: Floats | None
    over_orders_B: Floats | None


def by_group(
    matrices: Matrices,
    groups: Mapping[str, str],
    *,
    measures: Iterable[str] = tuple(MEASURES),
    num_resamples: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> tuple[GroupEstimate, ...]:
    """Every measure in every group, groups in alphabetical order, with intervals over languages and over orders.

    Args:
        matrices: one per order.
        groups: language to group; every language trained needs one.
        measures: names out of `MEASURES`.

    Raises:
        AttritionError: a language has no group, or a measure is unknown.

    >>> R = RMatrix.sequential("abc", [[.75, .25, .125], [.5, .875, .25], [.625, .5, 1]])
    >>> latin, other = by_group(R, {"a": "Latn", "b": "Thai", "c": "Latn"}, measures=["final"])
    >>> latin.group, latin.mean, latin.num_languages  # (.625 + 1) / 2
    ('Latn', 0.8125, 2)
    """
    places_of = _members(matrices, groups)
    estimates = []
    for name in measures:
        measure = look_up(name, MEASURES, kind="measure")
        values_OL = per_order(matrices, measure.function)
        for group, places in places_of.items():
            samples = _resampled(values_OL[:, places], num_resamples, seed)
            estimates.append(_estimate(group, name, samples, len(values_OL), level))
    return tuple(estimates)


def group_difference(
    matrices: Matrices,
    groups: Mapping[str, str],
    first: str,
    second: str,
    measure: str,
    *,
    num_resamples: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> GroupEstimate:
    """The mean of group `first` minus that of group `second`; the orders drawn are the same for both, the languages are not.

    Raises:
        AttritionError: a group or the measure is unknown, or a language has no group.

    >>> R = RMatrix.sequential("abc", [[.75, .25, .125], [.5, .875, .25], [.625, .5, 1]])
    >>> group_difference(R, {"a": "Latn", "b": "Thai", "c": "Latn"}, "Latn", "Thai", "final").mean  # .8125 - .5
    0.3125
    """
    places_of = _members(matrices, groups)
    values_OL = per_order(matrices, look_up(measure, MEASURES, kind="measure").function)
    # Seeds of their own, or the draws of languages would be paired where the groups are of one size.
    one = _resampled(values_OL[:, look_up(first, places_of, kind="group")], num_resamples, seed, language_seed=seed + 1)
    other = _resampled(values_OL[:, look_up(second, places_of, kind="group")], num_resamples, seed, language_seed=seed + 2)
    difference = _Samples(
        one.mean - other.mean,
        one.num_languages + other.num_languages,
        _minus(one.over_languages_B, other.over_languages_B),
        _minus(one.over_orders_B, other.over_orders_B),
    )
    return _estimate(f"{first} - {second}", measure, difference, len(values_OL), level)


def trained_of(matrices: Matrices) -> tuple[str, ...]:
    """The languages that some order trained, in the sequence of the columns."""
    orders = as_orders(matrices)
    trained = {language for R in orders for stage in R.trained for language in stage}
    return tuple(language for language in languages_of(orders) if language in trained)


def by_group_json(matrices: Matrices, groups: Mapping[str, str], *, num_resamples: int = 1000, seed: int = 0) -> dict[str, Any]:
    """`by_group` as JSON holds it: group, then measure; None for what is undefined.

    >>> R = RMatrix.sequential("abc", [[.75, .25, .125], [.5, .875, .25], [.625, .5, 1]])
    >>> by_group_json(R, {"a": "Latn", "b": "Thai", "c": "Latn"})["Thai"]["final"]
    {'mean': 0.5, 'num_languages': 1, 'over_languages': [None, None], 'over_orders': [None, None]}
    """
    found: dict[str, Any] = {}
    for each in by_group(matrices, groups, num_resamples=num_resamples, seed=seed):
        found.setdefault(each.group, {})[each.measure] = {
            "mean": each.mean,
            "num_languages": each.num_languages,
            "over_languages": [each.over_languages.low, each.over_languages.high],
            "over_orders": [each.over_orders.low, each.over_orders.high],
        }
    whole: dict[str, Any] = nulls_for_nan(found)
    return whole


def _members(matrices: Matrices, groups: Mapping[str, str]) -> dict[str, NDArray[np.int64]]:
    """Per group the places of its trained languages among all columns."""
    languages, inside = languages_of(as_orders(matrices)), members(trained_of(matrices), groups)
    return {name: np.array([languages.index(language) for language in of_it]) for name, of_it in inside.items()}


def _resampled(values_OL: Floats, num_resamples: int, seed: int, *, language_seed: int | None = None) -> _Samples:
    per_language_L = mean_measured(values_OL, axis=0)
    known_L = per_language_L[~np.isnan(per_language_L)]
    mean = float(mean_measured(known_L))
    over_languages_B = over_orders_B = None
    if len(known_L) > 1:
        draws_BL = draws_BU(len(known_L), num_resamples, seed if language_seed is None else language_seed)
        over_languages_B = draws_BL.astype(np.float64) @ known_L / len(known_L)
    if len(values_OL) > 1 and len(known_L):
        draws_BO = draws_BU(len(values_OL), num_resamples, seed).astype(np.float64)
        measured_OL = ~np.isnan(values_OL)
        weights_BL = draws_BO @ measured_OL.astype(np.float64)
        sums_BL = draws_BO @ np.where(measured_OL, values_OL, 0.0)
        means_BL = np.divide(sums_BL, weights_BL, out=np.full(sums_BL.shape, np.nan), where=weights_BL > 0)
        over_orders_B = mean_measured(means_BL, axis=1)
    return _Samples(mean, len(known_L), over_languages_B, over_orders_B)


def _minus(one_B: Floats | None, other_B: Floats | None) -> Floats | None:
    return None if one_B is None or other_B is None else one_B - other_B


def _estimate(group: str, measure: str, samples: _Samples, num_orders: int, level: float) -> GroupEstimate:
    def interval(samples_B: Floats | None) -> Interval:
        return percentile_interval(samples.mean, np.empty(0) if samples_B is None else samples_B, level=level)

    return GroupEstimate(
        group=group,
        measure=measure,
        mean=samples.mean,
        num_languages=samples.num_languages,
        num_orders=num_orders,
        over_languages=interval(samples.over_languages_B),
        over_orders=interval(samples.over_orders_B),
    )

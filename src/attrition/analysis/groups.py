"""Means of R's quantities over groups of languages: by script, family, resources, or a user's grouping.

A group's number is the mean over its languages of each language's mean over orders. It has two intervals: over *languages*
(are other languages of this kind the same?) and over *orders* (are other orders the same?). With one language, or one
order, the interval is undefined.

Shape letters: O orders, L languages.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from attrition.analysis.evidence import RunEvidence, from_matrices, replicates
from attrition.analysis.intervals import Estimate, mean_of_replicates, two_way
from attrition.analysis.quantities import QUANTITIES
from attrition.metrics.by_group import members
from attrition.metrics.means import mean_measured
from attrition.metrics.result import nulls_for_nan
from attrition.metrics.several import Matrices, as_orders, languages_of
from attrition.names import look_up


@dataclass(frozen=True, kw_only=True)
class GroupEstimate:
    """The mean of a quantity over a group, in fractions of F1, with its intervals."""

    group: str
    quantity: str
    mean: float
    num_languages: int
    num_orders: int
    over_languages: Estimate
    over_orders: Estimate


def by_group(
    matrices: Matrices, groups: Mapping[str, str], *, quantities: Iterable[str] = tuple(QUANTITIES)
) -> tuple[GroupEstimate, ...]:
    """Return every quantity in every group, groups in alphabetical order, with 95% intervals by Student's t.

    Args:
        matrices: one per order; runs of one order are averaged, copies count once.
        groups: language to group; every trained language needs a group.
        quantities: names out of `QUANTITIES`.

    Raises:
        AttritionError: a language has no group, or a quantity is unknown.

    >>> from attrition.metrics.matrix import RMatrix
    >>> R = RMatrix.sequential("abc", [[.75, .25, .125], [.5, .875, .25], [.625, .5, 1]])
    >>> latin, other = by_group(R, {"a": "Latn", "b": "Thai", "c": "Latn"}, quantities=["final"])
    >>> latin.group, latin.mean, latin.num_languages  # (.625 + 1) / 2
    ('Latn', 0.8125, 2)
    """
    return by_group_of_runs(from_matrices(as_orders(matrices)).runs, groups, quantities=quantities)


def by_group_of_runs(
    runs: Sequence[RunEvidence], groups: Mapping[str, str], *, quantities: Iterable[str] = tuple(QUANTITIES)
) -> tuple[GroupEstimate, ...]:
    """Return the same from the runs of one method; without an order, a seed is a replicate.

    Raises:
        AttritionError: a language has no group, or a quantity is unknown.
    """
    inside = members(trained_of([run.matrix for run in runs]), groups)
    estimates = []
    for name in quantities:
        table = replicates(runs, look_up(name, QUANTITIES, kind="quantity").function)
        for group, languages in inside.items():
            places = np.array([table.languages.index(language) for language in languages])
            estimates.append(_estimate(group, name, table.values_OL[:, places]))
    return tuple(estimates)


def _estimate(group: str, quantity: str, values_OL: NDArray[np.float64]) -> GroupEstimate:
    mean_L = mean_measured(values_OL, axis=0)
    known = ~np.isnan(mean_L)
    over_orders = two_way(values_OL, known / max(int(known.sum()), 1), sample_of_languages=False)
    return GroupEstimate(
        group=group,
        quantity=quantity,
        mean=float(mean_measured(mean_L)),
        num_languages=int(known.sum()),
        num_orders=len(values_OL),
        over_languages=mean_of_replicates(mean_L),
        over_orders=over_orders,
    )


def trained_of(matrices: Matrices) -> tuple[str, ...]:
    """Return the languages trained in any order, in the order of the columns."""
    orders = as_orders(matrices)
    trained = {language for R in orders for stage in R.trained for language in stage}
    return tuple(language for language in languages_of(orders) if language in trained)


def by_group_json(matrices: Matrices, groups: Mapping[str, str]) -> dict[str, Any]:
    """Return `by_group` as JSON values: group, then quantity; None for undefined numbers.

    >>> from attrition.metrics.matrix import RMatrix
    >>> R = RMatrix.sequential("abc", [[.75, .25, .125], [.5, .875, .25], [.625, .5, 1]])
    >>> by_group_json(R, {"a": "Latn", "b": "Thai", "c": "Latn"})["Thai"]["final"]
    {'mean': 0.5, 'num_languages': 1, 'over_languages': [None, None], 'over_orders': [None, None]}
    """
    found: dict[str, Any] = {}
    for each in by_group(matrices, groups):
        found.setdefault(each.group, {})[each.quantity] = {
            "mean": each.mean,
            "num_languages": each.num_languages,
            "over_languages": [each.over_languages.low, each.over_languages.high],
            "over_orders": [each.over_orders.low, each.over_orders.high],
        }
    whole: dict[str, Any] = nulls_for_nan(found)
    return whole

"""Hops without ragged edges: every hop is a mean over the same languages and orders.

A hop that reaches beyond the start or the end of an order is left out (`metrics.hops`). So hop 0 and hop 9 are means over
different languages and orders, and a curve over hops mixes the effect of distance with a change of cells. Here a cell
(a language in an order) counts only if all shown hops are defined in it. MBT loses early positions and MFT late ones: more hops
leave fewer cells. `cells_left` returns their number.

The pairwise readings have no hop 0: for them "all hops" means 1 to H-1, and hop 0 stays NaN with n = 0.

Shape letters: O orders, L languages, H hops.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from attrition.metrics.hops import NUM_HOPS, mbt_LH, mbt_pairwise_LH, mft_LH, mft_pairwise_LH
from attrition.metrics.matrix import RMatrix
from attrition.metrics.means import count_measured, mean_measured
from attrition.metrics.several import Floats, Matrices, PerLanguage, as_orders, languages_of, per_order
from attrition.names import AttritionError, look_up

HopMetric = Literal["mft", "mbt", "mft_pairwise", "mbt_pairwise"]


@dataclass(frozen=True)
class _Reading:
    """`function(R, num_hops)` gives (L, H); `first_hop` is the smallest hop that it defines."""

    function: Callable[[RMatrix, int], Floats]
    first_hop: int


_READINGS: Mapping[str, _Reading] = MappingProxyType(
    {
        "mft": _Reading(mft_LH, 0),
        "mbt": _Reading(mbt_LH, 0),
        "mft_pairwise": _Reading(mft_pairwise_LH, 1),
        "mbt_pairwise": _Reading(mbt_pairwise_LH, 1),
    }
)


@dataclass(frozen=True, eq=False, kw_only=True)
class HopMeans:
    """Means per language and hop, and per hop, with the n behind each.

    `per_language`: values and counts (L, H), the mean over orders and the number of orders. `overall_H`: the mean over
    languages, as in eq. 13-14; `num_languages_H` and `num_cells_H`: the languages and the (language, order) cells behind it.
    """

    per_language: PerLanguage
    overall_H: Floats
    num_languages_H: NDArray[np.int64]
    num_cells_H: NDArray[np.int64]


@dataclass(frozen=True, eq=False, kw_only=True)
class BalancedHops:
    """One metric over hops 0 to `num_hops` - 1: `balanced` over the same cells for all hops, `literal` over all cells."""

    metric: HopMetric
    num_hops: int
    balanced: HopMeans
    literal: HopMeans


def hops_balanced(matrices: Matrices, metric: HopMetric, num_hops: int = NUM_HOPS) -> BalancedHops:
    """Return a metric per language and hop over the same (language, order) cells for all hops, and the literal means.

    Formula: as `metrics.mft`, `mbt`, `mft_pairwise` or `mbt_pairwise`; the mean over orders uses only the orders in which all
    hops of the metric below `num_hops` are defined for the language. NaN with n = 0 without such an order.
    Range -1 to 1, positive is a gain. Source: Khelli et al., eq. 13-14; the choice of cells is ours.

    Raises:
        AttritionError: the metric is unknown, there is no matrix, or `num_hops` is below 1.

    >>> R = RMatrix.sequential("abc", [[.75, .25, .125], [.5, .875, .25], [.625, .5, 1]])  # P = .75, .6875, .7083
    >>> found = hops_balanced(R, "mbt", num_hops=2)
    >>> found.literal.per_language["b"], found.balanced.per_language["b"]  # b has hop 0 only, so it is left out
    ([-0.0625, nan], [nan, nan])
    >>> found.balanced.per_language["c"], found.balanced.num_cells_H.tolist(), found.literal.num_cells_H.tolist()
    ([0.0208..., -0.0416...], [1, 1], [2, 1])
    """
    orders = as_orders(matrices)
    reading, values_OLH = _measured(orders, metric, num_hops)
    kept_OL = _complete(values_OLH, reading.first_hop)
    languages = languages_of(orders)
    return BalancedHops(
        metric=metric,
        num_hops=num_hops,
        balanced=_means(languages, np.where(kept_OL[:, :, None], values_OLH, np.nan)),
        literal=_means(languages, values_OLH),
    )


def cells_left(matrices: Matrices, metric: HopMetric, most_hops: int | None = None) -> dict[int, int]:
    """Return the number of (language, order) cells that have all hops below H, for H = 1 to `most_hops`.

    By default up to the smallest H without a cell. The pairwise readings have no hop 0, so they start at H = 2. Without missing
    scores each order of T languages, one per stage, leaves T-H cells (pairwise MBT: T-H+1).

    Raises:
        AttritionError: the metric is unknown, there is no matrix, or `most_hops` is below 1.

    >>> R = RMatrix.sequential("abc", [[.75, .25, .125], [.5, .875, .25], [.625, .5, 1]])
    >>> cells_left(R, "mbt"), cells_left(R, "mft_pairwise"), cells_left([R, R], "mbt", most_hops=2)
    ({1: 2, 2: 1, 3: 0}, {2: 1, 3: 0}, {1: 4, 2: 2})
    """
    orders = as_orders(matrices)
    longest = max(R.num_stages for R in orders) + 1
    reading, values_OLH = _measured(orders, metric, longest if most_hops is None else most_hops)
    defined_OLH = ~np.isnan(values_OLH[:, :, reading.first_hop :])
    left = np.logical_and.accumulate(defined_OLH, axis=2).sum(axis=(0, 1)).tolist()
    if most_hops is None and 0 in left:
        left = left[: left.index(0) + 1]
    return {num_hops: int(cells) for num_hops, cells in enumerate(left, start=reading.first_hop + 1)}


def _measured(orders: tuple[RMatrix, ...], metric: str, num_hops: int) -> tuple[_Reading, Floats]:
    reading = look_up(metric, _READINGS, kind="metric over hops")
    if num_hops < 1:
        raise AttritionError(f"{num_hops} hops were asked for. Ask for 1 or more; hops count from 0, so 10 means hops 0 to 9.")
    return reading, per_order(orders, lambda R: reading.function(R, num_hops))


def _complete(values_OLH: Floats, first_hop: int) -> NDArray[np.bool_]:
    """Return a mask (O, L): True if all hops from the first are defined; all False without such a hop."""
    defined_OLH = ~np.isnan(values_OLH[:, :, first_hop:])
    return np.asarray(defined_OLH.all(axis=2) & (defined_OLH.shape[2] > 0))


def _means(languages: tuple[str, ...], values_OLH: Floats) -> HopMeans:
    per_language = PerLanguage(languages, mean_measured(values_OLH, axis=0), count_measured(values_OLH, axis=0))
    return HopMeans(
        per_language=per_language,
        overall_H=per_language.overall,
        num_languages_H=count_measured(per_language.values, axis=0),
        num_cells_H=np.asarray(per_language.counts.sum(axis=0), dtype=np.int64),
    )

"""The null counterparts of MBT, MFT and eq. 9: the values of the paper's formulas without any transfer.

P_i is a mean over a set of languages that grows with i. So P changes when a language joins the mean, even if no stage
changes any other language. The null counterpart is this part: the same formula on a matrix in which every language keeps
the score of its own stage. The rest, literal minus null, is `transfer`. docs/concepts/composition.md derives both.

Shape letters: O orders, S stages, L languages, H hops.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from attrition.metrics.hops import NUM_HOPS, mbt_LH, mft_LH
from attrition.metrics.matrix import RMatrix
from attrition.metrics.means import count_measured, mean_measured
from attrition.metrics.several import Floats, Matrices, PerLanguage, as_orders, languages_of, per_order
from attrition.metrics.single import p_avg_terms
from attrition.names import AttritionError, look_up

Part = Literal["literal", "null", "transfer"]
"""The formula as printed, the same formula without transfer, and their difference."""

Metric = Literal["mbt", "mft", "shift_growing", "p_avg"]

_METRICS: Mapping[str, Callable[[RMatrix, int], Floats]] = MappingProxyType(
    {
        "mbt": mbt_LH,
        "mft": mft_LH,
        "shift_growing": lambda R, _: mft_LH(R, 1),
        # Eq. 9 at the language's own step: P_(p-1) - P_p.
        "p_avg": lambda R, _: -mft_LH(R, 1),
    }
)


def null_matrix(R: RMatrix) -> RMatrix:
    """Return the matrix in which every language keeps the score of its own stage.

    Cell [i, j] is R[p(j), j] if j is learned by stage i, else NaN. The row before training is left out. MBT, MFT and eq. 9
    read learned languages only, so cells above the diagonal cannot change them: "nothing passes to later languages" and
    "nothing passes to earlier languages" give the same matrix.

    A cell that R did not measure stays NaN, so that P averages the same languages in both matrices. A row is all NaN if R
    measured a learned language in it whose own-stage score is NaN: the null P of that stage is then unknown.

    >>> R = RMatrix.sequential("abc", [[.75, .25, .125], [.5, .875, .25], [.625, .5, 1]])
    >>> null_matrix(R).scores_SL.tolist()
    [[0.75, nan, nan], [0.75, 0.875, nan], [0.75, 0.875, 1.0]]
    """
    used_SL = R.learned_SL & ~np.isnan(R.scores_SL)
    null_SL = np.where(used_SL, R.own_L, np.nan)
    unknown_S = (used_SL & np.isnan(R.own_L)).any(axis=1)
    null_SL[unknown_S] = np.nan
    return RMatrix(null_SL, R.languages, R.trained)


@dataclass(frozen=True, eq=False, kw_only=True)
class Parts:
    """Arrays of one shape: `literal` as printed, `null` without transfer, and `transfer`, their difference."""

    literal: Floats
    null: Floats

    @property
    def transfer(self) -> Floats:
        """Literal minus null; NaN where one of them is."""
        return np.asarray(self.literal - self.null)

    def of(self, part: Part) -> Floats:
        """Return the array called `part`.

        Raises:
            UnknownNameError: there is no such part.
        """
        parts = {"literal": self.literal, "null": self.null, "transfer": self.transfer}
        return look_up(part, parts, kind="part")


@dataclass(frozen=True, eq=False, kw_only=True)
class NullCounterparts:
    """One metric of several orders with its null counterpart: `parts_OLH` has shape (orders, languages, hops).

    H is 1 for `shift_growing` and `p_avg`. Means over orders leave NaN out. Where some null is undefined and its literal is
    not, the mean of `transfer` covers fewer cells than the mean of `literal`; the counts say so.
    """

    metric: Metric
    languages: tuple[str, ...]
    parts_OLH: Parts

    def by_hop(self, part: Part) -> PerLanguage:
        """Return the mean over orders per language and hop (L, H), with counts."""
        return self._over_orders(self.parts_OLH.of(part))

    def per_order_OL(self, part: Part) -> Floats:
        """Return the mean over hops per order and language (O, L): what intervals over orders resample."""
        return mean_measured(self.parts_OLH.of(part), axis=2)

    def by_language(self, part: Part) -> PerLanguage:
        """Return the mean over orders of `per_order_OL` per language (L,), with counts."""
        return self._over_orders(self.per_order_OL(part))

    def _over_orders(self, values: Floats) -> PerLanguage:
        return PerLanguage(self.languages, mean_measured(values, axis=0), count_measured(values, axis=0))


def null_counterparts(matrices: Matrices, metric: Metric, num_hops: int = NUM_HOPS) -> NullCounterparts:
    """Return a metric per order, language and hop: literal, null, and transfer (literal minus null).

    Formula: literal is `metrics.mbt`, `mft` or `shift_growing` of each order; null is the same on `null_matrix`. `p_avg` is
    eq. 9 at the language's own step, P_(p-1) - P_p, a loss positive; the others have gains positive. Range -1 to 1.
    NaN where the literal is, and where a null P is unknown. Source: Khelli et al., eq. 9, 13, 14; docs/concepts/composition.md.

    Raises:
        AttritionError: the metric is unknown, or no matrix was given.

    >>> R = RMatrix.sequential("abc", [[.75, .25, .125], [.5, .875, .25], [.625, .5, 1]])
    >>> found = null_counterparts(R, "mbt", num_hops=2)  # P = .75, .6875, .7083; without transfer .75, .8125, .875
    >>> found.by_hop("literal")["b"], found.by_hop("null")["b"], found.by_hop("transfer")["b"]
    ([-0.0625, nan], [0.0625, nan], [-0.125, nan])
    >>> found.by_language("null").as_dict()  # c: the mean of .875 - .8125 and .875 - .75
    {'a': nan, 'b': 0.0625, 'c': 0.09375}
    """
    measure = look_up(metric, _METRICS, kind="metric with a null counterpart")
    orders = as_orders(matrices)
    literal_OLH = per_order(orders, lambda R: measure(R, num_hops))
    null_OLH = per_order([null_matrix(R) for R in orders], lambda R: measure(R, num_hops))
    return NullCounterparts(metric=metric, languages=languages_of(orders), parts_OLH=Parts(literal=literal_OLH, null=null_OLH))


def p_avg_by_stage(matrices: Matrices) -> Parts:
    """Return eq. 9 per order and stage (O, S-1): literal, null, transfer. A loss is positive.

    Formula: P_t - P_(t+1) for t = 1...S-1, on R and on `null_matrix`. Orders with fewer stages end in NaN. The mean of all of
    `literal` is `metrics.average_p_avg`. Source: Khelli et al., eq. 9.

    >>> R = RMatrix.sequential("abc", [[.75, .25, .125], [.5, .875, .25], [.625, .5, 1]])
    >>> p_avg_by_stage(R).null.tolist()  # .75 - .8125; .8125 - .875
    [[-0.0625, -0.0625]]
    """
    orders = as_orders(matrices)
    most = max(R.num_stages for R in orders) - 1

    def padded(matrices: list[RMatrix]) -> Floats:
        values = np.full((len(matrices), most), np.nan)
        for order, R in enumerate(matrices):
            values[order, : R.num_stages - 1] = p_avg_terms(R)
        return values

    return Parts(literal=padded(list(orders)), null=padded([null_matrix(R) for R in orders]))


def average_p_avg_parts(matrices: Matrices) -> Parts:
    """Return eq. 9 as one number per part: the mean over orders and stages (arrays without axes).

    The null number needs the first and the last stage only: (Q_1 - Q_T) / (T-1), Q the mean of own scores so far.

    >>> R = RMatrix.sequential("abc", [[.75, .25, .125], [.5, .875, .25], [.625, .5, 1]])
    >>> found = average_p_avg_parts(R)
    >>> round(float(found.literal), 4), float(found.null), round(float(found.transfer), 4)
    (0.0208, -0.0625, 0.0833)
    """
    parts = p_avg_by_stage(matrices)
    return Parts(literal=mean_measured(parts.literal), null=mean_measured(parts.null))


def expected_null_mbt_LH(own_L: ArrayLike, num_hops: int = NUM_HOPS, *, position_L: ArrayLike | None = None) -> Floats:
    """Return the expected null MBT per language and hop (L, H) over random orders of these own scores.

    Formula: T/(T-1) * (q_l - mean q) / p for p >= h+2, for a language at position p and the others in random order; without
    `position_L` its mean over positions, T/(T-1) * (q_l - mean q) * (1/(h+2) + ... + 1/T) / (T-h-1). Exact. One language per
    stage is assumed.

    Args:
        own_L: the score of each language at its own stage. A language with NaN is left out; T counts the others.
        num_hops: hops 0 to num_hops - 1.
        position_L: the positions (from 1) to condition on, one per language.

    NaN where the hop is undefined: no position has h+2 <= p <= T, or the given one has not.

    Source: docs/concepts/composition.md.

    >>> expected_null_mbt_LH([.5, .75, 1], num_hops=2).round(4).tolist()  # 1.5 * -.25 * (1/2 + 1/3) / 2; 1.5 * -.25 / 3
    [[-0.1562, -0.125], [0.0, 0.0], [0.1562, 0.125]]
    >>> expected_null_mbt_LH([.5, .75, 1], num_hops=2, position_L=[2, 1, 3]).round(4).tolist()
    [[-0.1875, nan], [nan, nan], [0.125, 0.125]]
    """
    return _expected_null_LH(own_L, num_hops, position_L, lower=lambda p, h: p - h - 1, upper=lambda p, _: p)


def expected_null_mft_LH(own_L: ArrayLike, num_hops: int = NUM_HOPS, *, position_L: ArrayLike | None = None) -> Floats:
    """Return the expected null MFT per language and hop (L, H) over random orders of these own scores.

    Formula: T/(T-1) * (q_l - mean q) / (p+h) for p >= 2 and p+h <= T. Its mean over positions is the same number as for MBT.
    Arguments and NaN as for `expected_null_mbt_LH`. Source: docs/concepts/composition.md.

    >>> expected_null_mft_LH([.5, .75, 1], num_hops=2, position_L=[2, 1, 3]).round(4).tolist()
    [[-0.1875, -0.125], [nan, nan], [0.125, nan]]
    """
    return _expected_null_LH(own_L, num_hops, position_L, lower=lambda p, _: p - 1, upper=lambda p, h: p + h)


Bound = Callable[[NDArray[np.float64], NDArray[np.float64]], NDArray[np.float64]]


def _expected_null_LH(own_L: ArrayLike, num_hops: int, position_L: ArrayLike | None, *, lower: Bound, upper: Bound) -> Floats:
    """Return E[Q_upper - Q_lower]: both means of the other languages have one expectation; the language enters with 1/upper."""
    own = np.asarray(own_L, dtype=np.float64)
    if own.ndim != 1:
        raise AttritionError(f"own_L has shape {own.shape}; it needs one score per language, a list such as [0.7, 0.8].")
    num = int(count_measured(own))
    hop_H = np.arange(num_hops, dtype=np.float64)
    if num < 2:
        return np.full((len(own), num_hops), np.nan)
    above_L = num / (num - 1) * (own - mean_measured(own))

    def share(position: NDArray[np.float64]) -> Floats:
        """Return the metric's change per unit above the mean, by position and hop; NaN if a bound is outside 1 to T."""
        first, last = lower(position[:, None], hop_H), upper(position[:, None], hop_H)
        return np.where((first >= 1) & (last <= num), 1 / np.maximum(last, 1), np.nan)

    if position_L is None:
        return np.asarray(above_L[:, None] * mean_measured(share(np.arange(1.0, num + 1)), axis=0))
    position = np.asarray(position_L, dtype=np.float64)
    known = ~np.isnan(own)
    if position.shape != own.shape or not np.isin(position[known], np.arange(1, num + 1)).all():
        raise AttritionError(
            f"position_L needs a whole number from 1 to {num} for each of the {num} languages with a score, "
            f"one entry per language; given: {position.tolist()}."
        )
    return np.asarray(above_L[:, None] * share(position))

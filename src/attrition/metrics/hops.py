"""Multi-hop transfer: a language's effect on languages learned h stages later or earlier (Khelli et al., eq. 13-14).

p is the position of a language in an order (its stage, from 1), P_i the mean score on the languages learned up to stage i.
The paper does not relate its i to the language; here i = p. The paper's prose describes another language h stages away, its
formula describes averages. `mft` and `mbt` are the averages, `mft_pairwise` and `mbt_pairwise` the other reading. A hop is left
out of the mean over orders, never counted as 0, if one of its stages is outside 1...T or was not measured; `counts` has the
number of remaining orders. A language that was trained together with others has no hops, because the stage's effect is not its
own. A stage with further data of a language counts as a hop, but belongs to no language. The row before training is not used,
because it has no learned languages.

Shape letters: S stages, L languages, H hops (0, 1, 2, ...).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from attrition.metrics.matrix import RMatrix
from attrition.metrics.means import mean_measured
from attrition.metrics.several import Floats, Matrices, PerLanguage, at_own_stage, changes_SL, over_orders
from attrition.metrics.single import learned_mean

NUM_HOPS = 10
"""Hops 0 to 9, as in the paper's Figures 5 and 6."""


def _at_stages(values_S: Floats, stages: NDArray[np.int64]) -> Floats:
    """Return values_S at the given stages (from 0), NaN outside."""
    within = (stages >= 0) & (stages < len(values_S))
    return np.where(within, values_S[np.clip(stages, 0, len(values_S) - 1)], np.nan)


def _stages_and_hops(R: RMatrix, num_hops: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    return np.arange(R.num_stages)[:, None], np.arange(num_hops)[None, :]


def mft_LH(R: RMatrix, num_hops: int = NUM_HOPS) -> Floats:
    """Return MFT of one order, per language and hop: P_(p+h) - P_(p-1)."""
    P_S = learned_mean(R)
    stage, hop = _stages_and_hops(R, num_hops)
    return at_own_stage(R, _at_stages(P_S, stage + hop) - _at_stages(P_S, stage - 1))


def mbt_LH(R: RMatrix, num_hops: int = NUM_HOPS) -> Floats:
    """Return MBT of one order, per language and hop: P_p - P_(p-h-1)."""
    P_S = learned_mean(R)
    stage, hop = _stages_and_hops(R, num_hops)
    return at_own_stage(R, P_S[:, None] - _at_stages(P_S, stage - hop - 1))


def _pairwise_LH(R: RMatrix, num_hops: int, direction: int) -> Floats:
    """Return R[p, x] - R[p-1, x] for the language x learned `direction * h` stages from p; NaN at h = 0."""
    change_SL = changes_SL(R, from_before=False)
    # change_SS[i, k]: the change by stage i on the new languages of stage k (the mean of several, NaN for none).
    change_SS = np.column_stack([mean_measured(change_SL[:, R.stage_L == k], axis=1) for k in range(R.num_stages)])
    stage, hop = _stages_and_hops(R, num_hops)
    other = stage + direction * hop
    within = (other >= 0) & (other < R.num_stages) & (hop > 0)
    return at_own_stage(R, np.where(within, change_SS[stage, np.clip(other, 0, R.num_stages - 1)], np.nan))


def mft_pairwise_LH(R: RMatrix, num_hops: int = NUM_HOPS) -> Floats:
    """Return the pairwise MFT of one order, per language and hop."""
    return _pairwise_LH(R, num_hops, direction=1)


def mbt_pairwise_LH(R: RMatrix, num_hops: int = NUM_HOPS) -> Floats:
    """Return the pairwise MBT of one order, per language and hop."""
    return _pairwise_LH(R, num_hops, direction=-1)


def mft(matrices: Matrices, num_hops: int = NUM_HOPS) -> PerLanguage:
    """Return multi-hop forward transfer per language and hop (L, H), the mean over orders, with counts.

    Formula: MFT_h = P_(p+h) - P_(p-1). Range -1 to 1, higher is better. Undefined for the first language of an order and if
    p+h > T. At h = 0 it is the performance shift. `overall` is eq. 13's mean over languages. Source: Khelli et al., eq. 13.

    >>> R = RMatrix.sequential("abc", [[.75, .25, .125], [.5, .875, .25], [.625, .5, 1]])  # P = .75, .6875, .7083
    >>> mft(R, num_hops=3)["b"]  # .6875 - .75; .7083 - .75; beyond the end
    [-0.0625, -0.04166..., nan]
    """
    return over_orders(matrices, lambda R: mft_LH(R, num_hops))


def mbt(matrices: Matrices, num_hops: int = NUM_HOPS) -> PerLanguage:
    """Return multi-hop backward transfer per language and hop (L, H), the mean over orders, with counts.

    Formula: MBT_h = P_p - P_(p-h-1). Range -1 to 1, higher is better. Undefined if p-h-1 < 1. At h = 0 it is the performance
    shift. `overall` is eq. 14's mean over languages. Source: Khelli et al., eq. 14.

    >>> R = RMatrix.sequential("abc", [[.75, .25, .125], [.5, .875, .25], [.625, .5, 1]])  # P = .75, .6875, .7083
    >>> mbt(R, num_hops=3)["c"]  # .7083 - .6875; .7083 - .75; beyond the start
    [0.02083..., -0.04166..., nan]
    """
    return over_orders(matrices, lambda R: mbt_LH(R, num_hops))


def mft_pairwise(matrices: Matrices, num_hops: int = NUM_HOPS) -> PerLanguage:
    """Return the effect of a language's stage on the language learned h stages later (L, H), as mean over orders, with counts.

    Formula: R[p, x] - R[p-1, x], x the language at position p+h. Range -1 to 1, higher is better. Undefined at h = 0, for the
    first language of an order, and if p+h > T. Source: the prose of Khelli et al. under eq. 13.

    >>> R = RMatrix.sequential("abc", [[.75, .25, .125], [.5, .875, .25], [.625, .5, 1]])
    >>> mft_pairwise(R, num_hops=3)["b"]  # on c: .25 - .125
    [nan, 0.125, nan]
    """
    return over_orders(matrices, lambda R: mft_pairwise_LH(R, num_hops))


def mbt_pairwise(matrices: Matrices, num_hops: int = NUM_HOPS) -> PerLanguage:
    """Return the effect of a language's stage on the language learned h stages before (L, H), as mean over orders, with counts.

    Formula: R[p, x] - R[p-1, x], x the language at position p-h. Range -1 to 1, higher is better. Undefined at h = 0 and if
    p-h < 1. Source: the prose of Khelli et al. under eq. 14.

    >>> R = RMatrix.sequential("abc", [[.75, .25, .125], [.5, .875, .25], [.625, .5, 1]])
    >>> mbt_pairwise(R, num_hops=3)["c"]  # on b: .5 - .875; on a: .625 - .5
    [nan, -0.375, 0.125]
    """
    return over_orders(matrices, lambda R: mbt_pairwise_LH(R, num_hops))

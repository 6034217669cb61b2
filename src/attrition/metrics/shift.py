"""The performance shift: the change on earlier languages when a language is learned (Khelli et al., eq. 9).

Two scopes, both with gains positive. *Growing* is the change of P, whose set of languages grows by the new one. *Fixed* uses
only the languages learned before. Their difference is the composition effect: the part of the growing shift that comes only
from the new language's own score. Eq. 9 itself, with losses positive, is `p_avg`.
"""

from __future__ import annotations

import numpy as np

from attrition.metrics.hops import mft_LH
from attrition.metrics.matrix import RMatrix
from attrition.metrics.means import mean_measured
from attrition.metrics.several import Floats, Matrices, PerLanguage, as_orders, at_own_stage, changes_SL, over_orders
from attrition.metrics.single import p_avg_terms


def shift_growing_L(R: RMatrix) -> Floats:
    """Return the growing shift of one order, per language: P_p - P_(p-1)."""
    return mft_LH(R, num_hops=1)[:, 0]


def shift_fixed_L(R: RMatrix) -> Floats:
    """Return the fixed shift of one order, per language: the mean change by its stage on the languages learned before."""
    learned_before_SL = np.vstack([np.zeros(len(R.languages), dtype=bool), R.learned_SL[:-1]])
    change_SL = changes_SL(R, from_before=False)
    return at_own_stage(R, mean_measured(np.where(learned_before_SL, change_SL, np.nan), axis=1))


def shift_growing(matrices: Matrices) -> PerLanguage:
    """Return the change of P when a language is learned, with its own score, as the mean over orders.

    Formula: P_p - P_(p-1), p the position of the language. Range -1 to 1, positive is a gain. Undefined for the first language
    of an order. `overall` is the mean over languages. Source: Khelli et al., eq. 9, at the language's own step and with
    the sign of eq. 13-14.

    >>> R = RMatrix.sequential("abc", [[.75, .25, .125], [.5, .875, .25], [.625, .5, 1]])  # P = .75, .6875, .7083
    >>> shift_growing(R).as_dict()  # b: .6875 - .75; c: .7083 - .6875
    {'a': nan, 'b': -0.0625, 'c': 0.02083...}
    """
    return over_orders(matrices, shift_growing_L)


def shift_fixed(matrices: Matrices) -> PerLanguage:
    """Return the change on the languages learned before when a language is learned, as the mean over orders.

    Formula: mean over j < p of R[p, j] - R[p-1, j], p the position of the language. Range -1 to 1, positive is a gain.
    Undefined for the first language of an order. `overall` is the mean over languages.

    >>> R = RMatrix.sequential("abc", [[.75, .25, .125], [.5, .875, .25], [.625, .5, 1]])
    >>> shift_fixed(R).as_dict()  # b: .5 - .75; c: (.625 - .5 + .5 - .875) / 2
    {'a': nan, 'b': -0.25, 'c': -0.125}
    """
    return over_orders(matrices, shift_fixed_L)


def composition(matrices: Matrices) -> PerLanguage:
    """Return the composition effect: the part of the growing shift that comes from the new language's own score.

    Formula: shift_growing - shift_fixed. Range -2 to 2, neither sign is better: a language that scores above the others raises
    the growing shift and one below lowers it, with or without forgetting. `counts` is the smaller count.

    >>> R = RMatrix.sequential("abc", [[.75, .25, .125], [.5, .875, .25], [.625, .5, 1]])
    >>> composition(R).as_dict()  # b: -.0625 + .25; c: .0208 + .125
    {'a': nan, 'b': 0.1875, 'c': 0.14583...}
    """
    growing, fixed = shift_growing(matrices), shift_fixed(matrices)
    return PerLanguage(growing.languages, growing.values - fixed.values, np.minimum(growing.counts, fixed.counts))


def average_p_avg(matrices: Matrices) -> float:
    """Return eq. 9 as printed, over all stages and orders: positive is a loss.

    Formula: mean over orders n and stages t = 1...T-1 of P_t - P_(t+1). Range -1 to 1, lower is better. NaN if no order has two
    stages. Source: Khelli et al., eq. 9, whose summand has no n.

    >>> R = RMatrix.sequential("abc", [[.75, .25, .125], [.5, .875, .25], [.625, .5, 1]])
    >>> round(average_p_avg([R, R]), 4)  # (.75 - .6875 + .6875 - .7083) / 2
    0.0208
    """
    return float(mean_measured(np.concatenate([p_avg_terms(R) for R in as_orders(matrices)])))

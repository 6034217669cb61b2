"""Donors and receivers: D[a, b], the change on b when a is trained, and its means (Khelli et al., section 5, made exact).

The paper reads MFT as donor and MBT as receiver strength, but both measure averages over all learned languages. D measures the
languages themselves. Shape letters: L languages, the first axis the trained a, the second the changed b.
"""

from __future__ import annotations

from typing import Literal

import numpy as np

from attrition.metrics.matrix import RMatrix
from attrition.metrics.means import count_measured, mean_measured
from attrition.metrics.several import Floats, Matrices, PerLanguage, as_orders, at_own_stage, changes_SL, languages_of

Which = Literal["all", "learned", "unlearned"]
"""The languages b: all, only those learned before a, or only those not yet learned at a's stage."""


def effects_LL(R: RMatrix, which: Which = "all") -> Floats:
    """Return D of one order: R[p(a), b] - R[p(a)-1, b].

    NaN for an `a` that is never trained, or trained first (the first stage lifts every language from nothing: see
    `attrition.analysis.quantities`), or together with other languages.
    """
    effect_LL = at_own_stage(R, changes_SL(R, from_before=False))
    a, b = R.stage_L[:, None], R.stage_L[None, :]
    if which == "learned":
        return np.where(b < a, effect_LL, np.nan)
    if which == "unlearned":
        return np.where(b > a, effect_LL, np.nan)
    return effect_LL


def others_LL(R: RMatrix, which: Which = "all") -> Floats:
    """Return `effects_LL` without the diagonal: the effects of a language on the others."""
    return np.where(np.eye(len(R.languages), dtype=bool), np.nan, effects_LL(R, which))


def _effects_OLL(matrices: Matrices, which: Which) -> tuple[tuple[str, ...], Floats]:
    orders = as_orders(matrices)
    languages = languages_of(orders)
    effects_OLL = np.full((len(orders), len(languages), len(languages)), np.nan)
    for order, R in enumerate(orders):
        places = [languages.index(language) for language in R.languages]
        effects_OLL[order][np.ix_(places, places)] = effects_LL(R, which)
    return languages, effects_OLL


def pairwise_effects(matrices: Matrices, which: Which = "all") -> PerLanguage:
    """Return D and the number of orders behind each cell: `values[a, b]` is the mean change on b when a is trained.

    Formula: D[a, b] = mean over orders of R[p(a), b] - R[p(a)-1, b], p(a) > 1. Range -1 to 1, positive is a gain. NaN if no
    order measured it, or if a's stage also trained other languages. The diagonal is the effect of a's own stage on a; no mean
    below includes it. `which` keeps only b already learned, or not yet learned, at p(a).

    >>> R = RMatrix.sequential("abc", [[.75, .25, .125], [.5, .875, .25], [.625, .5, 1]])
    >>> pairwise_effects(R).values.tolist()
    [[nan, nan, nan], [-0.25, 0.625, 0.125], [0.125, -0.375, 0.75]]
    """
    languages, effects_OLL = _effects_OLL(matrices, which)
    return PerLanguage(languages, mean_measured(effects_OLL, axis=0), count_measured(effects_OLL, axis=0))


def _mean_over(matrices: Matrices, which: Which, axis: int) -> PerLanguage:
    """Return the mean over all cells of all orders, each cell with the same weight; `counts` is the number of cells."""
    languages, effects_OLL = _effects_OLL(matrices, which)
    others_OLL = np.where(np.eye(len(languages), dtype=bool), np.nan, effects_OLL)
    return PerLanguage(languages, mean_measured(others_OLL, axis=(0, axis)), count_measured(others_OLL, axis=(0, axis)))


def donor(matrices: Matrices) -> PerLanguage:
    """Return donor strength of a: the mean change on the other languages when a is trained; `counts` is the number of cells.

    Formula: mean over orders with p(a) > 1 and b != a of R[p(a), b] - R[p(a)-1, b]. Range -1 to 1, higher is better. First
    stages are left out: they lift every language from nothing, whichever language comes first. NaN for a language never trained
    or always first.

    >>> R = RMatrix.sequential("abc", [[.75, .25, .125], [.5, .875, .25], [.625, .5, 1]])
    >>> donor(R).as_dict()  # b: (-.25 + .125) / 2; c: (.125 - .375) / 2
    {'a': nan, 'b': -0.0625, 'c': -0.125}
    """
    return _mean_over(matrices, "all", axis=2)


def receiver(matrices: Matrices) -> PerLanguage:
    """Return receiver strength of b: the mean change on b when other languages are trained; `counts` is the number of cells.

    Formula: mean over orders and a != b with p(a) > 1 of R[p(a), b] - R[p(a)-1, b]. Range -1 to 1, higher is better. It mixes
    b's gains before its own stage with its losses afterwards: see `receiver_learned`.

    >>> R = RMatrix.sequential("abc", [[.75, .25, .125], [.5, .875, .25], [.625, .5, 1]])
    >>> receiver(R).as_dict()  # a: (-.25 + .125) / 2; b: -.375; c: .125
    {'a': -0.0625, 'b': -0.375, 'c': 0.125}
    """
    return _mean_over(matrices, "all", axis=1)


def receiver_learned(matrices: Matrices) -> PerLanguage:
    """Return the mean change on b at each stage after its own: its loss or gain per stage after it was learned.

    Formula: mean over orders and a with p(a) > p(b) of R[p(a), b] - R[p(a)-1, b]. Range -1 to 1, higher is better. NaN for a
    language never trained or always last. `counts` is the number of cells.

    >>> R = RMatrix.sequential("abc", [[.75, .25, .125], [.5, .875, .25], [.625, .5, 1]])
    >>> receiver_learned(R).as_dict()  # a: (-.25 + .125) / 2; b: -.375
    {'a': -0.0625, 'b': -0.375, 'c': nan}
    """
    return _mean_over(matrices, "learned", axis=1)


def donor_learned(matrices: Matrices) -> PerLanguage:
    """Return donor strength towards languages already learned.

    Formula: mean over orders and b with p(b) < p(a) of R[p(a), b] - R[p(a)-1, b]. Range -1 to 1, higher is better. `counts` is
    the number of cells.

    >>> R = RMatrix.sequential("abc", [[.75, .25, .125], [.5, .875, .25], [.625, .5, 1]])
    >>> donor_learned(R).as_dict()  # b on a: -.25; c on a and b: (.125 - .375) / 2
    {'a': nan, 'b': -0.25, 'c': -0.125}
    """
    return _mean_over(matrices, "learned", axis=2)


def donor_unlearned(matrices: Matrices) -> PerLanguage:
    """Return donor strength towards languages not yet learned (or never).

    Formula: mean over orders with p(a) > 1 and b with p(b) > p(a) of R[p(a), b] - R[p(a)-1, b]. Range -1 to 1.

    >>> R = RMatrix.sequential("abc", [[.75, .25, .125], [.5, .875, .25], [.625, .5, 1]])
    >>> donor_unlearned(R).as_dict()  # b on c: .125
    {'a': nan, 'b': 0.125, 'c': nan}
    """
    return _mean_over(matrices, "unlearned", axis=2)

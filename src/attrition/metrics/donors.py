"""Donors and receivers: D[a, b], the change on b when a is trained, and its means (Khelli et al., section 5, made exact).

The paper reads MFT as donor and MBT as receiver strength, though both measure averages over all languages learned; D
measures the languages themselves. Shape letters: L languages, the first axis the trained a, the second the changed b.
"""

from __future__ import annotations

from typing import Literal

import numpy as np

from attrition.matrix import RMatrix
from attrition.metrics.means import count_measured, mean_measured
from attrition.metrics.several import Floats, Matrices, PerLanguage, as_orders, at_own_stage, changes_SL, languages_of

Which = Literal["all", "learned", "unlearned"]
"""Which b: every one, only those learned before a, only those not learned yet when a was."""


def effects_LL(R: RMatrix, which: Which = "all") -> Floats:
    """D of one order: R[p(a), b] - R[p(a)-1, b]; NaN for an a never trained and for b trained together with a."""
    effect_LL = at_own_stage(R, changes_SL(R, from_before=True))
    a, b = R.stage_L[:, None], R.stage_L[None, :]
    if which == "learned":
        return np.where(b < a, effect_LL, np.nan)
    if which == "unlearned":
        return np.where(b > a, effect_LL, np.nan)
    # Learning b itself is not an effect of a, where one stage trained both; a's effect on itself is kept on the diagonal.
    return np.where((a != b) | np.eye(len(a), dtype=bool), effect_LL, np.nan)


def pairwise_effects(matrices: Matrices, which: Which = "all") -> PerLanguage:
    """D and the number of orders behind each cell: `values[a, b]` is the mean change on b when a is trained.

    Formula: D[a, b] = mean over orders of R[p(a), b] - R[p(a)-1, b]; for p(a) = 1 the row before training is needed. Range -1
    to 1, positive is a gain. NaN where no order measured it, and where one stage trained both. The diagonal is what a's
    own stage did for a; no mean below includes it. `which` keeps only b already learned, or not yet learned, at p(a).

    >>> R = RMatrix.sequential("abc", [[.75, .25, .125], [.5, .875, .25], [.625, .5, 1]])
    >>> pairwise_effects(R).values.tolist()
    [[nan, nan, nan], [-0.25, 0.625, 0.125], [0.125, -0.375, 0.75]]
    """
    orders = as_orders(matrices)
    languages = languages_of(orders)
    effects_OLL = np.full((len(orders), len(languages), len(languages)), np.nan)
    for order, R in enumerate(orders):
        places = [languages.index(language) for language in R.languages]
        effects_OLL[order][np.ix_(places, places)] = effects_LL(R, which)
    return PerLanguage(languages, mean_measured(effects_OLL, axis=0), count_measured(effects_OLL, axis=0))


def _mean_over(effects: PerLanguage, axis: int) -> PerLanguage:
    others_LL = np.where(np.eye(len(effects.languages), dtype=bool), np.nan, effects.values)
    return PerLanguage(effects.languages, mean_measured(others_LL, axis=axis), count_measured(others_LL, axis=axis))


def donor(matrices: Matrices) -> PerLanguage:
    """Donor strength of a: the mean change on the other languages when a is trained; `counts` are the others measured.

    Formula: mean over b != a of D[a, b]. Range -1 to 1, higher is better. NaN for a language never trained, and for one
    that was always first where the row before training was not measured.

    >>> R = RMatrix.sequential("abc", [[.75, .25, .125], [.5, .875, .25], [.625, .5, 1]])
    >>> donor(R).as_dict()  # b: (-.25 + .125) / 2; c: (.125 - .375) / 2
    {'a': nan, 'b': -0.0625, 'c': -0.125}
    """
    return _mean_over(pairwise_effects(matrices), axis=1)


def receiver(matrices: Matrices) -> PerLanguage:
    """Receiver strength of b: the mean change on b when other languages are trained; `counts` are the others measured.

    Formula: mean over a != b of D[a, b]. Range -1 to 1, higher is better.

    >>> R = RMatrix.sequential("abc", [[.75, .25, .125], [.5, .875, .25], [.625, .5, 1]])
    >>> receiver(R).as_dict()  # a: (-.25 + .125) / 2; b: -.375; c: .125
    {'a': -0.0625, 'b': -0.375, 'c': 0.125}
    """
    return _mean_over(pairwise_effects(matrices), axis=0)


def donor_learned(matrices: Matrices) -> PerLanguage:
    """Donor strength towards languages already learned: what training a kept or cost.

    Formula: mean over b of D[a, b], from the orders where p(b) < p(a). Range -1 to 1, higher is better.

    >>> R = RMatrix.sequential("abc", [[.75, .25, .125], [.5, .875, .25], [.625, .5, 1]])
    >>> donor_learned(R).as_dict()  # b on a: -.25; c on a and b: (.125 - .375) / 2
    {'a': nan, 'b': -0.25, 'c': -0.125}
    """
    return _mean_over(pairwise_effects(matrices, "learned"), axis=1)


def donor_unlearned(matrices: Matrices) -> PerLanguage:
    """Donor strength towards languages not yet learned (or never): what training a taught about them.

    Formula: mean over b of D[a, b], from the orders where p(b) > p(a). Range -1 to 1, higher is better.

    >>> R = RMatrix.sequential("abc", [[.75, .25, .125], [.5, .875, .25], [.625, .5, 1]])
    >>> donor_unlearned(R).as_dict()  # b on c: .125
    {'a': nan, 'b': 0.125, 'c': nan}
    """
    return _mean_over(pairwise_effects(matrices, "unlearned"), axis=1)

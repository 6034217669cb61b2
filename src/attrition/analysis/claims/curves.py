"""Numbers of a whole run for claims."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np

from attrition.analysis.quantities import QUANTITIES, Values
from attrition.metrics import learned_mean
from attrition.metrics.matrix import RMatrix
from attrition.metrics.means import mean_measured
from attrition.metrics.several import changes_SL


def fall(R: RMatrix) -> float:
    """Return P at the end minus the maximum of P.

    >>> fall(RMatrix.sequential("abc", [[.75, .25, .125], [.5, .875, .25], [.625, .5, .875]]))  # .6667 - .75
    -0.08333...
    """
    P_S = learned_mean(R)
    return float(P_S[-1] - P_S.max())


def swing(R: RMatrix) -> float:
    """Return the maximum of P minus its minimum over the sequence.

    >>> swing(RMatrix.sequential("abc", [[.75, .25, .125], [.5, .875, .25], [.625, .5, 1]]))  # .75 - .6875
    0.0625
    """
    P_S = learned_mean(R)
    return float(P_S.max() - P_S.min())


def learned_gap(R: RMatrix) -> float:
    """Return the mean score on learned languages minus the mean on languages to come, over all stages; NaN if one is missing.

    >>> learned_gap(RMatrix.sequential("ab", [[.5, .25], [.375, .75]]))  # (.5 + .375 + .75) / 3 - .25
    0.29166...
    """
    learned_SL = R.learned_SL
    one = mean_measured(np.where(learned_SL, R.scores_SL, np.nan))
    return float(one - mean_measured(np.where(learned_SL, np.nan, R.scores_SL)))


def own_gain(R: RMatrix) -> float:
    """Return the mean change of the trained language at a stage, over the stages after the first.

    >>> own_gain(RMatrix.sequential("ab", [[.5, .25], [.375, .75]]))
    0.5
    """
    trained_L = (R.stage_L > 0) & (R.stage_L < R.num_stages)
    gained_SL = changes_SL(R, from_before=False)
    return float(mean_measured(gained_SL[R.stage_L[trained_L], np.flatnonzero(trained_L)]))


CURVES: dict[str, Callable[[RMatrix], float]] = {
    "fall": fall,
    "swing": swing,
    "learned_gap": learned_gap,
    "own_gain": own_gain,
}


def function_of(quantity: str) -> Callable[[RMatrix], Values]:
    """Return the function that gives a quantity's value for every language; a curve has one value for all."""
    return _of_every_language(CURVES[quantity]) if quantity in CURVES else QUANTITIES[quantity].function


@cache
def _of_every_language(curve: Callable[[RMatrix], float]) -> Callable[[RMatrix], Values]:
    # Cached, because tables of resampled utterances use the function as key.
    return lambda R: (np.full(len(R.languages), curve(R)), np.ones(len(R.languages)))

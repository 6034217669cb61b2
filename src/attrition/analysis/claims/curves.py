"""Numbers of a whole run for claims, in addition to the fall and the swing of P."""

from __future__ import annotations

import numpy as np

from attrition.metrics.matrix import RMatrix
from attrition.metrics.means import mean_measured
from attrition.metrics.several import changes_SL


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

"""The metrics of one matrix: learning, transfer and forgetting.

In the formulas rows and positions count from 1: R[i, j] is the score on the j-th language learned, after stage i of T; R[0] is
the row before training; P_i is the mean of R[i, j] over j <= i. Languages never trained have a column but no position. They
count only as not yet learned, at every stage.

*Not measured* (NaN) is never 0. Every metric is a mean of terms. A term with an unmeasured cell is left out, and a mean without
terms is NaN. `num_terms` returns the numbers of measured and possible terms. A joint run has one stage, so comparisons of
stages are NaN. A stage with several languages gives them the same position, and each its own term. A language's position is the
first stage that trains it. A later stage with further data of it is an ordinary stage, and its changes on the language also
count in CBT, BWT and forgetting.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from attrition.metrics.matrix import RMatrix
from attrition.metrics.means import count_measured, mean_measured
from attrition.names import AttritionError

Terms = NDArray[np.float64]
"""The terms of a metric's mean: one number per term, NaN if a cell was not measured."""


def _mean(terms: Terms) -> float:
    return float(mean_measured(terms))


def learned_mean(R: RMatrix) -> NDArray[np.float64]:
    """Return P_i, the mean score over the languages learned so far, per stage (array of T).

    Formula: P_i = mean over j <= i of R[i, j]. Range 0 to 1, higher is better. NaN if none of them was measured.
    Source: Khelli et al., section 3.3.

    >>> R = RMatrix.sequential("abc", [[.75, .25, .125], [.5, .875, .25], [.625, .5, 1]])
    >>> learned_mean(R).round(4).tolist()  # .75; (.5 + .875) / 2; (.625 + .5 + 1) / 3
    [0.75, 0.6875, 0.7083]
    """
    return mean_measured(np.where(R.learned_SL, R.scores_SL, np.nan), axis=1)


def progression(R: RMatrix, num_steps: int | None = None) -> NDArray[np.float64]:
    """Return P_i over `num_steps` steps for a chart: `learned_mean`, or the single value of a joint run at every step.

    A joint run has only one row. `num_steps` is ignored for runs of several stages.

    >>> progression(RMatrix([[0.5, 0.75]], ("a", "b"), (("a", "b"),)), num_steps=3).tolist()
    [0.625, 0.625, 0.625]
    """
    means = learned_mean(R)
    return np.repeat(means, num_steps) if R.joint and num_steps else means


def final_mean_terms(R: RMatrix) -> Terms:
    """Return the last row's scores on the learned languages."""
    return np.extract(R.learned_SL[-1], R.scores_SL[-1])


def final_mean(R: RMatrix) -> float:
    """Return the mean score after the last stage over all learned languages: the F1 of the paper's Table 1.

    Formula: P_T = mean over j of R[T, j]. Range 0 to 1, higher is better. The literature's average accuracy (Lopez-Paz and
    Ranzato, 2017) is the same number.

    >>> R = RMatrix.sequential("abc", [[.75, .25, .125], [.5, .875, .25], [.625, .5, 1]])
    >>> round(final_mean(R), 4)  # (.625 + .5 + 1) / 3
    0.7083
    """
    return _mean(final_mean_terms(R))


def average_accuracy(R: RMatrix) -> float:
    """Return ACC, the mean score over all tasks after the last one: another name for `final_mean`.

    Formula: ACC = mean over j of R[T, j]. Range 0 to 1, higher is better. Source: Lopez-Paz and Ranzato (2017).

    >>> R = RMatrix.sequential("abc", [[.75, .25, .125], [.5, .875, .25], [.625, .5, 1]])
    >>> average_accuracy(R) == final_mean(R)
    True
    """
    return final_mean(R)


def area_under_learned_mean(R: RMatrix) -> float:
    """Return the mean of P_i over the stages: the quality during training, not only at the end.

    Formula: (1/T) sum over i of P_i. Range 0 to 1, higher is better. Source: the average incremental accuracy of Rebuffi et
    al. (2017).

    >>> R = RMatrix.sequential("abc", [[.75, .25, .125], [.5, .875, .25], [.625, .5, 1]])
    >>> round(area_under_learned_mean(R), 4)  # (.75 + .6875 + .7083) / 3
    0.7153
    """
    return _mean(learned_mean(R))


def learning_accuracy(R: RMatrix) -> float:
    """Return the mean score on each language right after its own stage.

    Formula: LA = mean over i of R[i, i]. Range 0 to 1, higher is better. For a joint run the only row is also the row right
    after learning. Source: Riemer et al. (2019).

    >>> R = RMatrix.sequential("abc", [[.75, .25, .125], [.5, .875, .25], [.625, .5, 1]])
    >>> learning_accuracy(R)  # (.75 + .875 + 1) / 3
    0.875
    """
    return _mean(learning_accuracy_terms(R))


def learning_accuracy_terms(R: RMatrix) -> Terms:
    """Return the diagonal, over the learned languages."""
    return np.extract(R.learned_SL[-1], R.own_L)


def _not_yet_learned(R: RMatrix) -> NDArray[np.float64]:
    """Return rows 1 to T-1 with the cells above the diagonal, NaN elsewhere."""
    return np.where(R.learned_SL, np.nan, R.scores_SL)[:-1]


def cft_terms(R: RMatrix) -> Terms:
    """Return the mean over the languages not yet learned, for each stage after which at least one remains."""
    left_S = ~R.learned_SL[:-1].all(axis=1)
    return mean_measured(_not_yet_learned(R)[left_S], axis=1)


def cft(R: RMatrix) -> float:
    """Return cross-lingual forward transfer: the score on languages not yet learned, with the same weight for each stage.

    Formula: CFT = mean over i = 1...T-1 of (mean over j > i of R[i, j]). Range 0 to 1, higher is better. NaN for one stage, and
    if nothing above the diagonal was measured (learners that do not exist yet). Late stages have the same weight as early ones,
    with fewer languages left: see `cft_cells`. Source: Khelli et al., eq. 10-11; Winata et al. (2023).

    >>> R = RMatrix.sequential("abc", [[.75, .25, .125], [.5, .875, .25], [.625, .5, 1]])
    >>> cft(R)  # ((.25 + .125) / 2 + .25) / 2
    0.21875
    """
    return _mean(cft_terms(R))


def cft_cells_terms(R: RMatrix) -> Terms:
    """Return the cells above the diagonal, rows 1 to T-1."""
    return np.extract(~R.learned_SL[:-1], R.scores_SL[:-1])


def cft_cells(R: RMatrix) -> float:
    """Return cross-lingual forward transfer with the same weight for every cell above the diagonal.

    Formula: mean over all i < T and j > i of R[i, j]. Range 0 to 1, higher is better. NaN as for `cft`.

    >>> R = RMatrix.sequential("abc", [[.75, .25, .125], [.5, .875, .25], [.625, .5, 1]])
    >>> round(cft_cells(R), 4)  # (.25 + .125 + .25) / 3
    0.2083
    """
    return _mean(cft_cells_terms(R))


def _earlier_L(R: RMatrix) -> NDArray[np.bool_]:
    """Return a mask of the languages learned before the last stage."""
    return R.stage_L < R.num_stages - 1


def cbt_terms(R: RMatrix) -> Terms:
    """Return R[T, j] - R[j, j] for the languages learned before the last stage."""
    return np.extract(_earlier_L(R), R.scores_SL[-1] - R.own_L)


def cbt(R: RMatrix) -> float:
    """Return cross-lingual backward transfer: the change on each earlier language from its own stage to the end.

    Formula: CBT = mean over i < T of R[T, i] - R[i, i]. Range -1 to 1, negative is forgetting, higher is better. NaN for one
    stage. Source: Khelli et al., eq. 12, with the last row, as in its prose (and in GEM's BWT). `cbt_literal` is the printed
    equation.

    >>> R = RMatrix.sequential("abc", [[.75, .25, .125], [.5, .875, .25], [.625, .5, 1]])
    >>> cbt(R)  # (.625 - .75 + .5 - .875) / 2
    -0.25
    """
    return _mean(cbt_terms(R))


def cbt_literal_terms(R: RMatrix) -> Terms:
    """Return R[T-1, j] - R[j, j] for the languages learned before the last stage; 0 for the language of stage T-1."""
    if R.num_stages < 2:
        return np.empty(0)
    return np.extract(_earlier_L(R), R.scores_SL[-2] - R.own_L)


def cbt_literal(R: RMatrix) -> float:
    """Return cross-lingual backward transfer exactly as eq. 12 prints it, with row T-1; its last term is always 0.

    Formula: mean over i < T of R[T-1, i] - R[i, i], counted from 1. Range -1 to 1, negative is forgetting, higher is better.
    NaN for one stage. Source: Khelli et al., eq. 12.

    >>> R = RMatrix.sequential("abc", [[.75, .25, .125], [.5, .875, .25], [.625, .5, 1]])
    >>> cbt_literal(R)  # (.5 - .75 + 0) / 2
    -0.125
    """
    return _mean(cbt_literal_terms(R))


def bwt(R: RMatrix) -> float:
    """Return backward transfer: the literature's name for `cbt` with the last row.

    Formula: BWT = mean over i < T of R[T, i] - R[i, i]. Range -1 to 1, negative is forgetting, higher is better. NaN for one
    stage. Source: Lopez-Paz and Ranzato (2017).

    >>> R = RMatrix.sequential("abc", [[.75, .25, .125], [.5, .875, .25], [.625, .5, 1]])
    >>> bwt(R)
    -0.25
    """
    return cbt(R)


def fwt_terms(R: RMatrix) -> Terms:
    """Return R[i-1, i] - R[0, i] for the languages learned after the first stage."""
    before_L = np.full(len(R.languages), np.nan) if R.before_L is None else R.before_L
    just_before_L = R.scores_SL[R.stage_L - 1, np.arange(len(R.languages))]
    return np.extract((R.stage_L > 0) & (R.stage_L < R.num_stages), just_before_L - before_L)


def fwt(R: RMatrix) -> float:
    """Return forward transfer: the score on the next language before its stage, minus the score without training.

    Formula: FWT = mean over i >= 2 of R[i-1, i] - R[0, i]. Range -1 to 1, higher is better. NaN without the row before training
    and for one stage. Source: Lopez-Paz and Ranzato (2017), whose untrained reference is R[0].

    >>> R = RMatrix.sequential("abc", [[.75, .25, .125], [.5, .875, .25], [.625, .5, 1]], before_L=[.125, 0, .125])
    >>> fwt(R)  # (.25 - 0 + .25 - .125) / 2
    0.1875
    """
    return _mean(fwt_terms(R))


def forgetting_terms(R: RMatrix) -> Terms:
    """Return the best score before the last stage minus the last, for the languages learned before the last stage."""
    earlier_SL = R.scores_SL[:-1]
    best_L = np.where(np.isnan(earlier_SL), -np.inf, earlier_SL).max(axis=0, initial=-np.inf)
    best_L[np.isneginf(best_L)] = np.nan
    return np.extract(_earlier_L(R), best_L - R.scores_SL[-1])


def forgetting(R: RMatrix) -> float:
    """Return forgetting: each earlier language's best score before the last stage, minus its final score.

    Formula: F = mean over j < T of (max over l = 1...T-1 of R[l, j]) - R[T, j]. Range -1 to 1, positive is forgetting, lower
    is better. The maximum does not include the last row, so a gain is negative. It includes scores before a language's own
    stage. NaN for one stage. Source: Chaudhry et al. (2018).

    >>> R = RMatrix.sequential("abc", [[.75, .25, .125], [.5, .875, .25], [.625, .5, 1]])
    >>> forgetting(R)  # (.75 - .625 + .875 - .5) / 2
    0.25
    """
    return _mean(forgetting_terms(R))


def p_avg_terms(R: RMatrix) -> Terms:
    """Return P_t - P_(t+1) for each stage but the last."""
    P = learned_mean(R)
    return P[:-1] - P[1:]


def p_avg(R: RMatrix) -> float:
    """Return the performance shift as eq. 9 prints it, over the stages of one order: positive is a loss.

    Formula: mean over t = 1...T-1 of P_t - P_(t+1). Range -1 to 1, lower is better. The set of languages grows between t and
    t+1, so a new language's low score counts as a loss: see `shift_fixed`. NaN for one stage. Source: Khelli et al., eq. 9
    (whose mean over orders `average_p_avg` takes as well).

    >>> R = RMatrix.sequential("abc", [[.75, .25, .125], [.5, .875, .25], [.625, .5, 1]])
    >>> round(p_avg(R), 4)  # (.75 - .6875 + .6875 - .7083) / 2
    0.0208
    """
    return _mean(p_avg_terms(R))


def intransigence_terms(R: RMatrix, reference: RMatrix) -> Terms:
    """Return reference[x, x] - R[x, x] for each language learned in R."""
    reference_own = dict(zip(reference.languages, reference.own_L.tolist(), strict=True))
    learned = [language for language, stage in R.learned_at.items() if stage is not None]
    missing = [language for language in learned if reference.learned_at.get(language) is None]
    if len(missing) == len(learned):
        raise AttritionError(
            f"The reference learned none of the languages {', '.join(learned)}. "
            "Intransigence compares with a run (MONO or MULTI) that learned the same languages."
        )
    return np.array([reference_own.get(language, np.nan) for language in learned]) - learning_accuracy_terms(R)


def intransigence(R: RMatrix, reference: RMatrix) -> float:
    """Return intransigence: each language's score in a reference without this order, minus its score right after its stage.

    Formula: I = mean over i of reference[i, i] - R[i, i], the reference being MULTI (a joint run: its one row) or MONO (one
    learner per language: its diagonal). Range -1 to 1, positive is a loss, lower is better. Languages that the reference did
    not learn are left out. Source: Chaudhry et al. (2018).

    Raises:
        AttritionError: the reference learned none of R's languages.

    >>> R = RMatrix.sequential("abc", [[.75, .25, .125], [.5, .875, .25], [.625, .5, 1]])
    >>> multi = RMatrix([[.875, .875, .875]], ("a", "b", "c"), (("a", "b", "c"),))
    >>> intransigence(R, multi)  # (.125 + 0 - .125) / 3
    0.0
    """
    return _mean(intransigence_terms(R, reference))


TERMS: dict[str, Callable[[RMatrix], Terms]] = {
    "final_mean": final_mean_terms,
    "average_accuracy": final_mean_terms,
    "learning_accuracy": learning_accuracy_terms,
    "area_under_learned_mean": learned_mean,
    "cft": cft_terms,
    "cft_cells": cft_cells_terms,
    "cbt": cbt_terms,
    "cbt_literal": cbt_literal_terms,
    "bwt": cbt_terms,
    "fwt": fwt_terms,
    "forgetting": forgetting_terms,
    "p_avg": p_avg_terms,
}
"""The terms of each metric of one matrix, for intervals and counts."""


def num_terms(R: RMatrix, name: str) -> tuple[int, int]:
    """Return the number of measured terms of a metric, and the number with every cell measured.

    >>> num_terms(RMatrix.sequential("ab", [[.75, float("nan")], [.5, .875]]), "cft")
    (0, 1)
    """
    terms = TERMS[name](R)
    return int(count_measured(terms)), len(terms)

"""The measurement error of the mixed model's changes D: their variance over test sets.

Shape letters: N rows (a stage and a receiver), B resamples, S stages, L languages, K factors.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from attrition.analysis.changes import Changes
from attrition.analysis.evidence import RunEvidence
from attrition.analysis.utterances import Utterances
from attrition.metrics.several import Floats

LEAST = 0.1
"""Smallest variance of a row, as a share of the mean: a receiver without any changed utterance still has an error."""


def known_variance_N(
    of: Changes, factors: Mapping[str, NDArray[np.int64]], runs: Sequence[RunEvidence], utterances: Utterances | None
) -> Floats | None:
    """Return the variance of each row's own measurement error, in points squared; None without counts of all runs.

    Both scores of D are resampled with one draw of test utterances, so shared variation cancels. The variance of D over the
    resamples has two parts. One part is shared by rows of one level: for example, a sentence of a receiver is hard in all runs.
    The variance of this factor already includes it. The other part is the row's own (`own_share`); only this is returned.

    The variance is a mean over the rows of one receiver. The variance of a single row depends on its D: if no utterance
    changed, both are 0. Weights from single rows would bias the estimates towards 0.

    Args:
        of: the changes of `runs`, in the same order.
        factors: the codes of each factor of the model, one per row.
        runs: one per matrix.
        utterances: the counts of the runs.
    """
    if utterances is None or not utterances.cover(runs):
        return None
    deviation_BN = resampled_changes_BN(of, runs, utterances)
    deviation_BN -= deviation_BN.mean(axis=0)
    variance_N = (deviation_BN**2).sum(axis=0) / (len(deviation_BN) - 1)
    rows_L = np.maximum(np.bincount(of.receiver_N, minlength=len(of.languages)), 1)
    mean_L = np.bincount(of.receiver_N, variance_N, minlength=len(of.languages)) / rows_L
    return np.asarray(own_share(deviation_BN, factors) * np.maximum(mean_L[of.receiver_N], LEAST * variance_N.mean()))


def resampled_changes_BN(of: Changes, runs: Sequence[RunEvidence], utterances: Utterances) -> Floats:
    """Return D of every row in every resample, in points; `utterances.cover(runs)` must hold."""
    found_BN = np.empty((utterances.num_resamples, len(of)))
    for place, run in enumerate(runs):
        (rows,) = np.nonzero(of.run_N == place)
        scores_BSL = utterances.scores_BSL(run.matrix)
        columns = np.array([run.matrix.languages.index(of.languages[code]) for code in of.receiver_N[rows]], dtype=np.int64)
        after = of.stage_N[rows] - 1
        found_BN[:, rows] = 100 * (scores_BSL[:, after, columns] - scores_BSL[:, after - 1, columns])
    return found_BN


def own_share(deviation_BN: Floats, factors: Mapping[str, NDArray[np.int64]]) -> float:
    """Return the share (0 to 1) of the mean variance outside all factors: the residual part of a moment estimate.

    Formula: Cov(n, m) = w_all + sum over the factors k of w_k [n and m have the same level of k], for rows n and m that differ.
    The sums of the covariances within the levels of each factor, and over all rows, give one equation for each w. The share is
    1 - sum(w) / mean variance. Factors that have the same levels share their w.

    >>> common = np.array([[1.0, 1.0, -1.0, -1.0], [-1.0, -1.0, 1.0, 1.0]])  # rows of one level move together
    >>> own_share(common, {"receiver": np.array([0, 0, 1, 1])})
    0.0
    """
    num_rows = deviation_BN.shape[1]
    codes_K = [np.zeros(num_rows, dtype=np.int64), *factors.values()]
    freedom = len(deviation_BN) - 1
    total = float((deviation_BN**2).sum()) / freedom
    if total == 0:
        return 1.0
    sums_K = [_within(deviation_BN, codes) / freedom - total for codes in codes_K]
    pairs_KK = [[_alike(one, other) - num_rows for other in codes_K] for one in codes_K]
    # Divided by the rows, so that one tolerance serves all; minimum-norm least squares for identical factors.
    parts_K, *_ = np.linalg.lstsq(np.array(pairs_KK) / num_rows, np.array(sums_K) / num_rows, rcond=1e-10)
    return float(np.clip(1 - parts_K.sum() / (total / num_rows), 0.0, 1.0))


def _within(deviation_BN: Floats, codes_N: NDArray[np.int64]) -> float:
    """Return the sum over resamples and levels of the squared sum of a level's rows."""
    size = int(codes_N.max()) + 1
    return float(sum((np.bincount(codes_N, row_N, minlength=size) ** 2).sum() for row_N in deviation_BN))


def _alike(one_N: NDArray[np.int64], other_N: NDArray[np.int64]) -> float:
    """Return the number of ordered pairs of rows, each with itself included, with the same level of both factors."""
    _, counts = np.unique(one_N * (int(other_N.max()) + 1) + other_N, return_counts=True)
    return float((counts.astype(np.float64) ** 2).sum())

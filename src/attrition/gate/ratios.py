"""Metrics as ratios of sums over utterances, and test sets as counts of kinds of utterances.

F1, recall and precision are all "sum of a numerator / sum of a denominator". So an utterance is four small numbers: numerator
and denominator for the old and the new system. A test set of 3,000 utterances has about fifty kinds of utterances.

Shape letters: U utterances, K kinds of utterances, R resamples.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from attrition.names import unknown

Metric = Literal["f1", "recall", "precision"]
METRICS: tuple[Metric, ...] = get_args(Metric)


@dataclass(frozen=True, eq=False)
class Outcomes:
    """The kinds of utterances of a slice.

    Args:
        kinds: int64 [K, 4], numerator and denominator for the old system, then for the new one.
        number: int64 [K], number of utterances of each kind.
        typical: gold spans of a typical utterance (see `outcomes`).
        span: numerator and denominator of one found span: 2 for F1, else 1.
        gold: number of gold spans.
    """

    kinds: NDArray[np.int64]
    number: NDArray[np.int64]
    typical: int
    span: int
    gold: int

    @property
    def num_utterances(self) -> int:
        """Number of utterances."""
        return int(self.number.sum())

    @property
    def num_differing(self) -> int:
        """Number of utterances with different counts for the two systems."""
        return int(self.number[(self.kinds[:, :2] != self.kinds[:, 2:]).any(axis=1)].sum())

    @property
    def scores(self) -> tuple[float, float]:
        """The metric for the old and the new system; 0 where the denominator is 0, as in seqeval."""
        old, new = ratios(self.number @ self.kinds)
        return float(old), float(new)

    @property
    def loss(self) -> float:
        """Old score minus new score."""
        old, new = self.scores
        return old - new


def ratios(sums: NDArray[np.number]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the old and the new score from sums [..., 4]; 0 where a denominator is 0.

    >>> [float(score) for score in ratios(np.array([1, 2, 0, 0]))]
    [0.5, 0.0]
    """
    old, new = (
        np.divide(sums[..., at], sums[..., at + 1], out=np.zeros(sums.shape[:-1]), where=sums[..., at + 1] > 0) for at in (0, 2)
    )
    return old, new


def parts(counts: NDArray[np.int64], metric: Metric) -> NDArray[np.int64]:
    """Return numerator and denominator of a metric for each utterance, int64 [U, 2].

    F1 = 2 tp / (2 tp + fp + fn), recall = tp / (tp + fn), precision = tp / (tp + fp).

    Args:
        counts: tp, fp, fn of each utterance, int64 [U, 3].
        metric: the metric.

    >>> parts(np.array([[1, 0, 2]]), "f1").tolist(), parts(np.array([[1, 0, 2]]), "recall").tolist()
    ([[2, 4]], [[1, 3]])
    """
    tp, fp, fn = counts.T
    pairs = {"f1": (2 * tp, 2 * tp + fp + fn), "recall": (tp, tp + fn), "precision": (tp, tp + fp)}
    if metric not in pairs:
        raise unknown(metric, METRICS, kind="metric")
    return np.stack(pairs[metric], axis=1)


def outcomes(old: NDArray[np.int64], new: NDArray[np.int64], metric: Metric) -> Outcomes:
    """Return the kinds of utterances of a slice.

    A *typical utterance* has the mean number of gold spans of utterances with spans, rounded up.

    Args:
        old, new: tp, fp, fn of each utterance, int64 [U, 3].
        metric: to compare.

    >>> found = outcomes(np.array([[1, 0, 0], [1, 0, 0]]), np.array([[1, 0, 0], [0, 0, 1]]), "f1")
    >>> found.scores, found.num_differing
    ((1.0, 0.6666666666666666), 1)
    """
    values = np.concatenate([parts(old, metric), parts(new, metric)], axis=1)
    # One number per kind: np.unique over rows is ten times as slow.
    base = int(values.max(initial=0)) + 1
    if base**4 < 2**62:
        keys, number = np.unique(values @ (base ** np.arange(3, -1, -1)), return_counts=True)
        kinds = np.stack([keys // base**power % base for power in (3, 2, 1, 0)], axis=1)
    else:
        kinds, number = np.unique(values, axis=0, return_counts=True)
    gold_U = old[:, 0] + old[:, 2]
    with_gold = gold_U[gold_U > 0]
    typical = int(np.ceil(with_gold.mean())) if len(with_gold) else 1
    return Outcomes(kinds, number.astype(np.int64), typical, 2 if metric == "f1" else 1, int(gold_U.sum()))


def portions(total: int, most: int) -> Iterator[int]:
    """Yield parts of a total, none larger than `most`, to limit the memory of resamples.

    >>> list(portions(7, 3))
    [3, 3, 1]
    """
    for begin in range(0, total, most):
        yield min(most, total - begin)

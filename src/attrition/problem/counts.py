"""Counts of correct and wrong predictions, and their scores.

Shape letters: U utterances, S counted classes (slots, or intents).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Counts:
    """True positives, false positives and false negatives: per utterance int16 [U] each, per counted class int64 [S, 3].

    Slot filling counts spans by slot; with intents, `by_slot` has the intents. `errors` int64 [S, 5] counts spans by slot and
    type of error, see `attrition.problem.spans`; None if not counted.
    """

    tp: NDArray[np.int16]
    fp: NDArray[np.int16]
    fn: NDArray[np.int16]
    by_slot: NDArray[np.int64]
    errors: NDArray[np.int64] | None = None

    @property
    def scores(self) -> tuple[float, float, float]:
        """Return precision, recall and F1 over all utterances (micro-averaged)."""
        return precision_recall_f1(
            int(self.tp.sum(dtype=np.int64)), int(self.fp.sum(dtype=np.int64)), int(self.fn.sum(dtype=np.int64))
        )

    @property
    def f1(self) -> float:
        """Return F1 over all utterances."""
        return self.scores[2]

    def f1_error(self, drawn_from: int | None = None) -> float:
        """Return the standard error of F1 as an estimate for the population from which the utterances were drawn.

        F1 = sum 2 tp / sum (2 tp + fp + fn) is a ratio of sums over U utterances. The error of this ratio estimator (Cochran
        1977, Sampling Techniques, equation 6.9) is sqrt(U * var(d)) / sum (2 tp + fp + fn) with d = 2 tp - F1 (2 tp + fp + fn),
        times sqrt(1 - U / drawn_from) if the population has `drawn_from` utterances. Not below 0. NaN for fewer than two
        utterances, and without any gold or predicted label.

        >>> half = Counts(np.array([1, 0]), np.array([0, 1]), np.array([0, 1]), np.zeros((1, 3), int))
        >>> half.f1, round(half.f1_error(), 4), half.f1_error(drawn_from=2)
        (0.5, 0.5, 0.0)
        """
        tp, fp, fn = (each.astype(np.int64) for each in (self.tp, self.fp, self.fn))
        size = 2 * tp + fp + fn
        if len(tp) < 2 or not size.sum():
            return float("nan")
        deviations = 2 * tp - self.f1 * size
        left = 1.0 if drawn_from is None else max(0.0, 1 - len(tp) / drawn_from)
        return float(np.sqrt(len(tp) * deviations.var(ddof=1) * left) / size.sum())


def precision_recall_f1(tp: int, fp: int, fn: int) -> tuple[float, float, float]:
    """Return precision tp / (tp + fp), recall tp / (tp + fn) and their harmonic mean; 0 if a denominator is 0, as in seqeval.

    >>> precision_recall_f1(1, 1, 0)
    (0.5, 1.0, 0.6666666666666666)
    >>> precision_recall_f1(0, 0, 0)
    (0.0, 0.0, 0.0)
    """
    precision = tp / (tp + fp) if tp + fp else 0.0
    recall = tp / (tp + fn) if tp + fn else 0.0
    total = precision + recall
    return precision, recall, 2 * precision * recall / total if total else 0.0


def macro_f1(by_class_S3: NDArray[np.integer]) -> float:
    """Return the mean F1 over the classes that occur among gold or predicted ones; NaN without any.

    Formula: mean of 2 tp / (2 tp + fp + fn) over the classes with tp + fp + fn > 0. Same as `sklearn.metrics.f1_score` with
    `average="macro"` and no `labels`.

    Args:
        by_class_S3: tp, fp and fn of each class, as `Counts.by_slot`.

    >>> macro_f1(np.array([[1, 1, 0], [0, 0, 1], [0, 0, 0]]))
    0.3333333333333333
    """
    tp_S, fp_S, fn_S = np.asarray(by_class_S3, dtype=np.int64).T
    size_S = 2 * tp_S + fp_S + fn_S
    occurs_S = size_S > 0
    return float(np.mean(2 * tp_S[occurs_S] / size_S[occurs_S])) if occurs_S.any() else float("nan")

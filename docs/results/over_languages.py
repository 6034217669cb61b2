"""Means over languages, with 95% intervals that include the test utterances that all languages share.

Shape letters: B resamples of the test utterances, D languages.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats

from attrition.metrics.matrix import RMatrix


def own(R: RMatrix) -> pd.Series:
    """Return the score of each language right after its own stage, in points; all languages have one."""
    return pd.Series(R.scores_SL[R.stage_L, np.arange(len(R.languages))], R.languages) * 100


@dataclass(frozen=True, eq=False)
class Values:
    """A number for each language, and the same in every resample (B, D). Languages without a number are NaN."""

    of_D: pd.Series
    drawn_BD: np.ndarray

    def __sub__(self, other: Values) -> Values:
        return Values(self.of_D - other.of_D[self.of_D.index], self.drawn_BD - other.on(self.of_D.index).drawn_BD)

    def on(self, languages: Iterable[str]) -> Values:
        """Return the values of some languages."""
        names = list(self.of_D.index)
        places = [names.index(each) for each in languages]
        return Values(self.of_D.iloc[places], self.drawn_BD[:, places])


@dataclass(frozen=True)
class Estimate:
    """A mean in points, its 95% interval and p (two-sided, Student's t)."""

    mean: float
    low: float
    high: float
    p: float

    def __str__(self) -> str:
        return f"{self.mean:+.1f} [{self.low:+.1f} {self.high:+.1f}]"


def mean(values: Values) -> Estimate:
    """Return the mean over languages.

    Its variance has two parts: between languages, and the part of the utterances that all languages share, which the spread
    between languages does not show: the variance of the mean over resamples, minus what the spread holds of it.
    """
    y_D, y_BD = values.of_D.to_numpy(), values.drawn_BD
    n = len(y_D)
    mean_B = y_BD.mean(axis=1)
    shown = (y_BD - mean_B[:, None]).var(axis=0, ddof=1).sum() / (n * (n - 1))
    shared = max(0.0, float(mean_B.var(ddof=1)) - shown)
    return _estimate(float(y_D.mean()), y_D.var(ddof=1) / n + shared, n - 1)


def between(values: Values, ones: Sequence[str]) -> Estimate:
    """Return the mean of some languages minus the mean of the others (Welch's t; the utterances' shared part is added)."""
    parts = [values.on(ones), values.on([each for each in values.of_D.index if each not in ones])]
    one, other = (part.of_D.to_numpy() for part in parts)
    squares = [y_D.var(ddof=1) / len(y_D) for y_D in (one, other)]
    freedom = sum(squares) ** 2 / sum(s**2 / (len(y_D) - 1) for s, y_D in zip(squares, (one, other), strict=True))
    drawn_B = parts[0].drawn_BD.mean(axis=1) - parts[1].drawn_BD.mean(axis=1)
    shown = 0.0
    for part in parts:
        n = part.drawn_BD.shape[1]
        apart_BD = part.drawn_BD - part.drawn_BD.mean(axis=1, keepdims=True)
        shown += apart_BD.var(axis=0, ddof=1).sum() / (n * (n - 1))
    shared = max(0.0, float(drawn_B.var(ddof=1)) - shown)
    return _estimate(float(one.mean() - other.mean()), sum(squares) + shared, freedom)


def _estimate(value: float, variance: float, freedom: float) -> Estimate:
    error = float(np.sqrt(variance))
    half = float(stats.t.ppf(0.975, freedom)) * error
    p = float(2 * stats.t.sf(abs(value) / error, freedom)) if error else float("nan")
    return Estimate(value, value - half, value + half, p)

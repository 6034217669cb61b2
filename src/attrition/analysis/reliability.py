"""Measures how much of a language's value is due to the language, and not to order, seed or chance.

Shape letters: O replicates, L languages, B draws.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from scipy import stats

from attrition.analysis.intervals import LEVEL, Estimate
from attrition.metrics.means import mean_measured
from attrition.metrics.several import Floats

NUM_DRAWS = 4000


@dataclass(frozen=True, kw_only=True)
class Reliability:
    """The intraclass correlation of one run's values with its 95% interval, and the rank agreement of the orders.

    `icc` is the share of the variance of a single replicate's value that is due to language; below 0 where chance makes
    languages more alike than they would be without any effect. `rank_agreement` is the mean Spearman correlation over pairs of
    replicates. NaN with fewer than two replicates or three languages.
    """

    icc: float
    low: float
    high: float
    rank_agreement: float
    num_replicates: int = 0

    def of_mean(self, number: int) -> Reliability:
        """Return the same for the mean over this number of replicates; NaN where the formula has no value.

        Formula: k icc / (1 + (k - 1) icc), which turns ICC(A,1) into ICC(A,k); the interval's ends likewise.
        Source: Spearman 1910 and Brown 1910; McGraw and Wong 1996, Table 7.

        >>> one = Reliability(icc=0.29, low=0.019, high=0.76, rank_agreement=0.5)  # Shrout and Fleiss 1979: ICC(2,4) = .62
        >>> round(one.of_mean(4).icc, 2)
        0.62
        """
        shares = (self.icc, self.low, self.high)
        scales = [1 + (number - 1) * share for share in shares]
        icc, low, high = (
            number * share / scale if scale > 0 else math.nan for share, scale in zip(shares, scales, strict=True)
        )
        return replace(self, icc=icc, low=low, high=high)


UNKNOWN = Reliability(icc=math.nan, low=math.nan, high=math.nan, rank_agreement=math.nan)


def reliability(values_OL: Floats) -> Reliability:
    """Return the reliability of a table of values, one row per replicate.

    Formula: ICC(A,1) = (MS_L - MS_E) / (MS_L + (O-1) MS_E + O/L (MS_O - MS_E)) with the mean squares of languages, replicates
    and the residual, and its F interval. Missing cells are filled by an additive fit; each costs a degree of freedom.
    Source: McGraw and Wong 1996, Table 7; Shrout and Fleiss 1979, ICC(2,1).

    >>> ratings = np.array([[9, 6, 8, 7, 10, 6], [2, 1, 4, 1, 5, 2], [5, 3, 6, 2, 6, 4], [8, 2, 8, 6, 9, 7]], dtype=float)
    >>> found = reliability(ratings)  # Shrout and Fleiss 1979, Table 2: ICC(2,1) = .29
    >>> round(found.icc, 2), round(found.low, 3), round(found.high, 2)
    (0.29, 0.019, 0.76)
    """
    values_OL = values_OL[:, (~np.isnan(values_OL)).sum(axis=0) >= 2]
    values_OL = values_OL[(~np.isnan(values_OL)).any(axis=1)]
    num_rows, num_languages = values_OL.shape
    if num_rows < 2 or num_languages < 3:
        return UNKNOWN
    filled_OL, missing = _filled(values_OL)
    grand, rows_O, columns_L = filled_OL.mean(), filled_OL.mean(axis=1), filled_OL.mean(axis=0)
    rest_OL = filled_OL - rows_O[:, None] - columns_L[None, :] + grand
    freedom = (num_rows - 1) * (num_languages - 1) - missing
    if freedom < 1:
        return UNKNOWN
    ms_l = num_rows * float(np.sum((columns_L - grand) ** 2)) / (num_languages - 1)
    ms_o = num_languages * float(np.sum((rows_O - grand) ** 2)) / (num_rows - 1)
    ms_e = float(np.sum(rest_OL**2)) / freedom
    agreement = _rank_agreement(values_OL)
    if ms_l + ms_e + ms_o < 1e-24:
        return Reliability(icc=math.nan, low=math.nan, high=math.nan, rank_agreement=agreement, num_replicates=num_rows)
    n, k = num_languages, num_rows
    icc = (ms_l - ms_e) / (ms_l + (k - 1) * ms_e + k / n * (ms_o - ms_e))
    if ms_e < 1e-24:
        return Reliability(icc=icc, low=icc, high=icc, rank_agreement=agreement, num_replicates=num_rows)
    a, b = k * icc / (n * (1 - icc)), 1 + k * icc * (n - 1) / (n * (1 - icc))
    v = (a * ms_o + b * ms_e) ** 2 / ((a * ms_o) ** 2 / (k - 1) + (b * ms_e) ** 2 / freedom)
    upper = (1 + LEVEL) / 2
    f_low, f_high = float(stats.f.ppf(upper, n - 1, v)), float(stats.f.ppf(upper, v, n - 1))
    scale = k * ms_o + (k * n - k - n) * ms_e
    low = n * (ms_l - f_low * ms_e) / (f_low * scale + n * ms_l)
    high = n * (f_high * ms_l - ms_e) / (scale + n * f_high * ms_l)
    return Reliability(icc=icc, low=low, high=high, rank_agreement=agreement, num_replicates=num_rows)


def _filled(values_OL: Floats) -> tuple[Floats, int]:
    """Return the table with its gaps filled by the additive fit, and the number of gaps."""
    gaps_OL = np.isnan(values_OL)
    filled_OL = np.where(gaps_OL, mean_measured(values_OL, axis=0), values_OL)
    for _ in range(50):
        fit_OL = filled_OL.mean(axis=0) + filled_OL.mean(axis=1)[:, None] - filled_OL.mean()
        filled_OL = np.where(gaps_OL, fit_OL, filled_OL)
    return filled_OL, int(gaps_OL.sum())


def _rank_agreement(values_OL: Floats) -> float:
    """Return the mean Spearman correlation over pairs of replicates, on the languages that both have."""
    found = []
    for one in range(len(values_OL)):
        for other in range(one):
            both = ~np.isnan(values_OL[one]) & ~np.isnan(values_OL[other])
            rows = [values_OL[place][both] for place in (one, other)]
            if both.sum() > 2 and all(np.ptp(row) > 0 for row in rows):
                found.append(float(stats.spearmanr(*rows).statistic))
    return float(np.mean(found)) if found else math.nan


@dataclass(frozen=True, kw_only=True)
class Extremes:
    """The probabilities that a language is the worst, the best, or among the k worst and best."""

    worst: float
    best: float
    among_worst: float
    among_best: float


def extremes(estimates: Mapping[str, Estimate], *, k: int = 5, seed: int = 0) -> dict[str, Extremes]:
    """Return for each language with an interval the probability that it is an extreme.

    Each estimate is shrunk towards the mean of all, by the share of the spread that chance explains (the normal model of James
    and Stein; tau^2 = variance of the estimates minus their mean squared error, at least 0). Then true values are drawn with
    Student's t. If chance explains the whole spread, all languages are equally probable.

    >>> sure = {name: Estimate(value=value, error=0.01, freedom=50) for name, value in (("a", 0.0), ("b", 1.0), ("c", 2.0))}
    >>> found = extremes(sure, k=1)
    >>> found["a"].worst, found["c"].best
    (1.0, 1.0)
    """
    known = {name: each for name, each in estimates.items() if each.known}
    if len(known) < 2:
        return {}
    value_L = np.array([each.value for each in known.values()])
    error_L = np.array([each.error for each in known.values()])
    freedom_L = np.array([each.freedom for each in known.values()])
    between = max(0.0, float(value_L.var(ddof=1) - np.mean(error_L**2)))
    share_L = between / (between + error_L**2) if between > 0 else np.where(error_L > 0, 0.0, 1.0)
    centre_L = value_L.mean() + share_L * (value_L - value_L.mean())
    random = np.random.default_rng(seed)
    t_BL = random.standard_t(np.clip(freedom_L, 3.0, 1e6), size=(NUM_DRAWS, len(known)))
    # A small random number breaks ties.
    spread_L = np.maximum(np.sqrt(share_L) * error_L, 1e-12)
    place_BL = np.argsort(np.argsort(centre_L + t_BL * spread_L, axis=1), axis=1)
    k = min(k, len(known))
    last = len(known) - 1
    return {
        name: Extremes(
            worst=float(np.mean(place_BL[:, column] == 0)),
            best=float(np.mean(place_BL[:, column] == last)),
            among_worst=float(np.mean(place_BL[:, column] < k)),
            among_best=float(np.mean(place_BL[:, column] > last - k)),
        )
        for column, name in enumerate(known)
    }

"""Intervals and tests for numbers measured in several runs.

A *replicate* is one order of the languages (its seeds averaged). One replicate gives one number. The interval of a mean uses
the spread of the replicates, by Student's t. If languages are a sample of a kind ("Latin script"), it also uses the spread of
languages, as the pigeonhole bootstrap for crossed samples does (Owen and Eckles 2012), here in closed form.

Shape letters: O replicates, L languages.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from attrition.metrics.means import mean_measured
from attrition.metrics.several import Floats

LEVEL = 0.95
"""The level of every interval."""


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """An estimate with its standard error and degrees of freedom; without a spread all but `value` are NaN.

    `num_replicates` and `num_languages` are the numbers behind it. `lasting` is the part of `error` (both in the units of
    `value`) that more replicates would not reduce: the error from the choice of languages and of test utterances.
    """

    value: float
    error: float = math.nan
    freedom: float = math.nan
    num_replicates: int = 0
    num_languages: int = 0
    lasting: float = 0.0

    @property
    def known(self) -> bool:
        """True if there is an interval."""
        return not math.isnan(self.error)

    @property
    def low(self) -> float:
        """The lower end of the 95% interval."""
        return self.value - self._half_width

    @property
    def high(self) -> float:
        """The upper end of the 95% interval."""
        return self.value + self._half_width

    @property
    def _half_width(self) -> float:
        return float(special.stdtrit(self.freedom, (1 + LEVEL) / 2)) * self.error if self.known else math.nan

    def widened(self, variance: float) -> Estimate:
        """Return the estimate with an added variance that more replicates would not reduce.

        Degrees of freedom by Satterthwaite, with infinitely many for the added variance: d (V + added)^2 / V^2. These are too
        many if V is small by chance, as it often is with two replicates. So they are at most those that keep the interval as
        wide as it was. An estimate without an error stays without; NaN adds nothing.

        >>> found = Estimate(value=2.0, error=1.0, freedom=4).widened(1.0)
        >>> round(found.error, 4), found.freedom, found.lasting
        (1.4142, 16.0, 1.0)
        """
        if not self.known or math.isnan(variance) or variance == 0:
            return self
        own, lasting = self.error**2, math.sqrt(self.lasting**2 + variance)
        freedom = self.freedom * (1 + variance / own) ** 2 if own > 0 else math.inf
        wider = replace(self, error=math.sqrt(own + variance), freedom=freedom, lasting=lasting)
        if wider._half_width < self._half_width:
            wider = replace(wider, freedom=float(special.stdtridf((1 + LEVEL) / 2, self._half_width / wider.error)))
        return wider

    def above(self, bound: float) -> float:
        """Return the one-sided p-value for "the true value is at most `bound`".

        >>> round(Estimate(value=2.0, error=1.0, freedom=4).above(0.0), 4)
        0.0581
        """
        if not self.known:
            return math.nan
        if math.isinf(bound):
            return 0.0 if bound < 0 else 1.0
        if self.error == 0:
            return 0.0 if self.value > bound else 1.0
        return float(special.stdtr(self.freedom, (bound - self.value) / self.error))

    def below(self, bound: float) -> float:
        """Return the one-sided p-value for "the true value is at least `bound`"."""
        return Estimate(value=-self.value, error=self.error, freedom=self.freedom).above(-bound)

    @property
    def p(self) -> float:
        """The two-sided p-value for "the true value is 0"."""
        return min(1.0, 2 * min(self.above(0.0), self.below(0.0))) if self.known else math.nan


def mean_of_replicates(values_O: ArrayLike, weights_O: ArrayLike | None = None, num_languages: int = 1) -> Estimate:
    """Return the weighted mean of one number per replicate, with a standard error and degrees of freedom.

    Formula: with shares h = w / sum(w) and residuals e = y - sum(h y), the variance is sum(h^2 e^2 / (1 - h)), which is
    unbiased if a replicate's variance is proportional to 1/w and consistent otherwise; the degrees of freedom are from Bell
    and McCaffrey (2002) under this model. With equal weights this is the usual t interval. NaN error for fewer than two.

    >>> found = mean_of_replicates([1.0, 2.0, 4.0])
    >>> round(found.error, 4), round(found.freedom, 6)  # sd / sqrt(3), n - 1
    (0.8819, 2.0)
    """
    y_O = np.asarray(values_O, dtype=np.float64)
    w_O = np.ones_like(y_O) if weights_O is None else np.asarray(weights_O, dtype=np.float64)
    used = ~np.isnan(y_O) & (w_O > 0)
    y_O, w_O = y_O[used], w_O[used]
    if not y_O.size:
        return Estimate(value=math.nan)
    h_O = w_O / w_O.sum()
    value = float(h_O @ y_O)
    counts = {"num_replicates": int(y_O.size), "num_languages": num_languages}
    if y_O.size < 2:
        return Estimate(value=value, **counts)
    unbiased_O = h_O**2 / (1 - h_O)
    variance = float(unbiased_O @ (y_O - value) ** 2)
    centring_OO = np.eye(y_O.size) - h_O[None, :]
    quadratic_OO = centring_OO.T @ (unbiased_O[:, None] * centring_OO)
    working_OO = quadratic_OO / h_O[None, :]
    freedom = float(np.trace(working_OO) ** 2 / np.trace(working_OO @ working_OO))
    return Estimate(value=value, error=math.sqrt(variance), freedom=freedom, **counts)


def two_way(values_OL: Floats, weights_L: Floats, *, sample_of_languages: bool) -> Estimate:
    """Return a weighted sum over languages of their means over replicates, with the error of both samples.

    Args:
        values_OL: one number per replicate and language, NaN where not measured.
        weights_L: such as 1/n over one group and -1/m over another; 0 for other languages. Languages with positive and negative
            weights are two samples.
        sample_of_languages: True if the languages represent their kind, so that their spread counts; False if the statement is
            about exactly these languages.

    Formula: V = max(V_L, V_O, V_L + V_O - V_R). V_O is the variance of the mean of the replicates' sums; V_L the variance
    from independent languages, group by group (Welch); V_R the residual in both. Degrees of freedom by Satterthwaite.
    Source: Cameron, Gelbach and Miller (2011), eq. 2.3, for two clusterings. NaN error if a needed variance is unknown.
    """
    weights_L = np.asarray(weights_L, dtype=np.float64)
    mean_L = mean_measured(values_OL, axis=0)
    part = (weights_L != 0) & ~np.isnan(mean_L)
    groups = [np.flatnonzero(part & (weights_L > 0)), np.flatnonzero(part & (weights_L < 0))]
    groups = [places for places in groups if places.size]
    signs = [np.sign(weights_L[places[0]]) for places in groups]
    sums = [float(np.abs(weights_L[weights_L * sign > 0]).sum()) for sign in signs]
    if not groups or len(groups) < len({float(sign) for sign in np.sign(weights_L[weights_L != 0])}):
        return Estimate(value=math.nan)

    def contrast(row_L: Floats) -> float:
        # Each group's weights keep their sum if some of its languages were not measured.
        total = 0.0
        for places, sign, size in zip(groups, signs, sums, strict=True):
            there = places[~np.isnan(row_L[places])]
            if not there.size:
                return math.nan
            shares = np.abs(weights_L[there]) / np.abs(weights_L[there]).sum()
            total += float(sign) * size * float(shares @ row_L[there])
        return total

    own = mean_of_replicates([contrast(row_L) for row_L in values_OL])
    value, num_languages = contrast(mean_L), int(part.sum())
    counts = {"num_replicates": own.num_replicates, "num_languages": num_languages}
    across = None if not own.known else (own.error**2, own.freedom)
    if not sample_of_languages:
        if across is None:
            return Estimate(value=value, **counts)
        return Estimate(value=value, error=own.error, freedom=own.freedom, **counts)
    within = _languages_variance(mean_L, weights_L, groups, sums)
    if within is None:
        return Estimate(value=value, **counts)
    if across is None:
        return Estimate(value=value, error=math.sqrt(within[0]), freedom=within[1], lasting=math.sqrt(within[0]), **counts)
    residual = _residual_variance(values_OL[:, part]) * float(np.sum(weights_L[part] ** 2)) / own.num_replicates
    variance = max(within[0], across[0], within[0] + across[0] - residual)
    if variance == 0:
        return Estimate(value=value, error=0.0, freedom=own.freedom, **counts)
    freedom = variance**2 / (within[0] ** 2 / within[1] + across[0] ** 2 / across[1])
    lasting = math.sqrt(variance - across[0])
    return Estimate(value=value, error=math.sqrt(variance), freedom=freedom, lasting=lasting, **counts)


def _languages_variance(
    mean_L: Floats, weights_L: Floats, groups: list[NDArray[np.int64]], sums: list[float]
) -> tuple[float, float] | None:
    """Return variance and degrees of freedom from the spread of languages within groups; None for a group of one."""
    parts = []
    for places, size in zip(groups, sums, strict=True):
        each = mean_of_replicates(mean_L[places], np.abs(weights_L[places]))
        if not each.known:
            return None
        parts.append((size**2 * each.error**2, each.freedom))
    if not any(part for part, _ in parts):
        return 0.0, sum(freedom for _, freedom in parts)
    return sum(part for part, _ in parts), satterthwaite(*parts)


def satterthwaite(*parts: tuple[float, float]) -> float:
    """Return the degrees of freedom of a sum of independent variances, each given with its own (Satterthwaite 1946).

    >>> satterthwaite((1.0, 4.0), (1.0, 4.0))
    8.0
    """
    known = [(variance, freedom) for variance, freedom in parts if variance > 0 and freedom > 0]
    total = sum(variance for variance, _ in known)
    spread = sum(variance**2 / freedom for variance, freedom in known)
    return math.nan if not known else total**2 / spread if spread else math.inf


def _residual_variance(values_OL: Floats) -> float:
    """Return the residual variance of an additive fit of languages and replicates to the measured cells."""
    there_OL = ~np.isnan(values_OL)
    freedom = int(there_OL.sum()) - int(there_OL.any(axis=0).sum()) - int(there_OL.any(axis=1).sum()) + 1
    if freedom < 1:
        return 0.0
    rest_OL = values_OL.copy()
    for _ in range(20):  # converges at once without gaps, and fast with few
        rest_OL = rest_OL - mean_measured(rest_OL, axis=0)
        rest_OL = rest_OL - mean_measured(rest_OL, axis=1)[:, None]
    return float(np.nansum(rest_OL**2)) / freedom

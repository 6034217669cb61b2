"""Computes a confidence interval of the loss that is valid in small test sets too.

The ordinary bootstrap fails if few utterances differ. Two systems that agree on all of 100 utterances get the interval
[0, 0]. But with probability 1/7 a system that breaks 2% of all utterances breaks none of 100. So we use a Bayesian bootstrap
(Rubin 1981: each utterance gets a weight from Exp(1)) with one extra utterance. For the upper bound, the old system gets this
utterance right and the new one wrong; for the lower bound the reverse. For a share this is the exact bound of Clopper and
Pearson (1934): k breaks in n utterances give a Beta(k + 1, n - k). For means of bounded values it is the bound of Gaffke
(2005; Learned-Miller and Thomas 2019). In large sets it equals the ordinary bootstrap.

The size of the extra utterance is a convention: a *typical* utterance (`ratios.outcomes`), not the largest possible.
`benchmarks/gate_calibration.py` measures how often the bound fails.

Shape letters: K kinds of utterances, R resamples.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from attrition.gate.ratios import Outcomes, portions, ratios

DRAWS = 4_000
_AT_ONCE = 4_000_000
ONE_SIDED = 0.05
"""The chance that a bound is wrong, on each side."""

_BOUND, _POWER = 1.6449, 0.8416
"""95% and 80% quantiles of the normal distribution."""


@dataclass(frozen=True)
class Interval:
    """One-sided 95% bounds of the loss, its standard error, and the smallest margin that this amount of data can show.

    A system without loss would pass the margin `can_show` in about 80% of test sets like this one: it is the distance from
    the loss to its upper bound, plus 0.84 standard errors.
    """

    low: float
    high: float
    error: float
    can_show: float

    def growth(self, margin: float) -> float:
        """Return the factor by which the data must grow to show a margin.

        With n utterances, 2.49 standard errors of `can_show` fall with 1 / sqrt(n). The rest, from the extra utterance, falls
        with 1 / n.

        >>> round(Interval(low=-0.03, high=0.03, error=0.0, can_show=0.03).growth(0.01), 6)
        3.0
        >>> round(Interval(low=-0.01, high=0.01, error=0.01, can_show=0.02485).growth(0.01), 1)
        6.2
        """
        root = (_BOUND + _POWER) * self.error
        rest = max(self.can_show - root, 1e-9)
        return (2 * rest / (math.sqrt(root**2 + 4 * rest * margin) - root)) ** 2


def interval(found: Outcomes, rng: np.random.Generator, draws: int = DRAWS) -> Interval:
    """Return the interval of the loss (old score minus new score).

    Args:
        found: the kinds of utterances, with at least one gold span.
        rng: source of the weights.
        draws: number of resamples.

    >>> from attrition.gate.ratios import outcomes
    >>> same = np.array([[1, 0, 0]] * 100)
    >>> bounds = interval(outcomes(same, same, "recall"), np.random.default_rng(0), draws=20_000)
    >>> round(bounds.high, 3), round(1 - 0.05 ** (1 / 100), 3)  # no break in 100: Clopper and Pearson
    (0.03, 0.03)
    """
    weights_RK = rng.standard_gamma(found.number.astype(np.float64), size=(draws, len(found.number)))
    sums_R4 = weights_RK @ found.kinds
    added_R1 = rng.standard_exponential((draws, 1))
    size = found.typical * found.span
    lost, won = np.array([size, size, 0, size]), np.array([0, size, size, size])
    losses = []
    for more in (lost, won):
        old_R, new_R = ratios(sums_R4 + added_R1 * more)
        losses.append(old_R - new_R)
    high = max(float(np.quantile(losses[0], 1 - ONE_SIDED)), found.loss)
    low = min(float(np.quantile(losses[1], ONE_SIDED)), found.loss)
    plain_old, plain_new = ratios(sums_R4)
    error = float((plain_old - plain_new).std())
    return Interval(low, high, error, high - found.loss + _POWER * error)


def p_by_bound(found: Outcomes, rng: np.random.Generator, draws: int) -> float:
    """Return the share of weighted resamples without a loss: the bootstrap's one-sided p of "no loss".

    The extra utterance has one span, which only the new system finds. A typical utterance is safer, but has much less power.

    Args:
        found: the kinds of utterances.
        rng: source of the weights.
        draws: number of resamples; the smallest p is 1 / (draws + 1).

    >>> from attrition.gate.ratios import outcomes
    >>> old, new = np.array([[1, 0, 0]] * 50), np.array([[1, 0, 0]] * 46 + [[0, 0, 1]] * 4)
    >>> round(p_by_bound(outcomes(old, new, "recall"), np.random.default_rng(0), 20_000), 3), 1 / 2**4
    (0.063, 0.0625)
    """
    won = found.span * np.array([0, 1, 1, 1])
    no_loss = 0
    for some in portions(draws, max(1, _AT_ONCE // len(found.number))):
        weights_RK = rng.standard_gamma(found.number.astype(np.float64), size=(some, len(found.number)))
        old_R, new_R = ratios(weights_RK @ found.kinds + rng.standard_exponential((some, 1)) * won)
        no_loss += int((old_R <= new_R).sum())
    return (1 + no_loss) / (1 + draws)

"""Intervals of many languages at once: each language's variance, moderated towards that of all.

Five orders say little about one language's variance; 52 languages show the distribution of variances. The empirical Bayes
estimate of Smyth (2004), known from gene expression (limma), uses both: s~^2 = (d0 s0^2 + d s^2) / (d0 + d), with d0 + d
degrees of freedom. If variances are similar, d0 is large and all languages share one variance. If they differ, d0 is small
and each language keeps its own.

Shape letters: L languages.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
from scipy import optimize, special

from attrition.analysis.evidence import Replicates
from attrition.analysis.intervals import Estimate, mean_of_replicates
from attrition.metrics.several import Floats

FEWEST_TO_POOL = 3
"""The smallest number of languages that shows the distribution of variances."""

ROUNDS = 5
"""Rounds of weighted least squares: the weights hardly change after three."""

FEWEST_REPLICATES = 3
"""With two replicates each language keeps its own variance, because a shared variance would hide large differences."""


def per_language(table: Replicates, extra_variance_L: Floats | None = None) -> dict[str, Estimate]:
    """Return the mean over replicates of each language with its interval, variances moderated over the languages.

    Args:
        table: one number per replicate and language.
        extra_variance_L: (L,), in the squared units of the table: variance that the spread of replicates does not show, added
            after moderation (`utterances.Utterances.main_variance_L`). NaN adds nothing.

    >>> values_OL = np.array([[1.0, 2.0, 0.0], [2.0, 4.0, 1.0]])
    >>> table = Replicates(languages=("a", "b", "c"), values_OL=values_OL, weights_OL=np.ones((2, 3)), keys=(0, 1))
    >>> [round(found.value, 2) for found in per_language(table).values()]
    [1.5, 3.0, 0.5]
    """
    found = [mean_of_replicates(*table.column(language)) for language in table.languages]
    shared, per_cell = _variance_parts(table)
    factors = [_variance_factor(*table.column(language), shared, per_cell) for language in table.languages]
    known = [place for place, each in enumerate(found) if each.known and each.error > 0]
    if len(known) >= FEWEST_TO_POOL and table.number >= FEWEST_REPLICATES:
        unit_L = np.array([found[place].error ** 2 / factors[place] for place in known])
        freedom_L = np.array([found[place].freedom for place in known])
        prior, prior_freedom = prior_variance(unit_L, freedom_L)
        for place, unit, freedom in zip(known, unit_L.tolist(), freedom_L.tolist(), strict=True):
            if math.isinf(prior_freedom):
                variance, total = prior, float(freedom_L.sum())
            else:
                variance = (prior_freedom * prior + freedom * unit) / (prior_freedom + freedom)
                total = min(prior_freedom + freedom, float(freedom_L.sum()))
            found[place] = replace(found[place], error=math.sqrt(variance * factors[place]), freedom=total)
    if extra_variance_L is not None:
        found = [each.widened(extra) for each, extra in zip(found, extra_variance_L.tolist(), strict=True)]
    return dict(zip(table.languages, found, strict=True))


def _variance_factor(values_O: Floats, weights_O: Floats, shared: float, per_cell: float) -> float:
    """Return the variance of the weighted mean, for a variance of shared + per_cell / w of each replicate."""
    used = ~np.isnan(values_O) & (weights_O > 0)
    if not used.any():
        return math.nan
    share_O = weights_O[used] / weights_O[used].sum()
    return float(np.sum(share_O**2 * (shared + per_cell / weights_O[used])))


def _variance_parts(table: Replicates) -> tuple[float, float]:
    """Return a and b of the variance a + b / w of a replicate's number that is the mean of w cells.

    What a stage does to all languages does not shrink with the number of cells (a), the noise of a cell does (b). With one of
    the two alone, intervals of late languages would be too narrow or too wide.

    Formula: with shares h and the residual e = y - sum(h y), E[e^2] = v (1 - 2 h) + sum(h^2 v) is linear in a and b.
    Non-negative least squares over all languages and replicates, weighted by 1 / E[e^2]^2 of the round before.
    """
    squares, of_shared, of_cell = [], [], []
    for language in table.languages:
        y_O, w_O = table.column(language)
        used = ~np.isnan(y_O) & (w_O > 0)
        y_O, w_O = y_O[used], w_O[used]
        if y_O.size < 2:
            continue
        h_O = w_O / w_O.sum()
        squares.append((y_O - h_O @ y_O) ** 2)
        of_shared.append(1 - 2 * h_O + np.sum(h_O**2))
        of_cell.append((1 - 2 * h_O) / w_O + np.sum(h_O**2 / w_O))
    if not squares:
        return 0.0, 1.0
    square_N, design_N2 = np.concatenate(squares), np.stack([np.concatenate(of_shared), np.concatenate(of_cell)], axis=1)
    found = np.array([0.0, 1.0])
    weight_N = np.ones_like(square_N)
    for _ in range(ROUNDS):
        found, _ = optimize.nnls(design_N2 * weight_N[:, None], square_N * weight_N)
        expected_N = design_N2 @ found
        if not found.any() or (expected_N <= 0).any():
            break
        weight_N = 1 / expected_N
    return (float(found[0]), float(found[1])) if found.any() else (0.0, 1.0)


def prior_variance(variances_L: Floats, freedoms_L: Floats) -> tuple[float, float]:
    """Return s0^2 and d0 of the scaled F distribution of the variances; d0 is infinite if they are all equal.

    Formula: with e = log s^2 - digamma(d/2) + log(d/2), trigamma(d0/2) is the variance of e minus the mean of trigamma(d/2),
    and log s0^2 the mean of e plus digamma(d0/2) - log(d0/2). Source: Smyth 2004, section 6.2.

    >>> prior_variance(np.array([1.0, 1.0, 1.0]), np.array([4.0, 4.0, 4.0]))[1]
    inf
    """
    half_L = freedoms_L / 2
    e_L = np.log(variances_L) - special.digamma(half_L) + np.log(half_L)
    mean = float(e_L.mean())
    left = float(e_L.var(ddof=1) - special.polygamma(1, half_L).mean())
    if left <= 0:
        return math.exp(mean), math.inf
    d0 = 2 * _inverse_trigamma(left)
    return math.exp(mean + float(special.digamma(d0 / 2)) - math.log(d0 / 2)), d0


def _inverse_trigamma(value: float) -> float:
    return float(optimize.brentq(lambda x: float(special.polygamma(1, x)) - value, 1e-8, 1e8))

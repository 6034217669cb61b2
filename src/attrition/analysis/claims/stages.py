"""Contrasts over stages and positions, within languages.

Shape letters: O replicates, L languages.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from attrition.analysis.claims.form import Claim
from attrition.analysis.claims.needs import Found, Needs
from attrition.analysis.evidence import RunEvidence, replicates
from attrition.analysis.intervals import Estimate
from attrition.analysis.position import log_before_L
from attrition.analysis.quantities import QUANTITIES
from attrition.analysis.utterances import Table
from attrition.languages import language_of
from attrition.languages.portions import language_of_portion
from attrition.metrics.matrix import RMatrix
from attrition.metrics.means import mean_measured
from attrition.metrics.several import Floats

FEWEST_LANGUAGES = 5
"""The smallest number of languages, with stages of both kinds, that can stand for others of their kind."""


def stages_contrast(claim: Claim, runs: Sequence[RunEvidence], make: Table) -> Found:
    """Return a quantity at stages with the condition minus at the other stages, within languages."""
    condition = is_late if claim.stages == "late" else follows_family
    table = make(runs, QUANTITIES[claim.quantity].function)
    kinds = replicates(
        runs, lambda R: (np.array([condition(R, language) for language in R.languages]), np.ones(len(R.languages)))
    )
    assert claim.of is not None
    among = claim.of.among(table.languages)
    y_OL = np.where(np.isnan(kinds.values_OL), np.nan, table.values_OL)
    x_OL = np.where(np.isnan(y_OL), np.nan, kinds.values_OL)
    chosen = [place for place, name in enumerate(table.languages) if name in among and _varies(x_OL[:, place])]
    y_OL, x_OL = y_OL[:, chosen], x_OL[:, chosen]
    sample = None if claim.of.named else range(len(chosen))
    what = f"stages of both kinds ({claim.stages})"
    return jackknife(lambda used_OL: _slope(x_OL, y_OL, used_OL), y_OL.shape, what, sample, num_languages=len(chosen))


def _varies(x_O: Floats) -> bool:
    measured_O = x_O[~np.isnan(x_O)]
    return measured_O.size > 1 and bool(np.ptp(measured_O) > 0)


def _slope(x_OL: Floats, y_OL: Floats, used_OL: NDArray[np.bool_]) -> float:
    """Return the slope of y on x within languages, over the used cells; NaN without variation."""
    x_OL, y_OL = np.where(used_OL, x_OL, np.nan), np.where(used_OL, y_OL, np.nan)
    dx_OL, dy_OL = x_OL - mean_measured(x_OL, axis=0), y_OL - mean_measured(y_OL, axis=0)
    spread = float(np.nansum(dx_OL**2))
    return float(np.nansum(dx_OL * dy_OL)) / spread if spread > 1e-12 else math.nan


def is_late(R: RMatrix, language: str) -> float:
    """Return 1.0 for a language learned in the second half of the sequence, else 0.0; NaN if it was never trained.

    >>> R = RMatrix.sequential("abc", [[.75, .25, .125], [.5, .875, .25], [.625, .5, 1]])
    >>> [is_late(R, language) for language in "abc"]
    [0.0, 0.0, 1.0]
    """
    stage = R.learned_at[language]
    return math.nan if stage is None else float(stage >= (R.num_stages + 1) // 2)


def follows_family(R: RMatrix, language: str) -> float:
    """Return 1.0 if the language trained just before is in the same family, else 0.0; NaN for the first."""
    stage = R.learned_at[language]
    family = language_of(language).family
    if stage is None or stage == 0 or family is None:
        return math.nan
    before = [language_of_portion(name, R.languages) for name in R.trained[stage - 1]]
    return float(family in [language_of(other).family for other in before])


def position_contrast(claim: Claim, runs: Sequence[RunEvidence], make: Table) -> Found:
    """Return the part of a language's quantity that its positions explain (log of the languages learned before)."""
    table = make(runs, QUANTITIES[claim.quantity].function)
    # The first language has none before it: it counts like the second, log 1.
    places = replicates(runs, lambda R: (np.where(R.stage_L == 0, 0.0, log_before_L(R)), np.ones(len(R.languages))))
    assert claim.of is not None
    among = claim.of.among(table.languages)
    chosen = [place for place, name in enumerate(table.languages) if name in among]
    if not chosen:
        return Needs(f"runs with {claim.of.words()}")
    y_OL = table.values_OL
    x_OL = np.where(np.isnan(y_OL), np.nan, places.values_OL)

    def share(used_OL: NDArray[np.bool_]) -> float:
        used_x_OL = np.where(used_OL, x_OL, np.nan)
        moved = mean_measured(used_x_OL[:, chosen]) - mean_measured(used_x_OL)
        return _slope(x_OL, y_OL, used_OL) * float(moved)

    varying = [place for place in range(y_OL.shape[1]) if _varies(x_OL[:, place])]
    sample = None if claim.of.named else varying
    what = "orders in which languages change their positions"
    return jackknife(share, y_OL.shape, what, sample, num_languages=len(chosen))


def jackknife(
    statistic: Callable[[NDArray[np.bool_]], float],
    shape: tuple[int, ...],
    what: str,
    sample: Sequence[int] | None,
    *,
    num_languages: int,
) -> Found:
    """Return a statistic of the used cells (O, L) with its jackknife error (Efron and Stein 1981).

    Args:
        statistic: takes the used cells.
        shape: O and L.
        what: what is missing if the statistic is undefined without some order or language.
        sample: places of the languages that represent their kind; None if the statement is about exactly these languages.
        num_languages: behind the statistic.

    Formula: V_O leaves out one order at a time. If the languages are a sample, V = max(V_L, V_O, V_L + V_O - V_C), where V_L
    leaves out one language at a time and V_C one cell at a time (Cameron, Gelbach and Miller 2011, eq. 2.3).
    """
    num_orders = shape[0]
    value = statistic(np.ones(shape, dtype=bool))
    counts = {"num_replicates": num_orders, "num_languages": num_languages}
    across = _left_out(statistic, shape, [(order, slice(None)) for order in range(num_orders)])
    if math.isnan(value) or math.isnan(across):
        return Needs(f"more {what}")
    if sample is None:
        return Estimate(value=value, error=math.sqrt(across), freedom=num_orders - 1, **counts)
    within = _left_out(statistic, shape, [(slice(None), language) for language in sample])
    if math.isnan(within) or len(sample) < FEWEST_LANGUAGES:
        return Needs(f"{FEWEST_LANGUAGES} languages with {what}")
    cells = _left_out(statistic, shape, [(order, language) for order in range(num_orders) for language in sample])
    variance = max(within, across, within + across - (0.0 if math.isnan(cells) else cells))
    freedom = variance**2 / (across**2 / (num_orders - 1) + within**2 / (len(sample) - 1)) if variance > 0 else num_orders - 1
    return Estimate(value=value, error=math.sqrt(variance), freedom=freedom, lasting=math.sqrt(variance - across), **counts)


def _left_out(
    statistic: Callable[[NDArray[np.bool_]], float], shape: tuple[int, ...], parts: Sequence[tuple[int | slice, int | slice]]
) -> float:
    """Return the jackknife variance over parts of the cells, each left out once; NaN for a single part, or if undefined."""
    values = []
    for part in parts:
        used_OL = np.ones(shape, dtype=bool)
        used_OL[part] = False
        values.append(statistic(used_OL))
    number = len(values)
    if number < 2 or np.isnan(values).any():
        return math.nan
    return (number - 1) / number * float(np.sum((np.array(values) - np.mean(values)) ** 2))

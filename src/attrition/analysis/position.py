"""Language or position? The effect of training a language, with its place in the orders taken out.

A language that always comes late is measured when there is more to forget. Over a few random orders the mean positions of
languages differ widely (in the paper's five from 11.0 to 40.8), so part of a "destructive language" is a late one.

Shape letters: N observations (a language in an order), L languages, O orders.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from attrition.matrix import RMatrix
from attrition.metrics.means import mean_measured
from attrition.metrics.several import Floats, Matrices, as_orders, at_own_stage, languages_of, per_order
from attrition.metrics.shift import shift_fixed_L, shift_growing_L
from attrition.names import look_up

Scope = Literal["fixed", "growing"]

_SHIFTS: Mapping[str, Callable[[RMatrix], Floats]] = {"fixed": shift_fixed_L, "growing": shift_growing_L}


@dataclass(frozen=True, eq=False, kw_only=True)
class PositionAdjusted:
    """What each language's stage did, as it was and as it would be at the mean position; NaN where undefined.

    `raw_L` is the mean over orders; `adjusted_L` the least-squares estimate at `mean_position`, with `standard_error_L`;
    `position_L` the mean position; `slope` the change of the effect per position, with `slope_error`. `statement` says
    what was estimated, or why nothing could be.
    """

    languages: tuple[str, ...]
    scope: Scope
    raw_L: Floats
    adjusted_L: Floats
    standard_error_L: Floats
    position_L: Floats
    slope: float
    slope_error: float
    mean_position: float
    num_observations: int
    statement: str


def position_adjusted(matrices: Matrices, *, scope: Scope = "fixed") -> PositionAdjusted:
    """The effect of training each language on those learned before, adjusted for its positions in the orders.

    Formula: y = effect[language] + slope * (position - mean position) + error, by ordinary least squares over all languages and
    orders where y, the shift in the given scope, is defined (never for the first language). The slope is estimated within
    languages, from those seen at two positions or more; without any (a single order, or orders that never move a language)
    language and position cannot be told apart, and all that is adjusted is NaN. Standard errors are NaN without
    degrees of freedom to spare. One slope is assumed for all languages, and a straight line over positions.

    >>> early = RMatrix.sequential("abc", [[.75, .25, .125], [.5, .875, .25], [.625, .5, 1]])
    >>> late = RMatrix.sequential("acb", [[.75, .25, .125], [.5, .875, .25], [.375, .5, 1]])
    >>> found = position_adjusted([early, late])  # b: -.25 second, -.25 third; c: -.125 third, -.25 second
    >>> found.slope, found.raw_L.tolist()  # b does not change from 2 to 3, c gains .125
    (0.0625, [nan, -0.25, -0.1875])
    >>> position_adjusted(early).statement
    'Language and position cannot be told apart: no language was learned at two positions. Add an order.'
    """
    orders = as_orders(matrices)
    languages = languages_of(orders)
    y_OL = per_order(orders, look_up(scope, _SHIFTS, kind="scope"))
    position_OL = per_order(orders, _position_L)
    x_OL = np.where(np.isnan(y_OL), np.nan, position_OL)
    raw_L, mean_x_L = mean_measured(y_OL, axis=0), mean_measured(x_OL, axis=0)
    counts_L = (~np.isnan(y_OL)).sum(axis=0)
    num_observations, mean_position = int(counts_L.sum()), float(mean_measured(x_OL))

    # The slope of a model with one effect per language is that of the deviations from each language's own means.
    dx_OL, dy_OL = x_OL - mean_x_L, y_OL - raw_L
    spread = float(np.nansum(dx_OL**2))
    slope = float(np.nansum(dx_OL * dy_OL)) / spread if spread > 0 else np.nan
    adjusted_L = raw_L - slope * (mean_x_L - mean_position)

    freedom = num_observations - int((counts_L > 0).sum()) - 1
    residual = float(np.nansum((dy_OL - slope * dx_OL) ** 2))
    variance = residual / freedom if freedom > 0 and spread > 0 else np.nan
    slope_error = float(np.sqrt(variance / spread)) if spread > 0 else np.nan
    per_observation_L = np.divide(1.0, counts_L, out=np.full(len(languages), np.nan), where=counts_L > 0)
    leverage_L = per_observation_L + (mean_x_L - mean_position) ** 2 / (spread if spread > 0 else np.nan)
    return PositionAdjusted(
        languages=languages,
        scope=scope,
        raw_L=raw_L,
        adjusted_L=adjusted_L,
        standard_error_L=np.sqrt(variance * leverage_L),
        position_L=mean_measured(position_OL, axis=0),
        slope=slope,
        slope_error=slope_error,
        mean_position=mean_position,
        num_observations=num_observations,
        statement=_statement(scope, slope, slope_error, mean_position, f"{num_observations} stages of {len(orders)} orders"),
    )


def _position_L(R: RMatrix) -> Floats:
    """Positions from 1, NaN for a language never trained."""
    return at_own_stage(R, np.arange(1.0, R.num_stages + 1))


def _statement(scope: Scope, slope: float, slope_error: float, mean_position: float, observed: str) -> str:
    if np.isnan(slope):
        return "Language and position cannot be told apart: no language was learned at two positions. Add an order."
    error = "" if np.isnan(slope_error) else f" (standard error {100 * slope_error:.2f})"
    return (
        f"Effects in the {scope} scope at the mean position {mean_position:.1f}, by least squares over {observed}: one effect "
        f"per language and one slope for position, {100 * slope:+.2f} points per position{error}."
    )

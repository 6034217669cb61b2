"""The effect of position: how the shift at a language's stage depends on the number of languages learned before.

At late stages there is more to forget. Over a few random orders the mean positions of languages differ widely (in the
paper's five orders from 11.0 to 40.8), so a language can seem destructive only because it comes late.

The measure is the fixed-scope shift. The growing scope is a description only: its shift contains (own score - mean) / p,
which depends on position without any transfer (docs/concepts/composition.md).

Shape letters: N observations (a language in an order), L languages, O orders.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any, Literal

import numpy as np
from scipy.special import stdtrit

from attrition.metrics.matrix import RMatrix
from attrition.metrics.means import count_measured, mean_measured
from attrition.metrics.several import Floats, Matrices, as_orders, at_own_stage, languages_of, per_order
from attrition.metrics.shift import shift_fixed_L, shift_growing_L
from attrition.names import AttritionError, look_up

Scope = Literal["fixed", "growing"]

FEWEST_ORDERS = 3
"""Orders needed for a slope of one language, or a jackknife over orders: two points are always on a line."""

_SHIFTS: Mapping[str, Callable[[RMatrix], Floats]] = MappingProxyType({"fixed": shift_fixed_L, "growing": shift_growing_L})

_NOT_MOVED = "Position effects need a language that was learned after different numbers of languages. Add another order."


@dataclass(frozen=True, kw_only=True)
class Slope:
    """The change of the shift per unit of log(number of languages learned before), with its t interval.

    Scores are 0 to 1 and the logarithm is natural. Undefined numbers are NaN; `statement` then says what is missing, otherwise
    how the interval was computed.
    """

    value: float
    standard_error: float
    low: float
    high: float
    level: float
    degrees_of_freedom: int
    num_observations: int
    statement: str

    @property
    def per_doubling(self) -> float:
        """The change of the shift per doubling of the number of languages learned before."""
        return self.value * float(np.log(2))


@dataclass(frozen=True, eq=False, kw_only=True)
class PositionEffect:
    """The effect of position on the shift: over all languages, by language, and the shifts without it.

    `slope` is the slope of one model over all languages. Its least-squares interval takes the errors of different stages as
    independent. `slope_over_orders` is the same slope with an interval from a jackknife over orders, without this assumption.
    `by_language` has each language's own slope.

    `raw_L` is the mean shift over orders; `adjusted_L` the model's shift at `mean_log_before`, the mean of
    log(number of languages learned before) over all observations, with `standard_error_L`. `position_L` is the mean
    position, from 1. `statement` says what was estimated, or what is missing.
    """

    languages: tuple[str, ...]
    scope: Scope
    slope: Slope
    slope_over_orders: Slope
    by_language: Mapping[str, Slope]
    raw_L: Floats
    adjusted_L: Floats
    standard_error_L: Floats
    position_L: Floats
    mean_log_before: float
    statement: str


@dataclass(frozen=True, eq=False, kw_only=True)
class ShiftsAndPositions:
    """The observations: `shift_OL` and `log_before_OL`, the log of the number of languages learned before; NaN together."""

    languages: tuple[str, ...]
    shift_OL: Floats
    log_before_OL: Floats


def shifts_and_positions(matrices: Matrices, *, scope: Scope = "fixed") -> ShiftsAndPositions:
    """Return the shift of each language in each order with log(number of languages learned before).

    NaN for the first stage of an order, for languages never trained, and for unmeasured shifts.

    >>> R = RMatrix.sequential("abc", [[.75, .25, .125], [.5, .875, .25], [.625, .5, 1]])
    >>> found = shifts_and_positions(R)
    >>> found.shift_OL.tolist(), found.log_before_OL.round(4).tolist()  # log 1; log 2
    ([[nan, -0.25, -0.125]], [[nan, 0.0, 0.6931]])
    """
    orders = as_orders(matrices)
    shift_OL = per_order(orders, look_up(scope, _SHIFTS, kind="scope"))
    log_OL = per_order(orders, log_before_L)
    return ShiftsAndPositions(
        languages=languages_of(orders), shift_OL=shift_OL, log_before_OL=np.where(np.isnan(shift_OL), np.nan, log_OL)
    )


def due_to_position_L(shift_OL: Floats, log_before_OL: Floats) -> Floats:
    """Return the part of each language's mean shift that its positions explain (L,): raw minus adjusted.

    Formula: slope * (its mean of log before - the mean over all observations), the slope that of `position_effect`. The rows
    are orders, so a bootstrap over orders can draw rows.

    >>> R = RMatrix.sequential("abc", [[.75, .25, .125], [.5, .875, .25], [.625, .5, 1]])
    >>> found = shifts_and_positions(R)
    >>> due_to_position_L(found.shift_OL, found.log_before_OL).tolist()  # one order: no slope
    [nan, nan, nan]
    """
    fit = _Fit.of(shift_OL, log_before_OL)
    return np.asarray(fit.slope * (fit.mean_x_L - fit.mean_x))


def position_effect(matrices: Matrices, *, scope: Scope = "fixed", level: float = 0.95) -> PositionEffect:
    """Return the effect of position on the shift, in one model over all languages and for each language alone.

    Formula: shift = effect[language] + slope * log(number of languages learned before) + error, by ordinary least squares over
    all languages and orders where the shift is defined (never at the first stage). The slope comes from languages that were
    learned after different numbers of languages. Intervals:

    - `slope`: t with N - L - 1 degrees of freedom. It does not depend on having many orders, but takes errors as independent.
    - `slope_over_orders`: jackknife over orders, t with O - 1 degrees of freedom; NaN below 3 orders.
    - `by_language`: simple regression over the orders of one language, t with n - 2 degrees of freedom; NaN below 3 orders.

    One slope for all languages and the logarithm are assumptions; `by_language` checks the first. Orders that differ only in
    their seeds count as orders.

    Raises:
        AttritionError: no matrix, an unknown scope, or a level not between 0 and 1.

    >>> early = RMatrix.sequential("abc", [[.75, .25, .125], [.5, .875, .25], [.625, .5, 1]])
    >>> late = RMatrix.sequential("acb", [[.75, .25, .125], [.5, .875, .25], [.375, .5, 1]])
    >>> found = position_effect([early, late])  # b: -.25 after 1, -.25 after 2; c: -.25 after 1, -.125 after 2
    >>> round(found.slope.per_doubling, 4), found.raw_L.tolist()
    (0.0625, [nan, -0.25, -0.1875])
    >>> found.by_language["b"].statement
    'The slope of b needs 3 orders in which its shift was measured; there are 2.'
    >>> position_effect(early).statement
    'Position effects need a language that was learned after different numbers of languages. Add another order.'
    """
    if not 0 < level < 1:
        raise AttritionError(f"The level {level} is not between 0 and 1; 0.95 is usual.")
    orders = as_orders(matrices)
    data = shifts_and_positions(orders, scope=scope)
    fit = _Fit.of(data.shift_OL, data.log_before_OL)
    slope = _pooled(fit, level)
    over_orders = _over_orders(data, fit, level)
    return PositionEffect(
        languages=data.languages,
        scope=scope,
        slope=slope,
        slope_over_orders=over_orders,
        by_language=MappingProxyType(
            {language: _of_language(language, data, place, level) for place, language in enumerate(data.languages)}
        ),
        raw_L=fit.mean_y_L,
        adjusted_L=fit.mean_y_L - fit.slope * (fit.mean_x_L - fit.mean_x),
        standard_error_L=fit.standard_error_L(),
        position_L=mean_measured(per_order(orders, _position_L), axis=0),
        mean_log_before=fit.mean_x,
        statement=_statement(scope, fit, slope, over_orders, len(orders)),
    )


@dataclass(frozen=True, eq=False, kw_only=True)
class _Fit:
    """Least squares with one effect per language and one slope, from the deviations from each language's means."""

    mean_y_L: Floats
    mean_x_L: Floats
    mean_x: float
    count_L: Floats
    spread: float
    slope: float
    residual: float

    @classmethod
    def of(cls, y_OL: Floats, x_OL: Floats) -> _Fit:
        mean_y_L, mean_x_L = mean_measured(y_OL, axis=0), mean_measured(x_OL, axis=0)
        # Exactly 0 where a language never moved: the mean of equal logarithms may differ from them in the last bit.
        first_L = np.where(np.isnan(x_OL), np.inf, x_OL).min(axis=0, initial=np.inf)
        moved_L = (np.where(np.isnan(x_OL), -np.inf, x_OL) > first_L).any(axis=0)
        dx_OL, dy_OL = np.where(moved_L, x_OL - mean_x_L, 0 * x_OL), y_OL - mean_y_L
        spread = float(np.nansum(dx_OL**2))
        slope = float(np.nansum(dx_OL * dy_OL)) / spread if spread > 0 else np.nan
        residual = float(np.nansum((dy_OL - slope * dx_OL) ** 2)) if spread > 0 else np.nan
        count_L = count_measured(y_OL, axis=0).astype(np.float64)
        return cls(
            mean_y_L=mean_y_L,
            mean_x_L=mean_x_L,
            mean_x=float(mean_measured(x_OL)),
            count_L=count_L,
            spread=spread,
            slope=slope,
            residual=residual,
        )

    @property
    def num_observations(self) -> int:
        return int(self.count_L.sum())

    @property
    def freedom(self) -> int:
        """N - L - 1, of the languages observed; 0 if that is less, or without a slope."""
        return max(0, self.num_observations - int((self.count_L > 0).sum()) - 1) if self.spread > 0 else 0

    @property
    def variance(self) -> float:
        return self.residual / self.freedom if self.freedom > 0 else np.nan

    @property
    def slope_error(self) -> float:
        return float(np.sqrt(self.variance / self.spread)) if self.freedom > 0 else np.nan

    def standard_error_L(self) -> Floats:
        """Return the standard errors of the adjusted effects."""
        if self.freedom == 0:
            return np.full(len(self.count_L), np.nan)
        own_L = np.divide(1.0, self.count_L, out=np.full(len(self.count_L), np.nan), where=self.count_L > 0)
        return np.asarray(np.sqrt(self.variance * (own_L + (self.mean_x_L - self.mean_x) ** 2 / self.spread)))


def _slope(value: float, error: float, freedom: int, level: float, num: int, statement: str) -> Slope:
    half = error * float(stdtrit(freedom, (1 + level) / 2)) if freedom > 0 else np.nan
    return Slope(
        value=value,
        standard_error=error,
        low=value - half,
        high=value + half,
        level=level,
        degrees_of_freedom=freedom,
        num_observations=num,
        statement=statement,
    )


def _pooled(fit: _Fit, level: float) -> Slope:
    if np.isnan(fit.slope):
        statement = _NOT_MOVED
    elif fit.freedom == 0:
        statement = f"An interval needs more than {_counted(fit.num_observations, 'shift')}. Add another order."
    else:
        statement = (
            f"t interval of least squares, {_counted(fit.freedom, 'degree')} of freedom. "
            "Errors of different stages are taken as independent."
        )
    return _slope(fit.slope, fit.slope_error, fit.freedom, level, fit.num_observations, statement)


def _over_orders(data: ShiftsAndPositions, fit: _Fit, level: float) -> Slope:
    """Return the pooled slope with its jackknife error over orders."""
    used = [order for order, shifts_L in enumerate(data.shift_OL) if not np.isnan(shifts_L).all()]
    num, observed = len(used), fit.num_observations
    if np.isnan(fit.slope):
        return _slope(np.nan, np.nan, 0, level, observed, _NOT_MOVED)
    if num < FEWEST_ORDERS:
        statement = f"An interval over orders needs {FEWEST_ORDERS} orders with a measured shift; there are {num}."
        return _slope(fit.slope, np.nan, 0, level, observed, statement)
    without = [np.delete(np.arange(len(data.shift_OL)), order) for order in used]
    left_out = np.array([_Fit.of(data.shift_OL[rest], data.log_before_OL[rest]).slope for rest in without])
    if np.isnan(left_out).any():
        statement = "An interval over orders needs languages that move in every set of orders but one. Add another order."
        return _slope(fit.slope, np.nan, 0, level, observed, statement)
    error = float(np.sqrt((num - 1) / num * np.sum((left_out - left_out.mean()) ** 2)))
    statement = f"Jackknife over {num} orders, t interval with {num - 1} degrees of freedom."
    return _slope(fit.slope, error, num - 1, level, observed, statement)


def _of_language(language: str, data: ShiftsAndPositions, place: int, level: float) -> Slope:
    fit = _Fit.of(data.shift_OL[:, [place]], data.log_before_OL[:, [place]])
    num = fit.num_observations
    if num < FEWEST_ORDERS:
        statement = f"The slope of {language} needs {FEWEST_ORDERS} orders in which its shift was measured; there are {num}."
        return _slope(np.nan, np.nan, 0, level, num, statement)
    if np.isnan(fit.slope):
        statement = f"The slope of {language} needs different positions: it always came after the same number of languages."
        return _slope(np.nan, np.nan, 0, level, num, statement)
    statement = f"t interval of least squares over {num} orders, {_counted(fit.freedom, 'degree')} of freedom."
    return replace(_pooled(fit, level), statement=statement)


def _counted(num: int, what: str) -> str:
    return f"{num} {what}{'' if num == 1 else 's'}"


def _position_L(R: RMatrix) -> Floats:
    """Return positions from 1, NaN for a language never trained."""
    return at_own_stage(R, np.arange(1.0, R.num_stages + 1))


def log_before_L(R: RMatrix) -> Floats:
    """Return the log of the number of languages learned before the stage; NaN for the first stage."""
    before_S = np.concatenate([[0], R.learned_SL.sum(axis=1)[:-1]]).astype(np.float64)
    return at_own_stage(R, np.log(before_S, out=np.full(len(before_S), np.nan), where=before_S > 0))


def _statement(scope: Scope, fit: _Fit, slope: Slope, over_orders: Slope, num_orders: int) -> str:
    if not fit.num_observations:
        return (
            "Position effects need the shift of a second stage; none was measured. "
            "Use sequential runs of two languages or more."
        )
    if np.isnan(slope.value):
        return slope.statement
    composition = " It includes the composition effect of docs/concepts/composition.md." if scope == "growing" else ""
    observed = f"{_counted(fit.num_observations, 'shift')} of {_counted(num_orders, 'order')}"
    return (
        f"Position effect on the {scope}-scope shift: {_points(slope.per_doubling)} points each time the number of languages "
        f"learned before doubles ({_interval(slope)}; over orders {_interval(over_orders)}), by least squares with one effect "
        f"per language over {observed}.{composition} Adjusted shifts are those after {np.exp(fit.mean_x):.1f} languages."
    )


def _points(value: float) -> str:
    return f"{100 * value:+.2f}"


def _interval(slope: Slope) -> str:
    if np.isnan(slope.low):
        return "no interval"
    low, high = (_points(end * float(np.log(2))) for end in (slope.low, slope.high))
    return f"{100 * slope.level:g}% interval {low} to {high}"


def position_json(found: PositionEffect) -> dict[str, Any]:
    """Return a position effect as JSON values: points of F1 per unit of log(languages learned before), NaN if unknown.

    >>> early = RMatrix.sequential("abc", [[.75, .25, .125], [.5, .875, .25], [.625, .5, 1]])
    >>> late = RMatrix.sequential("acb", [[.75, .25, .125], [.5, .875, .25], [.375, .5, 1]])
    >>> told = position_json(position_effect([early, late]))
    >>> round(told["pooled"]["per_doubling"], 2), round(told["languages"]["c"]["adjusted"], 2)
    (6.25, -18.75)
    """
    return {
        "unit": "points per unit of the natural log of the number of languages learned before",
        "scope": found.scope,
        "pooled": _slope_json(found.slope),
        "over_orders": _slope_json(found.slope_over_orders),
        "mean_log_before": found.mean_log_before,
        "languages": {
            language: {
                **_slope_json(found.by_language[language]),
                "shift": 100 * float(found.raw_L[place]),
                "adjusted": 100 * float(found.adjusted_L[place]),
                "adjusted_error": 100 * float(found.standard_error_L[place]),
                "mean_position": float(found.position_L[place]),
            }
            for place, language in enumerate(found.languages)
        },
        "statement": found.statement,
    }


def _slope_json(slope: Slope) -> dict[str, Any]:
    points = {"estimate": slope.value, "low": slope.low, "high": slope.high, "per_doubling": slope.per_doubling}
    return {**{name: 100 * value for name, value in points.items()}, "shifts": slope.num_observations, "how": slope.statement}

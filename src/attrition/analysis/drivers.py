"""The drivers of forgetting: donors, receivers and their covariates, in one mixed model of all changes.

Model: D = intercept + position + covariates + donor + receiver + pair + order + run + stage + error. Donor, receiver, pair
(donor x receiver), order, run (order x seed) and stage (run x donor: what all receivers of one stage have in common) are random
intercepts. So a covariate of donors is compared with the spread of 52 donors, not of 21,000 rows. `mixed.fit_mixed` fits it.

Shape letters: N rows, P columns of the model.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from attrition.analysis.changes import Changes, Covariate, Covariates, changes, covariates
from attrition.analysis.mixed import KNOWN, RESIDUAL, MixedFit, fit_mixed

__all__ = [
    "Changes",
    "Covariate",
    "Covariates",
    "Driver",
    "Drivers",
    "Effect",
    "Strength",
    "changes",
    "covariates",
    "fit_drivers",
    "fit_together",
]

BETWEEN_LANGUAGES = ("donor", "receiver", "pair")
"""The factors whose variance the covariates may explain."""

INTERCEPT = "intercept"


@dataclass(frozen=True, kw_only=True)
class Effect:
    """An effect in points, its interval, and its two-sided p-value."""

    estimate: float
    low: float
    high: float
    p: float


@dataclass(frozen=True, kw_only=True)
class Strength:
    """A language as donor or as receiver: its predicted effect in points, with everything else in the model.

    `shrinkage` is 1 if the data decide and 0 if the effect is the mean (see `mixed.Levels`). `low` and `high` are NaN if the
    factor's estimated variance is 0: an interval of width 0 would claim that all languages are equal.
    """

    language: str
    effect: float
    low: float
    high: float
    shrinkage: float
    num_rows: int


@dataclass(frozen=True, kw_only=True)
class Driver:
    """A covariate's effect: points from 0 to 1 if it is `binary`, else points per standard deviation.

    `together` has all covariates in the model, `alone` only this one and the position. `explained_alone` and `explained_on_top`
    are shares of the variance between languages (see `fit_drivers`).
    """

    name: str
    binary: bool
    together: Effect
    alone: Effect
    explained_alone: float
    explained_on_top: float


@dataclass(frozen=True, eq=False, kw_only=True)
class Drivers:
    """All estimates. `fit` is the model with all covariates; `explained` is the share that all of them explain.

    `position` is the effect of the position with all covariates in the model, `position_alone` without them, in points per
    standard deviation of the log of the number of languages learned before.
    """

    scope: str
    fit: MixedFit
    position: Effect | None
    position_alone: Effect | None
    drivers: tuple[Driver, ...]
    donors: tuple[Strength, ...]
    receivers: tuple[Strength, ...]
    explained: float
    notes: tuple[str, ...]

    @property
    def measurement_share(self) -> float:
        """The share of the error variance that is measurement error; NaN if unknown."""
        known, residual = (self.fit.variance(name) for name in (KNOWN, RESIDUAL))
        return known / (known + residual) if any(each.name == KNOWN for each in self.fit.components) else float("nan")


def factors(of: Changes) -> dict[str, NDArray[np.int64]]:
    """Return the codes of each factor of the model, one per row.

    A stage of one run is a factor. If some order has several seeds, so is the same stage in all of them: they share the
    languages learned before, and are not independent.
    """
    num_languages = len(of.languages)
    found = {
        "donor": of.donor_N,
        "receiver": of.receiver_N,
        "pair": of.donor_N * num_languages + of.receiver_N,
        "order": of.order_N,
        "run": of.run_N,
        "stage": of.run_N * num_languages + of.donor_N,
    }
    if len(np.unique(of.run_N)) > len(np.unique(of.order_N)):
        found["order_stage"] = of.order_N * num_languages + of.donor_N
    return found


def fit_drivers(of: Changes, by: Covariates, known_variance: ArrayLike | None = None, *, level: float = 0.95) -> Drivers:
    """Return each covariate's effect on the changes, alone and with all others, and each donor's and receiver's own effect.

    A factor that cannot be estimated is left out with a note: order if there is one, run if every order has one seed, pair if
    every pair has one row.

    Explained variance: let T(model) = v_donor + v_receiver + v_pair, the variance between languages. `explained_alone` = 1 -
    T(position + c) / T(position). `explained_on_top` = 1 - T(all covariates) / T(all but c). `explained` = 1 - T(all
    covariates) / T(position). A share below 0 is set to 0: a useless covariate can raise T a little. NaN where T without the
    covariate is 0. Every model has its own REML variances; it starts from those of a similar fit, which saves time only.

    Intervals and p-values of covariates use Satterthwaite's degrees of freedom. Donors and receivers are predictions with the
    covariates in the model: a language's effect beyond its covariates.

    Args:
        of: the table of changes.
        by: its covariates.
        known_variance: the part of each row's error variance that is known, in points squared, one per row: its measurement
            error (`measurement.known_variance_N`). The fit then weights rows by 1 / (residual + known).
        level: of all intervals.

    Raises:
        AttritionError: too few rows for the covariates; the rows show no variance.
    """
    base = [] if by.position is None else [by.position]

    def fitted(columns: Sequence[Covariate], near: MixedFit | None, *, freedom: bool = True) -> MixedFit:
        return _fitted(of, columns, known_variance, near, level=level, freedom=freedom)

    nothing = fitted(base, None)
    full = fitted([*base, *by.columns], nothing) if by.columns else nothing
    drivers = []
    for column in by.columns:
        alone = full if len(by.columns) == 1 else fitted([*base, column], nothing)
        others = [other for other in by.columns if other is not column]
        without = fitted([*base, *others], full, freedom=False) if others else nothing
        drivers.append(
            Driver(
                name=column.name,
                binary=column.binary,
                together=_effect(full, column.name),
                alone=_effect(alone, column.name),
                explained_alone=_explained(alone, nothing),
                explained_on_top=_explained(full, without),
            )
        )
    return Drivers(
        scope=of.scope,
        fit=full,
        position=None if by.position is None else _effect(full, by.position.name),
        position_alone=None if by.position is None else _effect(nothing, by.position.name),
        drivers=tuple(drivers),
        donors=_strengths(full, "donor", of.languages),
        receivers=_strengths(full, "receiver", of.languages),
        explained=_explained(full, nothing),
        notes=(*by.notes, *full.notes),
    )


def fit_together(of: Changes, by: Covariates, known_variance: ArrayLike | None = None, *, level: float = 0.95) -> MixedFit:
    """Return only the model with the position and all covariates: `Drivers.fit` in a fraction of the time.

    Raises:
        AttritionError: too few rows for the covariates; the rows show no variance.
    """
    base = [] if by.position is None else [by.position]
    return _fitted(of, [*base, *by.columns], known_variance, None, level=level)


def _fitted(
    of: Changes,
    columns: Sequence[Covariate],
    known_variance: ArrayLike | None,
    near: MixedFit | None,
    *,
    level: float,
    freedom: bool = True,
) -> MixedFit:
    X_NP = np.column_stack([np.ones(len(of)), *(column.values_N for column in columns)])
    names = [INTERCEPT, *(column.name for column in columns)]
    start = None if near is None else near.variances
    return fit_mixed(of.points_N, X_NP, names, factors(of), known_variance, level=level, start=start, satterthwaite=freedom)


def _effect(fit: MixedFit, name: str) -> Effect:
    found = fit.effect(name)
    return Effect(estimate=found.estimate, low=found.low, high=found.high, p=found.p)


def _between(fit: MixedFit) -> float:
    return sum(fit.variance(factor) for factor in BETWEEN_LANGUAGES)


def _explained(with_it: MixedFit, without: MixedFit) -> float:
    before = _between(without)
    return max(0.0, 1 - _between(with_it) / before) if before > 0 else float("nan")


def _strengths(fit: MixedFit, factor: str, languages: Sequence[str]) -> tuple[Strength, ...]:
    """Return the strengths, highest effect first; () if the factor was left out."""
    if factor not in fit.levels:
        return ()
    levels = fit.levels[factor]
    columns = (levels.codes_Q, levels.effect_Q, levels.low_Q, levels.high_Q, levels.shrinkage_Q, levels.rows_Q)
    rows = sorted(zip(*(column.tolist() for column in columns), strict=True), key=lambda row: -row[1])
    return tuple(
        Strength(
            language=languages[code],
            effect=effect,
            low=low if low < high else math.nan,
            high=high if low < high else math.nan,
            shrinkage=shrinkage,
            num_rows=num_rows,
        )
        for code, effect, low, high, shrinkage, num_rows in rows
    )

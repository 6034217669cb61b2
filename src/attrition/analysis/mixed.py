"""Linear mixed models with crossed random intercepts, fitted by REML as in lme4's `lmer`, for the shape of our tables.

The tables have a row per stage and receiver: about 21,000 rows for 52 languages in 8 orders, with 52 donors, 52 receivers, 416
stages and 2,652 pairs. Stages and pairs are nested in donors, and `mixed_equations` eliminates them donor by donor.

Why not `MixedLM` of statsmodels: its random effects belong to one grouping factor. Crossed factors need all rows in one group,
where it works with dense matrices. Measured (statsmodels 0.15.0, these five factors, 8 orders, two busy cores): 68 s for 14
languages (1,352 rows), 450 s for 30 (6,728 rows). On the same cores this module takes 2 s for 52 (20,808 rows).

Sources: Bates, Mächler, Bolker & Walker 2015 (the model and the criterion, "Fitting Linear Mixed-Effects Models Using lme4");
Gilmour, Thompson & Cullis 1995 (average information); Kuznetsova, Brockhoff & Christensen 2017 (degrees of freedom, lmerTest).

Shape letters: N rows, P fixed effects, Q levels of a factor, K factors, C factors and the residual.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtri, stdtr, stdtrit

from attrition.analysis.mixed_equations import Floats, Problem, State, problem
from attrition.analysis.mixed_search import degrees_of_freedom, minimise
from attrition.names import AttritionError, counted, look_up

RESIDUAL = "residual"
KNOWN = "known"

_SMALLEST = 1e-6
"""A factor's variance below this share of the variance around the fixed effects is reported as 0."""

_SMALLEST_RESIDUAL = 1e-9


@dataclass(frozen=True, kw_only=True)
class FixedEffect:
    """A coefficient: `df` are Satterthwaite's degrees of freedom, `p` is two-sided, `low` and `high` bound the interval."""

    name: str
    estimate: float
    standard_error: float
    df: float
    t: float
    p: float
    low: float
    high: float


@dataclass(frozen=True, kw_only=True)
class Component:
    """The variance of one factor (or of the residual), its square root, and its share of the sum over all components."""

    name: str
    variance: float
    sd: float
    share: float
    num_levels: int


@dataclass(frozen=True, eq=False, kw_only=True)
class Levels:
    """The predicted effects of one factor's levels, in the order of their codes.

    `effect_Q` is the best linear unbiased prediction. `standard_error_Q` is the standard deviation of (prediction - effect),
    with the uncertainty of the fixed effects; `low_Q` and `high_Q` are effect -/+ 1.96 of it (at 95%). `conditional_sd_Q` takes
    the fixed effects as known, as lme4's `ranef(condVar = TRUE)` does. `shrinkage_Q` = 1 - conditional_sd^2 / variance: with 1
    the data decide, with 0 the level is the mean. All take the variances as known.
    """

    codes_Q: NDArray[np.int64]
    rows_Q: NDArray[np.int64]
    effect_Q: Floats
    standard_error_Q: Floats
    low_Q: Floats
    high_Q: Floats
    conditional_sd_Q: Floats
    shrinkage_Q: Floats


@dataclass(frozen=True, eq=False, kw_only=True)
class MixedFit:
    """A fitted model.

    `components` lists the factors kept, then "residual", then, with known variances, "known" (their mean). `criterion` is -2
    log of the restricted likelihood, as lme4's `REMLcrit`. `notes` lists the factors and columns left out, with reasons.
    """

    fixed: tuple[FixedEffect, ...]
    covariance_PP: Floats
    components: tuple[Component, ...]
    levels: Mapping[str, Levels]
    criterion: float
    converged: bool
    num_steps: int
    num_rows: int
    level: float
    notes: tuple[str, ...]

    def effect(self, name: str) -> FixedEffect:
        """Return one fixed effect by its name."""
        return look_up(name, {effect.name: effect for effect in self.fixed}, kind="fixed effect")

    def variance(self, name: str) -> float:
        """Return one component's variance; 0.0 for a factor that was left out."""
        return {component.name: component.variance for component in self.components}.get(name, 0.0)

    @property
    def variances(self) -> dict[str, float]:
        """Return name to variance, the start of another fit (`start`)."""
        return {component.name: component.variance for component in self.components if component.name != KNOWN}


def fit_mixed(
    y_N: ArrayLike,
    X_NP: ArrayLike,
    names_P: Sequence[str],
    groups: Mapping[str, NDArray[np.integer]],
    known_variance_N: ArrayLike | None = None,
    *,
    level: float = 0.95,
    start: Mapping[str, float] | None = None,
    satterthwaite: bool = True,
) -> MixedFit:
    """Return the REML fit of y = X b + sum_k Z_k u_k + e, with u_k ~ N(0, v_k I) and Var(e_i) = v_residual + known_i.

    The variances minimise -2 log L by Newton steps with the average information, and are never negative. A variance that ends
    below 1e-6 of the variance around the fixed effects is 0. Degrees of freedom: df = 2 Var(b)^2 / (g' A g), where g is the
    derivative of Var(b) by the variances above 0 and A is twice the inverse Hessian of the criterion.

    Args:
        y_N: the outcome.
        X_NP: the columns of the fixed effects, the column of ones included.
        names_P: their names.
        groups: factor to level codes (any whole numbers), one per row.
        known_variance_N: the part of each row's error variance that is known, such as the sampling variance of a score.
        level: of all intervals.
        start: variances to start from, by name (`MixedFit.variances` of a similar fit); saves time only.
        satterthwaite: False saves the time for the degrees of freedom; they are infinite then.

    A column that depends on earlier columns is left out, with a note. A factor is left out if it has one level, one row per
    level, the same levels as an earlier factor, or levels that the fixed effects already distinguish.

    Raises:
        AttritionError: shapes do not fit; a value is not finite; too few rows; no variance is left to explain; the factors
            have too many levels.

    >>> y = [1.0, 1.2, 3.1, 2.9, 2.0, 2.2]
    >>> fit = fit_mixed(y, np.ones((6, 1)), ["mean"], {"site": np.array([0, 0, 1, 1, 2, 2])})
    >>> round(fit.effect("mean").estimate, 3), round(fit.effect("mean").df, 3), round(fit.variance("site"), 4)
    (2.067, 2.0, 0.8933)
    """
    y_N, X_NP, known_N = _checked(y_N, X_NP, names_P, groups, known_variance_N)
    kept_P, notes = _independent(X_NP, names_P)
    X_NP, names_P = X_NP[:, kept_P], [names_P[column] for column in kept_P]
    factors, more_notes = _usable(groups, X_NP)
    residual_N = y_N - X_NP @ np.linalg.lstsq(X_NP, y_N, rcond=None)[0]
    scale = float(np.sqrt((residual_N**2).sum() / (len(y_N) - len(names_P))))
    if scale <= 1e-12 * max(1.0, float(np.abs(y_N).max())):
        raise AttritionError("The fixed effects explain y exactly, so no variance is left. Use fewer columns or other data.")
    names_K = list(factors)
    model = problem(y_N / scale, X_NP, [factors[name][1] for name in names_K], None if known_N is None else known_N / scale**2)
    begin_C = _begin([*names_K, RESIDUAL], start or {}, model, scale)
    floor_C = np.full(len(begin_C), _SMALLEST)
    if known_N is None:
        floor_C[-1] = _SMALLEST_RESIDUAL
    state, slope, steps, converged = minimise(model, np.maximum(begin_C, floor_C), floor_C)
    at_floor_C = state.variances_C <= 1.001 * floor_C
    if known_N is None and at_floor_C[-1]:
        raise AttritionError("The factors explain every row exactly, so no residual variance is left. Use fewer factors.")
    freedom_P = np.full(len(names_P), np.inf)
    if satterthwaite:
        freedom_P = degrees_of_freedom(state, slope, ~at_floor_C)
    if known_N is not None and known_N.min() == 0:
        at_floor_C[-1] = False  # a row without any error variance would have infinite weight
    final = State(model, np.where(at_floor_C, 0.0, state.variances_C))
    return MixedFit(
        fixed=_fixed_effects(final, names_P, freedom_P, scale, level),
        covariance_PP=np.asarray(final.covariance_PP * scale**2, dtype=np.float64),
        components=_components(final, names_K, scale),
        levels=_levels(final, {name: levels for name, (levels, _) in factors.items()}, scale, level),
        criterion=final.criterion + 2 * (len(y_N) - len(names_P)) * float(np.log(scale)),
        converged=converged,
        num_steps=steps,
        num_rows=len(y_N),
        level=level,
        notes=(*notes, *more_notes),
    )


def _checked(
    y_N: ArrayLike,
    X_NP: ArrayLike,
    names_P: Sequence[str],
    groups: Mapping[str, NDArray[np.integer]],
    known_variance_N: ArrayLike | None,
) -> tuple[Floats, Floats, Floats | None]:
    y_N, X_NP = np.asarray(y_N, dtype=np.float64), np.asarray(X_NP, dtype=np.float64)
    if y_N.ndim != 1 or X_NP.ndim != 2 or X_NP.shape != (len(y_N), len(names_P)):
        raise AttritionError(
            f"y has shape {y_N.shape}, X {X_NP.shape}, with {len(names_P)} names. Give y (N,), X (N, P) and P names."
        )
    if RESIDUAL in groups or KNOWN in groups:
        raise AttritionError(f"A factor cannot be called '{RESIDUAL}' or '{KNOWN}': these name other parts. Rename it.")
    known_N = None if known_variance_N is None else np.asarray(known_variance_N, dtype=np.float64)
    columns = {"y": y_N, "X": X_NP, **({} if known_N is None else {"known_variance": known_N})}
    for name, values in columns.items():
        if len(values) != len(y_N):
            raise AttritionError(f"{name} has {len(values)} rows, y has {len(y_N)}. Give one value per row.")
        if not np.isfinite(values).all():
            raise AttritionError(f"{name} holds a value that is not a finite number. Leave such rows out.")
    for name, codes in groups.items():
        if np.shape(codes) != y_N.shape or np.asarray(codes).dtype.kind not in "iu":
            raise AttritionError(f"Factor {name!r} has shape {np.shape(codes)}: give one whole number per row ({len(y_N)}).")
    if known_N is not None and known_N.min(initial=0) < 0:
        raise AttritionError(f"known_variance holds {known_N.min():g}. A variance is never below 0.")
    if not len(names_P):
        raise AttritionError("X has no column. Give at least a column of ones.")
    if len(y_N) <= len(names_P) + 1:
        sizes = f"{counted(len(y_N), 'row')} for {counted(len(names_P), 'fixed effect')}"
        raise AttritionError(f"{sizes}: too few. Give more rows or fewer columns.")
    return y_N, X_NP, known_N


def _independent(X_NP: Floats, names_P: Sequence[str]) -> tuple[list[int], list[str]]:
    """Return the columns that do not depend on earlier ones."""
    kept: list[int] = []
    notes = []
    X_PP: Floats = np.linalg.qr(X_NP, mode="r")  # type: ignore[assignment]  # has the lengths and angles of X, in P rows
    basis_PP = np.empty((len(X_PP), 0))
    for column, name in enumerate(names_P):
        left_P = X_PP[:, column].copy()
        for _ in range(2):  # the second pass removes the rounding error of the first
            left_P -= basis_PP @ (basis_PP.T @ left_P)
        size = float(np.linalg.norm(X_PP[:, column]))
        if np.linalg.norm(left_P) <= 1e-8 * size:
            reason = "is 0 in every row" if size == 0 else f"depends on {', '.join(names_P[other] for other in kept)}"
            notes.append(f"Column {name} was left out: it {reason}.")
            continue
        kept.append(column)
        basis_PP = np.column_stack([basis_PP, left_P / np.linalg.norm(left_P)])
    if not kept:
        raise AttritionError("Every column of X is 0. Give at least a column of ones.")
    return kept, notes


def _usable(
    groups: Mapping[str, NDArray[np.integer]], X_NP: Floats
) -> tuple[dict[str, tuple[NDArray[np.int64], NDArray[np.int64]]], list[str]]:
    """Return factor to levels and codes 0...Q-1, for the factors that can be estimated."""
    kept: dict[str, tuple[NDArray[np.int64], NDArray[np.int64]]] = {}
    notes = []
    for name, given in groups.items():
        levels, codes = np.unique(np.asarray(given, dtype=np.int64), return_inverse=True)
        same = [other for other, (theirs, of_them) in kept.items() if _same(len(levels), codes, len(theirs), of_them)]
        if len(levels) < 2:
            reason = "it has one level"
        elif len(levels) == len(codes):
            reason = "each of its levels has one row, as the residual has"
        elif same:
            reason = f"its levels are those of {same[0]}"
        elif len(levels) <= X_NP.shape[1] and _spanned(codes, X_NP):
            reason = "the fixed effects tell all its levels apart"
        else:
            kept[name] = (levels, codes.astype(np.int64))
            continue
        notes.append(f"Factor {name} was left out: {reason}.")
    return kept, notes


def _same(size: int, codes: NDArray[np.int64], other_size: int, other: NDArray[np.int64]) -> bool:
    return size == other_size and len(np.unique(codes * np.int64(other_size) + other)) == size


def _spanned(codes: NDArray[np.int64], X_NP: Floats) -> bool:
    indicator_NQ = (codes[:, None] == np.arange(codes.max() + 1)).astype(np.float64)
    left_NQ = indicator_NQ - X_NP @ np.linalg.lstsq(X_NP, indicator_NQ, rcond=None)[0]
    return float(np.abs(left_NQ).max()) < 1e-8


def _begin(names_C: Sequence[str], start: Mapping[str, float], model: Problem, scale: float) -> Floats:
    """Return start variances: half for the residual (minus its known part), half for the factors; or those of `start`."""
    begin_C = np.full(len(names_C), 0.5 / max(1, len(names_C) - 1))
    begin_C[-1] = 0.5 if model.known_N is None else max(0.1, 0.5 - float(model.known_N.mean()))
    for place, name in enumerate(names_C):
        if name in start:
            # Not exactly 0, where the slope is not informative.
            begin_C[place] = max(start[name] / scale**2, 1e-4)
    return begin_C


def _fixed_effects(
    state: State, names_P: Sequence[str], freedom_P: Floats, scale: float, level: float
) -> tuple[FixedEffect, ...]:
    effects = []
    errors_P = np.sqrt(np.diag(state.covariance_PP))
    for name, estimate, error, df in zip(names_P, state.fixed_P * scale, errors_P * scale, freedom_P, strict=True):
        t = estimate / error
        reach = (stdtrit(df, (1 + level) / 2) if np.isfinite(df) else ndtri((1 + level) / 2)) * error
        numbers = {"estimate": estimate, "standard_error": error, "df": df, "t": t, "p": 2 * stdtr(df, -abs(t))}
        numbers |= {"low": estimate - reach, "high": estimate + reach}
        effects.append(FixedEffect(name=name, **{key: float(value) for key, value in numbers.items()}))
    return tuple(effects)


def _components(state: State, names_K: Sequence[str], scale: float) -> tuple[Component, ...]:
    rows = len(state.problem.y_N)
    sizes = [*(len(cells) for cells in state.problem.layout.cells_K), rows, rows]
    names, variances = [*names_K, RESIDUAL], list(state.variances_C)
    if state.problem.known_N is not None:
        names.append(KNOWN)
        variances.append(state.problem.known_N.mean())
    total = sum(variances)
    return tuple(
        Component(
            name=name,
            variance=float(variance) * scale**2,
            sd=float(variance) ** 0.5 * scale,
            share=float(variance / total),
            num_levels=size,
        )
        for name, variance, size in zip(names, variances, sizes, strict=False)
    )


def _levels(state: State, codes: Mapping[str, NDArray[np.int64]], scale: float, level: float) -> dict[str, Levels]:
    left_Q = state.inverse_diagonal_Q()
    conditional_Q = state.sd_Q**2 * left_Q
    # The prediction moves with the fixed effects: G Z'V^-1 X Cov(b) (...)'.
    moves_QP = state.sd_Q[:, None] * state.solved_QR[:, :-1]
    error_Q = scale * np.sqrt(conditional_Q + ((moves_QP @ state.covariance_PP) * moves_QP).sum(axis=1))
    effect_Q, reach = scale * state.predicted_Q(), float(ndtri((1 + level) / 2))
    rows_Q = np.asarray(state.problem.Z_NQ.sum(axis=0)).astype(np.int64)
    return {
        name: Levels(
            codes_Q=codes_Q,
            rows_Q=rows_Q[cells],
            effect_Q=effect_Q[cells],
            standard_error_Q=error_Q[cells],
            low_Q=effect_Q[cells] - reach * error_Q[cells],
            high_Q=effect_Q[cells] + reach * error_Q[cells],
            conditional_sd_Q=scale * np.sqrt(conditional_Q[cells]),
            shrinkage_Q=1 - left_Q[cells],
        )
        for (name, codes_Q), cells in zip(codes.items(), state.problem.layout.cells_K, strict=True)
    }

"""Finds the variances that minimise the criterion of the restricted likelihood, and Satterthwaite's degrees of freedom.

Shape letters: C factors and the residual, P fixed effects.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from attrition.analysis.mixed_equations import Floats, Problem, Slope, State

_MOST_STEPS = 60
_TOLERANCE = 1e-9
"""Tolerance of the criterion: the gain of one more step."""


def minimise(model: Problem, start_C: Floats, floor_C: Floats) -> tuple[State, Slope, int, bool]:
    """Return the state with the lowest criterion and every variance at or above its floor."""
    state = State(model, start_C)
    for steps in range(_MOST_STEPS):
        slope = state.slope()
        step_C = _newton_step(state.variances_C, slope, floor_C)
        gain = -float(slope.gradient_C @ step_C)
        if gain < _TOLERANCE:
            return state, slope, steps, True
        following = _line_search(model, state, step_C, floor_C, gain)
        if following is None:  # the remaining gain is below rounding
            return state, slope, steps, gain < 1e-5
        state = following
    return state, state.slope(), _MOST_STEPS, False


def _newton_step(variances_C: Floats, slope: Slope, floor_C: Floats) -> Floats:
    at_floor_C = variances_C <= 1.001 * floor_C
    free_C = ~(at_floor_C & (slope.gradient_C > 0))
    step_C = np.zeros(len(variances_C))
    while free_C.any():
        step_C[:] = 0
        # Relative steps, because variances have very different sizes; the small term keeps flat directions solvable.
        scale = variances_C[free_C]
        average = slope.average_CC[np.ix_(free_C, free_C)] * np.outer(scale, scale)
        average += (1e-9 * average.diagonal().mean() + 1e-12) * np.eye(len(scale))
        step_C[free_C] = -scale * np.linalg.solve(average, scale * slope.gradient_C[free_C])
        leaving_C = at_floor_C & (step_C < 0)
        if not leaving_C.any():
            break
        free_C &= ~leaving_C
    return step_C


def _line_search(model: Problem, state: State, step_C: Floats, floor_C: Floats, gain: float) -> State | None:
    # Limit growth to a factor of ten: far above the optimum the criterion is flat, and steps from there are poor.
    length = 1 / max(1.0, float((step_C / (9 * np.maximum(state.variances_C, 0.01))).max()))
    shortest = 1e-4 * length
    while length > shortest:
        try:
            tried = State(model, np.maximum(state.variances_C + length * step_C, floor_C))
        except np.linalg.LinAlgError:
            tried = None
        if tried is not None and tried.criterion < state.criterion - 1e-4 * min(length * gain, 1.0):
            return tried
        length /= 2
    return None


def degrees_of_freedom(state: State, slope: Slope, free_C: NDArray[np.bool_]) -> Floats:
    """Return Satterthwaite's degrees of freedom, with the exact derivative of Cov(b) and a Hessian by gradient differences."""
    (free,) = np.nonzero(free_C)
    hessian = np.empty((len(free), len(free)))
    for row, component in enumerate(free):
        width = 1e-5 * state.variances_C[component]
        moved_C = state.variances_C.copy()
        moved_C[component] += width
        hessian[row] = (State(state.problem, moved_C).slope().gradient_C - slope.gradient_C)[free] / width
    values, vectors = np.linalg.eigh((hessian + hessian.T) / 2)
    firm = values > 1e-10 * max(float(values.max(initial=0)), 1e-300)
    along = slope.covariance_CPP[free].diagonal(axis1=1, axis2=2).T @ vectors[:, firm]  # (P, directions)
    spread_P = 2 * (along**2 / values[firm]).sum(axis=1)
    variance_P = np.diag(state.covariance_PP)
    freedom_P: Floats = np.full(len(variance_P), np.inf)
    np.divide(2 * variance_P**2, spread_P, out=freedom_P, where=spread_P > 0)
    return freedom_P

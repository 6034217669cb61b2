"""The restricted likelihood of a model with crossed random intercepts, with its slope, at given variances.

Model: y = X b + sum_k Z_k u_k + e, with u_k ~ N(0, v_k I) and Var(e_i) = v_e + known_i. All numbers come from Henderson's
equations, scaled so that a variance of 0 is allowed: M = L Z'WZ L + I, where W = 1 / Var(e) and L holds the standard deviations.
The factor with most levels is a diagonal block of M. It is eliminated first, so that only the rest is dense.

Shape letters: N rows, P columns of X, K factors (the one with most levels first), C factors and the residual, Q levels of all
factors, J levels of the first factor, D levels of all others.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.linalg import LinAlgError, cholesky, solve_triangular
from scipy.linalg.lapack import dpotri

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Problem:
    """The data of a model: `known_N` is the known part of the error variance, None where there is none."""

    y_N: Floats
    X_NP: Floats
    codes_KN: tuple[NDArray[np.int64], ...]
    sizes_K: tuple[int, ...]
    Z_NQ: Any  # a scipy sparse matrix: one 1 per row and factor
    known_N: Floats | None
    unit_weights: Products

    @property
    def factor_Q(self) -> NDArray[np.int64]:
        """The factor of each level."""
        return np.repeat(np.arange(len(self.sizes_K)), self.sizes_K)


@dataclass(frozen=True, eq=False)
class Products:
    """Products of the design with weights w: Z'WZ in its blocks, Z'WX and Z'Wy, and those of X and y alone."""

    first_J: Floats
    between_JD: Any  # sparse
    others_DD: Floats
    Z_QR: Floats  # Z'W[X y]
    X_RR: Floats  # [X y]'W[X y]

    def times(self, weight: float) -> Products:
        """The products with all weights multiplied by one number."""
        blocks = (self.first_J, self.between_JD, self.others_DD, self.Z_QR, self.X_RR)
        return Products(*(block * weight for block in blocks))


def problem(y_N: Floats, X_NP: Floats, codes_KN: Sequence[NDArray[np.int64]], known_N: Floats | None) -> Problem:
    """Return the model's data with its factors sorted; codes must be 0 to size - 1, the factor with most levels first."""
    sizes_K = tuple(int(codes.max()) + 1 for codes in codes_KN)
    starts_K = np.concatenate([[0], np.cumsum(sizes_K)[:-1]]).astype(np.int64) if sizes_K else np.zeros(0, np.int64)
    rows, num_factors, num_levels = len(y_N), len(sizes_K), sum(sizes_K)
    columns = np.stack([codes + start for codes, start in zip(codes_KN, starts_K, strict=True)], axis=1) if sizes_K else []
    indptr = np.arange(0, rows * num_factors + 1, num_factors) if num_factors else np.zeros(rows + 1, np.int64)
    entries = (np.ones(rows * num_factors), np.ravel(columns).astype(np.int64), indptr)
    Z_NQ = sparse.csr_matrix(entries, shape=(rows, num_levels))
    products = _products(Z_NQ, y_N, X_NP, sizes_K[0] if sizes_K else 0, np.ones(rows))
    return Problem(y_N, X_NP, tuple(codes_KN), sizes_K, Z_NQ, known_N, products)


def _products(Z_NQ: Any, y_N: Floats, X_NP: Floats, num_first: int, weights_N: Floats) -> Products:
    data_NR = np.column_stack([X_NP, y_N])
    weighted_NR = data_NR * weights_N[:, None]
    weighted_Z = Z_NQ.multiply(weights_N[:, None]).tocsr()
    Z_QN = Z_NQ.T.tocsr()
    whole_QD = Z_QN @ weighted_Z[:, num_first:]
    first_J = np.asarray(weighted_Z[:, :num_first].sum(axis=0)).ravel()
    between_JD, others_DD = whole_QD[:num_first].tocsr(), whole_QD[num_first:].toarray()
    return Products(first_J, between_JD, others_DD, np.asarray(Z_QN @ weighted_NR), data_NR.T @ weighted_NR)


class State:
    """The model at one set of variances (C,): the residual's last. The criterion is there at once; the rest is computed when asked."""

    def __init__(self, problem: Problem, variances_C: Floats) -> None:
        self.problem, self.variances_C = problem, variances_C
        num_first = problem.sizes_K[0] if problem.sizes_K else 0
        rows, self.num_fixed = problem.X_NP.shape
        if problem.known_N is None:
            self.weights_N = np.full(rows, 1 / variances_C[-1])
            self.products = problem.unit_weights.times(1 / variances_C[-1])
        else:
            self.weights_N = 1 / (variances_C[-1] + problem.known_N)
            self.products = _products(problem.Z_NQ, problem.y_N, problem.X_NP, num_first, self.weights_N)
        self.sd_Q = np.sqrt(variances_C)[problem.factor_Q]
        first_sd, other_sd = self.sd_Q[:num_first], self.sd_Q[num_first:]
        self.first_J = 1 + first_sd**2 * self.products.first_J
        between = sparse.diags_array(first_sd) @ self.products.between_JD @ sparse.diags_array(other_sd)
        self.between_JD = between.tocsr()
        others_DD = other_sd[:, None] * self.products.others_DD * other_sd + np.eye(len(other_sd))
        others_DD -= self._between_products(1 / self.first_J)
        self.factor_DD = cholesky(others_DD, lower=True, check_finite=False) if len(others_DD) else others_DD
        # M^-1 L Z'W [X y]: of X what the levels take over from it, of y the raw predictions.
        self.scaled_QR = self.sd_Q[:, None] * self.products.Z_QR
        self.solved_QR = self.solve(self.scaled_QR)
        within_RR = self.products.X_RR - self.scaled_QR.T @ self.solved_QR  # [X y]' V^-1 [X y]
        information_PP, score_P = within_RR[:-1, :-1], within_RR[:-1, -1]
        upper_PP = cholesky(information_PP, check_finite=False)
        inverse_PP = solve_triangular(upper_PP, np.eye(self.num_fixed))
        self.covariance_PP = inverse_PP @ inverse_PP.T
        self.fixed_P = self.covariance_PP @ score_P
        log_det_V = float(-np.log(self.weights_N).sum() + np.log(self.first_J).sum() + 2 * np.log(np.diag(self.factor_DD)).sum())
        log_det_X = 2 * float(np.log(np.diag(upper_PP)).sum())
        quadratic = float(within_RR[-1, -1] - score_P @ self.fixed_P)
        self.criterion = (rows - self.num_fixed) * float(np.log(2 * np.pi)) + log_det_V + log_det_X + quadratic

    def _between_products(self, weights_J: Floats) -> Floats:
        """B' diag(w) B of the block between the first factor and the others."""
        weighted = sparse.diags_array(weights_J) @ self.between_JD
        product: Floats = (self.between_JD.T.tocsr() @ weighted.tocsr()).toarray()
        return product

    def solve(self, right_QR: Floats) -> Floats:
        """Return M^-1 times the given columns."""
        num_first = len(self.first_J)
        top, bottom = right_QR[:num_first] / self.first_J[:, None], right_QR[num_first:]
        if not len(bottom):
            return top
        half = solve_triangular(self.factor_DD, bottom - self.between_JD.T @ top, lower=True, check_finite=False)
        bottom = solve_triangular(self.factor_DD, half, lower=True, trans=1, check_finite=False)
        return np.concatenate([top - (self.between_JD @ bottom) / self.first_J[:, None], bottom])

    @property
    def inverse_DD(self) -> Floats:
        """The block of M^-1 that belongs to the dense levels."""
        if not len(self.factor_DD):
            return self.factor_DD
        lower, info = dpotri(self.factor_DD, lower=1)
        if info:
            raise LinAlgError("the equations are singular")
        below: Floats = np.tril(lower)
        return below + np.tril(below, -1).T

    def inverse_diagonal_Q(self) -> Floats:
        """Return the diagonal of M^-1: each level's conditional variance as a share of its factor's variance."""
        inverse_DD = self.inverse_DD
        spread_J = ((self.between_JD @ inverse_DD) * self.between_JD.toarray()).sum(axis=1)
        return np.concatenate([1 / self.first_J + spread_J / self.first_J**2, np.diag(inverse_DD)])

    def predicted_Q(self) -> Floats:
        """Return the best linear unbiased prediction of every level's effect."""
        return self.sd_Q * (self.solved_QR[:, -1] - self.solved_QR[:, :-1] @ self.fixed_P)

    def residuals_N(self) -> Floats:
        """Return y - X b - Z u."""
        problem = self.problem
        left: Floats = problem.y_N - problem.X_NP @ self.fixed_P - problem.Z_NQ @ self.predicted_Q()
        return left

    def slope(self) -> Slope:
        """Return the derivatives at these variances, which must all be above 0."""
        problem, num_fixed = self.problem, self.num_fixed
        variances_K, factor_Q = self.variances_C[:-1], problem.factor_Q
        covariance_PP = self.covariance_PP
        inverse_DD, num_first = self.inverse_DD, len(self.first_J)
        # tr(Z_k' V^-1 Z_k) = (levels - trace of M^-1's block) / v_k
        traces_K = [float((np.diag(inverse_DD)[factor_Q[num_first:] == k]).sum()) for k in range(len(variances_K))]
        squares_DD = self._between_products(self.first_J**-2) if num_first else None
        if squares_DD is not None:
            traces_K[0] = float((1 / self.first_J).sum() + (inverse_DD * squares_DD).sum())
        sizes_K = np.array(problem.sizes_K, dtype=np.float64)
        direct_K = (sizes_K - np.array(traces_K)) / variances_K
        # Z' V^-1 [X y] = L^-1 M^-1 L Z'W [X y]
        levels_QR = self.solved_QR / self.sd_Q[:, None]
        left_NR = np.column_stack([problem.X_NP, problem.y_N])
        inverse_NR = self.weights_N[:, None] * (left_NR - problem.Z_NQ @ (self.sd_Q[:, None] * self.solved_QR))
        projected_Q = levels_QR[:, -1] - levels_QR[:, :-1] @ self.fixed_P  # Z'Py
        projected_N = inverse_NR[:, -1] - inverse_NR[:, :-1] @ self.fixed_P  # Py
        by_variance_CPP = np.empty((len(variances_K) + 1, num_fixed, num_fixed))  # X'V^-1 (dV/dv) V^-1 X
        gradient_C = np.empty(len(variances_K) + 1)
        moved_NC = np.empty((len(projected_N), len(variances_K) + 1))  # (dV/dv) Py
        for k in range(len(variances_K)):
            mine = factor_Q == k
            by_variance_CPP[k] = levels_QR[mine, :-1].T @ levels_QR[mine, :-1]
            gradient_C[k] = direct_K[k] - (covariance_PP * by_variance_CPP[k]).sum() - (projected_Q[mine] ** 2).sum()
            moved_NC[:, k] = projected_Q[mine][problem.codes_KN[k]]
        by_variance_CPP[-1] = inverse_NR[:, :-1].T @ inverse_NR[:, :-1]
        moved_NC[:, -1] = projected_N
        direct_e = float(self.weights_N.sum()) - self._trace_of_squares(inverse_DD, traces_K)
        gradient_C[-1] = direct_e - (covariance_PP * by_variance_CPP[-1]).sum() - (projected_N**2).sum()
        # Average information (Gilmour, Thompson & Cullis 1995), for the criterion -2 log L: F'PF with F = (dV/dv) Py.
        scaled_QC = self.sd_Q[:, None] * (problem.Z_NQ.T @ (self.weights_N[:, None] * moved_NC))
        cross_PC = inverse_NR[:, :-1].T @ moved_NC
        average_CC = moved_NC.T @ (self.weights_N[:, None] * moved_NC) - scaled_QC.T @ self.solve(scaled_QC)
        average_CC -= cross_PC.T @ covariance_PP @ cross_PC
        # The covariance of the fixed effects changes by this per variance.
        covariance_CPP = covariance_PP @ by_variance_CPP @ covariance_PP
        return Slope(gradient_C, average_CC, covariance_CPP)

    def _trace_of_squares(self, inverse_DD: Floats, traces_K: Sequence[float]) -> float:
        """tr(M^-1 L Z'W^2 Z L), the second half of tr(V^-1)."""
        if self.problem.known_N is None:  # W^2 = W / v_e, and L Z'WZ L = M - I
            return float((sum(self.problem.sizes_K) - sum(traces_K)) / self.variances_C[-1])
        num_first = len(self.first_J)
        scaled = self.problem.Z_NQ.multiply(self.weights_N[:, None]) @ sparse.diags_array(self.sd_Q)
        scaled = scaled.tocsr()
        first, others = scaled[:, :num_first], scaled[:, num_first:]
        square_J = np.asarray(first.multiply(first).sum(axis=0)).ravel()
        others_QN = others.T.tocsr()
        cross_DJ = others_QN @ first
        over_JD = (sparse.diags_array(1 / self.first_J) @ self.between_JD).tocsr()
        total = (others_QN @ others).toarray() - 2 * (cross_DJ @ over_JD).toarray()
        total += (over_JD.T.tocsr() @ (sparse.diags_array(square_J) @ over_JD).tocsr()).toarray()
        return float((square_J / self.first_J).sum() + (inverse_DD * total).sum())


@dataclass(frozen=True, eq=False)
class Slope:
    """Derivatives by the variances: of the criterion (C,), its average information (C, C), of Cov(b) (C, P, P)."""

    gradient_C: Floats
    average_CC: Floats
    covariance_CPP: Floats

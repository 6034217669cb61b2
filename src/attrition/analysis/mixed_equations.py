"""The restricted likelihood of a model with crossed random intercepts, with its slope, at given variances.

Model: y = X b + sum_k Z_k u_k + e, with u_k ~ N(0, v_k I) and Var(e_i) = v_e + known_i. All numbers come from Henderson's
equations, scaled so that a variance of 0 is allowed: M = L Z'WZ L + I, with W = 1 / Var(e) and L the standard deviations.

One factor forms blocks: levels of the factors nested in it (donor, stage and pair in donor) share no rows with other blocks,
so this part of M is block-diagonal. It is eliminated first. Only the other factors (receiver, order) remain as a dense
matrix. With 52 languages in 8 orders this gives 52 blocks of 60 levels and a rest of 60.

Shape letters: N rows, P columns of X, R columns of X and y, K factors, C factors and the residual, B blocks, M levels in the
largest block, D levels of the other factors, Q = B M + D cells. A block with fewer levels has cells without rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from attrition.names import AttritionError

Floats = NDArray[np.float64]
Codes = NDArray[np.int64]

LARGEST = 40_000_000
"""Numbers in the matrices of one state: 320 MB."""

_MOST_AT_ONCE = 2_000_000
"""Numbers in a product per block. Small products use one BLAS thread: several wait for each other on a busy machine."""


@dataclass(frozen=True, eq=False)
class Layout:
    """The place of each level among the Q cells: `cells_K[k]` (levels of k,) for every factor; the blocks come first."""

    num_blocks: int
    block_size: int
    num_others: int
    cells_K: tuple[Codes, ...]
    in_blocks_K: tuple[bool, ...]

    @property
    def num_cells(self) -> int:
        """Q."""
        return self.num_blocks * self.block_size + self.num_others

    @property
    def num_numbers(self) -> int:
        """The size of the matrices of one state."""
        in_blocks = self.num_blocks * self.block_size
        return in_blocks * (self.block_size + self.num_others) + self.num_others**2


def layout(codes_KN: Sequence[Codes]) -> Layout:
    """Return the layout with the lowest cost; the codes of a factor must be 0 to its number of levels - 1.

    >>> donor, receiver = np.array([0, 0, 1, 1]), np.array([0, 1, 0, 1])
    >>> found = layout([donor, receiver, 2 * donor + receiver])
    >>> found.num_blocks, found.block_size, found.num_others  # a donor and its two pairs; the receivers
    (2, 3, 2)
    """
    if not codes_KN:
        return Layout(0, 0, 0, (), ())
    sizes = [int(codes.max()) + 1 for codes in codes_KN]
    return min((_layout_by(block, codes_KN, sizes) for block in range(len(sizes))), key=_cost)


def _cost(of: Layout) -> float:
    in_blocks = of.num_blocks * of.block_size
    return in_blocks * float(of.block_size + of.num_others) ** 2 + float(of.num_others) ** 3


def _layout_by(block: int, codes_KN: Sequence[Codes], sizes: Sequence[int]) -> Layout:
    """Return the layout whose blocks are the levels of one factor."""
    filled_B = np.zeros(sizes[block], dtype=np.int64)
    places: list[tuple[Codes, Codes] | None] = []
    for codes, size in zip(codes_KN, sizes, strict=True):
        if size < sizes[block]:  # coarser, so not nested
            places.append(None)
            continue
        pairs = np.unique(codes * np.int64(sizes[block]) + codes_KN[block])
        if len(pairs) > size:
            places.append(None)
            continue
        blocks = pairs % sizes[block]  # of each level, in the sequence of the levels
        within = np.empty(size, dtype=np.int64)
        within[np.argsort(blocks, kind="stable")] = np.concatenate(
            [np.arange(count) for count in np.bincount(blocks, minlength=sizes[block])]
        )
        places.append((blocks, filled_B[blocks] + within))
        filled_B += np.bincount(blocks, minlength=sizes[block])
    largest, cells = int(filled_B.max()), []
    start = sizes[block] * largest
    for place, size in zip(places, sizes, strict=True):
        cells.append(np.arange(start, start + size) if place is None else place[0] * largest + place[1])
        start += size if place is None else 0
    in_blocks = tuple(place is not None for place in places)
    return Layout(sizes[block], largest, start - sizes[block] * largest, tuple(cells), in_blocks)


@dataclass(frozen=True, eq=False)
class Products:
    """Products of the design with weights w: the blocks of Z'WZ, Z'W[X y], and [X y]'W[X y]."""

    blocks_BMM: Floats
    between_BMD: Floats
    others_DD: Floats
    Z_QR: Floats
    X_RR: Floats

    def times(self, weight: float) -> Products:
        """Return the products with all weights multiplied by one number."""
        blocks = (self.blocks_BMM, self.between_BMD, self.others_DD, self.Z_QR, self.X_RR)
        return Products(*(block * weight for block in blocks))


@dataclass(frozen=True, eq=False)
class Problem:
    """The data of a model: `known_N` is the known part of the error variance, None where there is none.

    `cells_KN` is the cell of each row in each factor, and `Z_NQ` (sparse) has a 1 in each of them.
    """

    data_NR: Floats  # [X y]
    layout: Layout
    cells_KN: tuple[Codes, ...]
    Z_NQ: Any
    known_N: Floats | None
    unit_weights: Products

    @property
    def X_NP(self) -> Floats:
        """The columns of the fixed effects."""
        return self.data_NR[:, :-1]

    @property
    def y_N(self) -> Floats:
        """The outcome."""
        return self.data_NR[:, -1]


def problem(y_N: Floats, X_NP: Floats, codes_KN: Sequence[Codes], known_N: Floats | None) -> Problem:
    """Return the data of a model in the form that `State` needs; codes as in `layout`.

    Raises:
        AttritionError: the matrices would be larger than `LARGEST`.
    """
    where = layout(codes_KN)
    if where.num_numbers > LARGEST:
        sizes = ", ".join(str(len(cells)) for cells in where.cells_K)
        raise AttritionError(
            f"Factors with {sizes} levels need matrices of {where.num_numbers:,} numbers; {LARGEST:,} are allowed. "
            "Leave out a factor with many levels."
        )
    cells_KN = tuple(cells[codes] for cells, codes in zip(where.cells_K, codes_KN, strict=True))
    rows, num_factors = len(y_N), len(cells_KN)
    columns = np.stack(cells_KN, axis=1).ravel() if cells_KN else np.zeros(0, dtype=np.int64)
    starts = num_factors * np.arange(rows + 1)
    Z_NQ = sparse.csr_array((np.ones(len(columns)), columns, starts), shape=(rows, where.num_cells))
    data_NR = np.column_stack([X_NP, y_N])
    return Problem(data_NR, where, cells_KN, Z_NQ, known_N, _products(data_NR, where, cells_KN, Z_NQ, np.ones(rows)))


def _products(data_NR: Floats, of: Layout, cells_KN: Sequence[Codes], Z_NQ: Any, weights_N: Floats) -> Products:
    weighted_NR = data_NR * weights_N[:, None]
    inside = [cells for cells, is_in in zip(cells_KN, of.in_blocks_K, strict=True) if is_in]
    others = [cells - of.num_blocks * of.block_size for cells, is_in in zip(cells_KN, of.in_blocks_K, strict=True) if not is_in]
    size, num_others = of.block_size, of.num_others
    blocks = _summed(
        [(one * size + other % size) for one in inside for other in inside], weights_N, of.num_blocks * size * size
    )
    between = _summed(
        [one * num_others + other for one in inside for other in others], weights_N, of.num_blocks * size * num_others
    )
    rest = _summed([one * num_others + other for one in others for other in others], weights_N, num_others**2)
    return Products(
        blocks.reshape(of.num_blocks, size, size),
        between.reshape(of.num_blocks, size, num_others),
        rest.reshape(num_others, num_others),
        np.asarray(Z_NQ.T @ weighted_NR),
        data_NR.T @ weighted_NR,
    )


def _summed(places: Sequence[Codes], weights_N: Floats, size: int) -> Floats:
    total = np.zeros(size)
    for place_N in places:
        total += np.bincount(place_N, weights_N, minlength=size)
    return total


@dataclass(frozen=True, eq=False)
class Slope:
    """Derivatives by the variances: of the criterion (C,), its average information (C, C), of Cov(b) (C, P, P)."""

    gradient_C: Floats
    average_CC: Floats
    covariance_CPP: Floats


class State:
    """The model at one set of variances (C,), the residual's last.

    `criterion` is -2 log of the restricted likelihood, `fixed_P` are the fixed effects, `covariance_PP` their covariance.

    Raises:
        numpy.linalg.LinAlgError: the equations cannot be solved at these variances.
    """

    def __init__(self, problem: Problem, variances_C: Floats) -> None:
        self.problem, self.variances_C = problem, variances_C
        rows, num_fixed = problem.X_NP.shape
        self.weights_N = 1 / (variances_C[-1] + (np.zeros(rows) if problem.known_N is None else problem.known_N))
        if problem.known_N is None:
            products = problem.unit_weights.times(1 / variances_C[-1])
        else:
            products = _products(problem.data_NR, problem.layout, problem.cells_KN, problem.Z_NQ, self.weights_N)
        self.sd_Q = np.zeros(problem.layout.num_cells)
        for cells, variance in zip(problem.layout.cells_K, variances_C, strict=False):
            self.sd_Q[cells] = np.sqrt(variance)
        blocks_BMM, self.between_BMD, others_DD = self._scaled(products)
        blocks_BMM += np.eye(problem.layout.block_size)
        self.blocks_BMM = np.linalg.inv(blocks_BMM)  # from here on the inverse
        self.over_BMD = self.blocks_BMM @ self.between_BMD
        others_DD += np.eye(len(others_DD)) - _over_blocks(self.between_BMD, self.over_BMD)
        self.inverse_DD = np.linalg.inv(others_DD)
        # M^-1 L Z'W [X y]: the part of X and y that the levels explain.
        scaled_QR = self.sd_Q[:, None] * products.Z_QR
        self.solved_QR = self.solve(scaled_QR)
        within_RR = products.X_RR - scaled_QR.T @ self.solved_QR  # [X y]' V^-1 [X y]
        self.covariance_PP = np.linalg.inv(within_RR[:-1, :-1])
        self.fixed_P = self.covariance_PP @ within_RR[:-1, -1]
        log_dets = -np.log(self.weights_N).sum() + sum(map(_log_det, (blocks_BMM, others_DD, within_RR[:-1, :-1])))
        quadratic = within_RR[-1, -1] - within_RR[:-1, -1] @ self.fixed_P
        self.criterion = float((rows - num_fixed) * np.log(2 * np.pi) + log_dets + quadratic)

    def _scaled(self, products: Products) -> tuple[Floats, Floats, Floats]:
        """Return L Z'WZ L in its three blocks."""
        in_BM, in_D = self._split(self.sd_Q)
        return (
            in_BM[:, :, None] * products.blocks_BMM * in_BM[:, None, :],
            in_BM[:, :, None] * products.between_BMD * in_D,
            in_D[:, None] * products.others_DD * in_D,
        )

    def _split(self, values_Q: Floats) -> tuple[Floats, Floats]:
        """Return the cells of the blocks (B, M, ...) and the others (D, ...)."""
        where = self.problem.layout
        border = where.num_blocks * where.block_size
        return values_Q[:border].reshape(where.num_blocks, where.block_size, *values_Q.shape[1:]), values_Q[border:]

    def solve(self, right_QR: Floats) -> Floats:
        """Return M^-1 times the given columns."""
        right_BMR, right_DR = self._split(right_QR)
        top_BMR = self.blocks_BMM @ right_BMR
        bottom_DR = self.inverse_DD @ (right_DR - _over_blocks(self.between_BMD, top_BMR))
        top_BMR -= self.over_BMD @ bottom_DR
        return np.concatenate([top_BMR.reshape(-1, right_QR.shape[1]), bottom_DR])

    def inverse_diagonal_Q(self) -> Floats:
        """Return the diagonal of M^-1: each level's conditional variance as a share of its factor's variance."""
        blocks_BM = self.blocks_BMM.diagonal(axis1=1, axis2=2) + ((self.over_BMD @ self.inverse_DD) * self.over_BMD).sum(axis=2)
        return np.concatenate([blocks_BM.ravel(), self.inverse_DD.diagonal()])

    def predicted_Q(self) -> Floats:
        """Return the best linear unbiased prediction of every level's effect."""
        predicted: Floats = self.sd_Q * (self.solved_QR[:, -1] - self.solved_QR[:, :-1] @ self.fixed_P)
        return predicted

    def slope(self) -> Slope:
        """Return the derivatives at these variances, which must all be above 0."""
        problem, where = self.problem, self.problem.layout
        num_factors, num_fixed = len(where.cells_K), len(self.fixed_P)
        diagonal_Q = self.inverse_diagonal_Q()
        fitted_NR = problem.Z_NQ @ (self.sd_Q[:, None] * self.solved_QR)
        inverse_NR = self.weights_N[:, None] * (problem.data_NR - fitted_NR)  # V^-1 [X y]
        gradient_C = np.empty(num_factors + 1)
        by_variance_CPP = np.empty((num_factors + 1, num_fixed, num_fixed))  # X'V^-1 (dV/dv) V^-1 X
        moved_NC = np.empty((len(inverse_NR), num_factors + 1))  # (dV/dv) Py
        for k, variance in enumerate(self.variances_C[:-1]):
            cells = where.cells_K[k]
            of_levels_QR = self.solved_QR[cells] / np.sqrt(variance)  # Z_k' V^-1 [X y]
            projected_Q = of_levels_QR[:, -1] - of_levels_QR[:, :-1] @ self.fixed_P  # Z_k' P y
            by_variance_CPP[k] = of_levels_QR[:, :-1].T @ of_levels_QR[:, :-1]
            gradient_C[k] = (1 - diagonal_Q[cells]).sum() / variance - (projected_Q**2).sum()
            by_cell_Q = np.zeros(where.num_cells)
            by_cell_Q[cells] = projected_Q
            moved_NC[:, k] = by_cell_Q[problem.cells_KN[k]]
        moved_NC[:, -1] = inverse_NR[:, -1] - inverse_NR[:, :-1] @ self.fixed_P
        by_variance_CPP[-1] = inverse_NR[:, :-1].T @ inverse_NR[:, :-1]
        gradient_C[-1] = self.weights_N.sum() - self._trace_of_squares(diagonal_Q) - (moved_NC[:, -1] ** 2).sum()
        gradient_C -= (self.covariance_PP * by_variance_CPP).sum(axis=(1, 2))
        # Average information (Gilmour, Thompson & Cullis 1995), for the criterion -2 log L: F'PF with F = (dV/dv) Py.
        weighted_NC = self.weights_N[:, None] * moved_NC
        scaled_QC = self.sd_Q[:, None] * (problem.Z_NQ.T @ weighted_NC)
        cross_PC = inverse_NR[:, :-1].T @ moved_NC
        average_CC = moved_NC.T @ weighted_NC - scaled_QC.T @ self.solve(scaled_QC) - cross_PC.T @ self.covariance_PP @ cross_PC
        return Slope(gradient_C, average_CC, self.covariance_PP @ by_variance_CPP @ self.covariance_PP)

    def _trace_of_squares(self, diagonal_Q: Floats) -> float:
        """Return tr(M^-1 L Z'W^2 Z L), the second half of tr(V^-1)."""
        problem = self.problem
        if problem.known_N is None:  # W^2 = W / v_e, and L Z'WZ L = M - I
            return float((1 - diagonal_Q).sum() / self.variances_C[-1])
        nothing_N0 = np.empty((len(self.weights_N), 0))
        squares = _products(nothing_N0, problem.layout, problem.cells_KN, problem.Z_NQ, self.weights_N**2)
        blocks_BMM, between_BMD, others_DD = self._scaled(squares)
        across_BMD = self.over_BMD @ self.inverse_DD  # minus M^-1 between the blocks and the others
        inverse_BMM = self.blocks_BMM + across_BMD @ self.over_BMD.transpose(0, 2, 1)
        return float(
            (inverse_BMM * blocks_BMM).sum() - 2 * (across_BMD * between_BMD).sum() + (self.inverse_DD * others_DD).sum()
        )


def _log_det(matrices: Floats) -> float:
    """Return the sum of the log-determinants of positive definite matrices (..., n, n)."""
    factors = np.linalg.cholesky(matrices)
    return 2 * float(np.log(factors.diagonal(axis1=-2, axis2=-1)).sum())


def _over_blocks(left_BMX: Floats, right_BMY: Floats) -> Floats:
    """Return the sum over blocks of left' right, (X, Y)."""
    num_blocks, _, width = left_BMX.shape
    if num_blocks * width * right_BMY.shape[2] <= _MOST_AT_ONCE:
        product: Floats = (left_BMX.transpose(0, 2, 1) @ right_BMY).sum(axis=0)
        return product
    return np.tensordot(left_BMX, right_BMY, axes=((0, 1), (0, 1)))

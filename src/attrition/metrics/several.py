"""Shared parts of metrics over several orders: matrices aligned by language, and means with their numbers of orders.

Shape letters: O orders (matrices), L languages (the union of the matrices' columns, in order of first appearance), S stages.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from attrition.metrics.matrix import RMatrix
from attrition.metrics.means import count_measured, mean_measured
from attrition.names import AttritionError, unknown

Matrices = RMatrix | Sequence[RMatrix]
"""One matrix, or one per order."""

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class PerLanguage:
    """A mean per language: `values` (L, ...), NaN where undefined, and `counts` (L, ...), the number of orders behind each."""

    languages: tuple[str, ...]
    values: Floats
    counts: NDArray[np.int64]

    def __getitem__(self, language: str) -> Any:
        """Return one language's number (or list of them)."""
        if language not in self.languages:
            raise unknown(language, self.languages, kind="language")
        return self.values[self.languages.index(language)].tolist()

    def as_dict(self) -> dict[str, Any]:
        """Return a mapping from language to number (or list of them), NaN if undefined."""
        return dict(zip(self.languages, self.values.tolist(), strict=True))

    def counts_as_dict(self) -> dict[str, Any]:
        """Return a mapping from language to the number of orders (or list of them)."""
        return dict(zip(self.languages, self.counts.tolist(), strict=True))

    @property
    def overall(self) -> Floats:
        """Return the mean over the languages that have a value (a number, or one per further axis)."""
        return mean_measured(self.values, axis=0)


def as_orders(matrices: Matrices) -> tuple[RMatrix, ...]:
    """Return the matrices as a tuple, one or more.

    Raises:
        AttritionError: there is no matrix.
    """
    orders = (matrices,) if isinstance(matrices, RMatrix) else tuple(matrices)
    if not orders:
        raise AttritionError("No matrix was given: metrics over orders need at least one.")
    return orders


def languages_of(orders: Sequence[RMatrix]) -> tuple[str, ...]:
    """Return all columns of all matrices, each once, in order of first appearance.

    >>> a, b = RMatrix.sequential("ab", [[1, 0], [0, 1]]), RMatrix.sequential("cb", [[1, 0], [0, 1]])
    >>> languages_of([a, b])
    ('a', 'b', 'c')
    """
    return tuple(dict.fromkeys(language for R in orders for language in R.languages))


def one_per_order(matrices: Matrices) -> tuple[RMatrix, ...]:
    """Return one matrix for each order of the same languages: the mean over its seeds, copies left out.

    >>> low, high = (RMatrix.sequential("ab", [[.5, .25], [.375, own]]) for own in (.5, .75))
    >>> [R.scores_SL.tolist() for R in one_per_order([low, high, high])]
    [[[0.5, 0.25], [0.375, 0.625]]]
    """
    alike: dict[object, dict[bytes, RMatrix]] = {}
    for R in as_orders(matrices):
        same = alike.setdefault((R.trained, frozenset(R.languages)), {})
        again = _with_columns(R, next(iter(same.values())).languages) if same else R
        same.setdefault(again.scores_SL.tobytes(), again)
    return tuple(_mean_of(list(same.values())) for same in alike.values())


def _with_columns(R: RMatrix, languages: tuple[str, ...]) -> RMatrix:
    places = [R.languages.index(language) for language in languages]
    return RMatrix(R.scores_SL[:, places], languages, R.trained, None if R.before_L is None else R.before_L[places])


def _mean_of(same: Sequence[RMatrix]) -> RMatrix:
    """Return the mean of matrices of one order; it has a row before training if all have one."""
    if len(same) == 1:
        return same[0]
    before = [R.before_L for R in same if R.before_L is not None]
    before_L = mean_measured(before, axis=0) if len(before) == len(same) else None
    return RMatrix(mean_measured([R.scores_SL for R in same], axis=0), same[0].languages, same[0].trained, before_L)


def per_order(matrices: Matrices, measure: Callable[[RMatrix], Floats]) -> Floats:
    """Return `measure(R)` (R's languages, ...) of each order, aligned by language: (O, L, ...), NaN if an order lacks it."""
    orders = as_orders(matrices)
    languages = languages_of(orders)
    measured = [measure(R) for R in orders]
    lined_up = np.full((len(orders), len(languages), *measured[0].shape[1:]), np.nan)
    for order, (R, values) in enumerate(zip(orders, measured, strict=True)):
        lined_up[order, [languages.index(language) for language in R.languages]] = values
    return lined_up


def over_orders(matrices: Matrices, measure: Callable[[RMatrix], Floats]) -> PerLanguage:
    """Return the mean of `measure` over the orders that define it, per language, with their number."""
    values = per_order(matrices, measure)
    return PerLanguage(languages_of(as_orders(matrices)), mean_measured(values, axis=0), count_measured(values, axis=0))


def at_own_stage(R: RMatrix, values: Floats) -> Floats:
    """Convert one entry per stage (S, ...) to one per language (L, ...), the entry of its own stage.

    NaN for a language never trained, and for one whose stage also trained others: such a stage has no effect of one language.

    >>> at_own_stage(RMatrix([[0.5, 0.5, 0.5]], ("a", "b", "c"), (("b",),)), np.array([0.25])).tolist()
    [nan, 0.25, nan]
    """
    alone = np.where(R.alone_S.reshape(-1, *[1] * (values.ndim - 1)), values, np.nan)
    with_none = np.concatenate([alone, np.full((1, *values.shape[1:]), np.nan)])
    return with_none[R.stage_L]


def changes_SL(R: RMatrix, *, from_before: bool) -> Floats:
    """Return R[i] - R[i-1], the change by each stage on each language; stage 1 against the row before training, or NaN.

    >>> changes_SL(RMatrix.sequential("ab", [[.5, .25], [.375, .75]]), from_before=True).tolist()
    [[nan, nan], [-0.125, 0.5]]
    """
    first_L = R.before_L if from_before and R.before_L is not None else np.full(len(R.languages), np.nan)
    return np.diff(np.vstack([first_L, R.scores_SL]), axis=0)

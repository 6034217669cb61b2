"""Means and counts without unmeasured values."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray


def mean_measured(values: ArrayLike, axis: int | tuple[int, ...] | None = None) -> NDArray[np.float64]:
    """Return the mean of the values that are not NaN along `axis`; NaN without any (and no warning, unlike `np.nanmean`).

    >>> mean_measured([[0.5, float("nan")], [0.25, float("nan")]], axis=0).tolist()
    [0.375, nan]
    """
    array = np.asarray(values, dtype=np.float64)
    measured = ~np.isnan(array)
    sums = np.asarray(np.where(measured, array, 0.0).sum(axis=axis))
    counts = np.asarray(measured.sum(axis=axis))
    means: NDArray[np.float64] = np.divide(sums, counts, out=np.full(sums.shape, np.nan), where=counts > 0)
    return means


def count_measured(values: ArrayLike, axis: int | tuple[int, ...] | None = None) -> NDArray[np.int64]:
    """Return the number of values along `axis` that are not NaN.

    >>> count_measured([[0.5, float("nan")], [0.25, float("nan")]], axis=0).tolist()
    [2, 0]
    """
    return np.asarray((~np.isnan(np.asarray(values, dtype=np.float64))).sum(axis=axis), dtype=np.int64)

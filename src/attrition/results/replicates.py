"""Which runs of one method are independent, and what a mean over them is.

A replicate is one order of the languages, with all its seeds. If a method does not depend on the order, it is one seed. Copies,
such as one order under two names, count once. A method's number is the mean over its replicates, so three seeds of one order
weigh as much as one seed of another.

Shape letters: R runs, O replicates.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import Protocol, TypeVar

import numpy as np
from numpy.typing import ArrayLike

from attrition.metrics.matrix import RMatrix
from attrition.metrics.means import mean_measured
from attrition.metrics.several import Floats


class _Measured(Protocol):
    """A run: R, and what identifies its trained stages, if known."""

    @property
    def matrix(self) -> RMatrix: ...

    @property
    def stages(self) -> frozenset[str]: ...


class _Replicated(Protocol):
    """A run that knows its replicate."""

    @property
    def replicate(self) -> Hashable: ...


M = TypeVar("M", bound=_Measured)


def replicate_of(R: RMatrix, seed: int, *, order_matters: bool) -> Hashable:
    """Return the key of a run's replicate among the runs of its method: its order, or its seed if the order does not matter."""
    return R.trained if order_matters else seed


def per_replicate(runs: Sequence[_Replicated], values: Sequence[ArrayLike]) -> Floats:
    """Return one value for each replicate (O, ...): the mean of its runs' values, without NaN.

    Args:
        runs: of one method, without copies.
        values: a number, or an array of one shape, for each run.

    >>> from types import SimpleNamespace
    >>> runs = [SimpleNamespace(replicate=order) for order in ("ab", "ab", "ba")]
    >>> per_replicate(runs, [0.25, 0.75, 1.0]).tolist()
    [0.5, 1.0]
    """
    places: dict[Hashable, list[int]] = {}
    for place, run in enumerate(runs):
        places.setdefault(run.replicate, []).append(place)
    values_R = np.asarray(values, dtype=np.float64)
    return np.array([mean_measured(values_R[same], axis=0) for same in places.values()])


def distinct(runs: Sequence[M]) -> tuple[M, ...]:
    """Return the runs without copies: runs with the same stages, or the same learners of single languages."""
    return _first_of_each(runs, lambda run: (run.stages, _fingerprint(run.matrix)))


def unrepeated(runs: Sequence[M]) -> tuple[M, ...]:
    """Return the runs without exact repeats: the same order, with the same stages or scores.

    Unlike `distinct`, it keeps learners of single languages in another order: their mean over the languages learned so far
    depends on the order.
    """
    return _first_of_each(
        runs,
        lambda run: (
            (run.matrix.trained, run.stages) if run.stages else None,
            (run.matrix.trained, run.matrix.languages, run.matrix.scores_SL.tobytes()),
        ),
    )


def _first_of_each(runs: Sequence[M], marks_of: Callable[[M], tuple[Hashable, Hashable]]) -> tuple[M, ...]:
    """Return the runs that share neither mark (stages, numbers) with one before; unknown stages are no mark."""
    kept: list[M] = []
    seen: set[Hashable] = set()
    for run in runs:
        stages, numbers = marks_of(run)
        marks: set[Hashable] = {("numbers", numbers)} | ({("stages", stages)} if stages else set())
        if not seen & marks:
            kept.append(run)
        seen |= marks
    return tuple(kept)


def _fingerprint(R: RMatrix) -> Hashable:
    """Return a key of a run's measurements, without the order if it has a learner for each language."""
    apart = not R.joint and np.isnan(R.scores_SL[~R.learned_SL]).all() and not R.learned_SL.all()
    own_SL = np.broadcast_to(R.own_L, R.scores_SL.shape)
    unchanged = np.array_equal(np.where(R.learned_SL, R.scores_SL, R.own_L), own_SL, equal_nan=True)
    if apart and unchanged:
        return tuple(sorted(zip(R.languages, R.own_L.tolist(), strict=True)))
    return (R.trained, R.languages, R.scores_SL.tobytes())

"""Runs that repeat others, such as one order under two names, count once."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Protocol, TypeVar

import numpy as np

from attrition.metrics.matrix import RMatrix


class _Measured(Protocol):
    """A run: R, and what identifies its trained stages, if known."""

    @property
    def matrix(self) -> RMatrix: ...

    @property
    def stages(self) -> frozenset[str]: ...


M = TypeVar("M", bound=_Measured)


def distinct(runs: Sequence[M]) -> tuple[M, ...]:
    """Return the runs without copies: runs with the same stages, or the same learners of single languages."""
    kept: list[M] = []
    seen: set[Hashable] = set()
    for run in runs:
        marks: set[Hashable] = {("stages", run.stages)} if run.stages else set()
        marks.add(("numbers", _fingerprint(run.matrix)))
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

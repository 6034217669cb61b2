"""The variance from the choice of test utterances, which all runs share, by resampled matrices.

All runs are scored on the same utterances. So the spread of replicates (orders) shows the interaction of replicate and
utterances, but not the common effect of an easy or hard test set. Resampled utterances show both together: in each resample
one draw serves all runs and languages, because an utterance is the same sentence in all of them. The difference is the
variance that an interval over orders lacks.

Shape letters: B resamples, S stages, L languages, O replicates, U utterances, C cells.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from weakref import ref

import numpy as np
from numpy.typing import NDArray

from attrition.analysis.bootstrap import CellCounts, resampled_f1
from attrition.analysis.evidence import Replicates, RunEvidence, tabulated
from attrition.analysis.intervals import Estimate
from attrition.analysis.quantities import Values
from attrition.metrics.matrix import RMatrix
from attrition.metrics.several import Floats
from attrition.results.counts import RunCounts, StoredCounts, run_counts
from attrition.results.read import Results
from attrition.results.replicates import distinct

NUM_RESAMPLES = 200
"""A variance of 200 resamples has a standard error of 10%."""

NUM_FOR_CLAIMS = 100
"""There are many claims, so each uses only the first resamples."""

Function = Callable[[RMatrix], Values]
Table = Callable[[Sequence[RunEvidence], Function], Replicates]
"""Returns a table of replicates: `evidence.replicates`, or the same for matrices of one resample."""


@dataclass(frozen=True, eq=False)
class Utterances:
    """The matrices of runs over resampled test utterances.

    `counts` reads the counts behind each matrix on demand, None if there are none. A run with 52 stages and languages needs
    about 10 MB for 200 resamples.
    """

    counts: Mapping[RMatrix, Callable[[], RunCounts | None]]
    num_resamples: int = NUM_RESAMPLES
    seed: int = 0
    _read: dict[RMatrix, _Resampled | None] = field(default_factory=dict, repr=False)
    _kept: dict[tuple[RunEvidence, ...], tuple[RunEvidence, ...]] = field(default_factory=dict, repr=False)
    _drawn: dict[Hashable, tuple[RunEvidence, ...]] = field(default_factory=dict, repr=False)
    _tables: dict[Hashable, Replicates] = field(default_factory=dict, repr=False)

    def cover(self, runs: Sequence[RunEvidence]) -> bool:
        """Return True if all runs have counts of the same number of utterances, so that one draw can serve them."""
        found = [self._resampled(run.matrix) for run in runs]
        numbers = {None if each is None else each.num_utterances for each in found}
        return len(numbers) == 1 and None not in numbers

    def matrix(self, R: RMatrix, resample: int) -> RMatrix:
        """Return a run's R over the utterances of one resample; `cover` must hold."""
        found = self._resampled(R)
        assert found is not None
        before_L = None if found.before_BL is None else found.before_BL[resample]
        return RMatrix(found.scores_BSL[resample], R.languages, R.trained, before_L)

    def scores_BSL(self, R: RMatrix) -> Floats:
        """Return a run's scores over the utterances of every resample; `cover` must hold."""
        found = self._resampled(R)
        assert found is not None
        return found.scores_BSL

    def table(self, resample: int) -> Table:
        """Return a function for tables of replicates from the matrices of one resample; `cover` must hold for their runs."""
        return partial(self._table, resample)

    def main_variance_L(self, runs: Sequence[RunEvidence], function: Function) -> Floats | None:
        """Return for each language the part of the variance of its mean that the spread of replicates does not show.

        Shape (L,), in the squared units of `function`, languages as in `evidence.replicates`; NaN where the quantity is
        undefined. Where `function` gives more than one number per language (L, ...), so does this. None without counts of all
        runs.

        Formula: max(0, V_U - V_I). V_U is the variance over resamples of the mean sum(h y). V_I is what the variance of
        `intervals.mean_of_replicates` holds of it: sum(h^2 / (1 - h) var(y_o - mean)), with shares h of the replicates. With O
        equal shares it is (mean over o of var(y_o - mean)) / (O - 1): a replicate's own part of variance t adds t / O to V_U
        and shows as t (1 - 1/O) around the mean.
        """
        if not self.cover(runs):
            return None
        tables = [self.table(resample)(runs, function) for resample in range(self.num_resamples)]
        values_BOL, weights_OL = np.stack([each.values_OL for each in tables]), tables[0].weights_OL
        shape = weights_OL.shape
        values_BOX, weights_OX = values_BOL.reshape(*values_BOL.shape[:2], -1), weights_OL.reshape(shape[0], -1)
        found = [_main(values_BOX[:, :, place], weights_OX[:, place]) for place in range(weights_OX.shape[1])]
        return np.array(found).reshape(shape[1:])

    def main_variance(self, runs: Sequence[RunEvidence], found: Estimate, again: Callable[[Table], Estimate | None]) -> float:
        """Return the variance of an estimate from several runs that its own error does not include.

        Args:
            runs: all that it was computed from.
            found: the estimate over all utterances.
            again: computes the same estimate from other tables; None or NaN if it is undefined.

        Formula: max(0, V_U - V_I). V_U is the variance of the value over resamples. V_I is what the estimate's own error holds
        of it, 0 where it has none: by how much its squared error grows on average over resamples, since these carry the chance
        of utterances once more. For a mean of replicates it is V_I of `main_variance_L`. NaN without counts of all runs, or
        where the value is undefined in some resample.
        """
        if not self.cover(runs):
            return float("nan")
        drawn = [again(self.table(resample)) for resample in range(min(self.num_resamples, NUM_FOR_CLAIMS))]
        values_B = np.array([np.nan if each is None else each.value for each in drawn])
        whole, seen = float(values_B.var(ddof=1)), 0.0
        if found.known:
            squares_B = np.array([np.nan if each is None else each.error**2 for each in drawn])
            seen = max(0.0, float(squares_B.mean()) - found.error**2)
        return whole if np.isnan(whole) else max(0.0, whole - seen)

    def _resampled(self, R: RMatrix) -> _Resampled | None:
        if R not in self._read:
            counts = self.counts[R]() if R in self.counts else None
            self._read[R] = None if counts is None else _resample(counts, self.num_resamples, self.seed)
        return self._read[R]

    def _table(self, resample: int, runs: Sequence[RunEvidence], function: Function) -> Replicates:
        given = tuple(runs)
        if given not in self._kept:
            self._kept[given] = distinct(given)
        # Find copies with all utterances: with few of them two runs may be equal by chance.
        kept = self._kept[given]
        if (kept, resample) not in self._drawn:
            again = (replace(run, matrix=self.matrix(run.matrix, resample)) for run in kept)
            self._drawn[kept, resample] = tuple(again)
        key = (kept, function, resample)
        if key not in self._tables:
            self._tables[key] = tabulated(self._drawn[kept, resample], function)
        return self._tables[key]


_latest: list[tuple[ref[Results], Utterances]] = []


def utterances_of(results: Results, *, num_resamples: int = NUM_RESAMPLES) -> Utterances:
    """Return the test utterances of all runs of a results folder; files are read on demand.

    The last object is cached, so that a report's figures and verdicts read and resample the counts once.
    """
    if _latest and _latest[0][0]() is results and _latest[0][1].num_resamples == num_resamples:
        return _latest[0][1]
    stored: dict[object, StoredCounts] = {}
    counts: dict[RMatrix, Callable[[], RunCounts | None]] = {}
    for run in results.runs:
        folder = run.folder.parent.parent
        counts[run.matrix] = partial(run_counts, run, stored.setdefault(folder, StoredCounts(folder)))
    found = Utterances(counts, num_resamples=num_resamples)
    _latest[:] = [(ref(results), found)]
    return found


@dataclass(frozen=True, eq=False)
class _Resampled:
    """Return F1 of every cell in every resample."""

    num_utterances: int
    scores_BSL: Floats
    before_BL: Floats | None


def _resample(counts: RunCounts, num_resamples: int, seed: int) -> _Resampled:
    before = counts.before
    return _Resampled(
        num_utterances=counts.num_utterances,
        scores_BSL=_scores(counts, num_resamples, seed),
        before_BL=None if before is None else _scores(before, num_resamples, seed)[:, 0],
    )


def _scores(counts: RunCounts, num_resamples: int, seed: int) -> Floats:
    S, L, U = counts.tp_SLU.shape
    cells = CellCounts(*(each.reshape(S * L, U) for each in (counts.tp_SLU, counts.fp_SLU, counts.fn_SLU)))
    scores_BC = resampled_f1(cells, num_resamples=num_resamples, seed=seed)
    return np.where(counts.measured_SL, scores_BC.reshape(num_resamples, S, L), np.nan)


def _main(values_BO: Floats, weights_O: NDArray[np.float64]) -> float:
    """Return the main variance of one language."""
    used = ~np.isnan(values_BO).any(axis=0) & (weights_O > 0)
    if not used.any():
        return float("nan")
    y_BO, h_O = values_BO[:, used], weights_O[used] / weights_O[used].sum()
    mean_B = y_BO @ h_O
    whole = float(mean_B.var(ddof=1))
    if used.sum() == 1:
        return whole
    return max(0.0, whole - float((h_O**2 / (1 - h_O)) @ (y_BO - mean_B[:, None]).var(axis=0, ddof=1)))

"""Reads the counts behind R: true positives, false positives and false negatives of each test utterance.

Shape letters: S stages, L languages, U utterances, N rows of a stored array.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ValidationError, model_validator
from safetensors import SafetensorError
from safetensors.numpy import load_file

from attrition.corpus.bounded import BoundedReader
from attrition.metrics.matrix import RMatrix
from attrition.names import AttritionError
from attrition.reading import parse_json
from attrition.results.packed_counts import BOUNDS, COUNTS, REMEDY, STAGES, unpack_counts
from attrition.results.read import Run

_Arrays = Mapping[str, NDArray[Any]]

_AS_WRITTEN = 1e-12
"""R and the F1 of its counts are equal to the last bit if both are from one run."""


@dataclass(frozen=True)
class StoredCounts:
    """The counts of all evaluations of a results folder or an archive; read on demand."""

    folder: Path

    def of(self, key: str) -> _Arrays | None:
        """Return the arrays [N, 3] of one evaluation by name, or None if they are missing.

        Raises:
            AttritionError: the file is damaged.
        """
        if (self.folder / COUNTS).is_file():
            return self._archived.get(key)
        path = self.folder / "evaluations" / key / "counts.safetensors"
        if Path(key).name != key or not path.is_file():
            return None
        try:
            arrays: dict[str, NDArray[Any]] = load_file(path)
        except (OSError, SafetensorError, ValueError) as error:
            raise _damaged(path, str(error)) from error
        return arrays

    @cached_property
    def _archived(self) -> Mapping[str, _Arrays]:
        path = self.folder / STAGES
        with BoundedReader(path, BOUNDS, REMEDY) as file:
            texts = parse_json(file.read().decode("utf-8", errors="replace"), str(path))
        if not isinstance(texts, dict) or not isinstance(texts.get("groups"), list):
            raise _damaged(path, "it does not say what the counts are of")
        return unpack_counts(self.folder / COUNTS, texts["groups"])


@dataclass(frozen=True, eq=False, kw_only=True)
class RunCounts:
    """Counts behind R, each of shape (S, L, U). Where R is NaN, `measured_SL` is False and counts are 0.

    Rows and columns are as in R. `before` is for the row before training (S = 1), None if R has no such row.
    """

    tp_SLU: NDArray[np.integer]
    fp_SLU: NDArray[np.integer]
    fn_SLU: NDArray[np.integer]
    measured_SL: NDArray[np.bool_]
    before: RunCounts | None = None

    @property
    def num_utterances(self) -> int:
        """U."""
        return int(self.tp_SLU.shape[2])

    @property
    def f1_SL(self) -> NDArray[np.float64]:
        """F1 over all utterances, equal to R to the last bit; NaN where it was not measured."""
        tp, fp, fn = (each.sum(axis=2, dtype=np.int64) for each in (self.tp_SLU, self.fp_SLU, self.fn_SLU))
        precision, recall = _share(tp, tp + fp), _share(tp, tp + fn)
        # The same operations in the same order as `problem.counts.precision_recall_f1`: another order rounds differently.
        f1 = _share(2 * precision * recall, precision + recall)
        return np.where(self.measured_SL, f1, np.nan)


def run_counts(run: Run, stored: StoredCounts | None = None) -> RunCounts | None:
    """Return the counts behind a run's R, or None if they are missing or languages have different numbers of utterances.

    Results published as tables have no counts. With different numbers of utterances there is no common resample.

    Args:
        run: the run.
        stored: the counts of its folder. Pass the same object for all runs of an archive, so that it is unpacked once.

    Raises:
        AttritionError: a file is damaged, or R does not match its counts.
    """
    named = run_steps(run)
    if named is None:
        return None
    stored = stored or StoredCounts(run.folder.parent.parent)
    has_before = run.matrix.before_L is not None
    before = stored.of(named.before) if has_before and named.before is not None else None
    evaluations = [each for step in named.steps if (each := stored.of(step.evaluation)) is not None]
    if len(evaluations) != len(named.steps) or has_before != (before is not None):
        return None
    languages = run.matrix.languages
    served = [{each: evaluations[step] for each, step in row.reads.items()} for row in named.rows]
    rows = [[row.get(each, {}).get(f"{each}.utterances") for each in languages] for row in served]
    found = _stacked(rows, run.folder)
    if found is not None and before is not None:
        first = _stacked([[before.get(f"{each}.utterances") for each in run.matrix.languages]], run.folder)
        alike = first is not None and first.num_utterances == found.num_utterances
        found = replace(found, before=first) if alike else None
    if found is not None:
        _check(found, run.matrix, run.folder)
    return found


class _Step(BaseModel):
    """A step in a run's spec.json: the evaluation of its model, and the portions that it trains (none: a merge)."""

    evaluation: str
    languages: tuple[str, ...] = ()


class _Row(BaseModel):
    """A row of R in a run's spec.json: the step that serves each language."""

    reads: dict[str, int]


class RunSteps(BaseModel):
    """The steps in a run's spec.json, and the rows of R that read them; `before` is the evaluation before training."""

    steps: tuple[_Step, ...]
    rows: tuple[_Row, ...]
    before: str | None = None

    @model_validator(mode="after")
    def _there(self) -> RunSteps:
        if any(not 0 <= step < len(self.steps) for row in self.rows for step in row.reads.values()):
            raise ValueError("a row reads a step that is not there")
        return self


def run_steps(run: Run) -> RunSteps | None:
    """Return a run's steps and rows; None if its spec.json does not name them."""
    try:
        steps = [each.model_dump() for each in run.spec.steps]
        return RunSteps.model_validate({**(run.spec.model_extra or {}), "steps": steps})
    except ValidationError:
        return None


def _stacked(rows: list[list[NDArray[Any] | None]], where: Path) -> RunCounts | None:
    """Return the counts of a table of cells (a cell is None if not measured); None if numbers of utterances differ."""
    cells = [cell for row in rows for cell in row if cell is not None]
    for cell in cells:
        if cell.ndim != 2 or cell.shape[1] != 3 or cell.dtype.kind not in "iu" or cell.min(initial=0) < 0:
            raise _damaged(where, f"{cell.dtype} {list(cell.shape)} are no counts")
    sizes = {len(cell) for cell in cells}
    if len(sizes) != 1 or sizes == {0}:
        return None
    counts = np.zeros((3, len(rows), len(rows[0]), sizes.pop()), dtype=np.result_type(*{cell.dtype for cell in cells}))
    for place, row in enumerate(rows):
        for column, array in enumerate(row):
            if array is not None:
                counts[:, place, column] = array.T
    measured_SL = np.array([[cell is not None for cell in row] for row in rows])
    return RunCounts(tp_SLU=counts[0], fp_SLU=counts[1], fn_SLU=counts[2], measured_SL=measured_SL)


def _check(counts: RunCounts, R: RMatrix, folder: Path) -> None:
    pairs = [(counts.f1_SL, R.scores_SL)]
    if counts.before is not None and R.before_L is not None:
        pairs.append((counts.before.f1_SL, R.before_L[None, :]))
    for ours, theirs in pairs:
        if ours.shape != theirs.shape or not np.allclose(ours, theirs, rtol=0, atol=_AS_WRITTEN, equal_nan=True):
            raise _damaged(folder, "matrix.csv does not match the counts of its evaluations")


def _damaged(path: Path, why: str) -> AttritionError:
    return AttritionError(f"{path}: {why}. `attrition verify` on the results folder names every file that is damaged.")


def _share(part: NDArray[Any], whole: NDArray[Any]) -> NDArray[np.float64]:
    """Return part / whole, 0 where the whole is 0, as in seqeval."""
    share: NDArray[np.float64] = np.divide(part, whole, out=np.zeros(whole.shape), where=whole > 0)
    return share

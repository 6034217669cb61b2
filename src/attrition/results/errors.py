"""Types of span errors: after a language's own stage, and at the end of the run."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from attrition.languages.portions import language_of_portion
from attrition.metrics.matrix import RMatrix
from attrition.results.counts import run_steps
from attrition.results.packed_counts import ERROR_COLUMNS
from attrition.results.read import Run
from attrition.results.tables import table_of

COUNTED = ("tp", "fn", *ERROR_COLUMNS)


def errors_of(run: Run) -> pd.DataFrame | None:
    """Return a run's spans by language, slot and moment ("own", "end"), with a column for each of `COUNTED`.

    "own" is after the language's own stage, "end" after the last stage of its learner. Languages of the last stage are left
    out, because both are the same. None if types of errors were not counted, the run has fewer than two stages, or languages
    have different learners and spec.json does not say which.

    Raises:
        AttritionError: slots.parquet cannot be read.
    """
    slots = table_of(run, "slots.parquet") if run.matrix.num_stages > 1 else None
    served = last_stages(run)
    return None if slots is None or served is None else at_own_and_end(slots, run.matrix, served)


def last_stages(run: Run) -> dict[str, int] | None:
    """Return the stage, counted from 1, whose model serves each language at the end of a run; None if it is not known.

    With one learner for all it is the last stage. Otherwise it is the last one of the language's learner, such as the adapter
    of its script.
    """
    R, known = run.matrix, run_steps(run)
    if known is None:
        return dict.fromkeys(R.languages, R.num_stages) if run.spec.method.shared_by == "all" else None
    stage_of: dict[int, int] = {}
    for stage, (row, trained) in enumerate(zip(known.rows, R.trained, strict=True), start=1):
        stage_of |= {row.reads[language_of_portion(name, R.languages)]: stage for name in trained}
    reads = known.rows[-1].reads
    return {language: stage_of[step] for language, step in reads.items() if step in stage_of}


def at_own_and_end(slots: pd.DataFrame, R: RMatrix, served: Mapping[str, int]) -> pd.DataFrame | None:
    """Return the same from the rows of a slots.parquet. R has the language of each stage, `served` is from `last_stages`.

    >>> rows = [("a", 1, 3, 1, 0, 0, 0, 1, 0), ("a", 2, 1, 3, 1, 2, 0, 0, 0), ("b", 2, 4, 0, 0, 0, 0, 0, 0)]
    >>> slots = pd.DataFrame(rows, columns=["language", "stage", *COUNTED]).assign(slot="date")
    >>> found = at_own_and_end(slots, RMatrix.sequential("ab", [[0.75, 0], [0.25, 1]]), {"a": 2, "b": 2})
    >>> found[["moment", "language", "tp", "boundary"]].to_numpy().tolist()
    [['own', 'a', 3, 0], ['end', 'a', 1, 2]]
    """
    last = R.num_stages
    if not {*COUNTED} <= {*slots.columns} or slots["stage"].max() != last:
        return None
    own = {language: int(stage) + 1 for language, stage in zip(R.languages, R.stage_L, strict=True) if stage + 1 < last}
    mine, final = slots["language"].map(own), slots["language"].map(dict(served))
    moments = {"own": slots["stage"] == mine, "end": (slots["stage"] == final) & mine.notna()}
    parts = [slots[wanted].assign(moment=moment) for moment, wanted in moments.items()]
    return pd.concat(parts)[["moment", "language", "slot", *COUNTED]].reset_index(drop=True)

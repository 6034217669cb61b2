"""Types of span errors: after a language's own stage, and at the end of the run."""

from __future__ import annotations

import pandas as pd

from attrition.metrics.matrix import RMatrix
from attrition.results.packed_counts import ERROR_COLUMNS
from attrition.results.read import Run
from attrition.results.tables import table_of

COUNTED = ("tp", "fn", *ERROR_COLUMNS)


def errors_of(run: Run) -> pd.DataFrame | None:
    """Return a run's spans by language, slot and moment ("own", "end"), with a column for each of `COUNTED`.

    "own" is after the language's own stage, "end" after the last stage. Languages of the last stage are left out, because
    both are the same. None if types of errors were not counted, or the run has fewer than two stages.

    Raises:
        AttritionError: slots.parquet cannot be read.
    """
    slots = table_of(run, "slots.parquet") if run.matrix.num_stages > 1 else None
    return None if slots is None else at_own_and_end(slots, run.matrix)


def at_own_and_end(slots: pd.DataFrame, R: RMatrix) -> pd.DataFrame | None:
    """Return the same from the rows of a slots.parquet; R has the language of each stage.

    >>> rows = [("a", 1, 3, 1, 0, 0, 0, 1, 0), ("a", 2, 1, 3, 1, 2, 0, 0, 0), ("b", 2, 4, 0, 0, 0, 0, 0, 0)]
    >>> slots = pd.DataFrame(rows, columns=["language", "stage", *COUNTED]).assign(slot="date")
    >>> found = at_own_and_end(slots, RMatrix.sequential("ab", [[0.75, 0], [0.25, 1]]))
    >>> found[["moment", "language", "tp", "boundary"]].to_numpy().tolist()
    [['own', 'a', 3, 0], ['end', 'a', 1, 2]]
    """
    last = R.num_stages
    if not {*COUNTED} <= {*slots.columns} or slots["stage"].max() != last:
        return None
    own = {language: int(stage) + 1 for language, stage in zip(R.languages, R.stage_L, strict=True) if stage + 1 < last}
    mine = slots["language"].map(own)
    moments = {"own": slots["stage"] == mine, "end": (slots["stage"] == last) & mine.notna()}
    parts = [slots[wanted].assign(moment=moment) for moment, wanted in moments.items()]
    return pd.concat(parts)[["moment", "language", "slot", *COUNTED]].reset_index(drop=True)

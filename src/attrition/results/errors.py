"""Types of span errors: after a language's own stage, and at the end of the run, of the model that serves it."""

from __future__ import annotations

import pandas as pd

from attrition.results.packed_counts import ERROR_COLUMNS
from attrition.results.read import Run
from attrition.results.serving import in_rows
from attrition.results.tables import table_of

COUNTED = ("tp", "fn", *ERROR_COLUMNS)


def errors_of(run: Run) -> pd.DataFrame | None:
    """Return a run's spans by language, slot and moment ("own", "end"), with a column for each of `COUNTED`.

    "own" is after the language's own stage, "end" after the last stage, both of the model that serves the language then.
    Languages of the last stage are left out, because both are the same. None if types of errors were not counted, the run has
    fewer than two stages, or languages have different learners and spec.json does not say which.

    Raises:
        AttritionError: slots.parquet cannot be read.
    """
    R = run.matrix
    slots = table_of(run, "slots.parquet") if R.num_stages > 1 else None
    if slots is None or not {*COUNTED} <= {*slots.columns} or (found := in_rows(slots, run)) is None:
        return None
    own = {language: int(stage) + 1 for language, stage in zip(R.languages, R.stage_L, strict=True) if stage + 1 < R.num_stages}
    mine = found["language"].map(own)
    moments = {"own": found["stage"] == mine, "end": (found["stage"] == R.num_stages) & mine.notna()}
    parts = [found[wanted].assign(moment=moment) for moment, wanted in moments.items()]
    return pd.concat(parts)[["moment", "language", "slot", *COUNTED]].reset_index(drop=True)

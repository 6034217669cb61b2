"""Which model serves a language in a row of R, in the tables that count trainings.

With one learner for all languages, row i of R has the scores of training i. With a learner for each language or group, a
language keeps the model of its own learner, while other learners are trained: a row of R has scores of several trainings.
scores.parquet and slots.parquet have every training's model on every language; their stage is the number of the training.
"""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from attrition.languages.portions import language_of_portion
from attrition.names import AttritionError
from attrition.results.counts import run_steps
from attrition.results.read import Run


def serving(run: Run) -> tuple[Mapping[str, int], ...] | None:
    """Return for each row of R the number of the training, from 1, whose model serves each language.

    A language without a model in this row is missing. None if spec.json does not name the steps and languages have different
    learners.

    Raises:
        AttritionError: spec.json and matrix.csv have different stages.
    """
    R, known = run.matrix, run_steps(run)
    if known is None:
        if run.spec.method.shared_by != "all":
            return None
        return tuple(dict.fromkeys(R.languages, row) for row in range(1, R.num_stages + 1))
    number_of: dict[int, int] = {}  # by the step that represents a training: itself, or the merge after it
    trainings = [step.languages for step in known.steps if step.languages]
    for number, languages in enumerate(trainings, start=1):
        reads = next((row.reads for row, new in zip(known.rows, R.trained, strict=False) if languages[0] in new), {})
        step = reads.get(language_of_portion(languages[0], R.languages))
        if step is None or len(known.rows) != R.num_stages:
            raise AttritionError(
                f"{run.folder / 'spec.json'}: its stages are not those of matrix.csv. `attrition verify` on the results folder "
                "names every file that is damaged."
            )
        number_of[step] = number
    return tuple({language: number_of[step] for language, step in row.reads.items() if step in number_of} for row in known.rows)


def in_rows(table: pd.DataFrame, run: Run) -> pd.DataFrame | None:
    """Return the rows of scores.parquet or slots.parquet that R reads, with `stage` as in R (0 is before training).

    None if it is not known which they are (see `serving`), or the table lacks a training.
    """
    served = serving(run)
    if served is None or table["stage"].max() < max(max(row.values(), default=0) for row in served):
        return None
    read = pd.DataFrame(
        [(row, language, number) for row, numbers in enumerate(served, start=1) for language, number in numbers.items()],
        columns=["row", "language", "stage"],
    )
    before = table[table["stage"] == 0]
    found = read.merge(table, how="inner", on=["language", "stage"]).drop(columns="stage").rename(columns={"row": "stage"})
    return pd.concat([before, found[[*table.columns]]]).reset_index(drop=True)

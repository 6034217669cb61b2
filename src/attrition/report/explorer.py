"""The data of the page's interactive R: every run's scores and its languages."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from attrition.languages import language_of
from attrition.metrics.matrix import RMatrix
from attrition.report.figures import plain, stage_label
from attrition.report.heat_maps import BEFORE, change_end, score_span
from attrition.report.summaries import run_words
from attrition.report.theme import THEMES
from attrition.results.read import Results, Run


def explorer_data(results: Results) -> dict[str, Any]:
    """Return the data for the page's script: JSON values, scores in percent, null if not measured.

    `runs`: method, order, sentences, and matrices (`R`, and `transfer` if there is one) of each run. `languages`: name, script
    and family. `span` and `swing`: ends of the colour scales, the same for all runs. `scales`: their colours by mode.
    """
    own = results.own_languages
    known = {locale: language_of(locale, own) for locale in results.languages}
    matrices = [run.matrix for run in results.runs]
    return {
        "score": results.score,
        "languages": {
            locale: {"name": each.name, "script": each.script, "family": each.family} for locale, each in known.items()
        },
        "runs": [_run(run, results) for run in results.runs],
        "first": _first_run(results.runs),
        "span": score_span(matrices),
        "swing": change_end(matrices),
        "scales": {mode: {"score": theme.sequential, "change": theme.diverging} for mode, theme in THEMES.items()},
    }


def _first_run(runs: Sequence[Run]) -> int:
    """Return the index of the run to show first: a run that can forget, if there is one."""
    forgetful = [
        place for place, run in enumerate(runs) if run.spec.method.order_matters and run.spec.method.shared_by == "all"
    ]
    return forgetful[0] if forgetful else 0


def _run(run: Run, results: Results) -> dict[str, Any]:
    method = results.series_labels[run.series]
    return {
        "key": run.key,
        "method": method,
        "order": f"{run.spec.order.name}, seed {run.spec.seed}",
        "label": run.label,
        "words": " ".join(run_words(run)),
        "R": _matrix(run.matrix),
        "transfer": None if run.transfer is None else _matrix(run.transfer),
    }


def _matrix(R: RMatrix) -> dict[str, Any]:
    """Return R with its columns in the order of learning; `own` is each language's row, from the row before training."""
    columns = sorted(range(len(R.languages)), key=lambda j: (int(R.stage_L[j]), j))
    before = [] if R.before_L is None else [R.before_L]
    scores_SL = 100 * np.vstack([*before, R.scores_SL])[:, columns]
    return {
        "languages": [R.languages[j] for j in columns],
        "stages": [*([BEFORE] if before else []), *(stage_label(trained) for trained in R.trained)],
        "trained": [*([[]] if before else []), *(list(trained) for trained in R.trained)],
        "own": [int(R.stage_L[j]) + len(before) for j in columns],
        "scores": [[plain(round(value, 2)) for value in row] for row in scores_SL.tolist()],
    }

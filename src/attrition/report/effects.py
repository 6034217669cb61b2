"""The forest plot of the effects of the mixed model's covariates, one row each."""

from __future__ import annotations

import math
from collections.abc import Sequence

from attrition.analysis.changes import Covariate, changes, covariates
from attrition.analysis.drivers import factors, fit_together
from attrition.analysis.evidence import RunEvidence, from_results
from attrition.analysis.measurement import known_variance_N
from attrition.analysis.mixed import MixedFit
from attrition.analysis.utterances import Utterances
from attrition.names import AttritionError
from attrition.report.figures import Figure
from attrition.report.forest import ForestRow, forest
from attrition.results.covariates import Covariates
from attrition.results.read import Results
from attrition.results.replicates import distinct

_ABOUT = (
    "How each property of the two languages changes what a stage adds to a language learned before, in points of {}. One mixed "
    "model has all covariates, with donor, receiver, pair, order and stage as random effects. The effect is per standard "
    "deviation (sd), or from no to yes."
)

_NAMES = {"log_num_learned": "log languages before", "latin": "Latin script", "joshi": "Joshi class"}
"""Short names of some covariates: an axis has space for about thirty letters."""


def effects_forest(results: Results) -> tuple[Figure, ...]:
    """Return the forest plot of the covariates' effects on changes of learned languages; () if no model can be fitted."""
    evidence = from_results(results)
    runs = [run for run in distinct(evidence.sequential()) if run.matrix.num_stages > 1]
    if not runs:
        return ()
    rows = effect_rows(runs, evidence.utterances, evidence.covariates.get(runs[0].setup))
    if not rows:
        return ()
    ids = {id(run.matrix) for run in runs}
    label = results.series_labels[next(run.series for run in results.runs if id(run.matrix) in ids)]
    orders = len({run.matrix.trained for run in runs})
    which = f"{label}, {orders} order{'s' if orders != 1 else ''}."
    title = "What drives the changes: effects of the covariates"
    return (
        forest(
            rows,
            name="forest-effects",
            title=title,
            caption=f"{_ABOUT.format(results.score)} {which}",
            axis="effect on the change (points)",
        ),
    )


def effect_rows(
    runs: Sequence[RunEvidence], utterances: Utterances | None = None, extra: Covariates | None = None
) -> tuple[ForestRow, ...]:
    """Return a row for each covariate, and for the position; no rows if no covariate is known or the fit fails.

    Args:
        runs: sequential runs of one method.
        utterances: the scored utterances, for the measurement error of the changes.
        extra: covariates of the corpus, in addition to the table of languages.
    """
    extra = extra or Covariates()
    try:
        of = changes([run.matrix for run in runs])
        by = covariates(of, extra_language=extra.language, extra_pair=extra.pair)
        if not by.columns:
            return ()
        fit = fit_together(of, by, known_variance_N(of, factors(of), runs, utterances))
    except AttritionError:
        return ()
    columns = [*by.columns] if by.position is None else [*by.columns, by.position]
    return tuple(_row(fit, column) for column in columns)


def covariate_label(name: str, *, binary: bool) -> str:
    """Return a covariate's name for an axis.

    >>> covariate_label("donor_log_tokens", binary=False), covariate_label("same_script", binary=True)
    ('donor: log tokens (per sd)', 'same script')
    """
    side, _, rest = name.partition("_")
    words = f"{side}: {_NAMES.get(rest, rest)}" if side in ("donor", "receiver") and rest else _NAMES.get(name, name)
    return words.replace("_", " ") + ("" if binary else " (per sd)")


def _row(fit: MixedFit, column: Covariate) -> ForestRow:
    effect = fit.effect(column.name)
    # Very few degrees of freedom give an infinite interval: draw none.
    low, high = (end if math.isfinite(end) else math.nan for end in (effect.low, effect.high))
    return ForestRow(name=covariate_label(column.name, binary=column.binary), estimate=effect.estimate, low=low, high=high)

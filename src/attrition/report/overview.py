"""The summary: each method's scores and loss with intervals, as sentences and as a table."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from attrition.analysis.evidence import RunEvidence, by_series, from_results, replicates
from attrition.analysis.intervals import Estimate, mean_of_replicates
from attrition.analysis.quantities import QUANTITIES
from attrition.analysis.utterances import Table as Tabulate
from attrition.analysis.utterances import Utterances, utterances_of
from attrition.analysis.words import LEARNED, failed_words, not_learned
from attrition.metrics.means import count_measured, mean_measured
from attrition.names import capitalised, counted
from attrition.report.tables import Cell, Column, Number, Table, number_of, signed, without_dust
from attrition.results.read import Results


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """Means over languages of one method, in points, each with its interval over orders.

    `own`: the score after a language's own stage; `final`: the score after the last stage; `kept`: the change between the
    two. `kept` is NaN for methods that cannot forget: joint training, or one learner for each language. Its interval includes
    the choice of test utterances. The intervals of the two scores do not: other utterances would move all methods together.
    """

    method: str
    own: Estimate
    final: Estimate
    kept: Estimate

    def as_dict(self) -> dict[str, Any]:
        """Return the method, and value, low and high in points of own_stage, final and change; None if unknown."""
        parts = {"own_stage": self.own, "final": self.final, "change": self.kept}
        return {
            "method": self.method,
            **{name: {key: _finite(getattr(each, key)) for key in ("value", "low", "high")} for name, each in parts.items()},
        }


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


SAME_MODEL = 1e-9
"""Orders that differ by less end in the same model, as merged adapters do: they are one observation, without an interval."""

NOT_MEASURED = Estimate(value=math.nan)


def outcomes(results: Results) -> tuple[Outcome, ...]:
    """Return each method's outcome, largest loss first; methods that cannot forget come last."""
    found = []
    for series, runs in by_series(results).items():
        sequential = all(run.order_matters and run.matrix.num_stages > 1 for run in runs)
        found.append(
            Outcome(
                method=results.series_labels[series],
                own=NOT_MEASURED if all(run.matrix.joint for run in runs) else mean_over_languages(runs, "own_stage"),
                final=mean_over_languages(runs, "final"),
                kept=mean_over_languages(runs, "kept", utterances_of(results)) if sequential else NOT_MEASURED,
            )
        )
    return tuple(sorted(found, key=lambda each: math.inf if math.isnan(each.kept.value) else each.kept.value))


def mean_over_languages(runs: Sequence[RunEvidence], quantity: str, utterances: Utterances | None = None) -> Estimate:
    """Return the mean over languages of a key of `QUANTITIES`, in points, with its interval.

    Formula: one number per order, the mean over its languages (seeds averaged), then `mean_of_replicates`. For `kept` this is
    the mean over all languages but the last of R[T, b] - R[p(b), b]. If `utterances` has the counts of all runs, the variance
    from the choice of test utterances is added (`Utterances.main_variance`). The statement is about these languages.
    """

    def mean(table: Tabulate) -> Estimate:
        values_OL = table(runs, QUANTITIES[quantity].function).values_OL
        num_languages = int(count_measured(values_OL, axis=0).astype(bool).sum())
        mean_O = mean_measured(values_OL, axis=1)
        if np.ptp(mean_O) < SAME_MODEL:
            mean_O = mean_O[:1]
        return mean_of_replicates(100 * mean_O, num_languages=num_languages)

    found = mean(replicates)
    if utterances is None or not found.known:
        return found
    return found.widened(utterances.main_variance(runs, found, mean))


def overview(results: Results) -> tuple[str, ...]:
    """Return a sentence for each sequential method on its score and loss.

    The method for verdicts on languages comes first, then the largest loss. Methods that cannot forget have no sentence.
    """
    main = {id(run.matrix) for run in from_results(results).sequential()}
    first = {results.series_labels[run.series] for run in results.runs if id(run.matrix) in main}
    told = sorted(outcomes(results), key=lambda each: each.method not in first)
    return tuple(said for each in told if (said := kept_words(each, results.score)))


def failed_training(results: Results) -> tuple[str, ...]:
    """Return a warning for each method with a score of 0 at the own stage of some language."""
    by_series = ((results.series_labels[series], [run.matrix for run in runs]) for series, runs in results.series.items())
    return tuple(said for label, matrices in by_series if (said := failed_words(label, matrices, results.score)))


def kept_words(outcome: Outcome, score: str = "F1") -> str:
    """Return a method's score and loss as one sentence; "" if the change was not measured or the method cannot forget.

    `score` is the name of the score.
    """
    method, own, kept = outcome.method, outcome.own.value, outcome.kept
    if math.isnan(kept.value):
        return ""
    if own < 100 * LEARNED:
        return f"{method}: {not_learned(own / 100, score)}"
    learned = f"{method} reached {score} {without_dust(own):.1f} on a language right after its own stage"
    counts = f"mean of {counted(kept.num_languages, 'language')}, {counted(kept.num_replicates, 'order')}"
    verb = "lost" if kept.value < 0 else "gained"
    size = f"{without_dust(abs(kept.value)):.1f} points"
    if not kept.known:
        chance = "One order gives no confidence interval, so this may be chance."
        return f"{learned} and {verb} {size} by the end of training ({counts}). {chance}"
    if kept.low <= 0 <= kept.high:
        interval = f"95% confidence interval {signed(kept.low)} to {signed(kept.high)}"
        unclear = f"shows no clear loss or gain by the end of training: {signed(kept.value)} points"
        return f"{learned} and {unclear} ({interval}; {counts})."
    low, high = sorted(without_dust(abs(each)) for each in (kept.low, kept.high))
    return f"{learned} and {verb} {size} by the end of training (95% confidence interval {low:.1f} to {high:.1f}; {counts})."


def methods_table(results: Results) -> Table:
    """Return the methods, largest loss first: the change, the score at the own stage and at the end, with intervals."""
    found, score = outcomes(results), results.score
    rows: tuple[tuple[Cell, ...], ...] = tuple(
        (each.method, *(number_of(part, 0.01) for part in (each.kept, each.own, each.final))) for each in found
    )
    points = f"{score} in percent, mean over languages"
    columns = (
        Column(title="Method"),
        Column(title="Change", times=100, signed=True, better="high", help="In points; negative: forgetting."),
        Column(
            title=f"{capitalised(score)} at own stage", times=100, better="high", help=f"{points}, right after its own stage."
        ),
        Column(title=f"{capitalised(score)} at the end", times=100, better="high", help=f"{points}, after the last stage."),
    )
    if any(each.kept.lasting > 0 for each in found):
        intervals = "In brackets: 95% confidence intervals over orders; of the change, also over test utterances."
    elif any(isinstance(cell, Number) and not math.isnan(cell.low) for row in rows for cell in row):
        intervals = "In brackets: 95% confidence intervals over orders."
    else:
        intervals = "One order gives no confidence intervals."
    return Table(
        name="methods",
        title="What each method learned and lost",
        columns=columns,
        rows=rows,
        caption=f"Means over languages; largest loss first. {intervals} – where a method cannot forget.",
    )

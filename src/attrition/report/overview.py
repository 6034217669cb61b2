"""The first sentences of the page: what was lost, by which method, and how sure that is."""

from __future__ import annotations

import math
from collections.abc import Sequence

from attrition.analysis.evidence import RunEvidence, by_series, from_results, replicates
from attrition.analysis.intervals import Estimate, mean_of_replicates
from attrition.analysis.quantities import QUANTITIES
from attrition.analysis.words import LEARNED, not_learned
from attrition.metrics.means import count_measured, mean_measured
from attrition.results.read import Results

MOST_METHODS = 6
"""Methods that have a sentence; the table of metrics has them all."""


def overview(results: Results) -> tuple[str, ...]:
    """Return a sentence for each sequential method on the change of the score from the languages' own stages to the end.

    The method that verdicts on languages rest on comes first. Joint methods, and those with one learner per language, cannot
    forget and have no sentence. Methods beyond `MOST_METHODS` are left out.
    """
    main = {id(run.matrix) for run in from_results(results).sequential()}
    chosen = [
        (results.series_labels[series], runs)
        for series, runs in by_series(results).items()
        if all(run.order_matters and run.matrix.num_stages > 1 for run in runs)
    ]
    chosen.sort(key=lambda pair: id(pair[1][0].matrix) not in main)
    found: list[str] = []
    for label, runs in chosen:
        sentence = kept_words(label, runs, short=bool(found), score=results.score)
        found += [sentence] if sentence else []
    return tuple(found[:MOST_METHODS])


def mean_kept(runs: Sequence[RunEvidence]) -> Estimate:
    """Return the mean over languages of R[T, b] - R[p(b), b], in points of F1, with its interval over orders.

    Formula: one number per order, the mean over all languages but the last one (seeds averaged), then `mean_of_replicates`.
    """
    table = replicates(runs, QUANTITIES["kept"].function)
    num_languages = int(count_measured(table.values_OL, axis=0).astype(bool).sum())
    return mean_of_replicates(100 * mean_measured(table.values_OL, axis=1), num_languages=num_languages)


def kept_words(method: str, runs: Sequence[RunEvidence], *, short: bool = False, score: str = "F1") -> str:
    """Return what a method lost or gained as one sentence; "" where no language was measured at its own stage and at the end.

    Args:
        method: the name of the method.
        runs: of one method, each with two stages or more.
        short: whether a sentence before it has said what the points are.
        score: what the score is called.
    """
    kept = mean_kept(runs)
    if math.isnan(kept.value):
        return ""
    own = float(mean_measured(replicates(runs, QUANTITIES["own_stage"].function).values_OL))
    if own < LEARNED:
        return f"{method}: {not_learned(own, score)}"
    size = f"{abs(kept.value):.1f} points"
    verb = "lost" if kept.value < 0 else "gained"
    when = "" if short else f" of {score} on average, from a language's own stage to the end of training"
    counts = [_counted(kept.num_replicates, "order")]
    counts = counts if short else [_counted(kept.num_languages, "language"), *counts]
    if not kept.known:
        return f"{method} {verb} {size}{when} ({', '.join(counts)}). One order gives no interval: chance may explain it."
    if kept.low <= 0 <= kept.high:
        interval = f"95% interval {_signed(kept.low)} to {_signed(kept.high)}"
        return f"{method} shows no clear loss or gain: {_signed(kept.value)} points{when} ({interval}; {', '.join(counts)})."
    low, high = sorted((abs(kept.low), abs(kept.high)))
    return f"{method} {verb} {size}{when} (95% interval {low:.1f} to {high:.1f}; {', '.join(counts)})."


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _signed(value: float) -> str:
    return f"{value:+.1f}".replace("-", "−")

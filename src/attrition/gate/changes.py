"""Changes between two systems: by label, by type of error (see `attrition.problem.spans`), and utterances that broke."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from attrition.gate.compared import Compared
from attrition.gate.ratios import Metric, parts
from attrition.problem.spans import ERROR_TYPES, Spans, error_counts

SIDES = ("old", "new")


@dataclass(frozen=True)
class LabelChange:
    """A label in all languages: number of gold spans, and the metric of both systems in points."""

    label: str
    gold: int
    old: float
    new: float


@dataclass(frozen=True)
class Broken:
    """An utterance with more errors than before. `old`, `new`: false positives and false negatives; `number`: its row."""

    number: int
    old: int
    new: int


@dataclass(frozen=True)
class Changes:
    """All changes. `errors` maps a type to its counts (old, new); `broken` has the worst first; `num_*` are totals."""

    labels: tuple[LabelChange, ...]
    errors: Mapping[str, tuple[int, int]]
    broken: tuple[Broken, ...]
    num_broken: int
    num_repaired: int


def changes(compared: Compared, metric: Metric, show: int) -> Changes:
    """Return the changes between two systems.

    Args:
        compared: both systems and the gold tags.
        metric: for the labels.
        show: number of broken utterances to list.
    """
    wrong_old, wrong_new = (compared.counts(side)[:, 1:].sum(axis=1) for side in SIDES)
    more = wrong_new - wrong_old
    order = np.argsort(-more, kind="stable")[: max(show, 0)]
    return Changes(
        labels=tuple(_label_changes(compared, metric)),
        errors=_errors(compared),
        broken=tuple(Broken(int(at), int(wrong_old[at]), int(wrong_new[at])) for at in order if more[at] > 0),
        num_broken=int((more > 0).sum()),
        num_repaired=int((more < 0).sum()),
    )


def _label_changes(compared: Compared, metric: Metric) -> Iterator[LabelChange]:
    for label in compared.labels:
        scores = []
        for side in SIDES:
            counts = compared.counts(side, label)
            numerator, denominator = parts(counts, metric).sum(axis=0).tolist()
            scores.append(100 * numerator / denominator if denominator else 0.0)
        yield LabelChange(label, int(counts[:, 0].sum() + counts[:, 2].sum()), scores[0], scores[1])


def _errors(compared: Compared) -> dict[str, tuple[int, int]]:
    old, new = (_count_errors(compared, side) for side in SIDES)
    return {name: (old[number], new[number]) for number, name in enumerate(ERROR_TYPES)}


def _count_errors(compared: Compared, side: str) -> list[int]:
    """Return the number of errors of each type."""
    # `start_N` and `end_N` count words over all utterances, so spans of two utterances never overlap.
    gold, predicted = (Spans(each.start_N, each.end_N, each.label_N) for each in (compared.spans["gold"], compared.spans[side]))
    counts: list[int] = error_counts(gold, predicted, len(compared.labels)).sum(axis=0).tolist()
    return counts

"""What changed between two systems: by label, by type of error, and the utterances that broke.

Types of errors. A gold span that the system did not find is exactly one of these, the first that fits:

- *type*: a predicted span has the same edges and another label.
- *boundary*: a predicted span of the same label overlaps it; the edges differ.
- *boundary and type*: a predicted span of another label overlaps it; the edges differ.
- *missed*: no predicted span overlaps it.

A *spurious* error is a predicted span that overlaps no gold span. So the first four add up to the false negatives. A false
positive that overlaps a gold span is not counted a second time.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from attrition.gate.compared import Compared, SpanTable
from attrition.gate.ratios import Metric, parts

ErrorType = Literal["type", "boundary", "boundary and type", "missed", "spurious"]
ERROR_TYPES: tuple[ErrorType, ...] = ("type", "boundary", "boundary and type", "missed", "spurious")
SIDES = ("old", "new")

Span = tuple[int, int, int]
"""First word, last word, label."""


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
    """What changed. `errors` maps a type to its counts (old, new); `broken` is worst first; `num_*` count all."""

    labels: tuple[LabelChange, ...]
    errors: Mapping[str, tuple[int, int]]
    broken: tuple[Broken, ...]
    num_broken: int
    num_repaired: int


def changes(compared: Compared, metric: Metric, show: int) -> Changes:
    """Return what changed between the two systems of a comparison.

    Args:
        compared: both systems beside the gold tags.
        metric: of the labels.
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
    found = {side: _count_errors(compared, side) for side in SIDES}
    return {name: (found["old"][name], found["new"][name]) for name in ERROR_TYPES}


def _count_errors(compared: Compared, side: str) -> dict[str, int]:
    """Number of errors of each type; only utterances with an error are looked at."""
    wrong_U: NDArray[np.bool_] = compared.counts(side)[:, 1:].sum(axis=1) > 0
    gold, predicted = (_by_utterance(compared.spans[name], wrong_U) for name in ("gold", side))
    total = dict.fromkeys(ERROR_TYPES, 0)
    for utterance in np.flatnonzero(wrong_U).tolist():
        for kind in error_types(gold.get(utterance, []), predicted.get(utterance, [])):
            total[kind] += 1
    return {str(name): number for name, number in total.items()}


def _by_utterance(spans: SpanTable, wanted_U: NDArray[np.bool_]) -> dict[int, list[Span]]:
    mine = wanted_U[spans.utterance_N]
    columns = (spans.utterance_N, spans.start_N, spans.end_N, spans.label_N)
    found: dict[int, list[Span]] = {}
    for utterance, *span in zip(*(column[mine].tolist() for column in columns), strict=True):
        found.setdefault(utterance, []).append((span[0], span[1], span[2]))
    return found


def error_types(gold: list[Span], predicted: list[Span]) -> list[ErrorType]:
    """Return the errors of one utterance; the module's head defines the types.

    >>> error_types([(0, 1, 7), (3, 3, 7)], [(0, 0, 7), (5, 5, 8)])
    ['boundary', 'missed', 'spurious']
    """
    found: list[ErrorType] = []
    for span in gold:
        if span in predicted:
            continue
        touching = [other for other in predicted if _overlap(span, other)]
        if any(other[:2] == span[:2] for other in touching):
            found.append("type")
        elif any(other[2] == span[2] for other in touching):
            found.append("boundary")
        else:
            found.append("boundary and type" if touching else "missed")
    found += ["spurious" for span in predicted if not any(_overlap(span, other) for other in gold)]
    return found


def _overlap(left: Span, right: Span) -> bool:
    return left[0] <= right[1] and right[0] <= left[1]

"""Spans, and the types of errors of predicted spans.

A gold span that was not predicted has exactly one of these types, the first that matches:

- *type*: a predicted span has the same edges and another label.
- *boundary*: a predicted span of the same label overlaps it; the edges differ.
- *boundary and type*: a predicted span of another label overlaps it; the edges differ.
- *missed*: no predicted span overlaps it.

A *spurious* error is a predicted span that overlaps no gold span. The first four add up to the false negatives. A false
positive that overlaps a gold span is not counted twice. Correct spans may be left out on both sides: spans of one side do not
overlap, so a correct span overlaps no other.

Shape letters: G gold spans, P predicted spans, S labels of spans.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

ErrorType = Literal["type", "boundary", "boundary and type", "missed", "spurious"]
ERROR_TYPES: tuple[ErrorType, ...] = ("type", "boundary", "boundary and type", "missed", "spurious")


class Spans(NamedTuple):
    """Spans that do not overlap, in order: first word, last word and label of each."""

    starts: NDArray[np.intp]
    ends: NDArray[np.intp]
    labels: NDArray[np.intp]

    def at(self, wanted: NDArray[np.bool_]) -> Spans:
        """Return the spans in the mask."""
        return Spans(self.starts[wanted], self.ends[wanted], self.labels[wanted])


def error_types(gold: Spans, predicted: Spans) -> tuple[NDArray[np.int8], NDArray[np.bool_]]:
    """Return the type of error of each gold span, and the spurious predicted spans; see the start of this module.

    Returns:
        int8 [G], an index into `ERROR_TYPES`, -1 for a correct span; bool [P].

    >>> gold = Spans(np.array([0, 3]), np.array([1, 3]), np.array([7, 7]))
    >>> predicted = Spans(np.array([0, 5]), np.array([0, 5]), np.array([7, 8]))
    >>> types, spurious = error_types(gold, predicted)
    >>> [ERROR_TYPES[each] for each in types], spurious.tolist()
    (['boundary', 'missed'], [False, True])
    """
    first, after = _overlapping(gold, predicted)
    number = after - first
    # One row for each pair of overlapping spans.
    gold_of = np.repeat(np.arange(len(gold.starts)), number)
    other = np.arange(len(gold_of)) - np.repeat(np.cumsum(number) - number, number) + np.repeat(first, number)
    same_edges = (predicted.starts[other] == gold.starts[gold_of]) & (predicted.ends[other] == gold.ends[gold_of])
    same_label = predicted.labels[other] == gold.labels[gold_of]

    def any_of(pairs: NDArray[np.bool_]) -> NDArray[np.bool_]:
        return np.bincount(gold_of[pairs], minlength=len(gold.starts)) > 0

    types = np.select(
        [any_of(same_edges & same_label), any_of(same_edges), any_of(same_label), number > 0],
        [-1, 0, 1, 2],
        default=3,
    ).astype(np.int8)
    first, after = _overlapping(predicted, gold)
    return types, after == first


def error_counts(gold: Spans, predicted: Spans, num_labels: int) -> NDArray[np.int64]:
    """Return the number of errors by label and type, int64 [S, 5] in the order of `ERROR_TYPES`.

    An error counts for the label of the gold span, a spurious error for the label of the predicted span.

    >>> gold = Spans(np.array([0]), np.array([1]), np.array([0]))
    >>> error_counts(gold, Spans(np.array([0]), np.array([1]), np.array([1])), 2).tolist()
    [[1, 0, 0, 0, 0], [0, 0, 0, 0, 0]]
    """
    types, spurious = error_types(gold, predicted)
    labels = np.concatenate([gold.labels[types >= 0], predicted.labels[spurious]])
    columns = np.concatenate([types[types >= 0].astype(np.intp), np.full(int(spurious.sum()), len(ERROR_TYPES) - 1)])
    counts = np.bincount(labels * len(ERROR_TYPES) + columns, minlength=num_labels * len(ERROR_TYPES))
    return counts.reshape(num_labels, len(ERROR_TYPES)).astype(np.int64)


def _overlapping(spans: Spans, others: Spans) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return the first of `others` that each span overlaps, and the one after the last."""
    return np.searchsorted(others.ends, spans.starts), np.searchsorted(others.starts, spans.ends, side="right")

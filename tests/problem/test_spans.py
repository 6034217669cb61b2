"""Types of errors on spans, against a pair-by-pair count and seqeval's false negatives."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from attrition.problem.slots import SLOTS
from attrition.problem.spans import ERROR_TYPES, Spans, error_counts, error_types
from attrition.results.packed_counts import ERROR_COLUMNS

LABELS = ("O", "B-a", "I-a", "B-b", "I-b")


Span = tuple[int, int, int]
"""First word, last word, label."""


def columns(spans: list[Span]) -> Spans:
    return Spans(*np.array(spans, dtype=np.intp).reshape(-1, 3).T)


@pytest.mark.parametrize(
    ("gold", "predicted", "found"),
    [
        ([(0, 1, 7)], [(0, 1, 7)], []),
        ([(0, 1, 7)], [(0, 1, 8)], ["type"]),
        ([(0, 1, 7)], [(1, 2, 7)], ["boundary"]),
        ([(0, 1, 7)], [(1, 2, 8)], ["boundary and type"]),
        ([(0, 1, 7)], [(2, 2, 7)], ["missed", "spurious"]),
        ([(0, 3, 7)], [(0, 0, 8), (2, 3, 7)], ["boundary"]),
        ([], [(0, 0, 7)], ["spurious"]),
        ([(0, 0, 7), (1, 1, 7)], [(0, 1, 7)], ["boundary", "boundary"]),
    ],
)
def test_types_of_errors(gold: list[Span], predicted: list[Span], found: list[str]) -> None:
    types, spurious = error_types(columns(gold), columns(predicted))
    assert [ERROR_TYPES[each] for each in types if each >= 0] + ["spurious"] * int(spurious.sum()) == found


def one_by_one(gold: list[Span], predicted: list[Span]) -> list[tuple[str, int]]:
    """Type and label of each error, from the definitions and nothing else."""

    def overlaps(left: Span, right: Span) -> bool:
        return bool(set(range(left[0], left[1] + 1)) & set(range(right[0], right[1] + 1)))

    found = []
    for span in gold:
        near = [each for each in predicted if overlaps(span, each)]
        if span in near:
            continue
        if any(each[:2] == span[:2] for each in near):
            found.append(("type", span[2]))
        elif any(each[2] == span[2] for each in near):
            found.append(("boundary", span[2]))
        else:
            found.append(("boundary and type" if near else "missed", span[2]))
    return found + [("spurious", span[2]) for span in predicted if not any(overlaps(span, each) for each in gold)]


def random_spans(rng: np.random.Generator) -> Spans:
    edges = np.sort(rng.choice(40, size=2 * int(rng.integers(0, 12)), replace=False))
    starts, ends = edges[::2], edges[1::2] - rng.integers(0, 2, len(edges) // 2)
    ends = np.maximum(starts, ends)
    return Spans(starts, ends, rng.integers(0, 3, len(starts)))


@pytest.mark.parametrize("seed", range(200))
def test_types_are_those_of_a_count_pair_by_pair(seed: int) -> None:
    rng = np.random.default_rng(seed)
    gold, predicted = random_spans(rng), random_spans(rng)
    if seed % 4 == 0:  # much in common
        predicted = Spans(gold.starts, gold.ends, np.where(rng.random(len(gold.labels)) < 0.5, gold.labels, 2))
    expected = np.zeros((3, len(ERROR_TYPES)), int)
    for kind, label in one_by_one(*(list(zip(*(each.tolist() for each in side), strict=True)) for side in (gold, predicted))):
        expected[label, [str(each) for each in ERROR_TYPES].index(kind)] += 1
    assert error_counts(gold, predicted, 3).tolist() == expected.tolist()


def test_columns_of_results_are_in_the_same_order() -> None:
    assert tuple(each.replace(" ", "_") for each in ERROR_TYPES) == ERROR_COLUMNS


def test_no_spans_have_no_errors() -> None:
    none = Spans(*(np.zeros(0, np.intp) for _ in range(3)))
    types, spurious = error_types(none, none)
    assert len(types) == len(spurious) == 0
    assert error_counts(none, none, 2).tolist() == [[0] * 5] * 2


def test_errors_of_gold_spans_are_the_false_negatives() -> None:
    rng = np.random.default_rng(1)
    offsets = np.arange(0, 601, 6)
    gold, predicted = rng.integers(0, len(LABELS), (2, 600))
    counts = SLOTS.counter(LABELS).count(gold, predicted, offsets)
    assert counts.errors is not None
    assert counts.errors[:, :-1].sum(axis=1).tolist() == counts.by_slot[:, 2].tolist()
    assert counts.errors[:, -1].sum() < counts.fp.sum()  # some false positives overlap a gold span
    # Spans of different utterances never touch: utterance by utterance gives the same.
    alone = [
        SLOTS.counter(LABELS).count(gold[start:end], predicted[start:end], np.array([0, end - start])).errors
        for start, end in pairwise(offsets)
    ]
    assert counts.errors.tolist() == np.sum(alone, axis=0).tolist()

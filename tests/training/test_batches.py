"""The composition of batches."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from attrition.training.batches import POOL, epoch_batches, next_batch, part

LENGTHS = st.lists(st.integers(1, 40), min_size=1, max_size=200).map(np.array)


@given(LENGTHS, st.integers(1, 9), st.integers(0, 5))
@settings(deadline=None)
def test_an_epoch_holds_every_row_once(lengths: Any, batch_size: int, seed: int) -> None:
    batches = epoch_batches(lengths, batch_size, np.random.default_rng(seed))
    assert sorted(np.concatenate(batches).tolist()) == list(range(len(lengths)))
    assert len(batches) == -(-len(lengths) // batch_size)
    assert sorted(map(len, batches))[1:] == [batch_size] * (len(batches) - 1)


def evaluation_batches(lengths: Sequence[Any], num_tokens: int) -> Iterator[dict[int, Any]]:
    """Yield the lengths of each learner's utterances in each batch, until all are read."""
    left = [-np.sort(-each) for each in lengths]
    while counts := next_batch(left, num_tokens):
        yield {row: left[row][:count] for row, count in counts.items()}
        for row, count in counts.items():
            left[row] = left[row][count:]


@given(st.lists(LENGTHS, min_size=1, max_size=6), st.integers(1, 300))
@settings(deadline=None)
def test_a_budget_is_kept_and_no_utterance_is_left_out(lengths: Any, num_tokens: int) -> None:
    read: dict[int, list[int]] = {row: [] for row in range(len(lengths))}
    for batch in evaluation_batches(lengths, num_tokens):
        longest, widest = max(int(each[0]) for each in batch.values()), max(map(len, batch.values()))
        assert (len(batch) == 1 and widest == 1) or len(batch) * widest * longest <= num_tokens
        assert min(map(len, batch.values())) >= 1
        for row, each in batch.items():
            read[row] += each.tolist()
    for row, each in enumerate(lengths):
        assert read[row] == sorted(each.tolist(), reverse=True)


def test_learners_with_as_many_utterances_are_read_through_together() -> None:
    """Three of nine utterances, four sub-tokens each; 24 sub-tokens allow two of each. The last batch is shorter."""
    batches = list(evaluation_batches([np.full(9, 4)] * 3, 24))
    assert [[len(each) for each in batch.values()] for batch in batches] == [[2, 2, 2]] * 4 + [[1, 1, 1]]


def test_an_epoch_depends_on_its_stream_only() -> None:
    lengths = np.random.default_rng(0).integers(1, 40, 100)

    def flat(seed: int) -> list[int]:
        return np.concatenate(epoch_batches(lengths, 8, np.random.default_rng(seed))).tolist()

    assert flat(1) == flat(1) != flat(2)


def test_batches_of_like_lengths_are_padded_little() -> None:
    """Random batches with lengths as in MASSIVE are nearly half padding; these have less than 10% padding on top."""
    lengths = np.random.default_rng(0).normal(12, 5, 5000).clip(4, 60).astype(int)

    def padded(batches: list[Any]) -> float:
        return sum(len(rows) * int(lengths[rows].max()) for rows in batches) / int(lengths.sum())

    shuffled = np.random.default_rng(1).permutation(5000)
    assert padded(np.array_split(shuffled, 5000 // 32)) > 1.7
    assert padded(epoch_batches(lengths, 32, np.random.default_rng(1))) < 1.1
    taken = [batch[0] for batch in evaluation_batches([lengths], 2048)]
    assert sum(len(each) * int(each[0]) for each in taken) / int(lengths.sum()) < 1.1


def test_the_order_of_batches_is_random_and_rows_change_their_company() -> None:
    lengths = np.arange(1, 2 * POOL * 4 + 1)
    batches = epoch_batches(lengths, 4, np.random.default_rng(0))
    longest = [int(lengths[rows].max()) for rows in batches]
    assert longest != sorted(longest)
    assert longest != sorted(longest, reverse=True)
    again = epoch_batches(lengths, 4, np.random.default_rng(1))
    assert {frozenset(rows.tolist()) for rows in batches} != {frozenset(rows.tolist()) for rows in again}


def test_no_utterances_no_batches() -> None:
    none = np.zeros(0, np.int64)
    assert epoch_batches(none, 4, np.random.default_rng(0)) == []
    assert next_batch([none, none], 10) == {}
    assert next_batch([], 10) == {}


def test_a_part_is_the_rows_in_the_order_given(make_encoded: Any) -> None:
    encoded = make_encoded(5)
    piece = part(encoded, np.array([3, 1]))
    expected = [slice(encoded.offsets[row], encoded.offsets[row + 1]) for row in (3, 1)]
    assert piece.ids.tolist() == [token for rows in expected for token in encoded.ids[rows].tolist()]
    assert piece.labels.tolist() == [label for rows in expected for label in encoded.labels[rows].tolist()]
    assert piece.lengths.tolist() == [rows.stop - rows.start for rows in expected]
    assert piece.ids.dtype == piece.labels.dtype == np.int64


@pytest.mark.parametrize("num_tokens", [0, 1])
def test_a_budget_too_small_for_anything_takes_one_at_a_time(num_tokens: int) -> None:
    batches = evaluation_batches([np.array([2, 5]), np.array([3])], num_tokens)
    assert [{row: each.tolist() for row, each in batch.items()} for batch in batches] == [{0: [5]}, {1: [3]}, {0: [2]}]

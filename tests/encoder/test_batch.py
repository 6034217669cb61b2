"""The stacked utterances of a population, checked by hand."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from attrition.encoder.batch import Extent, Part, assemble, shared_rows

SHORT = Part(np.array([5, 6, 7]), np.array([2, 1]), np.array([-1, 3, 4]))
LONG = Part(np.array([8, 9, 10, 11]), np.array([4]), np.array([0, -1, -1, 2]))


def test_two_learners_lie_beside_each_other() -> None:
    batch = assemble([SHORT, LONG])
    assert batch.num_learners == 2
    assert batch.ids_MN.tolist() == [[5, 6, 7, 0], [8, 9, 10, 11]]
    assert batch.positions_MN.tolist() == [[0, 1, 0, 0], [0, 1, 2, 3]]
    assert batch.words_MW.tolist() == [[1, 2], [0, 3]]
    assert batch.labels_MW.tolist() == [[3, 4], [0, 2]]


def test_the_grid_sets_utterances_side_by_side_and_back() -> None:
    grid = assemble([SHORT, LONG]).grid
    assert grid.shape == (2, 2, 4)
    assert grid.tokens_C.view(grid.shape).tolist() == [[[0, 1, 0, 0], [2, 0, 0, 0]], [[4, 5, 6, 7], [0, 0, 0, 0]]]
    assert grid.utterances_C is not None
    assert grid.utterances_C.view(grid.shape).tolist() == [[[0, 0, -1, -1], [1, -1, -1, -1]], [[0, 0, 0, 0], [-1, -1, -1, -1]]]
    assert grid.spare is not None
    assert grid.spare.tolist() == [3], "behind a learner's own sub-tokens"
    real = [0, 1, 2, 4, 5, 6, 7]
    assert grid.tokens_C[grid.cells_T[real]].tolist() == real


def test_short_utterances_share_a_row() -> None:
    part = Part(np.arange(7), np.array([1, 3, 2, 1]), np.full(7, -1))
    grid = assemble([part]).grid
    assert grid.shape == (1, 3, 3), "3, 2 + 1, 1"
    assert grid.utterances_C is not None
    assert grid.utterances_C.view(grid.shape).tolist() == [[[1, 1, 1], [2, 2, 0], [3, -1, -1]]]
    assert grid.tokens_C.view(grid.shape).tolist() == [[[1, 2, 3], [4, 5, 0], [6, 0, 0]]]


@given(st.lists(st.integers(1, 30), max_size=60).map(lambda lengths: np.array(lengths, np.int64)))
def test_rows_hold_what_is_laid_into_them(lengths: np.ndarray) -> None:
    rows, starts = shared_rows(lengths)
    cells = [range(int(start), int(start + own)) for start, own in zip(starts, lengths, strict=True)]
    taken = [(int(row), cell) for row, own in zip(rows, cells, strict=True) for cell in own]
    assert len(set(taken)) == len(taken) == lengths.sum()
    assert all(0 <= cell < lengths.max() for _, cell in taken)
    if len(lengths):
        assert set(rows.tolist()) == set(range(int(rows.max()) + 1))
        assert int(rows.max()) + 1 <= 2 * -(-int(lengths.sum()) // int(lengths.max())), "no two rows are half empty"


def test_a_learner_is_laid_out_alike_alone_and_beside_a_longer_one() -> None:
    part = Part(np.arange(7), np.array([1, 3, 2, 1]), np.full(7, -1))
    alone, both = assemble([part]), assemble([part, Part(np.arange(40), np.array([5, 35]), np.full(40, -1))])
    assert both.extents[0] == alone.extents[0]
    cells = both.grid.cells_T.view(2, -1)[0, :7]
    assert alone.grid.cells_T.tolist() == (cells // 35 * 3 + cells % 35).tolist()


def test_sub_tokens_are_filled_up_to_a_multiple() -> None:
    batch = assemble([SHORT, LONG], multiple=8)
    assert batch.ids_MN.tolist() == [[5, 6, 7, 0, 0, 0, 0, 0], [8, 9, 10, 11, 0, 0, 0, 0]]
    assert [extent.filled for extent in batch.extents] == [8, 8]
    assert batch.num_tokens == 7
    assert batch.grid.spare is not None
    assert batch.grid.spare.tolist() == [3, 4, 5, 6, 7, 12, 13, 14, 15]


def test_counts_are_those_without_padding() -> None:
    batch = assemble([SHORT, LONG])
    assert batch.num_tokens == 7
    assert batch.extents == (Extent(3, 3, 2, 2, 2), Extent(4, 4, 1, 1, 4))


def test_fewer_words_are_padded_with_minus_one() -> None:
    one_word = LONG._replace(labels=np.array([0, -1, -1, -1]))
    batch = assemble([SHORT, one_word])
    assert batch.labels_MW.tolist() == [[3, 4], [0, -1]]


def test_nothing_is_told_apart_where_each_row_is_one_utterance() -> None:
    assert assemble([LONG]).grid.utterances_C is None
    assert assemble([LONG, LONG]).grid.utterances_C is None
    assert assemble([SHORT]).grid.utterances_C is not None
    two = Part(np.arange(4), np.array([2, 2]), np.full(4, -1))
    assert assemble([two, LONG]).grid.utterances_C is not None
    assert assemble([SHORT]).grid.spare is None, "one learner alone has no padding but in the grid"


def test_a_batch_without_scored_sub_tokens_has_one_unscored_place() -> None:
    batch = assemble([LONG._replace(labels=np.full(4, -1))])
    assert batch.labels_MW.tolist() == [[-1]]
    assert batch.words_MW.tolist() == [[0]]
    assert batch.words_MW.dtype == torch.int64


def test_a_learner_without_utterances() -> None:
    nothing = Part(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0, np.int64))
    batch = assemble([nothing, LONG])
    assert batch.extents == (Extent(0, 0, 0, 0, 0), Extent(4, 4, 1, 1, 4))
    assert batch.grid.utterances_C is not None
    assert batch.grid.utterances_C.tolist() == [-1, -1, -1, -1, 0, 0, 0, 0]
    assert batch.grid.spare is not None
    assert batch.grid.spare.tolist() == [0, 1, 2, 3]

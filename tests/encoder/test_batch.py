"""Stacking a population's utterances, checked by hand."""

from __future__ import annotations

import numpy as np
import torch

from attrition.encoder.batch import Extent, Part, assemble

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
    numbers_MNH = torch.tensor([[5.0, 6, 7, -1], [8, 9, 10, 11]]).unsqueeze(-1)
    clean = grid.spread(numbers_MNH, clean=True).squeeze(-1)
    assert clean.tolist() == [[5, 6, 0, 0], [7, 0, 0, 0], [8, 9, 10, 11], [0, 0, 0, 0]]
    mask = grid.mask_MBL()
    assert mask is not None
    assert mask.int().tolist() == [[[1, 1, 0, 0], [1, 0, 0, 0]], [[1, 1, 1, 1], [0, 0, 0, 0]]]
    back = grid.gather(grid.spread(numbers_MNH).reshape(-1, 1)).squeeze(-1)
    assert back.tolist() == [[5, 6, 7, 0], [8, 9, 10, 11]], "behind a learner's own sub-tokens there is zero"


def test_counts_are_those_without_padding() -> None:
    batch = assemble([SHORT, LONG])
    assert batch.num_tokens == 7
    assert batch.extents == (Extent(3, 2, 2), Extent(4, 1, 4))


def test_fewer_words_are_padded_with_minus_one() -> None:
    one_word = LONG._replace(labels=np.array([0, -1, -1, -1]))
    batch = assemble([SHORT, one_word])
    assert batch.labels_MW.tolist() == [[3, 4], [0, -1]]


def test_no_mask_where_nothing_is_padded() -> None:
    assert assemble([LONG]).grid.mask_MBL() is None
    assert assemble([LONG, LONG]).grid.mask_MBL() is None
    assert assemble([SHORT]).grid.mask_MBL() is not None
    assert assemble([SHORT]).grid.spare is None, "one learner alone has no padding but in the grid"


def test_a_batch_without_scored_sub_tokens_has_one_unscored_place() -> None:
    batch = assemble([LONG._replace(labels=np.full(4, -1))])
    assert batch.labels_MW.tolist() == [[-1]]
    assert batch.words_MW.tolist() == [[0]]
    assert batch.words_MW.dtype == torch.int64


def test_a_learner_without_utterances() -> None:
    nothing = Part(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0, np.int64))
    batch = assemble([nothing, LONG])
    assert batch.extents == (Extent(0, 0, 0), Extent(4, 1, 4))
    assert batch.grid.gather(batch.grid.spread(torch.ones(2, 4, 1)).reshape(-1, 1)).squeeze(-1).tolist() == [[0] * 4, [1] * 4]

"""Stacking a population's utterances, checked by hand."""

from __future__ import annotations

import numpy as np
import torch

from attrition.encoder.batch import Part, assemble

SHORT = Part(np.array([5, 6, 7]), np.array([2, 1]), np.array([-1, 3, 4]))
LONG = Part(np.array([8, 9, 10, 11]), np.array([4]), np.array([0, -1, -1, 2]))


def test_two_learners_are_padded_to_a_common_shape() -> None:
    batch = assemble([SHORT, LONG])
    assert batch.num_learners == 2
    assert batch.ids_MBL.tolist() == [[[5, 6, 0, 0], [7, 0, 0, 0]], [[8, 9, 10, 11], [0, 0, 0, 0]]]
    assert batch.mask_MBL is not None
    assert batch.mask_MBL.int().tolist() == [[[1, 1, 0, 0], [1, 0, 0, 0]], [[1, 1, 1, 1], [0, 0, 0, 0]]]
    # Positions count through the padded rows: the second utterance begins at 4.
    assert batch.words_MW.tolist() == [[1, 4], [0, 3]]
    assert batch.labels_MW.tolist() == [[3, 4], [0, 2]]


def test_counts_are_those_without_padding() -> None:
    batch = assemble([SHORT, LONG])
    assert batch.num_tokens == 7
    assert batch.extents == ((2, 2), (1, 4))


def test_fewer_words_are_padded_with_minus_one() -> None:
    one_word = LONG._replace(labels=np.array([0, -1, -1, -1]))
    batch = assemble([SHORT, one_word])
    assert batch.labels_MW.tolist() == [[3, 4], [0, -1]]


def test_no_mask_where_nothing_is_padded() -> None:
    assert assemble([LONG]).mask_MBL is None
    assert assemble([LONG, LONG]).mask_MBL is None
    assert assemble([SHORT]).mask_MBL is not None


def test_a_batch_without_scored_sub_tokens_has_one_unscored_place() -> None:
    batch = assemble([LONG._replace(labels=np.full(4, -1))])
    assert batch.labels_MW.tolist() == [[-1]]
    assert batch.words_MW.tolist() == [[0]]
    assert batch.words_MW.dtype == torch.int64

"""A model reduced to the sub-tokens in use gives exactly the same numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from attrition.encoder.batch import assemble
from attrition.encoder.bert import BertBackbone
from attrition.encoder.pretrained import WORD_EMBEDDINGS
from attrition.encoder.vocabulary import used_vocabulary, whole_vocabulary


@pytest.mark.parametrize("kind", ["bert", "xlm-roberta"])
def test_outputs_are_bit_identical(kind: str, make_encoder: Any, weights_of: Any, make_part: Any) -> None:
    module, part = make_encoder(kind), make_part([6, 3, 2])
    weights = weights_of(module)
    vocabulary = used_vocabulary([part.ids], special=[0, 1, 2], full_size=60)
    assert len(vocabulary) <= 3 + 11 < 60
    cut = {**weights, WORD_EMBEDDINGS: weights[WORD_EMBEDDINGS][torch.from_numpy(vocabulary.kept)]}
    backbone = BertBackbone(module.config)
    whole = backbone.encode(assemble([part]), weights)
    compact = backbone.encode(assemble([part._replace(ids=vocabulary.compact(part.ids))]), cut)
    assert torch.equal(whole, compact)


def test_rows_not_kept_have_no_gradient(make_encoder: Any, weights_of: Any, make_part: Any) -> None:
    module, part = make_encoder("bert"), make_part([6, 3, 2])
    weights = weights_of(module)
    table = weights[WORD_EMBEDDINGS].requires_grad_()
    BertBackbone(module.config).encode(assemble([part]), weights).square().sum().backward()
    assert table.grad is not None
    touched = np.flatnonzero(table.grad.abs().sum(1).numpy())
    # Sub-token 0 pads the batch: it is masked, so it gets no gradient either.
    assert set(touched) == set(part.ids.tolist())


def test_compact_ids_are_positions_in_kept() -> None:
    vocabulary = used_vocabulary([np.array([9, 4, 9]), np.array([4])], special=[0], full_size=12)
    assert vocabulary.kept.tolist() == [0, 4, 9]
    assert vocabulary.compact(np.array([9, 0, 4, 4])).tolist() == [2, 0, 1, 1]
    assert vocabulary.compact(np.zeros(0, np.int64)).tolist() == []


@pytest.mark.parametrize("dropped", [3, 11])
def test_a_dropped_sub_token_is_our_own_mistake(dropped: int) -> None:
    with pytest.raises(AssertionError, match="dropped that is in use"):
        used_vocabulary([np.array([9, 4])], special=[0], full_size=12).compact(np.array([4, dropped]))


def test_the_whole_vocabulary_changes_no_id() -> None:
    ids = np.array([3, 0, 11])
    assert whole_vocabulary(12).compact(ids).tolist() == ids.tolist()
    assert len(whole_vocabulary(12)) == 12

"""The dropout settings of encoder families, compared with the dropout layers that `transformers` builds from them."""

from __future__ import annotations

from typing import Any

import pytest
from torch import nn

from attrition.encoder.own_dropout import own_dropout


@pytest.mark.parametrize(
    ("kind", "hidden", "attention"),
    [
        ("bert", "hidden_dropout_prob", "attention_probs_dropout_prob"),
        ("electra", "hidden_dropout_prob", "attention_probs_dropout_prob"),
        ("deberta-v2", "hidden_dropout_prob", "attention_probs_dropout_prob"),
        ("distilbert", "dropout", "attention_dropout"),
    ],
)
def test_what_the_module_drops_is_what_is_read(kind: str, hidden: str, attention: str, make_encoder: Any) -> None:
    module = make_encoder(kind, **{hidden: 0.25, attention: 0.375})
    assert own_dropout(module.config) == (0.25, 0.375)
    built = {layer.p for layer in module.modules() if isinstance(layer, nn.Dropout)}
    assert 0.25 in built
    assert built <= {0.25, 0.375}


def test_dropout_of_classifiers_does_not_count(make_encoder: Any) -> None:
    module = make_encoder("distilbert", dropout=0.0, attention_dropout=0.0, seq_classif_dropout=0.5, qa_dropout=0.5)
    assert own_dropout(module.config) == (0.0, 0.0)


def test_t5_has_one_probability_for_both(make_encoder: Any) -> None:
    module = make_encoder("mt5", dropout_rate=0.25)
    assert own_dropout(module.config) == (0.25, 0.25)
    assert {layer.p for layer in module.modules() if isinstance(layer, nn.Dropout)} == {0.25}


def test_eurobert_drops_attention_alone(make_encoder: Any) -> None:
    module = make_encoder("eurobert", attention_dropout=0.25)
    assert own_dropout(module.config) == (0.0, 0.25)
    assert {layer.p for layer in module.modules() if isinstance(layer, nn.Dropout)} <= {0.0}


def test_modernbert_has_one_for_embeddings_and_one_for_the_rest(make_encoder: Any) -> None:
    module = make_encoder("modernbert", embedding_dropout=0.125, mlp_dropout=0.25, attention_dropout=0.375)
    assert own_dropout(module.config) == (0.25, 0.375)
    assert {layer.p for layer in module.modules() if isinstance(layer, nn.Dropout)} == {0.125, 0.25, 0.375}

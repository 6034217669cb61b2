"""Random encoders for tests: small, and the same on every machine."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from attrition.encoder import tiny
from attrition.encoder.pretrained import WORD_EMBEDDINGS, fingerprint_of
from attrition.encoder.sources import list_models, load_pretrained
from attrition.names import AttritionError

NAMES = ("bert", "xlm-roberta")


@pytest.mark.parametrize("name", NAMES)
def test_weights_do_not_depend_on_the_state_of_the_process(name: str) -> None:
    torch.manual_seed(1)
    before = torch.get_rng_state()
    first = tiny.load.__wrapped__(name)
    assert torch.equal(torch.get_rng_state(), before), "the global stream must not move"
    torch.manual_seed(2)
    second = tiny.load.__wrapped__(name)
    assert first.fingerprint == second.fingerprint
    assert all(torch.equal(first.weights[key], second.weights[key]) for key in first.weights)


def test_different_encoders_have_different_fingerprints() -> None:
    assert len({tiny.load(name).fingerprint for name in NAMES}) == len(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_a_few_thousand_parameters(name: str) -> None:
    pretrained = load_pretrained(f"tiny:{name}")
    table = pretrained.rows(np.arange(pretrained.vocabulary_size))
    count = sum(tensor.numel() for tensor in pretrained.weights.values()) + table.numel()
    assert 1_000 < count < 20_000
    assert WORD_EMBEDDINGS not in pretrained.weights
    assert not any(key.startswith("pooler") for key in pretrained.weights)
    assert table.shape == (pretrained.vocabulary_size, pretrained.hidden_size)


def test_the_fingerprint_sees_a_single_weight() -> None:
    pretrained = tiny.load("bert")
    weights = {key: tensor.clone() for key, tensor in pretrained.weights.items()}
    plain = fingerprint_of(pretrained.config, weights)
    weights["embeddings.LayerNorm.bias"][0] += 1e-6
    assert fingerprint_of(pretrained.config, weights) != plain


@pytest.mark.parametrize("text", ["hi", "a b", "é", "日本", "x"])
def test_every_text_has_a_known_tokenisation(text: str) -> None:
    tokenizer = tiny.byte_tokenizer()
    encoding = tokenizer.encode(text)
    assert encoding.tokens[0] == "<s>"
    assert encoding.tokens[-1] == "</s>"
    assert "<unk>" not in encoding.tokens


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("tiny:brt", ["Unknown tiny model 'brt'", "Did you mean 'bert'", "xlm-roberta"]),
        ("tny:bert", ["Unknown model source 'tny'", "Did you mean 'tiny'", "embedded", "hub"]),
        ("xlm-roberta-base", ["'xlm-roberta-base' has no source", "hub:xlm-roberta-base"]),
        ("tiny:", ["has no source"]),
        ("", ["has no source"]),
    ],
)
def test_names_that_are_not_models(name: str, parts: list[str]) -> None:
    with pytest.raises(AttritionError) as caught:
        load_pretrained(name)
    for part in parts:
        assert part in str(caught.value)


def test_every_listed_tiny_model_loads() -> None:
    listed = [name for name, _ in list_models() if name.startswith("tiny:")]
    assert sorted(listed) == sorted(f"tiny:{name}" for name in NAMES)
    for name in listed:
        assert load_pretrained(name).name == name

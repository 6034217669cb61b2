"""Predictions do not depend on how they were batched, nor on whether LoRA was merged."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional

from attrition.corpus.encoded import Encoded, join
from attrition.encoder import lora
from attrition.encoder.batch import assemble
from attrition.methods import Full, LoRA
from attrition.training.batches import part
from attrition.training.layout import HEAD_BIAS, HEAD_WEIGHT
from attrition.training.model import Model, Weights
from attrition.training.predict import evaluate, evaluate_each, predict


def random_weights(model: Model, trains: Full | LoRA) -> tuple[Weights, torch.Tensor]:
    """A learner in which every parameter is moved, so that classes differ."""
    flat = model.start(trains, 0)
    flat += 0.3 * torch.randn(flat.shape, generator=torch.Generator().manual_seed(0))
    return model.weights(trains, flat), flat


@pytest.mark.parametrize("kind", ["bert", "xlm-roberta"])
def test_the_batch_budget_changes_nothing(kind: str, make_model: Any, make_encoded: Any) -> None:
    model, encoded = make_model(kind), make_encoded(40)
    weights, _ = random_weights(model, Full())
    predictions = [predict(model, weights, encoded, tokens_a_batch=budget) for budget in (1, 64, 300, 100_000)]
    assert len(set(predictions[0].tolist())) > 2, "a constant prediction would show nothing"
    assert all(np.array_equal(predictions[0], other) for other in predictions[1:])


def test_predictions_by_hand_of_one_utterance(make_model: Any, make_encoded: Any) -> None:
    model, encoded = make_model(), make_encoded(1)
    weights, _ = random_weights(model, Full())
    hidden = model.backbone.encode(assemble([part(encoded, np.array([0]))]), weights.encoder)[0]
    expected = functional.linear(hidden, weights.head_weight, weights.head_bias).argmax(-1)
    found = predict(model, weights, encoded)
    assert found[encoded.labels >= 0].tolist() == expected.tolist()
    assert not found[encoded.labels < 0].any()
    assert found.shape == (encoded.num_tokens,)


def test_merged_lora_equals_factors_beside_the_weights(make_model: Any, make_encoded: Any) -> None:
    model, encoded = make_model(), make_encoded(40)
    trains = LoRA(rank=4, alpha=8)
    merged, flat = random_weights(model, trains)
    tensors = model.layout(trains).unpack(flat)
    head_weight, head_bias = tensors.pop(HEAD_WEIGHT), tensors.pop(HEAD_BIAS)
    adapter = lora.stacked({name: tensor.unsqueeze(0) for name, tensor in tensors.items()}, torch.tensor([trains.scale]))
    piece = part(encoded, np.arange(len(encoded)))
    beside = functional.linear(model.backbone.encode(assemble([piece]), model.base, adapter)[0], head_weight, head_bias)
    inside = functional.linear(
        model.backbone.encode(assemble([piece]), merged.encoder)[0], merged.head_weight, merged.head_bias
    )
    torch.testing.assert_close(inside, beside, atol=5e-5, rtol=1e-5)
    assert torch.equal(merged.head_weight, head_weight)
    found = predict(model, merged, encoded)
    top_two = beside.topk(2).values
    is_clear = (top_two[:, 0] - top_two[:, 1] > 1e-3).numpy()
    assert is_clear.mean() > 0.9
    assert np.array_equal(found[encoded.labels >= 0][is_clear], beside.argmax(-1).numpy()[is_clear])


def test_sets_evaluated_together_equal_each_alone(make_model: Any, make_encoded: Any) -> None:
    model = make_model()
    weights, _ = random_weights(model, Full())
    sets = {"en-US": make_encoded(10, 1), "de-DE": make_encoded(7, 2), "sw-KE": make_encoded(4, 3)}
    together = evaluate_each(model, weights, sets)
    assert list(together) == list(sets)
    for name, encoded in sets.items():
        alone = evaluate(model, weights, encoded)
        for field in ("tp", "fp", "fn", "by_slot"):
            assert np.array_equal(getattr(together[name], field), getattr(alone, field)), (name, field)
        assert len(alone.tp) == len(encoded)
        gold_spans = int(alone.tp.sum() + alone.fn.sum())
        assert gold_spans > 0


def test_no_utterances(make_model: Any, make_encoded: Any) -> None:
    model, encoded = make_model(), make_encoded(3)
    weights, _ = random_weights(model, Full())
    empty = encoded.select(np.zeros(0, np.int64))
    assert predict(model, weights, empty).shape == (0,)
    assert evaluate(model, weights, empty).f1 == 0.0
    both: Encoded = join([empty, encoded])
    assert np.array_equal(predict(model, weights, both), predict(model, weights, encoded))

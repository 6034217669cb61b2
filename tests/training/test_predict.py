"""Predictions depend neither on the batches nor on the merging of LoRA."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional

from attrition.corpus.encoded import Encoded, join
from attrition.encoder import lora
from attrition.encoder.batch import assemble
from attrition.encoder.bert import BertBackbone
from attrition.methods import Full, LoRA
from attrition.training.batches import part
from attrition.training.layout import HEAD_BIAS, HEAD_WEIGHT
from attrition.training.memory import Room
from attrition.training.model import Model, Weights
from attrition.training.predict import StackedWeights, evaluate, evaluate_each, predict, predict_stacked


def random_weights(model: Model, trains: Full | LoRA, seed: int = 0) -> tuple[Weights, torch.Tensor]:
    """Return a learner in which every parameter is changed, so that classes differ."""
    flat = model.start(trains, 0)
    flat += 0.3 * torch.randn(flat.shape, generator=torch.Generator().manual_seed(seed))
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


def stack_of(model: Model, learners: Sequence[tuple[LoRA, torch.Tensor]]) -> StackedWeights:
    """Return learners stacked in rows of the largest layout."""
    layouts = [model.layout(trains) for trains, _ in learners]
    widest = max(layouts, key=lambda layout: layout.size)
    flat_MP = torch.stack([layout.resized(flat, widest) for layout, (_, flat) in zip(layouts, learners, strict=True)])
    tensors = widest.views(flat_MP)
    head_weight, head_bias = tensors.pop(HEAD_WEIGHT), tensors.pop(HEAD_BIAS)
    scales = torch.tensor([trains.scale for trains, _ in learners])
    return StackedWeights(model.frozen, lora.stacked(tensors, scales), head_weight, head_bias)


@pytest.mark.parametrize("kind", ["bert", "xlm-roberta"])
@pytest.mark.parametrize("budget", [1, 30, 64, 100_000])
def test_members_predict_what_each_would_alone(kind: str, budget: int, make_model: Any, make_encoded: Any) -> None:
    """Ranks 2, 8 and 4, sets of 9, 0 and 31 utterances; in float32 every class equals that of the merged weights."""
    model, sets = make_model(kind), [make_encoded(9, 1), make_encoded(1).select(np.zeros(0, np.int64)), make_encoded(31, 3)]
    ranks = [LoRA(rank=rank, alpha=6) for rank in (2, 8, 4)]
    learners = [(trains, random_weights(model, trains, seed)[1]) for seed, trains in enumerate(ranks)]
    weights = [model.weights(*learner) for learner in learners]
    alone = [predict(model, each, encoded) for each, encoded in zip(weights, sets, strict=True)]
    assert not np.array_equal(alone[2], predict(model, weights[0], sets[2])), "one learner is not as another"
    found = predict_stacked(model, stack_of(model, learners), sets, tokens_a_batch=budget)
    assert [each.dtype for each in found] == [np.int16] * 3
    assert all(np.array_equal(ours, theirs) for ours, theirs in zip(found, alone, strict=True))
    assert len(set(found[2].tolist())) > 2, "a constant prediction would show nothing"


def test_a_budget_is_of_all_members_and_one_pass_serves_them(
    make_model: Any, make_encoded: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, sets = make_model(), [make_encoded(20, 1), make_encoded(20, 2), make_encoded(4, 3)]
    stack = stack_of(model, [(LoRA(rank=2), random_weights(model, LoRA(rank=2))[1])] * 3)
    shapes: list[tuple[int, int, int]] = []
    encode = BertBackbone.encode

    def noting(self: Any, batch: Any, *others: Any) -> Any:
        shapes.append(batch.grid.shape)
        return encode(self, batch, *others)

    monkeypatch.setattr(BertBackbone, "encode", noting)
    predict_stacked(model, stack, sets, tokens_a_batch=120)
    assert {shape[0] for shape in shapes} == {2, 3}, "whoever has read all takes no further part"
    assert all(np.prod(shape) <= 120 for shape in shapes)
    shapes.clear()
    predict_stacked(model, stack, sets, Room(tokens=10_000), tokens_a_batch=10_000)
    assert len(shapes) == 1


def test_nobody_alone_is_copied(make_model: Any) -> None:
    model = make_model()
    stack = stack_of(model, [(LoRA(rank=2), random_weights(model, LoRA(rank=2))[1])] * 3)
    assert stack.at([0, 1, 2]) is stack
    some = stack.at([2, 0])
    assert some.adapter is not None
    assert stack.adapter is not None
    for name, (a, b) in some.adapter.factors.items():
        assert torch.equal(a, stack.adapter.factors[name][0][[2, 0]])
        assert torch.equal(b, stack.adapter.factors[name][1][[2, 0]])
    assert some.encoder is stack.encoder
    assert torch.equal(some.head_weight_MCH, stack.head_weight_MCH[[2, 0]])


def test_no_utterances(make_model: Any, make_encoded: Any) -> None:
    model, encoded = make_model(), make_encoded(3)
    weights, _ = random_weights(model, Full())
    empty = encoded.select(np.zeros(0, np.int64))
    assert predict(model, weights, empty).shape == (0,)
    assert evaluate(model, weights, empty).f1 == 0.0
    both: Encoded = join([empty, encoded])
    assert np.array_equal(predict(model, weights, both), predict(model, weights, encoded))

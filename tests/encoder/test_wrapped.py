"""Encoders of other families through their own modules, each compared with transformers; BERT as a cross-check."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import Tensor

from attrition.encoder import lora
from attrition.encoder.batch import assemble
from attrition.encoder.bert import BertBackbone
from attrition.encoder.dropout import Dropout, MaskStream
from attrition.encoder.families import WRAPPED
from attrition.encoder.wrapped import WrappedBackbone

KINDS = ("bert", *WRAPPED)


def factors_of(linears: Any, rank: int = 3) -> dict[str, Tensor]:
    stream = torch.Generator().manual_seed(0)
    return {
        name: 0.3 * torch.randn(shape, generator=stream) for name, shape in lora.shapes(linears, ["all-linear"], rank).items()
    }


def adapter_of(factors: dict[str, Tensor], scale: float = 1.0) -> lora.Adapter:
    return lora.stacked({name: tensor.unsqueeze(0) for name, tensor in factors.items()}, torch.tensor([scale]))


@pytest.mark.parametrize("lengths", [(5, 5), (7, 2, 4)], ids=["unpadded", "padded"])
@pytest.mark.parametrize("kind", KINDS)
def test_equals_the_module_with_our_weights(
    kind: str, lengths: tuple[int, ...], make_encoder: Any, weights_of: Any, make_part: Any, hidden_states: Any
) -> None:
    """The wrapped module has other weights: only the given weights count."""
    module, part = make_encoder(kind), make_part(lengths)
    expected = hidden_states(module, part)
    backbone = WrappedBackbone(make_encoder(kind, seed=1))
    ours = backbone.encode(assemble([part]), weights_of(module))
    torch.testing.assert_close(ours[0], expected, atol=1e-5, rtol=0)
    assert backbone.hidden_size == ours.shape[-1] == 16


@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")  # peft asks transformers for it
@pytest.mark.parametrize("kind", KINDS)
def test_lora_hooks_equal_peft(kind: str, make_encoder: Any, weights_of: Any, make_part: Any, hidden_states: Any) -> None:
    peft = pytest.importorskip("peft")
    module, part = make_encoder(kind), make_part([6, 3])
    backbone = WrappedBackbone(make_encoder(kind, seed=1))
    factors = factors_of(backbone.linears)
    ours = backbone.encode(assemble([part]), weights_of(module), adapter_of(factors, 2.0))[0]
    plain = hidden_states(module, part)
    config = peft.LoraConfig(r=3, lora_alpha=6, target_modules=list(backbone.linears))
    theirs = peft.get_peft_model(copy.deepcopy(module), config).eval()
    filled = 0
    with torch.no_grad():
        for name, parameter in theirs.named_parameters():
            if ".lora_" in name:
                key = name.removeprefix("base_model.model.").removesuffix(".default.weight")
                parameter.copy_(factors[key])
                filled += 1
    assert filled == len(factors)
    torch.testing.assert_close(ours, hidden_states(theirs, part), atol=2e-5, rtol=1e-5)
    assert (ours - plain).abs().max() > 0.1, "the adapter must matter"


def test_gradients_reach_weights_and_factors(make_encoder: Any, weights_of: Any, make_part: Any) -> None:
    module = make_encoder("electra")
    backbone = WrappedBackbone(module)
    weights = {name: tensor.clone().requires_grad_() for name, tensor in weights_of(module).items()}
    backbone.encode(assemble([make_part([4, 2])]), weights).square().sum().backward()
    assert weights
    assert all(tensor.grad is not None for tensor in weights.values())
    factors = {name: tensor.requires_grad_() for name, tensor in factors_of(backbone.linears).items()}
    backbone.encode(assemble([make_part([4, 2])]), weights_of(module), adapter_of(factors)).square().sum().backward()
    assert all(tensor.grad is not None and tensor.grad.abs().max() > 0 for tensor in factors.values())


@pytest.mark.parametrize("kind", ["electra", "deberta-v2", "distilbert", "mt5"])
def test_dropout_is_the_streams_and_nothing_else(kind: str, make_encoder: Any, weights_of: Any, make_part: Any) -> None:
    """The same stream gives the same masks for any state of torch's global stream, which does not change."""
    module, batch = make_encoder(kind), assemble([make_part([5, 3])])
    backbone, weights = WrappedBackbone(module), weights_of(module)
    adapter = adapter_of(factors_of(backbone.linears))

    def encode(seed: int, global_seed: int) -> Tensor:
        torch.manual_seed(global_seed)
        before = torch.get_rng_state()
        dropout = Dropout([MaskStream(seed)], batch.extents, hidden=0.1, attention=0.1, adapter=0.1)
        hidden = backbone.encode(batch, weights, adapter, dropout)
        assert torch.equal(torch.get_rng_state(), before)
        return hidden

    assert torch.equal(encode(0, 1), encode(0, 2))
    assert (encode(0, 1) - encode(1, 1)).abs().max() > 0.01


def test_dropout_of_the_adapter_alone_leaves_the_modules_own_off(make_encoder: Any, weights_of: Any, make_part: Any) -> None:
    module, batch = make_encoder("electra"), assemble([make_part([5, 3])])
    backbone, weights = WrappedBackbone(module), weights_of(module)
    dropout = Dropout([MaskStream(0)], batch.extents, adapter=0.5)
    # Without factors it has no effect.
    assert torch.equal(backbone.encode(batch, weights, None, dropout), backbone.encode(batch, weights))


def test_evaluation_after_training_is_deterministic(make_encoder: Any, weights_of: Any, make_part: Any) -> None:
    module, batch = make_encoder("electra"), assemble([make_part([5, 3])])
    backbone, weights = WrappedBackbone(module), weights_of(module)
    before = backbone.encode(batch, weights)
    backbone.encode(batch, weights, None, Dropout([MaskStream(0)], batch.extents, hidden=0.5))
    assert torch.equal(backbone.encode(batch, weights), before)


def test_the_linears_of_bert_are_those_of_the_flat_encoder(make_encoder: Any) -> None:
    module = make_encoder("bert")
    assert WrappedBackbone(module).linears == BertBackbone(module.config).linears


def test_one_learner_at_a_time(make_encoder: Any, weights_of: Any, make_part: Any) -> None:
    module = make_encoder("electra")
    backbone = WrappedBackbone(module)
    assert not backbone.populations
    with pytest.raises(AssertionError, match="one learner"):
        backbone.encode(assemble([make_part([2]), make_part([3])]), weights_of(module))

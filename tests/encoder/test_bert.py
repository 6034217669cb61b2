"""The flat encoder compared with transformers' own modules, and a population with its learners alone."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import transformers

from attrition.encoder import lora
from attrition.encoder.batch import assemble
from attrition.encoder.bert import BertBackbone, supports
from attrition.encoder.dropout import Dropout, MaskStream

KINDS = ("bert", "roberta", "xlm-roberta")
TOLERANCE = 1e-5
LENGTHS = {"unpadded": (6, 6, 6), "padded": (9, 2, 5, 1)}


@pytest.mark.parametrize("lengths", LENGTHS.values(), ids=LENGTHS)
@pytest.mark.parametrize("kind", KINDS)
def test_equals_transformers(
    kind: str, lengths: tuple[int, ...], make_encoder: Any, weights_of: Any, make_part: Any, hidden_states: Any
) -> None:
    module, part = make_encoder(kind), make_part(lengths)
    with torch.no_grad():
        ours = BertBackbone(module.config).encode(assemble([part]), weights_of(module))
        expected = hidden_states(module, part)
    assert ours.shape == (1, sum(lengths), 16)
    assert expected.std() > 0.1
    torch.testing.assert_close(ours[0], expected, atol=TOLERANCE, rtol=0)


@pytest.mark.parametrize(("kind", "longest"), [("bert", 20), ("roberta", 18), ("xlm-roberta", 18)])
def test_positions_up_to_the_last(
    kind: str, longest: int, make_encoder: Any, weights_of: Any, make_part: Any, hidden_states: Any
) -> None:
    """RoBERTa reserves the first two of 20 positions for padding."""
    module, part = make_encoder(kind), make_part([longest, 1])
    with torch.no_grad():
        ours = BertBackbone(module.config).encode(assemble([part]), weights_of(module))[0]
    torch.testing.assert_close(ours, hidden_states(module, part), atol=TOLERANCE, rtol=0)


def test_only_scored_sub_tokens_come_back(make_encoder: Any, weights_of: Any, make_part: Any, hidden_states: Any) -> None:
    module, part = make_encoder("bert"), make_part([7, 4, 9], every=False)
    ours = BertBackbone(module.config).encode(assemble([part]), weights_of(module))[0]
    assert 0 < len(ours) < 20
    torch.testing.assert_close(ours, hidden_states(module, part), atol=TOLERANCE, rtol=0)


@pytest.mark.parametrize("kind", KINDS)
def test_gradients_equal_transformers(
    kind: str, make_encoder: Any, weights_of: Any, make_part: Any, hidden_states: Any
) -> None:
    module, part = make_encoder(kind), make_part([5, 3])
    weights = {name: tensor.clone().requires_grad_() for name, tensor in weights_of(module).items()}
    target = torch.randn(8, 16)
    (BertBackbone(module.config).encode(assemble([part]), weights)[0] * target).sum().backward()
    (hidden_states(module, part) * target).sum().backward()
    compared = 0
    for name, parameter in module.named_parameters():
        if name in weights:
            torch.testing.assert_close(
                weights[name].grad, parameter.grad, atol=2e-4, rtol=1e-4, msg=lambda text, n=name: f"{n}: {text}"
            )
            compared += 1
    assert compared == len(weights) > 30


def random_factors(backbone: BertBackbone, seed: int, rank: int = 3) -> dict[str, torch.Tensor]:
    stream = torch.Generator().manual_seed(seed)
    return {
        name: 0.3 * torch.randn(shape, generator=stream)
        for name, shape in lora.shapes(backbone.linears, ["all-linear"], rank).items()
    }


@pytest.mark.parametrize("kind", KINDS)
def test_a_population_equals_its_members(kind: str, make_encoder: Any, weights_of: Any, make_part: Any) -> None:
    """Learners differ in factors, scale, number and length of utterances, so each has another kind of padding."""
    module = make_encoder(kind)
    backbone, weights = BertBackbone(module.config), weights_of(module)
    parts = [make_part([3, 9, 2], 1), make_part([4] * 6, 2, every=False), make_part([1], 3)]
    factors = [random_factors(backbone, seed) for seed in range(3)]
    scales = torch.tensor([1.0, 0.5, 2.0])
    together = lora.stacked({name: torch.stack([each[name] for each in factors]) for name in factors[0]}, scales)
    with torch.no_grad():
        population = backbone.encode(assemble(parts), weights, together)
        for member, part in enumerate(parts):
            own = lora.stacked(
                {name: tensor.unsqueeze(0) for name, tensor in factors[member].items()}, scales[member : member + 1]
            )
            alone = backbone.encode(assemble([part]), weights, own)[0]
            plain = backbone.encode(assemble([part]), weights)[0]
            torch.testing.assert_close(population[member, : len(alone)], alone, atol=TOLERANCE, rtol=0)
            assert (alone - plain).abs().max() > 0.1, "the adapter must matter"


def test_a_learner_without_utterances_beside_it_stays_finite(make_encoder: Any, weights_of: Any, make_part: Any) -> None:
    """Rows of only padding have nothing to attend to: they must give no NaN, forwards or backwards."""
    module = make_encoder("bert")
    backbone = BertBackbone(module.config)
    factors = {name: torch.stack([tensor, tensor]).requires_grad_() for name, tensor in random_factors(backbone, 0).items()}
    batch = assemble([make_part([5, 5, 5, 5]), make_part([2], 1)])
    hidden = backbone.encode(batch, weights_of(module), lora.stacked(factors, torch.ones(2)))
    hidden[batch.labels_MW >= 0].sum().backward()
    assert all(torch.isfinite(tensor.grad).all() for tensor in factors.values() if tensor.grad is not None)
    assert all(tensor.grad is not None for tensor in factors.values())


def test_gradients_of_one_learner_do_not_depend_on_another(make_encoder: Any, weights_of: Any, make_part: Any) -> None:
    module = make_encoder("xlm-roberta")
    backbone = BertBackbone(module.config)
    values = random_factors(backbone, 0)

    def gradient_of_first(second: Any) -> torch.Tensor:
        factors = {name: torch.stack([tensor, -tensor]).requires_grad_() for name, tensor in values.items()}
        batch = assemble([make_part([4, 2]), second])
        backbone.encode(batch, weights_of(module), lora.stacked(factors, torch.ones(2))).sum(-1).square().sum().backward()
        return torch.cat([tensor.grad[0].flatten() for tensor in factors.values() if tensor.grad is not None])

    torch.testing.assert_close(
        gradient_of_first(make_part([4, 2], 5)), gradient_of_first(make_part([3, 1], 6)), atol=1e-4, rtol=1e-4
    )


@pytest.mark.parametrize("lengths", LENGTHS.values(), ids=LENGTHS)
def test_attention_that_can_drop_equals_the_fused_one(
    lengths: tuple[int, ...], make_encoder: Any, weights_of: Any, make_part: Any
) -> None:
    """A probability that rounds to 0 uses the path with dropout but drops nothing; exactly 0 uses the fused path."""
    module, batch = make_encoder("bert"), assemble([make_part(lengths)])
    backbone, weights = BertBackbone(module.config), weights_of(module)
    none = backbone.encode(batch, weights)
    for probability in (0.0, 1e-9):
        dropout = Dropout([MaskStream(0)], batch.extents, attention=probability)
        torch.testing.assert_close(backbone.encode(batch, weights, None, dropout), none, atol=TOLERANCE, rtol=0)
    dropped = backbone.encode(batch, weights, None, Dropout([MaskStream(0)], batch.extents, attention=0.5))
    assert (dropped - none).abs().max() > 0.1


@pytest.mark.parametrize("with_adapter", [False, True])
def test_bfloat16_is_float32_to_its_precision(with_adapter: bool, make_encoder: Any, weights_of: Any, make_part: Any) -> None:
    """Hidden states and gradients agree within a few roundings of 8 bits, and are float32."""
    module, batch = make_encoder("bert"), assemble([make_part([5, 3])])
    found = []
    for precision in ("float32", "bfloat16"):
        backbone = BertBackbone(module.config, precision)
        weights, adapter = backbone.rounded(weights_of(module)), None
        word = weights["embeddings.word_embeddings.weight"].requires_grad_()
        trained = [word]
        if with_adapter:
            factors = {name: tensor.unsqueeze(0).requires_grad_() for name, tensor in random_factors(backbone, 0).items()}
            trained, adapter = [word, *factors.values()], lora.stacked(factors, torch.ones(1))
        hidden = backbone.encode(batch, weights, adapter)
        gradients = torch.autograd.grad(hidden.square().sum(), trained)
        assert {each.dtype for each in (hidden, *gradients)} == {torch.float32}
        found.append((hidden.detach(), *gradients))
    for exact, rounded in zip(*found, strict=True):
        assert 0 < (exact - rounded).norm() < 0.05 * exact.norm()


@pytest.mark.parametrize("place", ["hidden", "attention", "adapter"])
def test_each_dropout_acts(place: str, make_encoder: Any, weights_of: Any, make_part: Any) -> None:
    module, batch = make_encoder("bert"), assemble([make_part([5, 3])])
    backbone, weights = BertBackbone(module.config), weights_of(module)
    adapter = lora.stacked({name: tensor.unsqueeze(0) for name, tensor in random_factors(backbone, 0).items()}, torch.ones(1))

    def encode(seed: int) -> torch.Tensor:
        chances = {"hidden": 0.0, "attention": 0.0, "adapter": 0.0, place: 0.5}
        return backbone.encode(batch, weights, adapter, Dropout([MaskStream(seed)], batch.extents, **chances))

    assert torch.equal(encode(0), encode(0))
    assert (encode(0) - encode(1)).abs().max() > 0.01


def test_what_it_supports() -> None:
    assert all(
        supports(config()) for config in (transformers.BertConfig, transformers.RobertaConfig, transformers.XLMRobertaConfig)
    )
    refused = [
        transformers.BertConfig(hidden_act="gelu_new"),
        transformers.BertConfig(is_decoder=True),
        transformers.DebertaV2Config(),
        transformers.ElectraConfig(),
        transformers.CamembertConfig(),
    ]
    assert not any(supports(config) for config in refused)


def test_linears_are_those_of_the_module(make_encoder: Any) -> None:
    module = make_encoder("bert")
    found = {
        name: (layer.out_features, layer.in_features)
        for name, layer in module.named_modules()
        if isinstance(layer, torch.nn.Linear) and not name.startswith("pooler")
    }
    assert BertBackbone(module.config).linears == found
    assert len(found) == 12

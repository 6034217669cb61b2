"""LoRA's arithmetic, new factors and files, compared with PEFT."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from torch import Tensor

from attrition.encoder import lora
from attrition.encoder.batch import assemble
from attrition.encoder.bert import BertBackbone
from attrition.names import AttritionError

peft = pytest.importorskip("peft")
pytestmark = pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")  # peft asks transformers for it

RANK, ALPHA, CLASSES = 3, 6.0, 5
KINDS = ("bert", "roberta", "xlm-roberta")
TOLERANCE = 2e-5


def random_factors(linears: Any, seed: int = 0) -> dict[str, Tensor]:
    stream = torch.Generator().manual_seed(seed)
    return {n: 0.3 * torch.randn(shape, generator=stream) for n, shape in lora.shapes(linears, ["all-linear"], RANK).items()}


def adapter_of(factors: dict[str, Tensor], scale: float = ALPHA / RANK) -> lora.Adapter:
    return lora.stacked({name: tensor.unsqueeze(0) for name, tensor in factors.items()}, torch.tensor([scale]))


def as_task_model(module: Any) -> Any:
    """Return a token classification model around the encoder, with random numbers in its head."""
    module.config.num_labels = CLASSES
    task = transformers.AutoModelForTokenClassification.from_config(module.config)
    encoder = getattr(task, lora.encoder_attribute(module.config))
    encoder.load_state_dict({k: v for k, v in module.state_dict().items() if not k.startswith("pooler.")})
    with torch.no_grad():
        task.classifier.weight.normal_()
        task.classifier.bias.normal_()
    return task.eval()


@pytest.mark.parametrize("kind", KINDS)
def test_forward_equals_peft_on_the_same_factors(kind: str, make_encoder: Any, weights_of: Any, make_part: Any) -> None:
    module = make_encoder(kind)
    weights, part = weights_of(module), make_part([6, 6])
    backbone = BertBackbone(module.config)
    factors = random_factors(backbone.linears)
    names = ["query", "key", "value", "attention.output.dense", "intermediate.dense", "output.dense"]
    config = peft.LoraConfig(task_type="TOKEN_CLS", r=RANK, lora_alpha=ALPHA, target_modules=names)
    theirs = peft.get_peft_model(as_task_model(module), config).eval()
    prefix = f"base_model.model.{lora.encoder_attribute(module.config)}."
    filled = 0
    with torch.no_grad():
        for name, parameter in theirs.named_parameters():
            if ".lora_" in name:
                parameter.copy_(factors[name.removeprefix(prefix).removesuffix(".default.weight")])
                filled += 1
        head = theirs.base_model.model.classifier.modules_to_save["default"]
        expected = theirs(input_ids=torch.from_numpy(part.ids).view(2, 6)).logits.flatten(0, 1)
        ours = head(backbone.encode(assemble([part]), weights, adapter_of(factors))[0])
    assert filled == len(factors) == 24
    torch.testing.assert_close(ours, expected, atol=TOLERANCE, rtol=1e-5)


def test_delta_by_hand() -> None:
    """Two learners, rank 1: (alpha / r) B (A x) with A = [1 2], B = [3 4]', x = [5 6]': A x = 17, B A x = [51 68]."""
    tensors = {
        "q.lora_A": torch.tensor([[[1.0, 2.0]], [[0.0, 1.0]]]),
        "q.lora_B": torch.tensor([[[3.0], [4.0]], [[1.0], [-1.0]]]),
    }
    adapter = lora.stacked(tensors, torch.tensor([2.0, 0.5]))
    delta = adapter.delta("q", torch.tensor([[[5.0, 6.0]], [[5.0, 6.0]]]))
    assert delta.tolist() == [[[102.0, 136.0]], [[3.0, -3.0]]]


@pytest.mark.parametrize("kind", KINDS)
def test_merged_weights_equal_factors_beside_them(kind: str, make_encoder: Any, weights_of: Any, make_part: Any) -> None:
    module, batch = make_encoder(kind), assemble([make_part([6, 3])])
    weights = weights_of(module)
    before = {name: tensor.clone() for name, tensor in weights.items()}
    backbone = BertBackbone(module.config)
    factors = random_factors(backbone.linears)
    beside = backbone.encode(batch, weights, adapter_of(factors))
    inside = backbone.encode(batch, lora.merged(weights, factors, ALPHA / RANK))
    torch.testing.assert_close(inside, beside, atol=TOLERANCE, rtol=1e-5)
    assert (inside - backbone.encode(batch, weights)).abs().max() > 0.1
    assert all(torch.equal(weights[name], before[name]) for name in before), "the base is frozen"


def test_fresh_factors_are_distributed_as_pefts() -> None:
    """PEFT: Kaiming-uniform with a = sqrt(5), that is uniform in +-1 / sqrt(in); B zero."""
    width, rank = 400, 200
    layer = torch.nn.Sequential(torch.nn.Linear(width, 30))
    torch.manual_seed(0)
    theirs = peft.get_peft_model(layer, peft.LoraConfig(r=rank, target_modules=["0"])).base_model.model[0]
    fresh = lora.initial({"q.lora_A": (rank, width), "q.lora_B": (30, rank)}, torch.Generator().manual_seed(0))
    a_theirs, a_ours = theirs.lora_A["default"].weight.detach(), fresh["q.lora_A"]
    bound = 1 / width**0.5
    for values in (a_theirs, a_ours):
        assert 0.999 * bound < values.abs().max() <= bound
        assert float(values.std()) == pytest.approx(bound / 3**0.5, rel=0.01)
        assert abs(float(values.mean())) < 5 * bound / 3**0.5 / (rank * width) ** 0.5
    assert not fresh["q.lora_B"].any()
    assert not theirs.lora_B["default"].weight.any()


def test_a_fresh_adapter_changes_nothing(make_encoder: Any, weights_of: Any, make_part: Any) -> None:
    module, batch = make_encoder("bert"), assemble([make_part([6, 3])])
    backbone = BertBackbone(module.config)
    fresh = lora.initial(lora.shapes(backbone.linears, ["all-linear"], RANK), torch.Generator().manual_seed(0))
    plain = backbone.encode(batch, weights_of(module))
    assert torch.equal(backbone.encode(batch, weights_of(module), adapter_of(fresh)), plain)


@pytest.mark.parametrize("targets", [["query"], ["query", "value"], ["dense"], ["attention.output.dense"], ["output.dense"]])
def test_targets_are_matched_as_in_peft(targets: list[str], make_encoder: Any) -> None:
    module = make_encoder("bert")
    ours = lora.match_targets(targets, BertBackbone(module.config).linears)
    theirs = peft.get_peft_model(module, peft.LoraConfig(r=2, target_modules=targets, exclude_modules=["pooler.dense"]))
    wrapped = [name for name, layer in theirs.base_model.model.named_modules() if hasattr(layer, "lora_A")]
    assert sorted(ours) == sorted(wrapped)
    assert ours


def test_all_linear_is_every_layer(make_encoder: Any) -> None:
    linears = BertBackbone(make_encoder("bert").config).linears
    assert lora.match_targets(["all-linear"], linears) == list(linears)


@pytest.mark.parametrize(("target", "guess"), [("qurey", "query"), ("all_linear", "all-linear"), ("ense", "dense")])
def test_an_unknown_target(target: str, guess: str, make_encoder: Any) -> None:
    with pytest.raises(AttritionError) as caught:
        lora.match_targets(["query", target], BertBackbone(make_encoder("bert").config).linears)
    assert f"Unknown LoRA target {target!r}. Did you mean {guess!r}? Known: all-linear, dense, key, query, value." == str(
        caught.value
    )


@pytest.mark.parametrize("kind", [*KINDS, "electra", "deberta-v2", "camembert"])
def test_a_saved_adapter_loads_in_peft(kind: str, tmp_path: Path, make_encoder: Any, weights_of: Any, make_part: Any) -> None:
    """Over the token classification model, whatever the encoder's name in the architecture."""
    from attrition.encoder.wrapped import WrappedBackbone

    module = make_encoder(kind)
    weights, part = weights_of(module), make_part([6, 6])
    backbone = BertBackbone(module.config) if kind in KINDS else WrappedBackbone(module)
    factors = random_factors(backbone.linears)
    head = torch.randn(CLASSES, 16), torch.randn(CLASSES)
    # A name that contradicts the architecture.
    lora.save_peft(
        tmp_path, factors, rank=RANK, alpha=ALPHA, dropout=0.1, base="my/roberta-bert", config=module.config, head=head
    )
    with torch.no_grad():
        ours = backbone.encode(assemble([part]), weights, adapter_of(factors))[0] @ head[0].T + head[1]
        loaded = peft.PeftModel.from_pretrained(as_task_model(make_encoder(kind)), str(tmp_path)).eval()
        expected = loaded(input_ids=torch.from_numpy(part.ids).view(2, 6)).logits.flatten(0, 1)
    torch.testing.assert_close(ours, expected, atol=5e-5, rtol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_a_saved_adapter_loads_over_the_bare_encoder(
    kind: str, tmp_path: Path, make_encoder: Any, weights_of: Any, make_part: Any, hidden_states: Any
) -> None:
    module, part = make_encoder(kind), make_part([6, 3])
    backbone = BertBackbone(module.config)
    factors = random_factors(backbone.linears)
    lora.save_peft(tmp_path, factors, rank=RANK, alpha=ALPHA, dropout=0.1, base="b", config=module.config)
    ours = backbone.encode(assemble([part]), weights_of(module), adapter_of(factors))[0]
    loaded = peft.PeftModel.from_pretrained(module, str(tmp_path)).eval()
    torch.testing.assert_close(ours, hidden_states(loaded, part), atol=TOLERANCE, rtol=1e-5)


def test_what_the_saved_configuration_says(tmp_path: Path, make_encoder: Any) -> None:
    module = make_encoder("bert")
    factors = random_factors({"encoder.layer.0.output.dense": (16, 24)})
    # Rows of a population's matrix are views: they must be written as separate tensors.
    views = {name: tensor.expand(2, *tensor.shape)[1] for name, tensor in factors.items()}
    lora.save_peft(
        tmp_path / "new" / "folder", views, rank=RANK, alpha=ALPHA, dropout=0.2, base="some/base", config=module.config
    )
    said = json.loads((tmp_path / "new" / "folder" / "adapter_config.json").read_text(encoding="utf-8"))
    assert (said["r"], said["lora_alpha"], said["lora_dropout"]) == (RANK, ALPHA, 0.2)
    assert said["target_modules"] == ["encoder.layer.0.output.dense"]
    assert said["base_model_name_or_path"] == "some/base"
    read = peft.PeftConfig.from_pretrained(str(tmp_path / "new" / "folder"))
    assert read.peft_type == "LORA"


def test_what_cannot_be_saved(tmp_path: Path, make_encoder: Any) -> None:
    with pytest.raises(AttritionError, match="no LoRA factors to save"):
        lora.save_peft(tmp_path, {}, rank=1, alpha=1, dropout=0, base="b", config=make_encoder("bert").config)
    with pytest.raises(AttritionError, match="no token classification model for the architecture 'vit'"):
        lora.encoder_attribute(transformers.ViTConfig())

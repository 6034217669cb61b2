"""Parameter counts compared with transformers, PEFT and the paper's Table 1."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers

from attrition.encoder.params import (
    EncoderConfig,
    account,
    config_from,
    linear_modules,
    load_config,
    paper_table1_parameters,
    shipped_configs,
    targeted,
)
from attrition.names import AttritionError

XLMR = load_config("xlm-roberta-base")
CONFIGS = sorted({config.name: config for config in shipped_configs().values()}.items())
TINY = dataclasses.replace(
    XLMR, name="tiny", vocab_size=50, hidden_size=8, num_hidden_layers=2, num_attention_heads=2, intermediate_size=12
)


def in_transformers(config: EncoderConfig, **more: Any) -> Any:
    values = dataclasses.asdict(config)
    del values["name"]
    return transformers.AutoConfig.for_model(values.pop("model_type"), **values, **more)


def count(model: Any, *, trainable: bool = False) -> int:
    return sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad or not trainable)


@pytest.mark.parametrize(("name", "config"), CONFIGS, ids=[name for name, _ in CONFIGS])
def test_the_count_is_that_of_transformers(name: str, config: EncoderConfig) -> None:
    assert name == config.name
    with torch.device("meta"):
        model = transformers.AutoModel.from_config(in_transformers(config))
    assert account(config).trainable == account(config).stored == count(model)
    linear = {path: module for path, module in model.named_modules() if isinstance(module, torch.nn.Linear)}
    assert [(module.name, module.inputs, module.outputs) for module in linear_modules(config)] == [
        (path, module.in_features, module.out_features) for path, module in linear.items()
    ]


@pytest.mark.parametrize("name", ["xlm-roberta-base", "intfloat/multilingual-e5-small"])
def test_the_head_and_the_missing_pooler_are_those_of_transformers(name: str) -> None:
    config = load_config(name)
    with torch.device("meta"):
        model = transformers.AutoModelForTokenClassification.from_config(in_transformers(config, num_labels=111))
    assert account(config, count_pooler=False, head_classes=111).trainable == count(model)


@pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing. is deprecated:FutureWarning")  # PEFT 0.21 in transformers 5
@pytest.mark.parametrize("targets", [("query", "key", "value", "dense"), ("query", "value"), ("attention.output.dense",)])
def test_lora_adds_what_peft_adds(targets: tuple[str, ...]) -> None:
    peft = pytest.importorskip("peft", reason="peft is not installed")
    model = transformers.AutoModel.from_config(in_transformers(TINY))
    adapted = peft.get_peft_model(model, peft.LoraConfig(r=3, target_modules=list(targets)))
    ours = account(TINY, "lora", 3, targets)
    assert ours.trainable == count(adapted, trainable=True)
    assert ours.stored == count(adapted)


def test_the_account_of_a_tiny_encoder_by_hand() -> None:
    config = dataclasses.replace(TINY, num_hidden_layers=1, hidden_size=2, intermediate_size=3, vocab_size=5)
    config = dataclasses.replace(config, max_position_embeddings=4, type_vocab_size=1)
    parts = {component.name: component.stored for component in account(config, head_classes=7).components}
    assert parts == {
        "embeddings.words": 10,
        "embeddings.positions": 8,
        "embeddings.types": 2,
        "embeddings.norm": 4,
        "layers.attention": 4 * 6,
        "layers.feed_forward": (6 + 3) + (6 + 2),
        "layers.norms": 8,
        "pooler": 6,
        "head": 21,
    }
    # LoRA of rank 1: four of 2 + 2, two of 2 + 3, the pooler 2 + 2.
    assert account(config, "lora", 1).trainable == 30
    assert account(config, "lora", 1, count_pooler=False).trainable == 26


def test_learners_multiply_what_each_has_of_its_own() -> None:
    one, many = account(XLMR, "lora", 8, head_classes=111), account(XLMR, "lora", 8, head_classes=111, num_learners=52)
    assert many.trainable == 52 * one.trainable
    assert many.stored == one.stored + 51 * one.trainable, "the frozen base is kept once"
    full = account(XLMR, num_learners=52)
    assert full.trainable == full.stored == 52 * 278_043_648


def test_xlmr_base_has_the_papers_numbers() -> None:
    assert account(XLMR).trainable == 278_043_648
    assert [account(XLMR, "lora", rank).trainable for rank in (1, 32, 64, 256)] == [
        167_424, 5_357_568, 10_715_136, 42_860_544
    ]  # fmt: skip


def test_table_1_to_the_printed_digit() -> None:
    printed = {
        ("MULTI", None): 278.04,
        ("MULTI LoRA", 32): 5.36,
        ("MULTI LoRA", 64): 10.72,
        ("MULTI LoRA", 256): 42.86,
        ("MONO", None): 14458.27,
        ("VANILLA", None): 278.04,
        ("SHARED LoRA", 32): 5.36,
        ("SHARED LoRA", 64): 10.72,
        ("SHARED LoRA", 256): 42.86,
        ("NON-SHARED LoRA", 32): 278.04,
        ("NON-SHARED LoRA", 64): 557.19,
        ("NON-SHARED LoRA", 256): 2228.75,
    }
    rows = paper_table1_parameters()
    assert [(row.method, row.rank) for row in rows] == list(printed)
    differing = {(row.method, row.rank): row.millions for row in rows if row.millions != printed[row.method, row.rank]}
    assert differing == {("NON-SHARED LoRA", 32): 278.59}
    assert [(row.method, row.rank) for row in rows if row.note] == list(differing)
    assert "278.04" in next(row.note for row in rows if row.note)


def test_table_1_of_another_encoder_has_no_note_on_the_paper() -> None:
    rows = paper_table1_parameters(load_config("embedded:e5-small"), num_languages=8)
    assert not any(row.note for row in rows)
    assert rows[0].account.trainable == 117_653_760
    assert paper_table1_parameters(XLMR) == paper_table1_parameters()


def test_a_configuration_is_found_by_name_folder_and_file(tmp_path: Path) -> None:
    in_transformers(XLMR).save_pretrained(tmp_path)
    for given in (tmp_path, tmp_path / "config.json", f"hub:{tmp_path}"):
        assert dataclasses.replace(load_config(given), name=XLMR.name) == XLMR
    assert load_config("FacebookAI/xlm-roberta-base") is load_config("hub:xlm-roberta-base") is XLMR
    assert load_config("embedded:e5-small").name == "intfloat/multilingual-e5-small"


def test_what_a_configuration_leaves_out_is_what_transformers_assumes() -> None:
    values = dataclasses.asdict(load_config("bert-base-multilingual-cased"))
    for name in ("pad_token_id", "layer_norm_eps", "hidden_act", "hidden_dropout_prob", "attention_probs_dropout_prob"):
        theirs = getattr(transformers.AutoConfig.for_model("bert"), name)
        assert getattr(config_from({key: value for key, value in values.items() if key != name}, name="x"), name) == theirs


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model_type": "gpt2"}, r"model_type is 'gpt2', but parameters are counted only for bert, "),
        ({"model_type": None}, r"model_type is None"),
        ({"hidden_size": None}, r"hidden_size is missing"),
        ({"hidden_size": "768"}, r"hidden_size is '768', but it must be a whole number above 0"),
        ({"vocab_size": 0}, r"vocab_size is 0"),
        ({"num_hidden_layers": True}, r"num_hidden_layers is True"),
        ({"hidden_dropout_prob": "x"}, r"hidden_dropout_prob is 'x', but it must be of type float"),
    ],
)
def test_a_faulty_configuration_is_a_sentence(tmp_path: Path, change: dict[str, object], message: str) -> None:
    file = tmp_path / "config.json"
    file.write_text(json.dumps(dataclasses.asdict(XLMR) | change), encoding="utf-8")
    with pytest.raises(AttritionError, match=message):
        load_config(file)


def test_what_is_no_configuration_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(
        AttritionError, match=r"Unknown model 'xlm-roberta-bas'\. Did you mean 'xlm-roberta-base'\?.*local folder"
    ):
        load_config("xlm-roberta-bas")
    with pytest.raises(AttritionError, match=r"holds no config\.json"):
        load_config(tmp_path)
    (tmp_path / "config.json").write_text("{", encoding="utf-8")
    with pytest.raises(AttritionError, match="cannot be read as JSON"):
        load_config(tmp_path)
    (tmp_path / "config.json").write_text("[]", encoding="utf-8")
    with pytest.raises(AttritionError, match="holds no JSON object"):
        load_config(tmp_path)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"trains": "lora"}, "LoRA needs a rank"),
        ({"rank": 4}, "full fine-tuning takes none"),
        ({"trains": "lora", "rank": 0}, "rank is 0, but it must be at least 1"),
        ({"num_learners": 0}, "num_learners is 0"),
        ({"head_classes": 0}, "head_classes is 0"),
        ({"trains": "Lora", "rank": 1}, "Unknown way to train 'Lora'. Did you mean 'lora'?"),
        (
            {"trains": "lora", "rank": 1, "targets": ("queri",)},
            r"LoRA target 'queri' names no linear module\. Did you mean 'query'\?",
        ),
    ],
)
def test_faulty_arguments_are_sentences(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(AttritionError, match=message):
        account(XLMR, **arguments)


def test_targets_match_as_in_peft() -> None:
    modules = linear_modules(TINY)
    assert [module.name for module in targeted(modules, ["pooler.dense"])] == ["pooler.dense"]
    assert targeted(modules, ("query", "key", "value", "dense")) == modules
    # "output.dense" is the end of two names in each layer.
    assert len(targeted(modules, ["output.dense"])) == 4


def test_counting_loads_no_torch() -> None:
    code = "import sys; from attrition.encoder.params import *; paper_table1_parameters(); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0

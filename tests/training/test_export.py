"""Exported learners, loaded by the libraries that they are made for."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from torch import Tensor
from torch.nn import functional

from attrition.corpus.encoded import Encoded
from attrition.encoder.batch import assemble
from attrition.encoder.hub import quiet_transformers
from attrition.encoder.pretrained import WORD_EMBEDDINGS
from attrition.encoder.sources import load_pretrained
from attrition.encoder.tiny import byte_tokenizer
from attrition.encoder.vocabulary import used_vocabulary, whole_vocabulary
from attrition.export.formats import export_model, whole_table
from attrition.methods import Full, LoRA, Trains
from attrition.names import AttritionError
from attrition.training.batches import part
from attrition.training.clock import Clock
from attrition.training.model import Model, build_model
from attrition.training.settings import TrainingSettings
from attrition.training.train import Task, train_population

KINDS = ("bert", "xlm-roberta")


def cut(model: Model, encoded: Encoded) -> tuple[Model, Encoded]:
    """Return the model with only the sub-tokens of these utterances, and the utterances with its ids."""
    vocabulary = used_vocabulary([encoded.ids], special=[0, 1, 2, 3], full_size=model.pretrained.vocabulary_size)
    compact = dataclasses.replace(encoded, ids=vocabulary.compact(encoded.ids).astype(np.int32))
    return build_model(model.pretrained, vocabulary, model.labels), compact


def moved(model: Model, trains: Trains) -> Tensor:
    flat = model.start(trains, 0)
    return flat + 0.3 * torch.randn(flat.shape, generator=torch.Generator().manual_seed(0))


def our_logits(model: Model, trains: Trains, flat: Tensor, encoded: Encoded) -> Tensor:
    weights = model.weights(trains, flat)
    hidden = model.backbone.encode(assemble([part(encoded, np.arange(len(encoded)))]), weights.encoder)[0]
    return functional.linear(hidden, weights.head_weight, weights.head_bias)


def their_logits(module: Any, encoded: Encoded) -> Tensor:
    """Return the logits of each utterance at the scored sub-tokens."""
    found = []
    with torch.no_grad():
        for row in range(len(encoded)):
            piece = slice(encoded.offsets[row], encoded.offsets[row + 1])
            logits = module.eval()(input_ids=torch.from_numpy(encoded.ids[piece].astype(np.int64))[None]).logits[0]
            found.append(logits[torch.from_numpy(encoded.labels[piece] >= 0)])
    return torch.cat(found)


@pytest.mark.parametrize("kind", KINDS)
def test_a_full_learner_becomes_a_whole_checkpoint(kind: str, tmp_path: Path, make_model: Any, make_encoded: Any) -> None:
    encoded = make_encoded(6)
    model, compact = cut(make_model(kind), encoded)
    flat = moved(model, Full())
    state = torch.get_rng_state()
    export_model(tmp_path / "new" / "folder", model, Full(), flat)
    assert torch.equal(torch.get_rng_state(), state), "the global stream must not move"
    folder = tmp_path / "new" / "folder"
    with quiet_transformers():
        loaded = transformers.AutoModelForTokenClassification.from_pretrained(folder)
    torch.testing.assert_close(their_logits(loaded, encoded), our_logits(model, Full(), flat, compact), atol=2e-5, rtol=1e-5)
    assert loaded.config.id2label == dict(enumerate(model.labels))
    assert loaded.config.label2id == {label: index for index, label in enumerate(model.labels)}
    table = loaded.get_input_embeddings().weight.detach()
    pretrained = model.pretrained.rows(np.arange(model.pretrained.vocabulary_size))
    dropped = np.setdiff1d(np.arange(len(table)), model.vocabulary.kept)
    assert len(dropped) > 100
    assert torch.equal(table[dropped], pretrained[dropped])
    assert not torch.equal(table[model.vocabulary.kept], pretrained[model.vocabulary.kept])


@pytest.mark.parametrize("kind", KINDS)
def test_an_exported_checkpoint_is_a_model_for_us_too(kind: str, tmp_path: Path, make_model: Any, make_encoded: Any) -> None:
    """It has its encoder, its tokeniser, and its trained weights, not the initial weights."""
    model, _ = cut(make_model(kind), make_encoded(6))
    flat = moved(model, Full())
    export_model(tmp_path, model, Full(), flat)
    again = load_pretrained(f"hub:{tmp_path}")
    tensors = model.layout(Full()).unpack(flat)
    assert all(torch.equal(again.weights[name], tensors[name]) for name in again.weights)
    assert len(again.weights) == len(tensors) - 3
    for text in ("wake me", "日本 é"):
        assert again.tokenizer.encode(text).ids == model.pretrained.tokenizer.encode(text).ids
        assert again.tokenizer.encode(text).offsets == model.pretrained.tokenizer.encode(text).offsets


@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")  # peft asks transformers for it
@pytest.mark.parametrize("kind", KINDS)
def test_a_lora_learner_becomes_an_adapter_over_its_base(kind: str, tmp_path: Path, make_model: Any, make_encoded: Any) -> None:
    """The base is saved to its own folder and read as 'hub:' from there; the adapter finds it by its name."""
    peft = pytest.importorskip("peft")
    tiny, encoded = make_model(kind), make_encoded(6)
    module = transformers.AutoModel.from_config(tiny.pretrained.config)
    module.load_state_dict(dict(tiny.base), strict=False)
    base = tmp_path / "base"
    with quiet_transformers():
        module.save_pretrained(base)
    byte_tokenizer().save(str(base / "tokenizer.json"))
    pretrained = load_pretrained(f"hub:{base}")
    model, compact = cut(dataclasses.replace(tiny, pretrained=pretrained), encoded)
    trains = LoRA(rank=4, alpha=8)
    flat = moved(model, trains)
    export_model(tmp_path / "adapter", model, trains, flat)
    said = json.loads((tmp_path / "adapter" / "adapter_config.json").read_text(encoding="utf-8"))
    assert (said["base_model_name_or_path"], said["r"], said["lora_alpha"]) == (str(base), 4, 8)
    assert json.loads((tmp_path / "adapter" / "labels.json").read_text(encoding="utf-8")) == list(model.labels)
    with quiet_transformers():
        task = transformers.AutoModelForTokenClassification.from_pretrained(base, num_labels=len(model.labels))
    loaded = peft.PeftModel.from_pretrained(task, str(tmp_path / "adapter"))
    torch.testing.assert_close(their_logits(loaded, encoded), our_logits(model, trains, flat, compact), atol=5e-5, rtol=1e-5)
    assert not (tmp_path / "adapter" / "model.safetensors").exists()


def test_the_adapter_of_an_embedded_encoder_names_it_on_the_hub(tmp_path: Path, make_model: Any) -> None:
    model = make_model()
    named = dataclasses.replace(model, pretrained=dataclasses.replace(model.pretrained, name="embedded:e5-small"))
    export_model(tmp_path, named, LoRA(rank=2), named.start(LoRA(rank=2), 0))
    said = json.loads((tmp_path / "adapter_config.json").read_text(encoding="utf-8"))
    assert said["base_model_name_or_path"] == "intfloat/multilingual-e5-small"


def test_dropped_rows_decay_in_closed_form(make_model: Any, make_encoded: Any) -> None:
    """Train once with the whole vocabulary and once with a reduced one. The tables are equal after the dropped rows are
    multiplied by the product of 1 - lr_t * weight_decay."""
    whole, encoded = make_model(), make_encoded(20)
    model, compact = cut(whole, encoded)
    settings = TrainingSettings(epochs=3, batch_size=8, learning_rate=1e-2, weight_decay=0.5, dropout=0.0, keep="last")

    def train(of: Model, utterances: Encoded) -> Tensor:
        none = utterances.select(np.zeros(0, np.int64))
        task = Task("a", Full(), lambda: of.start(Full(), 0), utterances, none, settings, ("a",))
        return next(iter(train_population([task], of, Clock()))).flat

    expected = whole.layout(Full()).unpack(train(whole, encoded))[WORD_EMBEDDINGS]
    kept = model.layout(Full()).unpack(train(model, compact))[WORD_EMBEDDINGS]
    total = 3 * 3
    decay = float(np.prod([1 - settings.learning_rate * settings.rate(step, total) * 0.5 for step in range(total)]))
    assert decay < 0.99
    torch.testing.assert_close(whole_table(model, kept, decay), expected, atol=1e-6, rtol=1e-6)
    assert (whole_table(model, kept) - expected).abs().max() > 1e-4


def test_decay_reaches_the_file(tmp_path: Path, make_model: Any, make_encoded: Any) -> None:
    model, _ = cut(make_model(), make_encoded(6))
    export_model(tmp_path, model, Full(), model.start(Full(), 0), decay=0.5)
    rows = load_pretrained(f"hub:{tmp_path}").rows(np.arange(model.pretrained.vocabulary_size))
    before = model.pretrained.rows(np.arange(model.pretrained.vocabulary_size))
    dropped = np.setdiff1d(np.arange(len(rows)), model.vocabulary.kept)
    assert torch.equal(rows[dropped], before[dropped] * 0.5)
    assert torch.equal(rows[model.vocabulary.kept], before[model.vocabulary.kept])


@pytest.mark.parametrize("kind", ["electra", "deberta-v2", "distilbert", "eurobert", "mt5"])
def test_other_architectures_too(kind: str, tmp_path: Path, make_model: Any, make_encoded: Any) -> None:
    tokenizer = byte_tokenizer()
    config = transformers.AutoConfig.for_model(
        kind, vocab_size=tokenizer.get_vocab_size(), hidden_size=16, num_hidden_layers=1, num_attention_heads=2,
        intermediate_size=24, max_position_embeddings=60, pad_token_id=1,
    )  # fmt: skip
    with quiet_transformers():
        transformers.AutoModel.from_config(config).save_pretrained(tmp_path / "base")
    tokenizer.save(str(tmp_path / "base" / "tokenizer.json"))
    pretrained = load_pretrained(f"hub:{tmp_path / 'base'}")
    encoded = make_encoded(6)
    model, compact = cut(dataclasses.replace(make_model(), pretrained=pretrained), encoded)
    flat = moved(model, Full())
    export_model(tmp_path / "out", model, Full(), flat)
    with quiet_transformers():
        loaded = transformers.AutoModelForTokenClassification.from_pretrained(tmp_path / "out")
    torch.testing.assert_close(their_logits(loaded, encoded), our_logits(model, Full(), flat, compact), atol=5e-5, rtol=1e-5)


@pytest.mark.parametrize("trains", [Full(), LoRA(rank=2)], ids=["full", "lora"])
def test_a_head_of_two_layers_is_not_exported(trains: Trains, tmp_path: Path, make_model: Any) -> None:
    tokenizer = byte_tokenizer()
    config = transformers.ModernBertConfig(
        vocab_size=tokenizer.get_vocab_size(), hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=24,
        pad_token_id=1, bos_token_id=0, eos_token_id=2, cls_token_id=0, sep_token_id=2,
    )  # fmt: skip
    with quiet_transformers():
        transformers.AutoModel.from_config(config).save_pretrained(tmp_path / "base")
    tokenizer.save(str(tmp_path / "base" / "tokenizer.json"))
    pretrained = load_pretrained(f"hub:{tmp_path / 'base'}")
    model, small = make_model(), whole_vocabulary(pretrained.vocabulary_size)
    model = build_model(pretrained, small, model.labels)
    with pytest.raises(AttritionError, match=r"cannot be exported.*head\.dense"):
        export_model(tmp_path / "out", model, trains, model.start(trains, 0))


def test_an_architecture_whose_head_is_another(tmp_path: Path, make_model: Any) -> None:
    """BigBird-like heads have their own layers; here a base without one tensor represents them."""
    model = make_model()
    base = {name: tensor for name, tensor in model.base.items() if name != "embeddings.LayerNorm.bias"}
    odd = dataclasses.replace(model, base=base)
    with pytest.raises(AttritionError, match=r"'tiny:bert' cannot be exported.*embeddings\.LayerNorm\.bias"):
        export_model(tmp_path, odd, Full(), odd.start(Full(), 0))

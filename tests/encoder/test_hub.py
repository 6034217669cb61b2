"""Checkpoints in a local folder, complete and damaged; no network."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import huggingface_hub.constants
import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import PreTrainedTokenizerFast

from attrition.encoder import embedded
from attrition.encoder.batch import Part, assemble
from attrition.encoder.bert import BertBackbone
from attrition.encoder.families import WRAPPED
from attrition.encoder.hub import quiet_transformers
from attrition.encoder.pretrained import WORD_EMBEDDINGS, Pretrained
from attrition.encoder.sources import load_pretrained
from attrition.encoder.tiny import byte_tokenizer
from attrition.encoder.vocabulary import whole_vocabulary
from attrition.encoder.wrapped import WrappedBackbone
from attrition.methods import Full
from attrition.names import AttritionError
from attrition.training.model import build_model

TOKENIZER = byte_tokenizer()


@pytest.fixture(autouse=True)
def _offline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)  # read from the environment only once


@pytest.fixture
def save(tmp_path: Path, make_encoder: Any) -> Callable[..., tuple[Path, Any]]:
    """Return a function that writes a random checkpoint with a tokeniser to a new folder."""

    def checkpoint(kind: str, *, tokenizer: bool = True, folder: str = "model") -> tuple[Path, Any]:
        module = make_encoder(kind, vocab_size=TOKENIZER.get_vocab_size())
        path = tmp_path / folder
        with quiet_transformers():
            module.save_pretrained(path)
            if tokenizer:
                PreTrainedTokenizerFast(tokenizer_object=TOKENIZER, unk_token="<unk>", pad_token="<pad>").save_pretrained(path)
        return path, module

    return checkpoint


def load(path: Path) -> Pretrained:
    return load_pretrained(f"hub:{path}")


def encoded(pretrained: Pretrained, texts: list[str]) -> Part:
    ids = [pretrained.tokenizer.encode(text).ids for text in texts]
    return Part(np.concatenate(ids), np.array([len(each) for each in ids]), np.zeros(sum(map(len, ids)), np.int64))


@pytest.mark.parametrize("kind", ["bert", "xlm-roberta", *WRAPPED])
def test_loads_and_computes_what_transformers_computes(kind: str, save: Any, hidden_states: Any) -> None:
    path, module = save(kind)
    pretrained = load(path)
    model = build_model(pretrained, whole_vocabulary(pretrained.vocabulary_size), ("O",))
    assert isinstance(model.backbone, BertBackbone if kind in ("bert", "xlm-roberta") else WrappedBackbone)
    part = encoded(pretrained, ["hello world", "a"])
    ours = model.backbone.encode(assemble([part]), model.base)[0]
    assert len(ours) > 10
    torch.testing.assert_close(ours, hidden_states(module, part), atol=1e-5, rtol=0)
    assert not any(name.startswith("pooler") for name in pretrained.weights)
    assert model.layout(Full()).size > 1000


@pytest.mark.parametrize("kind", ["deberta-v2", "camembert", "modernbert", "eurobert", "mt5"])
def test_a_cut_vocabulary_changes_nothing_in_other_families(kind: str, save: Any, hidden_states: Any) -> None:
    """CamemBERT counts positions from its padding id, so this id must keep its place."""
    path, module = save(kind)
    pretrained = load(path)
    part = encoded(pretrained, ["hello world", "a"])
    vocabulary = whole_vocabulary(pretrained.vocabulary_size)
    kept = type(vocabulary)(np.unique(np.concatenate([part.ids, [0, 1, 2, 3]])), vocabulary.full_size)
    model = build_model(pretrained, kept, ("O",))
    ours = model.backbone.encode(assemble([part._replace(ids=kept.compact(part.ids))]), model.base)[0]
    torch.testing.assert_close(ours, hidden_states(module, part), atol=1e-5, rtol=0)


def test_a_task_model_loads_as_its_encoder(save: Any) -> None:
    """Keys have the prefix of a task model, and the file has a head that is not used."""
    path, module = save("xlm-roberta")
    weights = {f"roberta.{key}": tensor for key, tensor in load_file(path / "model.safetensors").items()}
    save_file({**weights, "classifier.weight": torch.ones(2, 16)}, path / "model.safetensors", metadata={"format": "pt"})
    pretrained = load(path)
    name = "encoder.layer.0.output.dense.weight"
    assert torch.equal(pretrained.weights[name], dict(module.named_parameters())[name])
    assert "classifier.weight" not in pretrained.weights


def test_a_copy_has_the_same_fingerprint(tmp_path: Path, save: Any) -> None:
    path, _ = save("bert")
    copy = Path(shutil.copytree(path, tmp_path / "elsewhere"))
    assert load(copy).fingerprint == load(path).fingerprint
    weights = load_file(path / "model.safetensors")
    weights["embeddings.LayerNorm.bias"][0] += 1
    changed = Path(shutil.copytree(path, tmp_path / "changed"))
    save_file(weights, changed / "model.safetensors", metadata={"format": "pt"})
    assert load(changed).fingerprint != load(path).fingerprint


def test_the_tokeniser_is_the_one_of_the_file(save: Any) -> None:
    """`AutoTokenizer` rebuilds XLM-R's pre-tokeniser from its class; only the file's own word and character offsets count."""
    path, _ = save("xlm-roberta")
    (path / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "XLMRobertaTokenizer"}), encoding="utf-8")
    ours = load(path).tokenizer
    for text in ("hi é", "日本 x", "  two  blanks "):
        assert ours.encode(text).tokens == TOKENIZER.encode(text).tokens
        assert ours.encode(text).offsets == TOKENIZER.encode(text).offsets
        assert (
            ours.encode(text.split(), is_pretokenized=True).word_ids
            == TOKENIZER.encode(text.split(), is_pretokenized=True).word_ids
        )


def test_padding_and_truncation_of_the_file_are_switched_off(save: Any) -> None:
    path, _ = save("bert")
    tokenizer = byte_tokenizer()
    tokenizer.enable_truncation(3)
    tokenizer.enable_padding(length=30)
    tokenizer.save(str(path / "tokenizer.json"))
    assert len(load(path).tokenizer.encode("abcdef").ids) == 9


def refused(path: Path | str, *parts: str) -> None:
    with pytest.raises(AttritionError) as caught:
        load_pretrained(f"hub:{path}")
    for part in parts:
        assert part in str(caught.value)
    assert "\n" not in str(caught.value)


def test_missing_folder(tmp_path: Path) -> None:
    refused(tmp_path / "nowhere", "there is no such folder", "model.safetensors", "embedded:e5-small")
    refused("./nowhere", "there is no such folder")


def test_a_hub_name_without_network() -> None:
    refused("no-such-owner/no-such-model", "its configuration could not be read", "with network")


@pytest.mark.parametrize("kind", ["bert", "xlm-roberta"])
def test_missing_tokeniser(kind: str, save: Any) -> None:
    """transformers would make an empty tokeniser, in which every word is unknown."""
    path, _ = save(kind, tokenizer=False)
    refused(path, "it has no fast tokeniser (tokenizer.json)")


@pytest.mark.parametrize("text", ["{", '{"version": "1.0"}', ""])
def test_damaged_tokeniser(text: str, save: Any) -> None:
    path, _ = save("bert")
    (path / "tokenizer.json").write_text(text, encoding="utf-8")
    refused(path, "its tokeniser could not be read")


def test_only_pickled_weights(save: Any) -> None:
    path, module = save("bert")
    (path / "model.safetensors").unlink()
    torch.save(module.state_dict(), path / "pytorch_model.bin")
    refused(path, "its weights could not be read", "only safetensors are loaded, never pickled files")


@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.999])
def test_truncated_weights(share: float, save: Any) -> None:
    path, _ = save("bert")
    file = path / "model.safetensors"
    whole = file.read_bytes()
    file.write_bytes(whole[: int(len(whole) * share)])
    refused(path, "model.safetensors is not a whole safetensors file", "Copy it again")


def test_weights_that_lack_a_layer(save: Any) -> None:
    """transformers would draw the missing weights at random."""
    path, _ = save("bert")
    file = path / "model.safetensors"
    save_file({k: v for k, v in load_file(file).items() if "layer.1" not in k}, file, metadata={"format": "pt"})
    refused(path, "its weights lack 16 of the encoder's tensors", "encoder.layer.1.")


def test_weights_without_a_pooler_will_do(save: Any) -> None:
    path, _ = save("bert")
    file = path / "model.safetensors"
    save_file({k: v for k, v in load_file(file).items() if "pooler" not in k}, file, metadata={"format": "pt"})
    assert WORD_EMBEDDINGS not in load(path).weights


def test_weights_of_another_shape(save: Any) -> None:
    path, _ = save("bert")
    file = path / "model.safetensors"
    save_file({**load_file(file), "encoder.layer.0.output.dense.weight": torch.zeros(3, 3)}, file, metadata={"format": "pt"})
    refused(path, "its weights could not be read")


@pytest.mark.parametrize("text", ["{", "{}", '{"model_type": "no-such-type"}'])
def test_damaged_configuration(text: str, save: Any) -> None:
    path, _ = save("bert")
    (path / "config.json").write_text(text, encoding="utf-8")
    refused(path, "its configuration could not be read")


def test_remote_code_is_never_run(save: Any) -> None:
    path, _ = save("bert")
    (path / "evil.py").write_text("raise SystemExit('run')\n", encoding="utf-8")
    auto = {"AutoConfig": "evil.Config", "AutoModel": "evil.Model"}
    (path / "config.json").write_text(json.dumps({"model_type": "evil", "auto_map": auto}), encoding="utf-8")
    refused(path, "its configuration could not be read", "custom code")


def test_an_architecture_that_keeps_its_vectors_elsewhere(tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    config = transformers.GPT2Config(vocab_size=20, n_embd=8, n_layer=1, n_head=2, n_positions=20)
    with quiet_transformers():
        transformers.GPT2Model(config).save_pretrained(tmp_path)
    refused(tmp_path, "does not support the architecture 'gpt2'", "one of these: bert, camembert,")


@pytest.mark.parametrize("name", ["T5Model", "T5ForConditionalGeneration"])
def test_only_the_encoder_of_t5_is_read(name: str, save: Any) -> None:
    transformers = pytest.importorskip("transformers")
    path, module = save("t5")
    with quiet_transformers():
        whole = getattr(transformers, name)(transformers.T5Config(**{**module.config.to_dict(), "is_encoder_decoder": True}))
        whole.save_pretrained(path)
    pretrained = load(path)
    table = pretrained.rows(np.arange(pretrained.vocabulary_size))
    assert torch.equal(table, whole.shared.weight)
    own = dict(whole.encoder.named_parameters())
    assert {key.removeprefix("encoder.") for key in pretrained.weights} == own.keys() - {"embed_tokens.weight"}
    assert all(torch.equal(tensor, own[key.removeprefix("encoder.")]) for key, tensor in pretrained.weights.items())
    assert not pretrained.head_problem


@pytest.mark.long
def test_the_real_tokeniser_survives_its_declared_class(save: Any) -> None:
    pytest.importorskip("semantra_multilingual", reason="needs the extra 'embedded'")
    from tokenizers import Tokenizer

    path, _ = save("bert", tokenizer=False)
    file = embedded._located(*embedded.TOKENIZER_FILE)
    shutil.copy(file, path / "tokenizer.json")
    (path / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "XLMRobertaTokenizerFast"}), encoding="utf-8")
    ours, original = load(path).tokenizer, Tokenizer.from_file(str(file))
    for text in ("wake me at five  am", "อัปเดตข่าว", "今日の天気は？", "ﬁ Ｆｕｌｌ", "الطقس\u200b اليوم"):
        assert ours.encode(text).ids == original.encode(text).ids
        assert ours.encode(text).offsets == original.encode(text).offsets

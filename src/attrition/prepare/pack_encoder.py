"""Packs an encoder into few bytes, without any change of its weights.

Each tensor is stored in the smallest form that gives the same bits back: Q4_0 blocks (18 bytes for 32 weights, see
`attrition.encoder.embedded`), float16, or float32. Only the word embeddings that the study uses are stored. Scales and nibbles
of blocks, and the low and high bytes of scales, are stored separately, because each compresses better alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer, models
from torch import Tensor

from attrition.encoder.embedded import BLOCK, BLOCK_BYTES, dequantise
from attrition.encoder.head import Head
from attrition.encoder.pretrained import WORD_EMBEDDINGS, Pretrained
from attrition.encoder.vocabulary import Vocabulary
from attrition.names import AttritionError

Arrays = dict[str, NDArray[Any]]

_ROWS_AT_ONCE = 8192
_ABOUT = ("name", "fingerprint", "tokenizer_fingerprint", "note")
_HEAD_WEIGHT, _HEAD_BIAS = "own_head.weight", "own_head.bias"
_NIBBLES, _SCALES = ".nibbles", ".scales"


def pack_embeddings(pretrained: Pretrained, vocabulary: Vocabulary) -> Arrays:
    """Return the word embeddings of the kept sub-tokens, and the ids of these."""
    marked = np.zeros(vocabulary.full_size, dtype=bool)
    marked[vocabulary.kept] = True
    return {"kept": np.packbits(marked), **pack_tensor(WORD_EMBEDDINGS, pretrained.rows(vocabulary.kept))}


def pack_layers(pretrained: Pretrained) -> Arrays:
    """Return all other weights, and the checkpoint's classifier if it has one."""
    tensors = dict(pretrained.weights)
    if pretrained.head is not None:
        tensors |= {_HEAD_WEIGHT: pretrained.head.weight_CH, _HEAD_BIAS: pretrained.head.bias_C}
    return {key: array for name, tensor in tensors.items() for key, array in pack_tensor(name, tensor).items()}


def about_encoder(pretrained: Pretrained) -> dict[str, Any]:
    """Return the other facts of an encoder, for JSON; its weights have the same order as a learner's parameters."""
    about = {field: getattr(pretrained, field) for field in _ABOUT} | {"weights": list(pretrained.weights)}
    if pretrained.head is not None:
        about |= {"head": list(pretrained.head.labels), "encoder_fingerprint": pretrained.encoder_fingerprint}
    return about


def unpack_encoder(
    embeddings: Mapping[str, NDArray[Any]], layers: Mapping[str, NDArray[Any]], config: Any, about: Mapping[str, Any]
) -> Pretrained:
    """Return the packed encoder, without tokeniser: the utterances are already encoded.

    Args:
        embeddings: from `pack_embeddings`.
        layers: from `pack_layers`.
        config: the complete configuration of the encoder.
        about: from `about_encoder`.
    """
    kept = kept_vocabulary(embeddings, config.vocab_size).kept
    return Pretrained(
        config=config,
        tokenizer=Tokenizer(models.BPE()),  # knows no sub-token
        weights={name: unpack_tensor(name, layers) for name in about["weights"]},
        rows=_rows(kept, embeddings),
        head=_head(layers, about),
        encoder_fingerprint=about.get("encoder_fingerprint", about["fingerprint"]),
        **{field: about[field] for field in _ABOUT},
    )


def _head(layers: Mapping[str, NDArray[Any]], about: Mapping[str, Any]) -> Head | None:
    if "head" not in about:
        return None
    return Head(tuple(about["head"]), unpack_tensor(_HEAD_WEIGHT, layers), unpack_tensor(_HEAD_BIAS, layers))


def kept_vocabulary(embeddings: Mapping[str, NDArray[Any]], full_size: int) -> Vocabulary:
    """Return the sub-tokens whose embeddings are packed."""
    if not 0 < full_size <= 8 * embeddings["kept"].size:
        raise AttritionError(f"The pack is not of a vocabulary of {full_size:,} sub-tokens. Pack the study again.")
    return Vocabulary(np.flatnonzero(np.unpackbits(embeddings["kept"], count=full_size)), full_size)


def pack_tensor(name: str, tensor: Tensor) -> Arrays:
    """Return a float32 tensor in the smallest lossless form.

    >>> {key: str(array.dtype) for key, array in pack_tensor("x", torch.tensor([0.5, 1.0])).items()}
    {'x': 'float16'}
    >>> {key: str(array.dtype) for key, array in pack_tensor("x", torch.tensor([0.1, 1.0])).items()}
    {'x': 'float32'}
    """
    assert tensor.dtype == torch.float32, "encoders are read in float32"
    values = np.ascontiguousarray(tensor.detach().cpu().numpy())
    blocks = quantised(values)
    if blocks is not None:
        grouped = blocks.reshape(len(blocks), -1, BLOCK_BYTES)
        scales = np.ascontiguousarray(np.moveaxis(grouped[..., :2], -1, 0))
        return {name + _NIBBLES: grouped[..., 2:].reshape(len(blocks), -1), name + _SCALES: scales}
    with np.errstate(over="ignore"):
        halves = values.astype(np.float16)
    return {name: halves if _same_bits(halves.astype(np.float32), values) else values}


def unpack_tensor(name: str, arrays: Mapping[str, NDArray[Any]]) -> Tensor:
    """Return the packed float32 tensor."""
    if name in arrays:
        return torch.from_numpy(arrays[name].astype(np.float32))
    blocks = _blocks(name, arrays)
    return dequantise(blocks, _width(blocks))


def quantised(values: NDArray[np.float32]) -> NDArray[np.uint8] | None:
    """Return Q4_0 blocks that give exactly these weights, or None if there are none.

    A quantiser maps the weight furthest from 0 to -8 times the scale (nibble 0), so that weight gives the scale.

    Args:
        values: float32 [rows, width].

    Returns:
        uint8 [rows, width / 32 * 18], as `attrition.encoder.embedded.dequantise` reads them.

    >>> weights = np.zeros((1, 32), np.float32)
    >>> weights[0, :3] = [-4.0, 3.5, 0.5]
    >>> blocks = quantised(weights)
    >>> blocks.shape, np.array_equal(dequantise(blocks, 32).numpy(), weights)
    ((1, 18), True)
    >>> quantised(weights + np.float32(0.1)) is None
    True
    """
    if values.ndim != 2 or not values.size or values.shape[1] % BLOCK:
        return None
    found = []
    for start in range(0, len(values), _ROWS_AT_ONCE):  # the first rows usually show that there are none
        rows = values[start : start + _ROWS_AT_ONCE]
        blocks = _quantised_rows(rows)
        if not _same_bits(dequantise(blocks, values.shape[1]).numpy(), rows):
            return None
        found.append(blocks)
    return np.concatenate(found)


def _quantised_rows(rows: NDArray[np.float32]) -> NDArray[np.uint8]:
    grouped = rows.reshape(len(rows), -1, BLOCK)
    peaks = np.take_along_axis(grouped, np.abs(grouped).argmax(axis=-1, keepdims=True), axis=-1)
    with np.errstate(all="ignore"):
        scales = np.where(peaks == 0, peaks, peaks / -8).astype(np.float16)
        scales[~np.isfinite(scales)] = 0
        steps = np.where(scales == 0, 0, np.rint(grouped / scales.astype(np.float32)))
        nibbles = np.clip(np.nan_to_num(steps) + 8, 0, 15).astype(np.uint8)
    packed = nibbles[..., : BLOCK // 2] | nibbles[..., BLOCK // 2 :] << 4
    return np.concatenate([scales.view(np.uint8), packed], axis=-1).reshape(len(rows), -1)


def _same_bits(left: NDArray[np.float32], right: NDArray[np.float32]) -> bool:
    return np.array_equal(left.view(np.uint32), right.view(np.uint32))


def _blocks(name: str, arrays: Mapping[str, NDArray[Any]]) -> NDArray[np.uint8]:
    nibbles, scales = arrays[name + _NIBBLES], np.moveaxis(arrays[name + _SCALES], 0, -1)
    grouped = nibbles.reshape(*scales.shape[:2], BLOCK // 2)
    return np.concatenate([scales, grouped], axis=-1).reshape(len(nibbles), -1)


def _width(blocks: NDArray[np.uint8]) -> int:
    return int(blocks.shape[1] // BLOCK_BYTES * BLOCK)


def _rows(kept: NDArray[np.int64], arrays: Mapping[str, NDArray[Any]]) -> Callable[[NDArray[np.int64]], Tensor]:
    """Return `Pretrained.rows` for the kept sub-tokens."""
    in_blocks = WORD_EMBEDDINGS not in arrays
    table = _blocks(WORD_EMBEDDINGS, arrays) if in_blocks else arrays[WORD_EMBEDDINGS]

    def rows(ids: NDArray[np.int64]) -> Tensor:
        at = np.minimum(np.searchsorted(kept, ids), len(kept) - 1)
        if not np.array_equal(kept[at], ids):
            raise AttritionError("A pack holds only the sub-tokens of its study. Use the encoder itself for the others.")
        return dequantise(table[at], _width(table)) if in_blocks else torch.from_numpy(table[at].astype(np.float32))

    return rows

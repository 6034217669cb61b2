"""Files that several workers on one machine map into memory, so that they share one copy."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from attrition.corpus.base import Split
from attrition.corpus.encoded import Encoded
from attrition.encoder.pretrained import WORD_EMBEDDINGS
from attrition.prepare.prepare import Prepared

FILE = "shared.safetensors"
_MAPPED = ("ids", "labels", "offsets", "gold", "word_token", "word_inside", "word_offsets")


def write_shared(prepared: Prepared, folder: Path) -> None:
    """Write the encoder, reduced to the vocabulary, and the encoded utterances into a folder."""
    tensors = {f"weights.{name}": tensor.detach().cpu().contiguous() for name, tensor in prepared.model.base.items()}
    for (language, split), each in prepared.encoded.items():
        for name in _MAPPED:
            tensors[_name(language, split, name)] = torch.from_numpy(np.ascontiguousarray(getattr(each, name)))
    save_file({name: tensor.clone() for name, tensor in tensors.items()}, folder / FILE)


def with_shared(prepared: Prepared, folder: Path) -> Prepared:
    """Return the same study with encoder and utterances mapped from the file of `write_shared`."""
    with safe_open(folder / FILE, framework="pt") as file:
        tensors: Mapping[str, Tensor] = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a dict
    encoded = {
        (language, split): dataclasses.replace(
            each, **{name: tensors[_name(language, split, name)].numpy() for name in _MAPPED}
        )
        for (language, split), each in prepared.encoded.items()
    }
    kept, table = prepared.vocabulary.kept, tensors[f"weights.{WORD_EMBEDDINGS}"]

    def rows(ids: NDArray[np.int64]) -> Tensor:
        return table if np.array_equal(ids, kept) else table[torch.from_numpy(np.searchsorted(kept, ids))]

    weights = {name: tensors[f"weights.{name}"] for name in prepared.pretrained.weights}
    scored_on, split = prepared.scored_on, prepared.scored_on.split
    sets = {language: _same(each, prepared.encoded, encoded, (language, split)) for language, each in scored_on.sets.items()}
    return dataclasses.replace(
        prepared,
        pretrained=dataclasses.replace(prepared.pretrained, weights=weights, rows=rows),
        encoded=encoded,
        scored_on=dataclasses.replace(scored_on, sets=sets),
    )


def _same(
    each: Encoded,
    before: Mapping[tuple[str, Split], Encoded],
    now: Mapping[tuple[str, Split], Encoded],
    place: tuple[str, Split],
) -> Encoded:
    """Return the mapped utterances instead of equal ones in memory; a sample of them stays in memory."""
    return now[place] if each is before[place] else each


def _name(language: str, split: Split, name: str) -> str:
    return f"encoded.{language}.{split}.{name}"

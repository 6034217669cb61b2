"""An encoder before any training: a configuration, weights by Hugging Face name, a tokeniser and fingerprints."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer
from torch import Tensor

from attrition.encoder.head import Head

WORD_EMBEDDINGS = "embeddings.word_embeddings.weight"
_INCIDENTAL = ("_name_or_path", "transformers_version", "architectures", "dtype")


@dataclass(frozen=True, eq=False)
class Pretrained:
    """An encoder before any training.

    `rows` returns rows of the word embedding matrix (float32, [len(ids), hidden]) for given sub-token ids, so that a
    vocabulary of which a corpus uses a tenth is never held whole. `weights` holds every other parameter by its Hugging Face
    name.

    `head` is a classifier of tokens that came with the encoder. `head_problem` says in a sentence why a classifier that came
    cannot be used (see `attrition.encoder.head.fit_head`). `fingerprint` is of all that decides a number: the encoder, and the
    classifier once it is fitted to a study. `encoder_fingerprint` is of the encoder alone.
    """

    name: str
    config: Any
    tokenizer: Tokenizer
    weights: Mapping[str, Tensor] = field(repr=False)
    rows: Callable[[NDArray[np.int64]], Tensor] = field(repr=False)
    fingerprint: str
    tokenizer_fingerprint: str
    note: str = ""
    head: Head | None = None
    head_problem: str = ""
    encoder_fingerprint: str = ""

    def __post_init__(self) -> None:
        if not self.encoder_fingerprint:
            object.__setattr__(self, "encoder_fingerprint", self.fingerprint)

    @property
    def hidden_size(self) -> int:
        """Width of the hidden states."""
        return int(self.config.hidden_size)

    @property
    def vocabulary_size(self) -> int:
        """Rows of the whole word embedding matrix."""
        return int(self.config.vocab_size)


def fingerprint_of(config: Any, weights: Mapping[str, Tensor]) -> str:
    """SHA-256 over a configuration and named tensors: names, shapes and bytes, in the order of the names.

    Where the model was read from, and by which version of `transformers`, takes no part: a copy has the same fingerprint.
    """
    settings = {key: value for key, value in config.to_dict().items() if key not in _INCIDENTAL}
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True, default=str).encode())
    for name in sorted(weights):
        tensor = weights[name].detach().contiguous().cpu()
        digest.update(f"{name}{tuple(tensor.shape)}{tensor.dtype}".encode())
        digest.update(tensor.view(torch.uint8).numpy().tobytes() if tensor.numel() else b"")
    return digest.hexdigest()


def about_model(pretrained: Pretrained) -> dict[str, str]:
    """Return what a stored stage says of the model that it started from.

    `encoder` is there where the model has a classifier of its own, of which an export has no need.
    """
    about = {"name": pretrained.name, "fingerprint": pretrained.fingerprint}
    if pretrained.encoder_fingerprint != pretrained.fingerprint:
        about["encoder"] = pretrained.encoder_fingerprint
    return about


def tokenizer_fingerprint_of(tokenizer: Tokenizer) -> str:
    """SHA-256 of everything a tokeniser does."""
    return hashlib.sha256(tokenizer.to_str().encode()).hexdigest()


def split_embeddings(weights: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], Callable[[NDArray[np.int64]], Tensor]]:
    """The weights without their word embeddings, and a function that gives rows of those."""
    rest = {name: tensor for name, tensor in weights.items() if name != WORD_EMBEDDINGS}
    table = weights[WORD_EMBEDDINGS]

    def rows(ids: NDArray[np.int64]) -> Tensor:
        return table[torch.from_numpy(ids)]

    return rest, rows

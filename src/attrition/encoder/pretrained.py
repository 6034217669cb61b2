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

    `rows` returns rows of the word embedding matrix (float32, [len(ids), hidden]) for given sub-token ids. So the whole
    vocabulary is never in memory if a corpus uses only a tenth. `weights` has every other parameter by its Hugging Face name.

    `head` is the checkpoint's token classifier. `head_problem` is a sentence on why a classifier cannot be used (see
    `attrition.encoder.head.fit_head`). `fingerprint` covers everything that determines a result: the encoder, and the
    classifier after it is fitted to a study. `encoder_fingerprint` covers only the encoder.
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
        """Return the width of the hidden states."""
        return int(self.config.hidden_size)

    @property
    def vocabulary_size(self) -> int:
        """Return the number of rows of the whole word embedding matrix."""
        return int(self.config.vocab_size)


def fingerprint_of(config: Any, weights: Mapping[str, Tensor]) -> str:
    """Return the SHA-256 of a configuration and named tensors: names, shapes and bytes, sorted by name.

    The location of the model and the version of `transformers` do not count, so a copy has the same fingerprint.
    """
    settings = {key: value for key, value in config.to_dict().items() if key not in _INCIDENTAL}
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True, default=str).encode())
    for name in sorted(weights):
        tensor = weights[name].detach().contiguous().cpu()
        digest.update(f"{name}{tuple(tensor.shape)}{tensor.dtype}".encode())
        digest.update(tensor.view(torch.uint8).numpy().tobytes() if tensor.numel() else b"")
    return digest.hexdigest()


def about_model(pretrained: Pretrained) -> dict[str, str]:
    """Return the facts about the initial model for a stored stage.

    `encoder` is present if the model has its own classifier, which an export does not need.
    """
    about = {"name": pretrained.name, "fingerprint": pretrained.fingerprint}
    if pretrained.encoder_fingerprint != pretrained.fingerprint:
        about["encoder"] = pretrained.encoder_fingerprint
    return about


def tokenizer_fingerprint_of(tokenizer: Tokenizer) -> str:
    """Return the SHA-256 of everything that a tokeniser does."""
    return hashlib.sha256(tokenizer.to_str().encode()).hexdigest()


def split_embeddings(weights: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], Callable[[NDArray[np.int64]], Tensor]]:
    """Return the weights without their word embeddings, and a function that returns rows of these."""
    rest = {name: tensor for name, tensor in weights.items() if name != WORD_EMBEDDINGS}
    table = weights[WORD_EMBEDDINGS]

    def rows(ids: NDArray[np.int64]) -> Tensor:
        return table[torch.from_numpy(ids)]

    return rest, rows

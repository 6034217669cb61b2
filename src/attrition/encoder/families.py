"""The supported architectures, the `transformers` class of each encoder, and the name of its word embeddings.

A learner stores its word embeddings as `WORD_EMBEDDINGS`, for every architecture. Only this file translates the name.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from types import MappingProxyType
from typing import Any, TypeVar

from torch import Tensor, nn
from transformers import AutoModel

from attrition.encoder.pretrained import WORD_EMBEDDINGS

V = TypeVar("V")

_OWN_NAME: Mapping[str, str] = MappingProxyType(
    {
        "eurobert": "embed_tokens.weight",
        "modernbert": "embeddings.tok_embeddings.weight",
        **dict.fromkeys(("t5", "mt5", "umt5"), "shared.weight"),
    }
)
"""Name of the word embeddings by model type, if it differs from `WORD_EMBEDDINGS`."""

_ENCODERS: Mapping[str, str] = MappingProxyType({"t5": "T5EncoderModel", "mt5": "MT5EncoderModel", "umt5": "UMT5EncoderModel"})
"""The class of the encoder alone, by model type, if `AutoModel` would also build a decoder."""

WRAPPED = ("camembert", "deberta-v2", "distilbert", "electra", "eurobert", "modernbert", "mt5", "t5", "umt5")
"""Architectures that run as their `transformers` module and are tested against it."""


def encoder_class(config: Any) -> Any:
    """Return the class with `from_pretrained` for the encoder of a configuration."""
    name = _ENCODERS.get(config.model_type)
    # These classes import text generation and a compiler, so import them only when needed.
    return AutoModel if name is None else getattr(import_module("transformers"), name)


def build_encoder(config: Any) -> nn.Module:
    """Return the encoder of a configuration, with random weights."""
    found = encoder_class(config)
    module: nn.Module = found.from_config(config, trust_remote_code=False) if found is AutoModel else found(config)
    return module


def word_embeddings_of(config: Any) -> str:
    """Return the name of the word embeddings in the `transformers` module of a configuration.

    >>> from transformers import BertConfig, MT5Config
    >>> word_embeddings_of(BertConfig()), word_embeddings_of(MT5Config())
    ('embeddings.word_embeddings.weight', 'shared.weight')
    """
    return _OWN_NAME.get(config.model_type, WORD_EMBEDDINGS)


def to_ours(weights: Mapping[str, V], config: Any) -> dict[str, V]:
    """Return weights by our names, from weights by the names of the `transformers` module."""
    own = word_embeddings_of(config)
    return {WORD_EMBEDDINGS if name == own else name: value for name, value in weights.items()}


def to_theirs(weights: Mapping[str, V], config: Any) -> dict[str, V]:
    """Return weights by the names of the `transformers` module, from weights by our names."""
    own = word_embeddings_of(config)
    return {own if name == WORD_EMBEDDINGS else name: value for name, value in weights.items()}


def tensors_of(module: nn.Module) -> dict[str, Tensor]:
    """Return the floating-point tensors of a module's state by name; tied tensors only once, under their first name."""
    tied = {name for name, _ in module.named_parameters(remove_duplicate=False)} - {
        name for name, _ in module.named_parameters()
    }
    state = module.state_dict().items()
    return {name: tensor.detach() for name, tensor in state if tensor.is_floating_point() and name not in tied}

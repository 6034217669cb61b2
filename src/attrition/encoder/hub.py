"""Any Hugging Face encoder by name or local folder: safetensors only, no remote code."""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from tokenizers import Tokenizer
from torch import Tensor
from transformers import AutoConfig, AutoModel, AutoTokenizer
from transformers.utils import logging as transformers_logging

from attrition.encoder.pretrained import WORD_EMBEDDINGS, Pretrained, fingerprint_of, split_embeddings
from attrition.names import AttritionError

_HOW = (
    "Give a local folder with config.json, model.safetensors and tokenizer.json, a name from the Hugging Face Hub "
    "(with network, or already in the cache), or 'embedded:e5-small', which needs no network."
)


def _failure(name: str, what: str) -> AttritionError:
    return AttritionError(f"Model 'hub:{name}': {what} {_HOW}")


def _config(name: str) -> Any:
    try:
        return AutoConfig.from_pretrained(name, trust_remote_code=False)
    except (OSError, ValueError) as error:
        raise _failure(name, f"its configuration could not be read ({str(error).splitlines()[0]}).") from error


def _tokenizer(name: str) -> Tokenizer:
    try:
        wrapped = AutoTokenizer.from_pretrained(name, trust_remote_code=False, use_fast=True)
    except (OSError, ValueError) as error:
        raise _failure(name, f"its tokeniser could not be read ({str(error).splitlines()[0]}).") from error
    tokenizer = getattr(wrapped, "backend_tokenizer", None)
    if tokenizer is None:
        raise _failure(name, "it has no fast tokeniser (tokenizer.json), which word alignment needs.")
    assert isinstance(tokenizer, Tokenizer)
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return tokenizer


def _weights(name: str, config: Any) -> dict[str, Tensor]:
    """All encoder parameters by name, float32, without pooler and task head."""
    verbosity = transformers_logging.get_verbosity()
    transformers_logging.set_verbosity_error()
    try:
        model = AutoModel.from_pretrained(name, config=config, use_safetensors=True, trust_remote_code=False, dtype=torch.float32)
    except (OSError, ValueError) as error:
        what = f"its weights could not be read ({str(error).splitlines()[0]}); only safetensors are loaded, never pickled files."
        raise _failure(name, what) from error
    finally:
        transformers_logging.set_verbosity(verbosity)
    return {
        key: tensor.detach()
        for key, tensor in model.state_dict().items()
        if tensor.is_floating_point() and not key.startswith("pooler.")
    }


def _check_safetensors(folder: Path) -> None:
    """A sentence for the commonest damage to a local folder, before transformers starts reading it."""
    for file in sorted(folder.glob("*.safetensors")):
        try:
            with safe_open(file, framework="pt"):
                pass
        except (SafetensorError, OSError) as error:
            raise AttritionError(f"{file} is not a whole safetensors file ({error}). Copy it again.") from error


@cache
def load(name: str) -> Pretrained:
    """The encoder called `name` on the Hub, or in the local folder `name`.

    Raises:
        AttritionError: no such model, no network, no safetensors, no fast tokeniser, or an architecture that needs remote code.
    """
    folder = Path(name).expanduser()
    source = str(folder) if folder.is_dir() else name
    if folder.is_dir():
        _check_safetensors(folder)
    elif os.sep in name and (name.startswith((".", "/", "~")) or name.count("/") > 1):
        raise _failure(name, "there is no such folder.")
    config = _config(source)
    weights = _weights(source, config)
    if WORD_EMBEDDINGS not in weights:
        raise _failure(
            name,
            f"its architecture ({config.model_type}) does not keep its sub-token vectors under '{WORD_EMBEDDINGS}': "
            "only encoders of the BERT family (BERT, RoBERTa, XLM-R, DeBERTa, ...) are read so far.",
        )
    rest, rows = split_embeddings(weights)
    return Pretrained(
        name=f"hub:{name}",
        config=config,
        tokenizer=_tokenizer(source),
        weights=rest,
        rows=rows,
        fingerprint=fingerprint_of(config, weights),
    )

"""Any Hugging Face encoder by name or local folder: safetensors only, no remote code."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from tokenizers import Tokenizer
from torch import Tensor
from transformers import AutoConfig, AutoModel, AutoTokenizer
from transformers.utils import cached_file
from transformers.utils import logging as transformers_logging

from attrition.encoder.pretrained import WORD_EMBEDDINGS, Pretrained, fingerprint_of, split_embeddings, tokenizer_fingerprint_of
from attrition.names import AttritionError

_HOW = (
    "Give a local folder with config.json, model.safetensors and tokenizer.json, a name from the Hugging Face Hub "
    "(with network, or already in the cache), or 'embedded:e5-small', which needs no network."
)


def _failure(name: str, what: str) -> AttritionError:
    return AttritionError(f"Model 'hub:{name}': {what} {_HOW}")


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__


@contextmanager
def quiet_transformers() -> Iterator[None]:
    """Keep the progress bars and remarks of `transformers` off the terminal."""
    verbosity, bars = transformers_logging.get_verbosity(), transformers_logging.is_progress_bar_enabled()
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    try:
        yield
    finally:
        transformers_logging.set_verbosity(verbosity)
        if bars:
            transformers_logging.enable_progress_bar()


def _config(name: str) -> Any:
    try:
        return AutoConfig.from_pretrained(name, trust_remote_code=False)
    except (OSError, ValueError) as error:
        raise _failure(name, f"its configuration could not be read ({_first_line(error)}).") from error


def _tokenizer(name: str, config: Any) -> Tokenizer:
    """The tokeniser as its `tokenizer.json` says.

    `AutoTokenizer` would keep the vocabulary of that file but rebuild the rest from the tokeniser's class, with other
    character offsets; it is only asked where there is no such file.
    """
    try:
        file = cached_file(name, "tokenizer.json")
    except OSError:
        return _converted_tokenizer(name, config)
    try:
        tokenizer = Tokenizer.from_file(str(file))
    except Exception as error:  # tokenizers raises nothing more precise
        raise _failure(name, f"its tokeniser could not be read ({_first_line(error)}).") from error
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return tokenizer


def _converted_tokenizer(name: str, config: Any) -> Tokenizer:
    """The tokeniser that transformers makes of older files (vocab.txt, spm.model)."""
    try:
        tokenizer = getattr(AutoTokenizer.from_pretrained(name, trust_remote_code=False), "backend_tokenizer", None)
    except (OSError, ValueError) as error:
        raise _failure(name, f"its tokeniser could not be read ({_first_line(error)}).") from error
    # Without any file transformers makes an empty tokeniser, in which every word is unknown, and says nothing.
    if not isinstance(tokenizer, Tokenizer) or 2 * tokenizer.get_vocab_size() < config.vocab_size:
        raise _failure(name, "it has no fast tokeniser (tokenizer.json), which word alignment needs.")
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return tokenizer


def _weights(name: str, config: Any) -> dict[str, Tensor]:
    """All encoder parameters by name, float32, without pooler and task head."""
    try:
        with quiet_transformers():
            model, found = AutoModel.from_pretrained(
                name,
                config=config,
                use_safetensors=True,
                trust_remote_code=False,
                dtype=torch.float32,
                output_loading_info=True,
            )
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        what = f"its weights could not be read ({_first_line(error)}); only safetensors are loaded, never pickled files."
        raise _failure(name, what) from error
    # transformers draws at random whatever a file lacks; only the pooler may be missing here.
    missing = sorted(key for key in found["missing_keys"] if not key.startswith("pooler."))
    if missing:
        raise _failure(name, f"its weights lack {len(missing)} of the encoder's tensors, such as {missing[0]!r}.")
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
    tokenizer = _tokenizer(source, config)
    return Pretrained(
        name=f"hub:{name}",
        config=config,
        tokenizer=tokenizer,
        weights=rest,
        rows=rows,
        fingerprint=fingerprint_of(config, weights),
        tokenizer_fingerprint=tokenizer_fingerprint_of(tokenizer),
    )

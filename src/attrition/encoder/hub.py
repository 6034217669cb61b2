"""Load any Hugging Face encoder by name or local folder: safetensors only, no remote code."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from tokenizers import Tokenizer
from torch import Tensor
from transformers import MODEL_FOR_TOKEN_CLASSIFICATION_MAPPING, AutoConfig, AutoTokenizer
from transformers.utils import cached_file
from transformers.utils import logging as transformers_logging

from attrition.encoder.bert import FAMILY
from attrition.encoder.families import WRAPPED, encoder_class, tensors_of, to_ours
from attrition.encoder.head import Head
from attrition.encoder.pretrained import WORD_EMBEDDINGS, Pretrained, fingerprint_of, split_embeddings, tokenizer_fingerprint_of
from attrition.names import AttritionError

_HOW = (
    "Give a local folder with config.json, model.safetensors and tokenizer.json, a name from the Hugging Face Hub "
    "(with network, or already in the cache), or 'embedded:e5-small', which needs no network."
)

_CLASSIFIERS = ("classifier.", "score.", "crf.")
"""Prefixes of tensor names of trained classifiers; the heads of pretraining have other names."""
_OTHER_TASKS = ("ForSequenceClassification", "ForQuestionAnswering", "ForMultipleChoice", "ForNextSentencePrediction")


def _failure(name: str, what: str) -> AttritionError:
    return AttritionError(f"Model 'hub:{name}': {what} {_HOW}")


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__


@contextmanager
def quiet_transformers() -> Iterator[None]:
    """Context manager: hide the progress bars and messages of `transformers`."""
    verbosity, bars = transformers_logging.get_verbosity(), transformers_logging.is_progress_bar_enabled()
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    try:
        yield
    finally:
        transformers_logging.set_verbosity(verbosity)
        if bars:
            transformers_logging.enable_progress_bar()


def read_config(name: str) -> Any:
    """Return the `transformers` configuration of a folder or a name on the Hub; never runs a repository's code."""
    try:
        return AutoConfig.from_pretrained(name, trust_remote_code=False)
    except (OSError, ValueError) as error:
        said = _first_line(error)
        if "trust_remote_code" in str(error):
            said = "it needs custom code of its repository, which is never run"
        raise _failure(name, f"its configuration could not be read ({said}).") from error


def read_tokenizer(name: str, config: Any) -> Tokenizer:
    """Return the tokeniser, exactly as in its `tokenizer.json`.

    `AutoTokenizer` would use the vocabulary of this file but rebuild the rest from the tokeniser's class, with other character
    offsets. So it is used only without such a file.
    """
    try:
        file = cached_file(name, "tokenizer.json")
    except OSError:
        return _converted_tokenizer(name, config)
    try:
        tokenizer = Tokenizer.from_file(str(file))
    except Exception as error:  # tokenizers raises no more specific class
        raise _failure(name, f"its tokeniser could not be read ({_first_line(error)}).") from error
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return tokenizer


def _converted_tokenizer(name: str, config: Any) -> Tokenizer:
    """Return the tokeniser that transformers makes from older files (vocab.txt, spm.model)."""
    try:
        tokenizer = getattr(AutoTokenizer.from_pretrained(name, trust_remote_code=False), "backend_tokenizer", None)
    except (OSError, ValueError) as error:
        raise _failure(name, f"its tokeniser could not be read ({_first_line(error)}).") from error
    # Without a file transformers silently makes an empty tokeniser, in which every word is unknown.
    if not isinstance(tokenizer, Tokenizer) or 2 * tokenizer.get_vocab_size() < config.vocab_size:
        raise _failure(name, "it has no fast tokeniser (tokenizer.json), which word alignment needs.")
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return tokenizer


@dataclass(frozen=True, eq=False)
class _Loaded:
    """The contents of a checkpoint: all encoder parameters by our names, float32, without pooler; and its classifier."""

    weights: dict[str, Tensor]
    head: Head | None = None
    head_problem: str = ""
    note: str = ""


def from_pretrained(name: str, config: Any, kind: Any, **more: Any) -> tuple[Any, dict[str, Any]]:
    """Return a model of a `transformers` class in float32, from safetensors only, and the report on missing tensors.

    Raises:
        AttritionError: its files are missing or damaged.
    """
    try:
        with quiet_transformers():
            model, found = kind.from_pretrained(
                name,
                config=config,
                use_safetensors=True,
                trust_remote_code=False,
                dtype=torch.float32,
                output_loading_info=True,
                **more,
            )
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        what = f"its weights could not be read ({_first_line(error)}); only safetensors are loaded, never pickled files."
        raise _failure(name, what) from error
    return model, found


def _loaded(name: str, config: Any) -> _Loaded:
    """Return the encoder of a checkpoint, and its token classifier if it has one."""
    tagger = MODEL_FOR_TOKEN_CLASSIFICATION_MAPPING.get(type(config), None)
    names = tuple(config.architectures or ())
    if tagger is not None and tagger.__name__ in names:
        model, found = from_pretrained(name, config, tagger)
        return _with_head(name, config, model, found)
    model, found = from_pretrained(name, config, encoder_class(config))
    weights = _encoder_weights(name, config, model, found["missing_keys"])
    left = sorted(key for key in found["unexpected_keys"] if key.startswith(_CLASSIFIERS))
    of_tokens = [each for each in names if each.endswith("ForTokenClassification")]
    if of_tokens:
        problem = f"its classifier ({of_tokens[0]}) is not the one of transformers for {config.model_type!r}."
        return _Loaded(weights, head_problem=problem)
    other = next((each for each in names if each.endswith(_OTHER_TASKS)), None)
    if other is not None:
        return _Loaded(weights, note=f"The head of the checkpoint ({other}) does not label tokens and is not used.")
    if left:
        said = f"config.json names {names[0]!r}" if names else "config.json names no architecture"
        return _Loaded(weights, head_problem=f"it holds a classifier ({left[0]!r}), but {said}, so its use is not known.")
    return _Loaded(weights)


def _encoder_weights(name: str, config: Any, model: Any, missing_keys: Iterable[str], prefix: str = "") -> dict[str, Tensor]:
    tensors = tensors_of(model)
    # transformers fills missing tensors with random values; here only the pooler may be missing.
    missing = sorted(key for key in missing_keys if key in tensors and not key.startswith(f"{prefix}pooler."))
    if missing:
        raise _failure(name, f"its weights lack {len(missing)} of the encoder's tensors, such as {missing[0]!r}.")
    own = {key.removeprefix(prefix): tensor for key, tensor in tensors.items() if key.startswith(prefix)}
    return to_ours({key: tensor for key, tensor in own.items() if not key.startswith("pooler.")}, config)


def _with_head(name: str, config: Any, model: Any, found: Mapping[str, Any]) -> _Loaded:
    prefix = f"{model.base_model_prefix}."
    weights = _encoder_weights(name, config, model, (key for key in found["missing_keys"] if key.startswith(prefix)), prefix)
    tensors = {key: tensor for key, tensor in tensors_of(model).items() if not key.startswith(prefix)}
    strange = {key for key in found["unexpected_keys"] if not key.startswith(prefix)}
    weight = next((key for key in ("classifier.weight", "score.weight") if key in tensors), "")
    bias = weight.removesuffix("weight") + "bias"
    if not weight or (odd := sorted((tensors.keys() | strange) - {weight, bias})):
        which = f" (see {odd[0]!r})" if weight else ""
        return _Loaded(weights, head_problem=f"its classifier is not one linear layer on the encoder{which}.")
    if absent := sorted(found["missing_keys"] & tensors.keys()):
        raise _failure(name, f"its weights lack its classifier ({absent[0]!r}).")
    labels = tuple(str(config.id2label[row]) for row in range(len(tensors[weight])))
    if len(set(labels)) < len(labels):
        return _Loaded(weights, head_problem="two rows of its classifier have the same label (id2label in config.json).")
    return _Loaded(weights, Head(labels, tensors[weight], tensors.get(bias, torch.zeros(len(labels)))))


def _refuse_adapter(folder: Path, name: str) -> None:
    """Refuse a PEFT adapter, whose file has no encoder and no class names, and explain how to merge it."""
    if (folder / "adapter_config.json").is_file():
        raise AttritionError(
            f"Model 'hub:{name}' is a PEFT adapter, not a whole model. Merge it into its base and save the result: "
            "PeftModel.from_pretrained(base, folder).merge_and_unload().save_pretrained(new_folder), where base is "
            "AutoModelForTokenClassification with the labels in id2label; save the tokenizer there too. "
            "Then give hub:new_folder. docs/guides/own-model.md has the commands."
        )


def _check_safetensors(folder: Path) -> None:
    """Refuse the most common damage to a local folder with a clear message, before transformers reads it."""
    for file in sorted(folder.glob("*.safetensors")):
        try:
            with safe_open(file, framework="pt"):
                pass
        except (SafetensorError, OSError) as error:
            raise AttritionError(f"{file} is not a whole safetensors file ({error}). Copy it again.") from error


@cache
def load(name: str) -> Pretrained:
    """Return the encoder called `name` on the Hub, or in the local folder `name`.

    Raises:
        AttritionError: no such model, no network, no safetensors, no fast tokeniser, or an architecture that needs remote code.
    """
    folder = Path(name).expanduser()
    source = str(folder) if folder.is_dir() else name
    if folder.is_dir():
        _refuse_adapter(folder, name)
        _check_safetensors(folder)
    elif os.sep in name and (name.startswith((".", "/", "~")) or name.count("/") > 1):
        raise _failure(name, "there is no such folder.")
    config = read_config(source)
    loaded = _loaded(source, config)
    weights = loaded.weights
    if WORD_EMBEDDINGS not in weights:
        raise _failure(
            name,
            f"attrition does not support the architecture {config.model_type!r}; choose an encoder of one of these: "
            f"{', '.join(sorted((*FAMILY, *WRAPPED)))}.",
        )
    rest, rows = split_embeddings(weights)
    tokenizer = read_tokenizer(source, config)
    return Pretrained(
        name=f"hub:{name}",
        config=config,
        tokenizer=tokenizer,
        weights=rest,
        rows=rows,
        fingerprint=fingerprint_of(config, weights),
        tokenizer_fingerprint=tokenizer_fingerprint_of(tokenizer),
        note=loaded.note,
        head=loaded.head,
        head_problem=loaded.head_problem,
    )

"""Predictions of a checkpoint, or of a PEFT adapter over one, for test utterances: a system for `attrition.gate`.

The forward pass is done by `transformers`, so that every head is scored as its users run it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import safe_open
from tokenizers import Tokenizer
from torch import Tensor, nn
from transformers import AutoModelForTokenClassification

from attrition.corpus.base import Utterance
from attrition.corpus.encoded import Encoded, EncodingSettings, encode_utterances, gather_ranges
from attrition.encoder.hub import from_pretrained, quiet_transformers, read_config, read_tokenizer
from attrition.gate.rows import Row
from attrition.gate.sources import ADAPTER, HUB, Predictions
from attrition.names import AttritionError
from attrition.training.batches import next_batch
from attrition.training.memory import TOKENS_A_BATCH

Progress = Callable[[str, int, int], None]
_NO_PADDING = 10**9


def _nobody(_what: str, _done: int, _total: int) -> None:
    pass


@dataclass(frozen=True, eq=False)
class Tagger:
    """A token classification model of `transformers` with its tokeniser, as `Predictions`.

    Words are tokenised one by one, as `is_split_into_words` does. The tag of a word is the likeliest class of its first
    sub-token (the first that is not a lone "▁"). Words beyond the longest input are "O". Equal utterances are predicted once.

    Args:
        name: for messages.
        module: returns `.logits` [U, N, C].
        tokenizer: of the model.
        labels: names of the classes, [C].
        longest: sub-tokens of the longest input.
        progress: called as `progress(what, done, total)` with numbers of utterances.
    """

    name: str
    module: nn.Module
    tokenizer: Tokenizer
    labels: tuple[str, ...]
    longest: int
    progress: Progress = _nobody
    _known: dict[tuple[str, ...], tuple[str, ...]] = field(default_factory=dict, init=False, repr=False)

    def tags(self, test: Sequence[Row]) -> list[Sequence[str]]:
        """Return the tags of each utterance, one a word.

        Raises:
            AttritionError: an utterance has no words, only tags.
        """
        wanted: list[tuple[str, ...]] = []
        for row in test:
            if row.words is None:
                raise AttritionError(f"{row.place} has tags but no words, which {self.name} needs. Add the field 'words'.")
            wanted.append(row.words)
        if new := list(dict.fromkeys(words for words in wanted if words not in self._known)):
            self._known.update(zip(new, self._predicted(new), strict=True))
        return [self._known[words] for words in wanted]

    def _predicted(self, sentences: Sequence[tuple[str, ...]]) -> list[tuple[str, ...]]:
        settings = EncodingSettings(max_tokens=self.longest)
        encoded = encode_utterances(
            [_utterance(words) for words in sentences], self.tokenizer, slots=(), cut="blanks", settings=settings
        )
        class_N = np.zeros(encoded.num_tokens, np.int64)
        left = np.argsort(-encoded.lengths, kind="stable")
        while counts := next_batch([encoded.lengths[left]], TOKENS_A_BATCH):
            rows, left = left[: counts[0]], left[counts[0] :]
            tokens, _ = gather_ranges(encoded.offsets, rows)
            class_N[tokens] = self._classes(encoded, rows)
            self.progress(self.name, len(sentences) - len(left), len(sentences))
        at = np.maximum(encoded.word_token, 0) + np.repeat(encoded.offsets[:-1], np.diff(encoded.word_offsets))
        names = ["O" if token < 0 else self.labels[each] for token, each in zip(encoded.word_token, class_N[at], strict=True)]
        return [tuple(names[start:end]) for start, end in pairwise(encoded.word_offsets)]

    @torch.inference_mode()
    def _classes(self, encoded: Encoded, rows: np.ndarray) -> np.ndarray:
        """Return the likeliest class of every sub-token of the utterances at `rows`, concatenated."""
        lengths = torch.from_numpy(encoded.lengths[rows])
        mask = torch.arange(int(lengths.max())) < lengths[:, None]
        tokens, _ = gather_ranges(encoded.offsets, rows)
        config: Any = self.module.config
        ids = torch.full(mask.shape, config.pad_token_id or 0, dtype=torch.int64)
        ids[mask] = torch.from_numpy(encoded.ids[tokens].astype(np.int64))
        device = next(self.module.parameters()).device
        logits: Tensor = self.module(input_ids=ids.to(device), attention_mask=mask.long().to(device)).logits
        found: np.ndarray = logits.argmax(-1).cpu()[mask].numpy()
        return found


def _utterance(words: Sequence[str]) -> Utterance:
    """Return the words as an utterance without slots; a word may contain blanks."""
    ends = np.cumsum([len(word) for word in words]).tolist()
    ranges = tuple(zip([0, *ends[:-1]], ends, strict=True)) if words else ()
    return Utterance("", "", "".join(words), ranges, ())


def open_system(source: str, progress: Progress = _nobody, device: torch.device | None = None) -> Predictions:
    """Return the tagger in a folder of `transformers` or PEFT, or with a name on the Hub.

    Args:
        source: a folder, or `hub:NAME`. `adapter_config.json` names the base of an adapter.
        progress: called with the number of predicted utterances.
        device: of the model; by default a GPU if there is one.

    Raises:
        AttritionError: there is no such model, it does not label tokens, or its labels have no names.
    """
    name = source.removeprefix(HUB)
    folder = Path(name).expanduser()
    adapter = folder if (folder / ADAPTER).is_file() else None
    base = name if adapter is None else _base_of(adapter)
    config = read_config(str(Path(base).expanduser()) if Path(base).expanduser().is_dir() else base)
    if adapter is None:
        if not any(each.endswith("ForTokenClassification") for each in config.architectures or ()):
            said = ", ".join(config.architectures or ()) or "no architecture"
            raise AttritionError(
                f"{source} does not label tokens: its config.json names {said}. Give a token classification model."
            )
        labels = tuple(str(config.id2label[row]) for row in range(config.num_labels))
    else:
        labels = _labels_of(adapter, config)
    config.id2label, config.label2id = dict(enumerate(labels)), {label: row for row, label in enumerate(labels)}
    # An adapter's classifier replaces the base's, and may have other classes.
    module, found = from_pretrained(base, config, AutoModelForTokenClassification, ignore_mismatched_sizes=adapter is not None)
    if adapter is None and (absent := sorted(found["missing_keys"])):
        raise AttritionError(
            f"{source}: its weights lack {len(absent)} tensors of the tagger, such as {absent[0]!r}. Save it again."
        )
    if adapter is not None:
        module = _adapted(module, adapter)
    device = device or torch.device("cuda" if torch.cuda.is_available() else "cpu")
    longest = int(getattr(config, "max_position_embeddings", None) or _NO_PADDING) - 2
    own = adapter is not None and (adapter / "tokenizer.json").is_file()
    tokenizer = read_tokenizer(str(adapter) if own else base, config)
    return Tagger(source, module.eval().to(device), tokenizer, labels, min(longest, 512), progress)


def _base_of(adapter: Path) -> str:
    described = _json(adapter / ADAPTER)
    base = described.get("base_model_name_or_path") if isinstance(described, dict) else None
    if not isinstance(base, str) or not base:
        raise AttritionError(
            f"{adapter / ADAPTER} names no base_model_name_or_path. Write the folder or name of its base there."
        )
    beside = adapter / base  # an adapter and its base may be moved together
    return str(beside) if not Path(base).is_absolute() and not Path(base).is_dir() and beside.is_dir() else base


def _labels_of(adapter: Path, config: Any) -> tuple[str, ...]:
    """Return the classes of an adapter: from its `labels.json`, or the base's names if their number is the same."""
    number = _num_classes(adapter) or int(config.num_labels)
    if (adapter / "labels.json").is_file():
        given = _json(adapter / "labels.json")
        if not isinstance(given, list) or not all(isinstance(each, str) for each in given) or len(given) != number:
            raise AttritionError(f"{adapter / 'labels.json'} must be a list of {number} names, one a class of the adapter.")
        return tuple(given)
    labels = tuple(str(config.id2label[row]) for row in range(config.num_labels))
    if len(labels) != number or labels[0].startswith("LABEL_"):
        raise AttritionError(
            f"{adapter} does not say what its {number} classes are. Write labels.json there: a list of their names in order."
        )
    return labels


def _num_classes(adapter: Path) -> int | None:
    """Return the number of classes of an adapter's own classifier; None if it has none."""
    try:
        with safe_open(adapter / "adapter_model.safetensors", framework="pt") as tensors:
            for key in tensors.keys():  # noqa: SIM118 - not a dict
                if key.endswith(("classifier.weight", "score.weight")):
                    return int(tensors.get_slice(key).get_shape()[0])
    except Exception as error:
        raise AttritionError(f"{adapter / 'adapter_model.safetensors'} cannot be read ({error}). Copy it again.") from error
    return None


def _adapted(module: nn.Module, adapter: Path) -> nn.Module:
    try:
        from peft import PeftModel
    except ImportError as error:
        raise AttritionError(f"{adapter} is an adapter, which needs peft: pip install 'attrition[peft]'") from error
    with quiet_transformers():
        merged: nn.Module = PeftModel.from_pretrained(module, adapter, trust_remote_code=False).merge_and_unload()
    return merged


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise AttritionError(f"{path} cannot be read as JSON. Save it again.") from error

"""Everything a study needs before its first step: corpus, encoder, encoded utterances, plan."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch

from attrition.corpus.base import Corpus, Split
from attrition.corpus.dataset import Dataset
from attrition.corpus.encoded import Encoded
from attrition.encoder.pretrained import Pretrained, load_pretrained
from attrition.encoder.vocabulary import Vocabulary, used_vocabulary, whole_vocabulary
from attrition.methods import Trains
from attrition.names import AttritionError
from attrition.run.corpora import open_corpus
from attrition.run.spec import Study
from attrition.run.study import StudyPlan, plan_study
from attrition.run.watcher import Watcher
from attrition.training.model import Model, build_model


@dataclass(frozen=True, eq=False)
class Prepared:
    """A study ready to run. `encoded` holds ids of the model's (compact) vocabulary."""

    study: Study
    corpus: Corpus
    pretrained: Pretrained
    dataset: Dataset
    vocabulary: Vocabulary
    encoded: Mapping[tuple[str, Split], Encoded]
    plan: StudyPlan
    device: torch.device

    def shapes(self, trains: Trains) -> dict[str, tuple[int, ...]]:
        """Name and shape of every parameter that a learner trains."""
        return self.model.shapes(trains)

    @cached_property
    def model(self) -> Model:
        """The encoder with its classes, on the device."""
        return build_model(self.pretrained, self.vocabulary, self.dataset.labels, self.device)


def prepare(study: Study, watcher: Watcher, cache: Path | None) -> Prepared:
    """Open, load, encode and plan.

    Args:
        study: as read.
        watcher: told how far encoding is.
        cache: folder for encoded languages, or None.

    Raises:
        AttritionError: something that the study names is not there or does not fit.
    """
    device = choose_device(study.machine.device)  # the cheapest mistakes first
    corpus = open_corpus(study, watcher.reading)
    pretrained = load_pretrained(study.model.name)
    longest = int(getattr(pretrained.config, "max_position_embeddings", 10**9)) - 2
    encoding = dataclasses.replace(study.encoding, max_tokens=min(study.encoding.max_tokens, longest))
    dataset = Dataset(
        corpus=corpus,
        languages=study.languages,
        tokenizer=pretrained.tokenizer,
        tokenizer_fingerprint=pretrained.tokenizer_fingerprint,
        settings=encoding,
        cuts=study.corpus.cuts,
        sizes=study.corpus.sizes,
        cache=cache,
    )
    watcher.encoding(len(study.languages))
    whole = dataset.encode(watcher.encoded)
    _check_dev(study, whole)
    vocabulary = _vocabulary(study, pretrained, whole)
    return Prepared(
        study=study,
        corpus=corpus,
        pretrained=pretrained,
        dataset=dataset,
        vocabulary=vocabulary,
        encoded={
            place: dataclasses.replace(each, ids=vocabulary.compact(each.ids).astype(np.int32)) for place, each in whole.items()
        },
        plan=plan_study(study, pretrained, dataset.labels, whole),
        device=device,
    )


def _check_dev(study: Study, encoded: Mapping[tuple[str, Split], Encoded]) -> None:
    empty = [language for language in study.languages if not len(encoded[language, "dev"])]
    for choice in study.methods:
        if empty and (choice.training.keep == "best" or choice.training.patience is not None):
            raise AttritionError(
                f"{choice.method.name} keeps the best weights or stops early by F1 on dev utterances, but {empty[0]} has none. "
                'Set corpus.sizes.dev, or training.keep = "last" and no patience.'
            )


def _vocabulary(study: Study, pretrained: Pretrained, encoded: Mapping[tuple[str, Split], Encoded]) -> Vocabulary:
    if not study.model.compact:
        return whole_vocabulary(pretrained.vocabulary_size)
    named = (getattr(pretrained.config, f"{name}_token_id", None) for name in ("pad", "bos", "eos", "unk"))
    special = [token for token in named if isinstance(token, int)]
    return used_vocabulary((each.ids for each in encoded.values()), special, pretrained.vocabulary_size)


def choose_device(name: str) -> torch.device:
    """The device called `name`; "auto" takes a GPU if there is one.

    Raises:
        AttritionError: there is no such device here.
    """
    kind, colon, number = name.partition(":")
    if kind not in ("auto", "cpu", "cuda") or (colon and not (kind == "cuda" and number.isdecimal())):
        raise AttritionError(
            f'machine.device = {name!r} is not a device. Write "auto", "cpu", "cuda" or, as of several, "cuda:1".'
        )
    if kind == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if kind == "cuda" and int(number or 0) >= torch.cuda.device_count():
        raise AttritionError(
            f'machine.device = {name!r}, but torch sees {torch.cuda.device_count()} GPUs here. Write "auto" or "cpu".'
        )
    return torch.device(name)


def num_threads(asked: int | None) -> int:
    """How many threads CPU work uses: those asked for, or all cores this process may use."""
    if asked is not None:
        return asked
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1

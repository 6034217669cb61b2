"""Prepares a study: inputs with the vocabulary in use, device, precision and plan."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch

from attrition.corpus.base import Split
from attrition.corpus.encoded import Encoded, EncodingSettings
from attrition.encoder.precision import Precision, choose_precision
from attrition.encoder.pretrained import Pretrained
from attrition.encoder.vocabulary import Vocabulary
from attrition.methods import Trains
from attrition.names import AttritionError
from attrition.prepare.covariates import covariates_text
from attrition.prepare.labels import said_of_untrained, untrained_labels, untrained_slots
from attrition.prepare.materials import CorpusFacts, gather, refuse_missing_dev, vocabulary_of
from attrition.prepare.pack import read_pack
from attrition.prepare.repeated import said_of_repeated
from attrition.problem.base import Problem
from attrition.problem.problems import problem
from attrition.store.evaluations import ScoredOn
from attrition.study.plan import StudyPlan, plan_study
from attrition.study.select import runs_of_study
from attrition.study.spec import Study
from attrition.study.watcher import Watcher
from attrition.training.model import Model, build_model


@dataclass(frozen=True, eq=False)
class Prepared:
    """A study ready to run: its `model.precision` is chosen, `encoded` holds ids of the model's (compact) vocabulary."""

    study: Study
    corpus: CorpusFacts
    pretrained: Pretrained
    encoding: EncodingSettings
    problem: Problem
    labels: tuple[str, ...]
    vocabulary: Vocabulary
    encoded: Mapping[tuple[str, Split], Encoded]
    scored_on: ScoredOn
    plan: StudyPlan
    device: torch.device

    def shapes(self, trains: Trains) -> dict[str, tuple[int, ...]]:
        """Return name and shape of every parameter that a learner trains."""
        return self.model.shapes(trains)

    @property
    def precision(self) -> Precision:
        """Return the chosen precision of matrix products."""
        assert self.study.model.precision != "auto"
        return self.study.model.precision

    @cached_property
    def warnings(self) -> tuple[str, ...]:
        """Return data warnings: slots or classes without training data, and scored utterances also used in training."""
        trained = (*self.study.languages, *self.study.portions, *self.study.model.learned)
        encoded = {place: each for place, each in self.encoded.items() if place[1] != "train" or place[0] in trained}
        if self.problem.tags:
            said = said_of_untrained(untrained_slots(encoded, self.labels))
        else:
            said = said_of_untrained(untrained_labels(encoded, self.labels), kind="label")
        learns = (*self.study.languages, *self.study.portions)
        splits = dict.fromkeys(("test", self.study.evaluate_on))
        return (*filter(None, [said]), *said_of_repeated(self.encoded, learns, self.study.portions, splits))

    @property
    def covariates(self) -> str:
        """Return the text of `covariates.json`."""
        return covariates_text(self.encoded, self.corpus.cuts, self.labels if self.problem.tags else None, self.study.languages)

    @cached_property
    def model(self) -> Model:
        """Return the encoder with its classifier, on the device."""
        compiled = self.study.machine.compile
        return build_model(self.pretrained, self.vocabulary, self.labels, self.device, self.precision, compiled, self.problem)


def prepare(study: Study, watcher: Watcher, cache: Path | None, pack: Path | None = None) -> Prepared:
    """Return a study ready to run.

    Args:
        study: as read.
        watcher: receives progress.
        cache: folder for encoded languages, or None.
        pack: a pack of this study, to use instead of corpus and encoder; see `attrition.prepare.pack`.

    Raises:
        AttritionError: something that the study names is missing or does not match.
    """
    device = choose_device(study.machine.device)  # first, because this check is fast
    precision = choose_precision(study.model.precision, device)
    materials = gather(study, watcher, cache) if pack is None else read_pack(pack, watcher)
    refuse_missing_dev(study, materials.encoded)
    chosen, _ = problem(study.problem)
    labels = chosen.labels(materials.corpus, materials.encoding)
    vocabulary = vocabulary_of(study, materials)
    encoded = {
        place: dataclasses.replace(each, ids=vocabulary.compact(each.ids).astype(np.int32))
        for place, each in materials.encoded.items()
    }
    return Prepared(
        study=dataclasses.replace(study, model=dataclasses.replace(study.model, precision=precision)),
        corpus=materials.corpus,
        pretrained=materials.pretrained,
        encoding=materials.encoding,
        problem=chosen,
        labels=labels,
        vocabulary=vocabulary,
        encoded=encoded,
        scored_on=ScoredOn.choose(study, encoded, materials.encoded),
        plan=runs_of_study(plan_study(study, materials.pretrained, labels, materials.encoded, precision), study.only),
        device=device,
    )


def choose_device(name: str) -> torch.device:
    """Return the device called `name`; "auto" is a GPU if there is one.

    Raises:
        AttritionError: this machine has no such device.
    """
    kind, colon, number = name.partition(":")
    if kind not in ("auto", "cpu", "cuda") or (colon and not (kind == "cuda" and number.isdecimal())):
        raise AttritionError(
            f'machine.device = {name!r} is not a device. Write "auto", "cpu", "cuda" or, with several GPUs, "cuda:1".'
        )
    if kind == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if kind == "cuda" and int(number or 0) >= torch.cuda.device_count():
        raise AttritionError(
            f'machine.device = {name!r}, but torch sees {torch.cuda.device_count()} GPUs here. Write "auto" or "cpu".'
        )
    return torch.device(name)


def num_threads(asked: int | None) -> int:
    """Return the number of CPU threads: `asked`, or all cores that this process may use."""
    if asked is not None:
        return asked
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1

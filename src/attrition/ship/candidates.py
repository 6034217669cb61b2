"""The ways in which a deployed model may learn a language, each scored on dev utterances, and the one that is chosen.

A trained model also gives models between the deployed weights and its own (Wortsman et al. 2022): they cost no training.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from attrition.methods import Trains
from attrition.prepare.prepare import Prepared
from attrition.store.restore import restored
from attrition.store.stages import Store
from attrition.study.plan import Job
from attrition.training.model import Weights
from attrition.training.predict import evaluate_each

WEIGHTS = (1.0, 0.75, 0.5, 0.25)
"""Shares of the trained weights in the models between the deployed one and a trained one."""

PLAIN, ADAPTER = "plain", "adapter"


@dataclass(frozen=True)
class Candidate:
    """One model that may be shipped, with what it scores on dev utterances.

    `f1` is by language, in points, and `old` that of the deployed model. A candidate that is `routed` serves the new language
    only: the deployed model goes on with the others, so nothing of them changes. `weight` is the share of the trained weights.
    """

    way: str
    language: str
    job: Job
    weight: float
    routed: bool
    f1: Mapping[str, float]
    old: Mapping[str, float]

    @property
    def part(self) -> str:
        """How far it goes from the deployed to the trained weights; empty for all the way."""
        return "" if self.weight == 1 else f"{self.weight:.0%}"

    @property
    def name(self) -> str:
        """The way, and how far it goes."""
        return f"{self.way}, {self.part} of the way" if self.part else self.way

    @property
    def gain(self) -> float:
        """Points of F1 that the new language gains."""
        return self.f1[self.language] - self.old[self.language]

    @property
    def losses(self) -> dict[str, float]:
        """Points of F1 that each other language loses."""
        return {each: self.old[each] - self.f1[each] for each in self.f1 if each != self.language}

    @property
    def worst(self) -> tuple[str, float]:
        """The language that loses most, and how many points."""
        return max(self.losses.items(), key=lambda each: each[1])


def methods_of(*, share: float, size: int, rank: int, adapter: bool) -> list[dict[str, Any]]:
    """Return the entries of a study file for the ways that are trained, the cheapest first.

    Args:
        share: of a batch's utterances, those that are replayed.
        size: utterances in the memory of replay.
        rank: of the adapter.
        adapter: whether to train one.
    """
    replay = {"method": "VANILLA", "name": "replay", "replay": {"share": share, "size": size, "select": "balanced"}}
    lora = [{"method": "SHARED LoRA", "name": ADAPTER, "rank": rank}] if adapter else []
    return [{"method": "VANILLA", "name": PLAIN}, replay, *lora]


def candidates(prepared: Prepared, store: Store, jobs: Sequence[Job]) -> list[Candidate]:
    """Return every candidate of the trained jobs, scored on the dev utterances of all languages.

    Args:
        prepared: a study of one language, which watches the others.
        store: of its results, where the jobs lie.
        jobs: those that are trained, at least one.
    """
    (language,) = prepared.study.languages
    found = []
    # Every way starts from the deployed model, which is scored once: an adapter's first factors change nothing.
    old = _deployed_f1(prepared, jobs[0])
    for job in jobs:
        trains, name = job.choice.method.trains, job.choice.method.name
        if trains.adapter is not None:
            f1 = _f1(prepared, trains, restored(store, prepared.model, trains, job.key))
            routed = {**old, language: f1[language]}
            found.append(Candidate(f"{name} for {language} only", language, job, 1.0, True, routed, old))
            found.append(Candidate(f"{name} for all", language, job, 1.0, False, f1, old))
            continue
        for weight in WEIGHTS:
            f1 = _f1(prepared, trains, weights_of(prepared, store, job, weight))
            found.append(Candidate(name, language, job, weight, False, f1, old))
    return found


def weights_of(prepared: Prepared, store: Store, job: Job, weight: float) -> Tensor:
    """Return a trained learner's vector, [P], moved back towards the weights that it started from."""
    trains = job.choice.method.trains
    trained = restored(store, prepared.model, trains, job.key)
    return trained if weight == 1 else prepared.model.start(trains, *job.seed).cpu().lerp(trained.cpu(), weight)


def _deployed_f1(prepared: Prepared, job: Job) -> dict[str, float]:
    """Of the model as it is deployed: it has no classes for new labels, so it misses their spans."""
    model, trains = prepared.model, job.choice.method.trains
    weights = model.weights(trains, model.start(trains, *job.seed).to(model.device))
    own = model.labels if model.pretrained.head is None else model.pretrained.head.labels
    is_new_C = torch.tensor([label not in own for label in model.labels], device=model.device)
    bias_C = weights.head_bias.masked_fill(is_new_C, -math.inf)
    return _f1_of(prepared, dataclasses.replace(weights, head_bias=bias_C))


def _f1(prepared: Prepared, trains: Trains, flat_P: Tensor) -> dict[str, float]:
    return _f1_of(prepared, prepared.model.weights(trains, flat_P.to(prepared.model.device)))


def _f1_of(prepared: Prepared, weights: Weights) -> dict[str, float]:
    counts = evaluate_each(prepared.model, weights, prepared.scored_on.sets)
    return {language: 100 * each.f1 for language, each in counts.items()}


def choose(found: Sequence[Candidate], margin: float) -> Candidate:
    """Return the best candidate by dev scores.

    Of those whose worst loss is below `margin` points, that with the largest gain; if there is none, that with the smallest
    worst loss. The first of equals.
    """
    within = [each for each in found if each.worst[1] < margin]
    return max(within, key=lambda each: each.gain) if within else min(found, key=lambda each: each.worst[1])

"""Scores candidate updates of a deployed model for a language on dev utterances, and chooses one.

A trained model also gives interpolations of the deployed and the trained weights (Wortsman et al. 2022), without training.
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
"""Shares of the trained weights in the interpolated models."""

PLAIN, ADAPTER = "plain", "adapter"


@dataclass(frozen=True)
class Candidate:
    """One model that may be shipped, with its scores on dev utterances.

    `f1` is by language, in points; `old` is F1 of the deployed model. A `routed` candidate serves the new language only. The
    deployed model serves the others, so their F1 does not change. `weight` is the share of the trained weights.
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
        """The share of the trained weights, in percent; "" for the trained weights themselves."""
        return "" if self.weight == 1 else f"{self.weight:.0%}"

    @property
    def name(self) -> str:
        """The way of training and the share of the trained weights."""
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
        """The language with the largest loss, and this loss in points."""
        return max(self.losses.items(), key=lambda each: each[1])


def methods_of(*, share: float, size: int, rank: int, adapter: bool) -> list[dict[str, Any]]:
    """Return the study file's entries for the ways of training, the cheapest first.

    Args:
        share: fraction of a batch's utterances that are replayed.
        size: utterances in the replay memory.
        rank: of the adapter.
        adapter: True to train an adapter too.
    """
    replay = {"method": "VANILLA", "name": "replay", "replay": {"share": share, "size": size, "select": "balanced"}}
    lora = [{"method": "SHARED LoRA", "name": ADAPTER, "rank": rank}] if adapter else []
    return [{"method": "VANILLA", "name": PLAIN}, replay, *lora]


def candidates(prepared: Prepared, store: Store, jobs: Sequence[Job]) -> list[Candidate]:
    """Return every candidate of the trained jobs, scored on the dev utterances of all languages.

    Args:
        prepared: a study of one language that is also scored on the others.
        store: of its results.
        jobs: the trained jobs, at least one.
    """
    (language,) = prepared.study.languages
    found = []
    # Every way starts from the deployed model, which is scored once: a new adapter changes nothing.
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
    """Return a learner's parameters, [P], interpolated between its start and its trained weights."""
    trains = job.choice.method.trains
    trained = restored(store, prepared.model, trains, job.key)
    return trained if weight == 1 else prepared.model.start(trains, *job.seed).cpu().lerp(trained.cpu(), weight)


def _deployed_f1(prepared: Prepared, job: Job) -> dict[str, float]:
    """Return F1 of the deployed model. It has no classes for new labels, so it misses their spans."""
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

    Choose the largest gain among candidates whose worst loss is below `margin` points. If there are none, choose the smallest
    worst loss. Ties: the first candidate.
    """
    within = [each for each in found if each.worst[1] < margin]
    return max(within, key=lambda each: each.gain) if within else min(found, key=lambda each: each.worst[1])

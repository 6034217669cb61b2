"""Estimates the time of a stage from similar earlier stages, for the time limit of a study."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from itertools import islice

from attrition.names import AttritionError
from attrition.store.evaluations import ScoredOn
from attrition.store.stages import Store
from attrition.study.keys import evaluation_key
from attrition.study.plan import Job

REMEMBERED = 5
"""Number of the latest similar stages that count: a machine's speed changes over the day."""


class Pace:
    """The times of earlier stages.

    Stages are similar if they train the same parameters with the same settings, or else if they are of the same kind (full
    or LoRA). Training time is proportional to the utterances read, scoring time to the utterances scored.
    """

    def __init__(self) -> None:
        self._training: dict[object, list[float]] = {}
        self._scoring: list[float] = []

    def trained(self, job: Job, utterances: int, seconds: float) -> None:
        """Record a stage of at most `utterances` utterances over all epochs; early stopping may have read fewer."""
        for traits in _traits(job):
            self._training.setdefault(traits, []).append(seconds / max(utterances, 1))

    def scored(self, utterances: int, seconds: float) -> None:
        """Record the scoring of one model on `utterances` utterances."""
        self._scoring.append(seconds / max(utterances, 1))

    def training(self, job: Job, utterances: int) -> float | None:
        """Return the seconds that training will take, or None if no similar stage is known."""
        for traits in _traits(job):
            if known := self._training.get(traits):
                return utterances * _mean(known)
        return None

    def scoring(self, utterances: int) -> float | None:
        """Return the seconds that scoring will take, or None if nothing was scored yet."""
        return utterances * _mean(self._scoring) if self._scoring else None

    def look_back(self, store: Store, jobs: Sequence[Job], passes: Mapping[str, int], scored_on: ScoredOn) -> None:
        """Record the latest stored stages of each kind.

        Args:
            store: of the results folder.
            jobs: of the study, in the order of training.
            passes: by key, the utterances that each reads at most, over all epochs.
            scored_on: what they are scored on.
        """
        counts: dict[object, int] = {}
        chosen = []
        for job in reversed(jobs):
            exact, _ = _traits(job)
            if store.has("stages", job.key) and counts.get(exact, 0) < REMEMBERED:
                counts[exact] = counts.get(exact, 0) + 1
                chosen.append(job)
        for job in reversed(chosen):
            try:
                self.trained(job, passes[job.key], sum(store.load_history(job.key).seconds.values()))
            except AttritionError:
                continue  # the engine reports damaged stages
        for job in reversed(list(islice(chosen, REMEMBERED))):
            key = evaluation_key(job.key, scored_on.of(job))
            try:
                if store.has("evaluations", key):
                    found = store.load_evaluation(key)
                    self.scored(sum(len(each.tp) for each in found.counts.values()), found.seconds)
            except AttritionError:
                continue


def _traits(job: Job) -> tuple[object, object]:
    """Return what similar stages share, the closest similarity first."""
    trains = job.choice.method.trains
    return (trains, dataclasses.astuple(job.choice.training)), trains.kind


def _mean(seconds: Sequence[float]) -> float:
    latest = seconds[-REMEMBERED:]
    return sum(latest) / len(latest)

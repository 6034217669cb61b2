"""Estimates time, memory and disk of a study: the work of its stages times the measured speed of this machine."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

import torch

from attrition.engine.measure import Kind, Rates, kinds_of, unscaled
from attrition.engine.side_by_side import largest_populations
from attrition.engine.write_results import has_before
from attrition.names import AttritionError
from attrition.prepare.prepare import Prepared
from attrition.store.checkpoints import SHARE
from attrition.study.keys import evaluation_key
from attrition.study.plan import Job, Made

BYTES = 4


@dataclass(frozen=True)
class Estimate:
    """Seconds, peak memory and disk of a study.

    Attributes:
        seconds: of all runs.
        by_run: seconds of each run by its key; shared stages count in the first run.
        training_of, scoring_of: seconds by key of each stage that is not stored or scored yet.
        memory_bytes: largest size of parameters in memory.
        disk_bytes: size of the stages that are not stored yet.
        training: by the label of each kind, utterances per second over all learners side by side, without scoring.
        scoring: utterances per second.
    """

    seconds: float
    by_run: Mapping[str, float]
    training_of: Mapping[str, float]
    scoring_of: Mapping[str, float]
    memory_bytes: int
    disk_bytes: int
    training: Mapping[str, float]
    scoring: float


def estimate(
    prepared: Prepared, rates: Rates, stored: frozenset[str] = frozenset(), scored: frozenset[str] = frozenset()
) -> Estimate:
    """Return the cost of the stages that are not in `stored`, without early stopping, and of the scores not in `scored`.

    The time of a stage is epochs x (training steps + dev scores), plus checkpoints, two reads and one write of a learner, and
    scoring.

    Args:
        prepared: a study.
        rates: as `attrition.engine.measure.measure` returns them, for all jobs that are not in `stored`.
        stored: keys of trained stages.
        scored: keys of finished evaluations.
    """
    jobs = prepared.plan.jobs
    kinds = kinds_of(prepared, (job for key, job in jobs.items() if key not in stored))
    by_run: dict[str, float] = {}
    training_of: dict[str, float] = {}
    scoring_of: dict[str, float] = {}
    spent: dict[Kind, float] = {}
    read: dict[Kind, int] = {}
    known, disk = set(stored), 0
    evaluated = set(scored)
    for run in prepared.plan.runs:
        seconds = 0.0
        for job in run.jobs:
            if job.key not in known:
                known.add(job.key)
                kind = kinds[job.key]
                training = training_seconds(prepared, rates, kind, job)
                spent[kind] = spent.get(kind, 0.0) + training
                read[kind] = read.get(kind, 0) + _utterances(prepared, job)
                training_of[job.key] = training + _around(prepared, rates, job, training)
                seconds += training_of[job.key]
                disk += prepared.model.layout(job.choice.method.trains).size * BYTES
        for made in run.made:
            scoring_of[made.key] = scoring_of.get(made.key, 0.0) + (own := _scoring(prepared, rates, made, evaluated))
            seconds += own
        if has_before(run, prepared.scored_on):
            first = run.jobs[0]
            scoring_of[first.key] += (own := _scoring(prepared, rates, first, evaluated, before=True))
            seconds += own
        by_run[run.key] = seconds
    sets = prepared.scored_on.sets.values()
    tokens, utterances = sum(each.num_tokens for each in sets), sum(len(each) for each in sets)
    scoring = tokens * rates.scoring.token
    return Estimate(
        seconds=sum(by_run.values()),
        by_run=by_run,
        training_of=training_of,
        scoring_of=scoring_of,
        memory_bytes=parameter_bytes(prepared),
        disk_bytes=disk,
        training={kind.label: read[kind] / seconds for kind, seconds in spent.items() if seconds},
        scoring=utterances / scoring if scoring else float("nan"),
    )


def training_seconds(prepared: Prepared, rates: Rates, kind: Kind, job: Job) -> float:
    """Return the training seconds of a stage: its share of the time of all learners that train beside it.

    Utterances that hooks add or read again are assumed to be as long as those of the stage.
    """
    costs = [hook.cost() for hook in job.hooks]
    share = sum(each.share for each in costs)
    sets = [prepared.encoded[language, "train"] for language in job.languages]
    settings, line = job.choice.training, rates.training[kind]
    num_utterances = sum(len(each) for each in sets)
    again = sum(min(each.utterances, num_utterances) for each in costs)
    steps = steps_of(prepared, job) // settings.epochs
    tokens = sum(each.num_tokens for each in sets) * line.token
    epoch = steps * line.call / kind.learners + (1 + share) * tokens
    return settings.epochs * epoch + again * (line.call + tokens / num_utterances)


def steps_of(prepared: Prepared, job: Job) -> int:
    """Return the number of training steps of a stage without early stopping."""
    settings = job.choice.training
    return settings.epochs * -(
        -sum(len(prepared.encoded[language, "train"]) for language in job.languages) // settings.batch_size
    )


def _around(prepared: Prepared, rates: Rates, job: Job, training: float) -> float:
    """Return the seconds of a stage's dev scores, checkpoints, reading and writing."""
    trains, settings = unscaled(job.choice.method.trains), job.choice.training
    dev = sum(prepared.encoded[language, "dev"].num_tokens for language in job.languages)
    seconds = settings.epochs * (rates.weights[trains] + dev * rates.scoring.token) if dev else 0.0
    every, saving = prepared.study.machine.checkpoint_seconds, rates.saving[trains]
    if every != "none":
        checkpoint = 4 * saving  # parameters, two moments and the best epoch's parameters
        seconds += checkpoint * ((training + seconds) // max(every, checkpoint / SHARE, 1e-9))
    return seconds + saving + 2 * rates.loading[trains]


def _scoring(prepared: Prepared, rates: Rates, job: Made, evaluated: set[str], *, before: bool = False) -> float:
    """Return the seconds to score a stage, or the model before it; 0 if `evaluated` has it, else add it there."""
    tests = prepared.scored_on.of(job, before=before)
    key = evaluation_key(job.key, tests, before=before)
    if key in evaluated or not tests:
        return 0.0
    evaluated.add(key)
    tokens = sum(prepared.scored_on.sets[language].num_tokens for language in tests)
    trains = job.choice.method.trains if isinstance(job, Job) else job.trains
    return rates.weights[unscaled(trains)] + tokens * rates.scoring.token


def _utterances(prepared: Prepared, job: Job) -> int:
    return job.choice.training.epochs * sum(len(prepared.encoded[language, "train"]) for language in job.languages)


def parameter_bytes(prepared: Prepared) -> int:
    """Return the bytes of the encoder plus parameters, gradients and two AdamW moments of the largest population."""
    jobs = prepared.plan.jobs.values()
    sizes = {trains: prepared.model.layout(trains).size for trains in {job.choice.method.trains for job in jobs}}
    most = max(
        4 * BYTES * len(together) * max(sizes[job.choice.method.trains] for job in together)
        for together in largest_populations(prepared, jobs)
    )
    return sum(tensor.numel() for tensor in prepared.model.base.values()) * BYTES + most


def refuse_too_large(prepared: Prepared) -> None:
    """Refuse a study whose parameters alone exceed the machine's memory.

    Raises:
        AttritionError: they exceed it.
    """
    needed, there = parameter_bytes(prepared), memory_bytes(prepared.device)
    if there is not None and needed > there:
        raise AttritionError(
            f"The parameters of this study take {needed / 1e9:,.0f} GB in training, but this machine has "
            f"{there / 1e9:,.0f} GB of memory. Lower a rank or machine.population, or take a smaller model."
        )


def memory_bytes(device: torch.device) -> int | None:
    """Return the memory of a device in bytes, or None if unknown."""
    if device.type == "cuda":
        return int(torch.cuda.get_device_properties(device).total_memory)
    names = getattr(os, "sysconf_names", {})
    if "SC_PHYS_PAGES" not in names or "SC_PAGE_SIZE" not in names:
        return None
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")

"""A job of a study as a task of the training loop: what it starts from and reads, from the store and the materials."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from attrition.corpus.base import Split
from attrition.corpus.encoded import Encoded, join
from attrition.run.prepare import Prepared
from attrition.run.restore import HOOK, restored
from attrition.run.store import Store
from attrition.run.study import Job
from attrition.training.train import Task


def task_of(job: Job, prepared: Prepared, store: Store) -> Task:
    """The task of a job; weights and what hooks left are read from the store when training begins."""
    model, trains = prepared.model, job.choice.method.trains

    def joined(languages: Sequence[str], split: Split) -> Encoded:
        return join([prepared.encoded[language, split] for language in languages])

    def earlier(languages: Sequence[str]) -> Callable[[], Encoded]:
        return lambda: joined(languages, "train")

    def start() -> Tensor:
        return model.start(trains, *job.seed) if job.parent is None else restored(store, model, trains, job.parent)

    return Task(
        name=job.key,
        trains=trains,
        start=start,
        train=joined(job.languages, "train"),
        dev=joined(job.languages, "dev"),
        settings=job.choice.training,
        seed=job.seed,
        hooks=job.hooks,
        chain=job.chain,
        earlier=tuple(earlier(languages) for languages in job.chain[:-1]),
        memory=lambda: _memory(job, store),
    )


def _memory(job: Job, store: Store) -> dict[str, Tensor]:
    """What the hooks of the stage before left, as "<hook>.<name>"."""
    stored = {} if job.parent is None else store.load_tensors(job.parent)
    left = {name.removeprefix(HOOK): array for name, array in stored.items() if name.startswith(HOOK)}
    return {name: torch.from_numpy(np.array(array)) for name, array in left.items()}


def decay_left(task: Task, num_epochs: int) -> float:
    """What decoupled weight decay leaves of a parameter without gradient after some epochs: the product of 1 - lr_t * decay.

    Loshchilov and Hutter 2019, Algorithm 2.
    """
    settings, total = task.settings, task.steps_an_epoch * task.settings.epochs
    rates = (settings.learning_rate * settings.rate(step, total) for step in range(task.steps_an_epoch * num_epochs))
    return math.prod(1 - rate * settings.weight_decay for rate in rates)

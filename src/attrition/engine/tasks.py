"""Turns a job of a study into a task of the training loop."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from torch import Tensor

from attrition.corpus.base import Split
from attrition.corpus.encoded import Encoded, join
from attrition.prepare.prepare import Prepared
from attrition.store.restore import left_by_hooks, restored
from attrition.store.stages import Store
from attrition.study.plan import Job
from attrition.training.train import Task


def task_of(job: Job, prepared: Prepared, store: Store) -> Task:
    """Return the task of a job; weights and saved tensors of hooks are read from the store when training starts."""
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
        memory=lambda: {} if job.parent is None else left_by_hooks(store, model, trains, job.parent),
    )

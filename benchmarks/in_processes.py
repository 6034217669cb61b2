"""Passes of several processes at the same time, one thread each: what `machine.executor = "processes"` makes of the cores."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection

import torch

from attrition.encoder.precision import Precision
from attrition.methods import Trains
from attrition.training.model import build_model
from attrition.training.settings import TrainingSettings
from benchmarks import common, ours
from benchmarks.workload import load_workload


@dataclass(frozen=True, kw_only=True)
class Pass:
    """One pass over the utterances: training, or evaluation if `flat_P` is given (the learner's parameters)."""

    model: str
    languages: tuple[str, ...]
    num_train: int
    num_test: int
    phrasebook: bool
    precision: Precision
    trains: Trains
    settings: TrainingSettings
    flat_P: torch.Tensor | None = None

    def prepared(self) -> Callable[[], object]:
        """Return the pass, after everything was loaded that is not timed."""
        work = load_workload(self.model, self.languages, self.num_train, self.num_test, phrasebook=self.phrasebook)
        model = build_model(work.pretrained, work.vocabulary, work.labels, "cpu", self.precision)
        if (flat_P := self.flat_P) is not None:
            tests = {language: work.compact(encoded) for language, encoded in work.tests.items()}
            return lambda: ours.evaluate(model, self.trains, flat_P, tests)
        train, start = work.compact(work.train), model.start(self.trains, "benchmark")
        return lambda: ours.train(model, self.trains, [train], [start.clone], self.settings)


def _worker(job: Pass, to_parent: Connection) -> None:
    common.set_threads(1)
    work = job.prepared()
    to_parent.send("ready")
    while to_parent.recv() == "go":
        work()
        to_parent.send("done")


@contextmanager
def processes(job: Pass, number: int) -> Iterator[Callable[[], None]]:
    """Start processes, and give a function that makes one pass in each of them and returns when all have finished."""
    context = multiprocessing.get_context("spawn")
    pipes = [context.Pipe() for _ in range(number)]
    workers = [context.Process(target=_worker, args=(job, theirs), daemon=True) for _, theirs in pipes]
    for worker in workers:
        worker.start()
    for _, theirs in pipes:
        theirs.close()  # so that a worker that died is an error here, not a wait without end
    own = [mine for mine, _ in pipes]

    def answers(expected: str) -> None:
        for each in own:
            assert each.recv() == expected

    def at_once() -> None:
        for each in own:
            each.send("go")
        answers("done")

    try:
        answers("ready")
        yield at_once
    finally:
        for each, worker in zip(own, workers, strict=True):
            if worker.is_alive():
                each.send("end")
        for worker in workers:
            worker.join(10)
            worker.kill()

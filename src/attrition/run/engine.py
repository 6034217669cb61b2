"""Runs a study: trains what is not stored yet, scores every stage, writes every run that is complete."""

from __future__ import annotations

import dataclasses
import json
import math
import platform
import sys
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
import tomli_w
import torch
from torch import Tensor

from attrition.corpus.base import Split
from attrition.corpus.cache import cache_folder
from attrition.corpus.dataset import content_key
from attrition.corpus.encoded import Encoded, join
from attrition.encoder.pretrained import WORD_EMBEDDINGS
from attrition.files import write_whole
from attrition.methods import Full, LoRA, Trains
from attrition.names import AttritionError
from attrition.run.estimate import refuse_too_large
from attrition.run.folder import EARLIER, locked, put_aside, refuse_other_study
from attrition.run.keys import key_of
from attrition.run.prepare import Prepared, num_threads, prepare
from attrition.run.results import write_run
from attrition.run.spec import Study, resolved
from attrition.run.store import KEPT, DamagedError, Store, StoredEvaluation, StoredHistory, numpy_tensors
from attrition.run.study import Job, RunPlan
from attrition.run.watcher import Watcher
from attrition.training.clock import Clock
from attrition.training.model import Model
from attrition.training.predict import evaluate_each
from attrition.training.train import Finished, Task, train_population

VERSIONS = ("attrition", "torch", "transformers", "tokenizers", "safetensors", "numpy", "pandas", "babel")


def run_study(study: Study, folder: str | Path, watcher: Watcher | None = None, pack: Path | None = None) -> Path:
    """Run or resume a study in `folder`; stages that lie there already are not trained again.

    Args:
        study: as read from its file, or by `attrition.run.pack.open_pack`.
        folder: for the results.
        watcher: told how far the study is.
        pack: where the study was packed, if corpus and encoder are to come from there.

    Raises:
        AttritionError: the study does not fit what is there, or another process is at work in the folder.
    """
    watcher, folder = watcher or Watcher(), Path(folder)
    torch.set_num_threads(num_threads(study.machine.threads))
    with locked(folder):
        refuse_other_study(folder, study.name)
        prepared = prepare(study, watcher, cache_folder(), pack)
        refuse_too_large(prepared)
        write_whole(folder / "study.toml", tomli_w.dumps(resolved(study)))
        write_whole(folder / "environment.json", json.dumps(environment(prepared.device), indent=1) + "\n")
        try:
            _Engine(prepared, Store(folder), watcher).run()
        except (MemoryError, torch.OutOfMemoryError) as error:
            raise AttritionError(
                "There is not enough memory for this study. Lower machine.population, training.batch_size or the rank; "
                "finished stages are kept."
            ) from error
    return folder


def environment(device: torch.device) -> dict[str, Any]:
    """Versions and machine, by a list of allowed names: nothing else of the environment is recorded."""
    versions = {}
    for name in VERSIONS:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            versions[name] = "not installed"
    return {
        "python": sys.version.split()[0],
        "versions": versions,
        "platform": f"{platform.system()} {platform.machine()}",
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu",
        "threads": torch.get_num_threads(),
    }


class _Engine:
    """One study at work."""

    def __init__(self, prepared: Prepared, store: Store, watcher: Watcher) -> None:
        self._prepared, self._store, self._watcher = prepared, store, watcher
        self._study = prepared.study
        self._model: Model = prepared.model
        self._tests: dict[str, Encoded] = {language: prepared.encoded[language, "test"] for language in self._study.languages}
        self._test_keys = {language: content_key(encoded) for language, encoded in self._tests.items()}
        self._written: set[str] = set()

    def run(self) -> None:
        """Train, score and write until every run is complete."""
        jobs = self._prepared.plan.jobs
        self._store.clean()
        self._discard_damaged()
        if aside := put_aside(self._store.folder, {run.key for run in self._prepared.plan.runs}):
            self._watcher.warned(
                f"{len(aside)} runs in {self._store.folder} are not of this study as it is now. They were moved to "
                f"{self._store.folder / EARLIER}; their stages are kept."
            )
        pending = {key: job for key, job in jobs.items() if not self._store.has("stages", key)}
        work = sum(self._passes(job) for job in jobs.values())
        self._watcher.planned(self._prepared.plan, work, work - sum(self._passes(job) for job in pending.values()))
        self._write_complete_runs()
        while pending:
            ready = [job for job in pending.values() if job.parent not in pending]
            assert ready, "stages wait for each other"
            for finished, seconds in self._train(self._population(ready)):
                job = jobs[finished.task.name]
                self._save(job, finished, seconds)
                del pending[job.key]
                self._watcher.finished(job, self._passes(job) - len(finished.history) * len(finished.task.train))
                self._evaluation(job.key, job)
                self._write_complete_runs()

    def _discard_damaged(self) -> None:
        for job in self._prepared.plan.jobs.values():
            if self._store.has("stages", job.key) and (problem := self._store.problem("stages", job.key)):
                self._watcher.warned(f"{problem} This stage is trained again ({job.label}).")
                self._store.discard("stages", job.key)

    def _population(self, ready: Sequence[Job]) -> list[Job]:
        """The ready jobs that are trained together next: those like the first, up to what the machine's setting allows."""
        first = ready[0]
        size = self._study.machine.population
        if not isinstance(first.choice.method.trains, LoRA) or not self._model.backbone.populations:
            size = 1
        alike = [
            job
            for job in ready
            if job.choice.method.trains == first.choice.method.trains and self._dropout(job) == self._dropout(first)
        ]
        return alike[:size]

    @staticmethod
    def _dropout(job: Job) -> float | None:
        return job.choice.training.dropout

    def _train(self, jobs: Sequence[Job]) -> Iterator[tuple[Finished, dict[str, float]]]:
        """Train jobs side by side; each comes with its share of the seconds spent so far."""
        for job in jobs:
            self._watcher.started(job)
        tasks = [self._task(job) for job in jobs]
        clock = Clock()
        counted: dict[str, float] = {}
        for finished in train_population(tasks, self._model, jobs[0].choice.method.trains, clock, self._watcher):
            seconds = clock.seconds()
            yield finished, {purpose: value - counted.get(purpose, 0.0) for purpose, value in seconds.items()}
            counted = clock.seconds()

    def _task(self, job: Job) -> Task:
        encoded = self._prepared.encoded

        def joined(split: Split) -> Encoded:
            return join([encoded[language, split] for language in job.languages])

        return Task(job.key, lambda: self._start(job), joined("train"), joined("dev"), job.choice.training, job.seed)

    def _passes(self, job: Job) -> int:
        return job.choice.training.epochs * sum(len(self._prepared.encoded[language, "train"]) for language in job.languages)

    def _start(self, job: Job) -> Tensor:
        """The vector a job starts from: its parent's, or a fresh one."""
        trains = job.choice.method.trains
        return self._model.start(trains, *job.seed) if job.parent is None else self._restore(trains, job.parent)

    def _restore(self, trains: Trains, key: str) -> Tensor:
        """A stored learner's vector in this study's vocabulary: rows that it never looked up are the base's, decayed."""
        stored = self._store.load_tensors(key)
        tensors = {name: torch.from_numpy(np.array(array)) for name, array in stored.items() if name != KEPT}
        if isinstance(trains, Full):
            table = self._model.base[WORD_EMBEDDINGS].cpu() * self._store.load_history(key).decay
            mine, theirs = self._prepared.vocabulary.kept, stored[KEPT]
            _, here, there = np.intersect1d(mine, theirs, assume_unique=True, return_indices=True)
            table[torch.from_numpy(here)] = tensors[WORD_EMBEDDINGS][torch.from_numpy(there)]
            tensors[WORD_EMBEDDINGS] = table
        return self._model.layout(trains).pack(tensors)

    def _save(self, job: Job, finished: Finished, seconds: Mapping[str, float]) -> None:
        trains = job.choice.method.trains
        tensors = numpy_tensors(self._model.layout(trains).unpack(finished.flat))
        decay = 1.0
        if isinstance(trains, Full):
            tensors[KEPT] = self._prepared.vocabulary.kept
            before = 1.0 if job.parent is None else self._store.load_history(job.parent).decay
            decay = before * decay_left(finished.task, finished.kept_epoch)
        about = {
            "trains": {"kind": trains.kind, **dataclasses.asdict(trains)},
            "languages": job.languages,
            "chain": job.chain,
            "parent": job.parent,
            "model": {"name": self._model.pretrained.name, "fingerprint": self._model.pretrained.fingerprint},
            "labels": self._model.labels,
        }
        history = StoredHistory(finished.history, finished.kept_epoch, seconds, decay)
        self._store.save_stage(job.key, about, tensors, history)

    def _evaluation(self, name: str, job: Job, *, before: bool = False) -> StoredEvaluation:
        """The scores of a stage's model on all test sets, from the store or made now."""
        key = key_of({"of": name, "before": before, "tests": self._test_keys})
        if self._store.has("evaluations", key):
            try:
                return self._store.load_evaluation(key)
            except DamagedError as error:
                self._watcher.warned(f"{error} It is made again.")
        trains = job.choice.method.trains
        self._watcher.scoring("before training" if before else job.label)
        flat = self._model.start(trains, *job.seed) if before else self._restore(trains, job.key)
        clock = Clock()
        with clock.measure("evaluation"):
            counts = evaluate_each(self._model, self._model.weights(trains, flat.to(self._model.device)), self._tests)
        evaluation = StoredEvaluation(counts, clock.seconds()["evaluation"])
        self._store.save_evaluation(key, {"stage": name, "before": before}, evaluation)
        return evaluation

    def _write_complete_runs(self) -> None:
        for run in self._prepared.plan.runs:
            if run.key not in self._written and all(self._store.has("stages", job.key) for job in run.jobs):
                self._write(run)

    def _write(self, run: RunPlan) -> None:
        histories = [self._store.load_history(job.key) for job in run.jobs]
        evaluations = [self._evaluation(job.key, job) for job in run.jobs]
        before = None
        if run.method.shared_by == "all":
            first = run.jobs[0]
            before = self._evaluation(first.key, first, before=True)
        for warning in write_run(self._store.folder, run, self._prepared, histories, evaluations, before):
            self._watcher.warned(warning)
        self._written.add(run.key)
        self._watcher.run_finished(run)


def decay_left(task: Task, num_epochs: int) -> float:
    """What decoupled weight decay leaves of a parameter without gradient after some epochs: the product of 1 - lr_t * decay.

    Loshchilov and Hutter 2019, Algorithm 2.
    """
    settings, total = task.settings, task.steps_an_epoch * task.settings.epochs
    rates = (settings.learning_rate * settings.rate(step, total) for step in range(task.steps_an_epoch * num_epochs))
    return math.prod(1 - rate * settings.weight_decay for rate in rates)

"""Measures the speed of this machine on a study: a few real steps, scored batches and written stages, by the wall clock.

Training is timed inside `train_population`, on the study's own utterances, with as many learners side by side as in the study.
Other programs on the machine slow the measurement as they slow the study.
"""

from __future__ import annotations

import dataclasses
import os
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from attrition.corpus.encoded import Encoded, join
from attrition.engine.environment import deterministic
from attrition.engine.side_by_side import largest_populations
from attrition.methods import Trains
from attrition.names import AttritionError
from attrition.prepare.prepare import Prepared, num_threads
from attrition.store.restore import restored
from attrition.store.stages import KEPT, Store, StoredHistory, numpy_tensors
from attrition.streams import numpy_stream
from attrition.study.plan import Job
from attrition.training.batches import epoch_batches, next_batch
from attrition.training.clock import Clock
from attrition.training.learner import Learner, in_common
from attrition.training.memory import TOKENS_A_BATCH
from attrition.training.model import Model
from attrition.training.predict import evaluate
from attrition.training.train import Epoch, Task, train_population

SECONDS = 20.0
"""Upper limit for all measurements of steps and scoring together, without warm-up."""
SECONDS_A_KIND = 8.0
FEWEST, MOST = 3, 40
"""Smallest and largest number of timed steps of a kind of training."""
BATCHES = 24

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Kind:
    """A kind of training: what the time of a step depends on besides sub-tokens. `learners` train side by side."""

    trains: Trains
    batch_size: int
    dropout: float | None
    learners: int

    @property
    def label(self) -> str:
        """Return the kind's name for people.

        >>> from attrition.methods import LoRA
        >>> Kind(LoRA(rank=8), 16, None, 2).label
        'LoRA of rank 8, batches of 16, 2 learners side by side'
        """
        adapter = self.trains.adapter
        what = "full" if adapter is None else f"LoRA of rank {adapter.rank}"
        beside = f", {self.learners} learners side by side" if self.learners > 1 else ""
        return f"{what}, batches of {self.batch_size}{beside}"


@dataclass(frozen=True)
class Line:
    """A linear model of seconds: a constant for each call and a rate for each sub-token."""

    call: float
    token: float


@dataclass(frozen=True)
class Rates:
    """The measured speed of a machine.

    Attributes:
        training: by kind, for a step of all learners side by side; `token` is for a sub-token of any learner.
        scoring: `token` is for a predicted sub-token; `call` is 0.
        weights: by kind of parameters, seconds to make a model for scoring from a learner's parameters.
        saving, loading: by kind of parameters, seconds to write and read a stage; 0 if the disk was not writable.
    """

    training: Mapping[Kind, Line]
    scoring: Line
    weights: Mapping[Trains, float]
    saving: Mapping[Trains, float]
    loading: Mapping[Trains, float]


def kinds_of(prepared: Prepared, jobs: Iterable[Job]) -> dict[str, Kind]:
    """Return the kind of training of each job, by the job's key."""
    jobs = list(jobs)
    together = {
        in_common(each[0].choice.method.trains, each[0].choice.training): len(each)
        for each in largest_populations(prepared, jobs)
    }
    kinds = {}
    for job in jobs:
        trains, settings = job.choice.method.trains, job.choice.training
        learners = together.get(in_common(trains, settings), 1)
        kinds[job.key] = Kind(unscaled(trains), settings.batch_size, settings.dropout, learners)
    return kinds


def unscaled(trains: Trains) -> Trains:
    """Return `trains` without alpha, which does not affect time."""
    return trains if trains.adapter is None else dataclasses.replace(trains.adapter, alpha=None)


def measure(
    prepared: Prepared,
    folder: Path,
    pending: Sequence[Job],
    progress: Progress,
    seconds: float = SECONDS,
    now: Callable[[], float] = time.perf_counter,
) -> Rates:
    """Return the rates of this machine for a study.

    It uses the threads of the study. A stage of the real size is written next to `folder` and removed.

    Args:
        prepared: the study.
        folder: of the results; it need not exist.
        pending: the jobs that are still to be trained.
        progress: called as `progress(what, done, total)`.
        seconds: upper limit, approximately.
        now: the clock.
    """
    kinds = kinds_of(prepared, pending)
    by_kind: dict[Kind, list[Job]] = {}
    for job in pending:
        by_kind.setdefault(kinds[job.key], []).append(job)
    trained = list(dict.fromkeys(unscaled(job.choice.method.trains) for job in prepared.plan.jobs.values()))
    total, done = len(by_kind) + len(trained) + 1, 0
    budget = min(SECONDS_A_KIND, seconds / (len(by_kind) + 1))
    before = torch.get_num_threads()
    torch.set_num_threads(num_threads(prepared.study.machine.threads))
    try:
        with deterministic(prepared.study.machine.deterministic):
            training = {}
            for kind, jobs in by_kind.items():
                progress(f"Measuring: {kind.label}", done, total)
                training[kind] = _training(prepared, kind, jobs, budget, now)
                done += 1
            progress("Measuring: scoring", done, total)
            scoring = _scoring(prepared, trained[0], min(budget, SECONDS_A_KIND / 2), now)
            weights, saving, loading = {}, {}, {}
            for number, trains in enumerate(trained, done + 1):
                progress("Measuring: writing a stage", number, total)
                weights[trains] = _weights(prepared.model, trains, now)
                saving[trains], loading[trains] = _storing(prepared, trains, folder, now)
            progress("Measuring", total, total)
    finally:
        torch.set_num_threads(before)
    return Rates(training, scoring, weights, saving, loading)


def fit(tokens_N: NDArray[np.int64], seconds_N: NDArray[np.float64]) -> Line:
    """Return the robust line through the seconds of steps, by their sub-tokens.

    The slope is the median of the slopes of all pairs (Theil 1950, Sen 1968), the constant the median residual; neither is
    below 0. One interrupted step does not change the result.

    >>> fit(np.array([100, 200, 300, 400]), np.array([1.5, 2.5, 99.0, 4.5]))
    Line(call=0.5, token=0.01)
    """
    tokens_N = np.maximum(tokens_N, 1)
    one, two = np.triu_indices(len(tokens_N), 1)
    differs = tokens_N[one] != tokens_N[two]
    one, two = one[differs], two[differs]
    whole = float(np.median(seconds_N / tokens_N))
    if not len(one):
        return Line(0.0, whole)
    slope = float(np.median((seconds_N[two] - seconds_N[one]) / (tokens_N[two] - tokens_N[one])))
    if slope >= whole:
        return Line(0.0, whole)
    slope = max(slope, 0.0)
    return Line(max(0.0, float(np.median(seconds_N - slope * tokens_N))), slope)


class _EnoughError(Exception):
    """Ends a timed training."""


class _Steps:
    """Times the steps of a population; see `attrition.training.train.Watcher`."""

    def __init__(self, tasks: Sequence[Task], model: Model, budget: float, now: Callable[[], float]) -> None:
        self._model, self._budget, self._now = model, budget, now
        self._learners = [Learner(task, model.layout(task.trains)) for task in tasks]
        self._epochs_ended = 0
        self._sizes: list[int] = []
        self._began = self._before = float("nan")
        self.tokens: list[int] = []
        self.seconds: list[float] = []

    def trained(self, _num_utterances: int) -> None:
        """Record the time of a step; the first step is the warm-up."""
        now = self._time()
        if not self._sizes:
            self._sizes = self._draw()
        size = self._sizes.pop()
        if self._began != self._began:
            self._began = now
        else:
            self.tokens.append(size)
            self.seconds.append(now - self._before)
        num, spent = len(self.seconds), now - self._began
        if num >= MOST or (num >= FEWEST and spent + (self.seconds[-1] if num else 0.0) > self._budget):
            raise _EnoughError
        self._before = self._time()

    def epoch_ended(self, name: str, epoch: Epoch) -> None:
        """Exclude the time between two epochs."""
        self._before = self._time()

    def _draw(self) -> list[int]:
        """Return the sub-tokens of each step of the next epoch, last step first. The learners draw the same batches."""
        each: list[NDArray[np.int64]] = []
        for learner in self._learners:
            learner.epoch = self._epochs_ended
            learner.begin_epoch(self._model.device, 0.0)
            lengths = learner.task.train.lengths
            each.append(np.array([lengths[rows].sum() for rows in learner.batches]))
        self._epochs_ended += 1
        return [int(size) for size in np.sum(each, axis=0)]

    def _time(self) -> float:
        return _time(self._model, self._now)


def _time(model: Model, now: Callable[[], float]) -> float:
    """Return the time when the device has finished its work."""
    if model.device.type == "cuda":
        torch.cuda.synchronize(model.device)
    return now()


def _training(prepared: Prepared, kind: Kind, jobs: Sequence[Job], budget: float, now: Callable[[], float]) -> Line:
    """Time steps of one kind of training."""
    train, model = _some_batches(prepared, kind.batch_size, jobs), prepared.model
    # No dev utterances: scoring is measured separately. The budget ends the training, not the epochs.
    settings = dataclasses.replace(jobs[0].choice.training, epochs=100_000, patience=None, keep="last")
    nothing = train.select(np.zeros(0, np.int64))
    tasks = [
        Task(str(row), kind.trains, lambda: model.start(kind.trains, "measure"), train, nothing, settings, ("measure", row))
        for row in range(kind.learners)
    ]
    steps = _Steps(tasks, model, budget, now)
    try:
        for _ in train_population(tasks, model, Clock(), steps):
            pass  # a learner that diverges leaves; earlier times stay valid
    except _EnoughError:
        pass
    if not steps.seconds:
        raise AttritionError("No training step could be measured: the first one gave NaN or infinity. Lower the learning rate.")
    return fit(np.array(steps.tokens), np.array(steps.seconds))


def _some_batches(prepared: Prepared, batch_size: int, jobs: Sequence[Job]) -> Encoded:
    """Return the utterances of a few random batches of the jobs' training data."""
    stream = numpy_stream("measure")
    languages = list(dict.fromkeys(language for job in jobs for language in job.languages))
    sets = [prepared.encoded[language, "train"] for language in languages]
    batches = [(each, rows) for each in sets for rows in epoch_batches(each.lengths, batch_size, stream)]
    chosen = stream.permutation(len(batches))[:BATCHES]
    return join([batches[index][0].select(batches[index][1]) for index in chosen])


def _scoring(prepared: Prepared, trains: Trains, budget: float, now: Callable[[], float]) -> Line:
    """Time batches of test utterances, cut as in `predict`; the first batch runs twice as a warm-up."""
    model, scored = prepared.model, join(list(prepared.scored_on.sets.values()))
    left = np.argsort(-scored.lengths, kind="stable")
    batches = []
    while counts := next_batch([scored.lengths[left]], TOKENS_A_BATCH):
        batches.append(left[: counts[0]])
        left = left[counts[0] :]
    if not batches:
        return Line(0.0, 0.0)
    chosen = [scored.select(batches[at]) for at in numpy_stream("measure").permutation(len(batches))[: MOST // 2]]
    weights = model.weights(trains, model.start(trains, "measure").to(model.device))
    evaluate(model, weights, chosen[0])
    began = _time(model, now)
    per_token: list[float] = []
    while len(per_token) < MOST // 2 and (len(per_token) < FEWEST or _time(model, now) - began < budget):
        batch = chosen[len(per_token) % len(chosen)]
        before = _time(model, now)
        evaluate(model, weights, batch)
        per_token.append((_time(model, now) - before) / max(1, batch.num_tokens))
    return Line(0.0, float(np.median(per_token)))


def _weights(model: Model, trains: Trains, now: Callable[[], float]) -> float:
    """Return the seconds to make a model for scoring, the faster of two runs."""
    flat_P = model.start(trains, "measure").to(model.device)
    seconds = []
    for _ in range(2):
        before = _time(model, now)
        model.weights(trains, flat_P)
        seconds.append(_time(model, now) - before)
    return min(seconds)


def _storing(prepared: Prepared, trains: Trains, folder: Path, now: Callable[[], float]) -> tuple[float, float]:
    """Return the seconds to write and to read a stage of the real size on the disk of the results."""
    there = next((parent for parent in (folder, *folder.absolute().parents) if parent.is_dir()), Path(os.curdir))
    model = prepared.model
    flat_P = model.start(trains, "measure")
    try:
        with tempfile.TemporaryDirectory(prefix=".attrition-measure-", dir=there) as temporary:
            store = Store(Path(temporary))
            before = now()
            tensors = numpy_tensors(model.layout(trains).unpack(flat_P))
            if trains.adapter is None:
                tensors[KEPT] = prepared.vocabulary.kept
            store.save_stage("measure", {}, tensors, StoredHistory((), 0, {}))
            saved = now()
            restored(store, model, trains, "measure")
            return saved - before, now() - saved
    except (OSError, AttritionError):
        return 0.0, 0.0  # the run itself reports a full or read-only disk

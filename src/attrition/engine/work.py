"""The worker of every executor: trains stages, scores them, and stores both."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property, partial

from attrition.corpus.encoded import Encoded
from attrition.encoder.pretrained import about_model
from attrition.engine.environment import environment
from attrition.engine.schedule import Unit
from attrition.engine.tasks import task_of
from attrition.methods import Trains
from attrition.prepare.prepare import Prepared
from attrition.problem.counts import Counts
from attrition.problem.slots import SLOTS
from attrition.store.checkpoints import CheckpointKeeper, newest, population_key, states_of
from attrition.store.evaluations import evaluations_by_stage, reusable
from attrition.store.restore import HOOK, made_model
from attrition.store.stages import KEPT, DamagedError, Store, StoredEvaluation, StoredHistory, numpy_tensors
from attrition.study.keys import evaluation_key
from attrition.study.plan import Job, Made, StudyPlan
from attrition.study.stop import StopRequests
from attrition.study.watcher import Watcher
from attrition.training.clock import Clock, Shares
from attrition.training.memory import Room
from attrition.training.model import Model
from attrition.training.predict import evaluate_each
from attrition.training.train import Finished, train_population


class Worker:
    """Trains and scores stages of one study; `whole` is the plan of all its runs."""

    def __init__(
        self,
        prepared: Prepared,
        whole: StudyPlan,
        store: Store,
        watcher: Watcher,
        requests: StopRequests,
        before_scoring: Callable[[int], None] = lambda _utterances: None,
    ) -> None:
        """`before_scoring` is called with the number of utterances to score; it may raise to stop."""
        self._prepared, self._store, self._watcher, self._requests = prepared, store, watcher, requests
        self._before_scoring = before_scoring
        self._jobs = whole.jobs
        self._made: dict[str, Made] = {made.key: made for run in whole.runs for made in run.made}
        self._made_with = environment(prepared.device)
        self._rooms: dict[str, Room] = {}

    def work(self, unit: Unit) -> Iterator[str]:
        """Do a unit; yield the key of each stage once it is stored and scored.

        Raises:
            Stopped: a stop was requested; the state of training is saved.
        """
        for population in unit.populations:
            yield from self._train([self._jobs[key] for key in population])
        for key, before in unit.scores:
            self.evaluation(self._made[key], before=before)

    @property
    def device(self) -> str:
        """Return the kind of device: "cpu" or "cuda"."""
        return self._prepared.device.type

    @property
    def _model(self) -> Model:
        return self._prepared.model

    @cached_property
    def _scored_before(self) -> Mapping[tuple[str, bool], tuple[str, ...]]:
        return evaluations_by_stage(self._store)

    def _room(self, trains: Trains) -> Room:
        """Return what is known to fit into memory for this kind of training."""
        return self._rooms.setdefault(trains.kind, Room(self._watcher.warned))

    def _train(self, population: Sequence[Job]) -> Iterator[str]:
        """Train a population from the start or from its checkpoint."""
        trains, study = population[0].choice.method.trains, self._prepared.study
        name = partial(population_key, vocabulary=self._prepared.vocabulary, device=self._prepared.device.type, trains=trains)
        if checkpoint := newest(self._store, name([job.key for job in population])):
            begun = self._store.load_checkpoint(checkpoint)
            states, earlier, number = states_of(begun), begun.seconds, int(checkpoint.rpartition("-")[2])
            learners = [self._jobs[state.name] for state in states]
        else:
            states, earlier, number = (), {}, 0
            population = learners = [job for job in population if not self._store.has("stages", job.key)]
        clock = Clock()
        shares = Shares(clock, earlier)
        seconds = study.machine.checkpoint_seconds
        every, key = None if seconds == "none" else seconds, name([job.key for job in population])
        keeper = CheckpointKeeper(self._store, population, key, every, shares, self._requests, number=number)
        if all(self._store.has("stages", job.key) for job in learners):
            keeper.forget()  # interrupted between the last stage and the removal of the checkpoint
            return
        for job, state in zip(learners, states, strict=False):
            if not self._store.has("stages", job.key):
                self._watcher.resumed(job, state.step)
        for job in learners[len(states) :]:
            self._watcher.started(job)
        tasks = [task_of(job, self._prepared, self._store) for job in learners]
        for finished in train_population(tasks, self._model, clock, self._watcher, keeper, states, self._room(trains)):
            job = self._jobs[finished.task.name]
            if self._store.has("stages", job.key):
                continue  # stored after the last checkpoint; it trained again only for the rounding of the others
            self._save(job, finished, shares.take())
            self.evaluation(job)
            yield job.key
            shares.take()  # not time of training
        keeper.forget()

    def _save(self, job: Job, finished: Finished, seconds: Mapping[str, float]) -> None:
        trains = job.choice.method.trains
        tensors = numpy_tensors(self._model.layout(trains).unpack(finished.flat))
        decay = 1.0
        tensors |= {f"{HOOK}{name}": tensor.cpu().numpy() for name, tensor in finished.memory.items()}
        if trains.adapter is None:
            tensors[KEPT] = self._prepared.vocabulary.kept
            before = 1.0 if job.parent is None else self._store.load_history(job.parent).decay
            decay = before * finished.untouched
        about = {
            "trains": {"kind": trains.kind, **dataclasses.asdict(trains)},
            "languages": job.languages,
            "chain": job.chain,
            "parent": job.parent,
            "model": about_model(self._model.pretrained),
            "labels": self._model.labels,
            **({} if self._prepared.problem is SLOTS else {"problem": self._prepared.problem.name}),
            "made_with": self._made_with,
            "hooks": {hook.name: hook.model_dump() for hook in job.hooks},
        }
        if finished.diverged:
            self._watcher.warned(f"{job.label}: {finished.diverged}. This stage stops here; other stages continue.")
        history = StoredHistory(finished.history, finished.kept_epoch, seconds, decay, finished.diverged, finished.shortage)
        self._store.save_stage(job.key, about, tensors, history)

    def evaluation(self, job: Made, *, before: bool = False) -> StoredEvaluation:
        """Return the scores of a stage's model, or of the untrained model before it, stored or new."""
        scored_on = self._prepared.scored_on
        tests = scored_on.of(job, before=before)
        key = evaluation_key(job.key, tests, before=before)
        if self._store.has("evaluations", key):
            try:
                return self._store.load_evaluation(key)
            except DamagedError as error:
                self._watcher.warned(f"{error} It is computed again.")
        there = reusable(self._store, self._scored_before.get((job.key, before), ()), tests)
        missing = {language: name for language, name in tests.items() if language not in there.counts}
        counts, seconds, together = dict(there.counts), there.seconds, there.together
        if missing:
            self._watcher.scoring("before training" if before else job.label)
            self._before_scoring(sum(len(scored_on.sets[language]) for language in missing))
            clock = Clock()
            with clock.measure("evaluation"):
                counts |= self._scored(job, {language: scored_on.sets[language] for language in missing}, before=before)
            seconds, together = seconds + clock.seconds()["evaluation"], (*together, missing)
        drawn_from = {language: scored_on.drawn_from[language] for language in tests if language in scored_on.drawn_from}
        evaluation = StoredEvaluation({language: counts[language] for language in tests}, seconds, drawn_from)
        about = {"stage": job.key, "before": before, "tests": tests, "together": together, "made_with": self._made_with}
        self._store.save_evaluation(key, about, evaluation)
        return evaluation

    def _scored(self, job: Made, sets: Mapping[str, Encoded], *, before: bool) -> dict[str, Counts]:
        if before:
            assert isinstance(job, Job), "an untrained model comes before a training"
            trains, flat = job.choice.method.trains, self._model.start(job.choice.method.trains, *job.seed)
        else:
            trains, flat = made_model(self._store, self._model, job)
        weights = self._model.weights(trains, flat.to(self._model.device))
        with self._requests.at_once():
            return evaluate_each(self._model, weights, sets, self._room(trains))

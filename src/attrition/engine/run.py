"""Runs a study: trains what is not stored yet, scores every stage, writes every run that is complete."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import torch

from attrition.corpus.cache import cache_folder
from attrition.corpus.encoded import Encoded
from attrition.encoder.pretrained import about_model
from attrition.engine.environment import deterministic, environment
from attrition.engine.estimate import refuse_too_large
from attrition.engine.pace import Pace
from attrition.engine.side_by_side import crew, in_words
from attrition.engine.tasks import task_of
from attrition.engine.write_results import has_before, scored_under, write_run
from attrition.files import write_whole, writing
from attrition.methods import Trains
from attrition.names import AttritionError, counted
from attrition.prepare.prepare import Prepared, num_threads, prepare
from attrition.problem.counts import Counts
from attrition.problem.slots import SLOTS
from attrition.results.covariates import FILE as COVARIATES
from attrition.store.archive import refuse_archive
from attrition.store.checkpoints import CheckpointKeeper, Resumable, find_resumable, population_key, states_of
from attrition.store.evaluations import ScoredOn, evaluations_by_stage, reusable
from attrition.store.folder import EARLIER, in_precision_of, locked, put_aside, refuse_other_study
from attrition.store.restore import HOOK, made_model
from attrition.store.stages import KEPT, DamagedError, Store, StoredEvaluation, StoredHistory, numpy_tensors
from attrition.study.keys import evaluation_key
from attrition.study.plan import Job, Made, RunPlan, StudyPlan
from attrition.study.select import select_runs
from attrition.study.spec import Study
from attrition.study.standalone import study_files
from attrition.study.stop import Stopped, StopRequests, TimeUp
from attrition.study.watcher import Watcher
from attrition.training.clock import Clock, Shares
from attrition.training.memory import Room
from attrition.training.model import Model
from attrition.training.predict import evaluate_each
from attrition.training.train import Finished, Task, train_population

NAMED = 6
"""So many finished runs are named at most when the time is up."""


def run_study(
    study: Study,
    folder: str | Path,
    watcher: Watcher | None = None,
    pack: Path | None = None,
    *,
    only: Sequence[str] = (),
    seconds: float | None = None,
) -> Path:
    """Run or resume a study in `folder`; stages that lie there already are not trained again.

    In the main thread, ctrl-C or SIGTERM stop it between two steps; a second one stops it at once. Runs are trained one after
    another in the order of the study, so that what is finished is a result; learners that train side by side may be of
    several runs.

    Args:
        study: as read from its file, or by `attrition.prepare.pack.open_pack`.
        folder: for the results.
        watcher: told how far the study is.
        pack: where the study was packed, if corpus and encoder are to come from there.
        only: the runs to train, as `attrition.study.select.select_runs` takes them; all if empty.
        seconds: the time limit. A stage is not begun if it would take longer than what is left, judged by similar stages
            before it; the first one always is. What is in training at the limit is kept as at ctrl-C.

    Raises:
        AttritionError: the study does not fit what is there, or another process is at work in the folder.
        Stopped: it was asked to stop, and did (a `KeyboardInterrupt`); `TimeUp`, where it was the time limit.
    """
    requests = StopRequests(seconds)
    watcher, folder = watcher or Watcher(), Path(folder)
    torch.set_num_threads(num_threads(study.machine.threads))
    with locked(folder), deterministic(study.machine.deterministic):
        refuse_archive(folder)
        refuse_other_study(folder, study.name)
        whole = prepare(in_precision_of(folder, study), watcher, cache_folder(), pack)
        prepared = dataclasses.replace(whole, plan=select_runs(whole.plan, only))
        if study.model.precision == "auto" and prepared.study.model.precision != "float32":
            watcher.noted(
                f"Matrix products in {prepared.study.model.precision}, which this machine is faster at; the rest in float32. "
                'model.precision = "float32" switches this off.'
            )
        if study.machine.compile:
            watcher.noted(
                "machine.compile: the encoder's layers are compiled at the first steps, which takes a minute or more."
            )
        refuse_too_large(prepared)
        if said := in_words(prepared):
            watcher.noted(said)
        try:
            with writing(folder), requests:
                # In this sequence: a study.toml alone would be taken for the user's own.
                write_whole(folder / "environment.json", json.dumps(environment(prepared.device), indent=1) + "\n")
                for name, content in study_files(prepared.study).items():
                    write_whole(folder / name, content)
                write_whole(folder / COVARIATES, prepared.covariates)
                _Engine(prepared, whole.plan, Store(folder), watcher, requests).run()
        except (MemoryError, torch.OutOfMemoryError) as error:
            raise AttritionError(
                "There is not enough memory for this study, not even for one learner and one utterance at a time. "
                "Lower the rank or encoding.max_tokens, or take a smaller model; finished stages are kept."
            ) from error
    return folder


class _Engine:
    """One study at work: the runs of `prepared.plan`, which are all of the study's `whole` plan or some."""

    def __init__(self, prepared: Prepared, whole: StudyPlan, store: Store, watcher: Watcher, requests: StopRequests) -> None:
        self._prepared, self._store, self._watcher, self._requests = prepared, store, watcher, requests
        self._whole, self._pace, self._has_begun = whole, Pace(), False
        self._study = prepared.study
        self._model: Model = prepared.model
        self._made_with = environment(prepared.device)
        self._written: set[str] = set()
        self._rooms: dict[str, Room] = {}
        self._scored_before = evaluations_by_stage(store)

    def run(self) -> None:
        """Train, score and write until every run is complete.

        Raises:
            Stopped: that was asked for.
        """
        try:
            self._run()
        except TimeUp:
            raise TimeUp(f"{self._finished()} {self._kept()}") from None
        except Stopped as stopped:
            raise Stopped(stopped.number, self._kept()) from None

    def _run(self) -> None:
        jobs, selected = self._whole.jobs, self._prepared.plan.jobs
        if self._prepared.warning:
            self._watcher.warned(self._prepared.warning)
        self._store.clean()
        self._discard_damaged()
        if aside := put_aside(self._store.folder, {run.key for run in self._whole.runs}):
            self._watcher.warned(
                f"Not of this study as it is now: {counted(len(aside), 'run')} in {self._store.folder}, moved to "
                f"{self._store.folder / EARLIER}. Their stages are kept."
            )
        self._warn_of_other_scores()
        pending = {key: job for key, job in selected.items() if not self._store.has("stages", key)}
        found = find_resumable(self._store, jobs, self._model, self._most, self._watcher.warned)
        begun = [each for each in found if any(job.key in pending for job in each.learners)]
        place = {key: number for number, key in enumerate(jobs)}
        begun.sort(key=lambda each: min(place[job.key] for job in each.learners), reverse=True)
        # Learners that began together go on together, also those of runs that were not selected.
        beside = {job.key: job for each in begun for job in each.learners if not self._store.has("stages", job.key)}
        pending |= beside
        work = sum(self._passes(job) for job in {**selected, **beside}.values())
        left = sum(self._passes(job) for job in pending.values()) - sum(self._done(each, pending) for each in begun)
        self._watcher.planned(self._prepared.plan, work, work - left)
        if self._requests.limited:
            passes = {key: self._passes(job) for key, job in jobs.items()}
            self._pace.look_back(self._store, list(jobs.values()), passes, self._scored_on)
        self._write_complete_runs()
        while pending:
            ready = [job for job in pending.values() if job.parent not in pending]
            assert ready, "stages wait for each other"
            together = begun.pop() if begun else self._crew(ready)
            self._begin(None if isinstance(together, Resumable) else self._seconds(together))
            for finished, shares in self._train(together, pending):
                job = jobs[finished.task.name]
                if job.key not in pending:
                    continue  # it was stored after the last checkpoint, and the others needed it beside them
                spent = shares.take()
                self._save(job, finished, spent)
                self._pace.trained(job, self._passes(job), sum(spent.values()))
                del pending[job.key]
                self._watcher.finished(job, self._passes(job) - len(finished.history) * len(finished.task.train))
                self._evaluation(job)
                self._write_complete_runs()
                shares.take()  # nobody's: it was not spent on training

    def _warn_of_other_scores(self) -> None:
        """Say that finished runs which were not selected were scored under other settings than those of now."""
        chosen = {run.key for run in self._prepared.plan.runs}
        now = (self._scored_on.evaluate, self._scored_on.split)
        others = [run for run in self._whole.runs if run.key not in chosen]
        if differing := [run.label for run in others if scored_under(self._store.folder / "runs" / run.key) not in (now, None)]:
            self._watcher.warned(
                f"{len(differing)} runs that are not selected, such as {differing[0]}, were scored under another `evaluate` or "
                "`evaluate_on`. Leave out --only once to have them scored as the others."
            )

    def _begin(self, seconds: float | None) -> None:
        """Stop before something that takes so many seconds, if it would end after the time limit.

        The first is always begun: a study of long stages would otherwise never go on.
        """
        if self._has_begun:
            self._requests.check_time_for(seconds)
        self._has_begun = True

    @property
    def _scored_on(self) -> ScoredOn:
        return self._prepared.scored_on

    def _seconds(self, crew: Sequence[Job]) -> float | None:
        """How long it takes to train and to score a crew; None where that is not known."""
        training = [self._pace.training(job, self._passes(job)) for job in crew]
        known = [each for each in training if each is not None]
        if not known:
            return None
        scored = sum(len(self._scored_on.sets[language]) for job in crew for language in self._scored_on.of(job))
        return sum(known) * len(training) / len(known) + (self._pace.scoring(scored) or 0.0)

    def _discard_damaged(self) -> None:
        for job in self._prepared.plan.jobs.values():
            if self._store.has("stages", job.key) and (problem := self._store.problem("stages", job.key)):
                self._watcher.warned(f"{problem} This stage is trained again ({job.label}).")
                self._store.discard("stages", job.key)

    def _crew(self, ready: Sequence[Job]) -> list[Job]:
        """The ready jobs that are trained together next."""
        return crew(self._prepared, ready, self._room(ready[0].choice.method.trains).learners)

    def _room(self, trains: Trains) -> Room:
        """What is known to fit into memory of learners that train so."""
        return self._rooms.setdefault(trains.kind, Room(self._watcher.warned))

    @property
    def _most(self) -> int | None:
        setting = self._study.machine.population
        return None if setting == "auto" else setting

    def _train(self, begun: Resumable | Sequence[Job], pending: Mapping[str, Job]) -> Iterator[tuple[Finished, Shares]]:
        """Train jobs side by side from their beginning, or from a checkpoint; each comes with the seconds spent."""
        if isinstance(begun, Resumable):
            population, learners = begun.population, begun.learners
            checkpoint = self._store.load_checkpoint(begun.key)
            states, earlier, number = states_of(checkpoint), checkpoint.seconds, begun.number
            for job, step in zip(learners, begun.steps, strict=True):
                if job.key in pending:
                    self._watcher.resumed(job, step)
        else:
            population = learners = tuple(begun)
            states, earlier, number = (), {}, 0
            for job in learners:
                self._watcher.started(job)
        key = population_key([job.key for job in population], self._model, learners[0].choice.method.trains)
        clock = Clock()
        shares = Shares(clock, earlier)
        seconds = self._study.machine.checkpoint_seconds
        keeper = CheckpointKeeper(
            self._store, population, key, None if seconds == "none" else seconds, shares, self._requests, number=number
        )
        tasks, room = [self._task(job) for job in learners], self._room(learners[0].choice.method.trains)
        for finished in train_population(tasks, self._model, clock, self._watcher, keeper, states, room):
            yield finished, shares
        keeper.forget()

    def _task(self, job: Job) -> Task:
        return task_of(job, self._prepared, self._store)

    def _passes(self, job: Job) -> int:
        return job.choice.training.epochs * sum(len(self._prepared.encoded[language, "train"]) for language in job.languages)

    def _done(self, begun: Resumable, pending: Mapping[str, Job]) -> int:
        """Utterances that the pending ones of a checkpoint have read."""
        steps = zip(begun.learners, begun.steps, strict=True)
        return sum(self._task(job).utterances_after(step) for job, step in steps if job.key in pending)

    def _finished(self) -> str:
        runs = self._prepared.plan.runs
        names = [run.label for run in runs if run.key in self._written]
        listed = f": {', '.join(names[:NAMED])}{', ...' if len(names) > NAMED else ''}" if names else ""
        return f"Finished: {len(names)} of {len(runs)} runs{listed}."

    def _kept(self) -> str:
        jobs = self._prepared.plan.jobs
        stored = sum(self._store.has("stages", key) for key in jobs)
        begun = ", and what was in training as it stood" if self._store.checkpoints() else ""
        return f"Kept: {stored} of {len(jobs)} stages{begun}. The same command goes on from there."

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
            self._watcher.warned(f"{job.label}: {finished.diverged}. Its training ends here; what else is in training goes on.")
        history = StoredHistory(finished.history, finished.kept_epoch, seconds, decay, finished.diverged, finished.shortage)
        self._store.save_stage(job.key, about, tensors, history)

    def _evaluation(self, job: Made, *, before: bool = False) -> StoredEvaluation:
        """The scores of a stage's model, or of the untrained one before it, from the store or made now."""
        scored_on = self._scored_on
        tests = scored_on.of(job, before=before)
        key = evaluation_key(job.key, tests, before=before)
        if self._store.has("evaluations", key):
            try:
                return self._store.load_evaluation(key)
            except DamagedError as error:
                self._watcher.warned(f"{error} It is made again.")
        there = reusable(self._store, self._scored_before.get((job.key, before), ()), tests)
        missing = {language: name for language, name in tests.items() if language not in there.counts}
        counts, seconds, together = dict(there.counts), there.seconds, there.together
        if missing:
            self._watcher.scoring("before training" if before else job.label)
            clock, size = Clock(), sum(len(scored_on.sets[language]) for language in missing)
            self._begin(self._pace.scoring(size))
            with clock.measure("evaluation"):
                counts |= self._scored(job, {language: scored_on.sets[language] for language in missing}, before=before)
            took = clock.seconds()["evaluation"]
            self._pace.scored(size, took)
            seconds, together = seconds + took, (*together, missing)
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

    def _write_complete_runs(self) -> None:
        for run in self._prepared.plan.runs:
            if run.key not in self._written and all(self._store.has("stages", job.key) for job in run.jobs):
                self._write(run)

    def _write(self, run: RunPlan) -> None:
        histories = [self._store.load_history(job.key) for job in run.jobs]
        evaluations = [self._evaluation(each) for each in run.made]
        before = self._evaluation(run.jobs[0], before=True) if has_before(run, self._scored_on) else None
        made_with = [self._store.about("stages", job.key).get("made_with", {}) for job in run.jobs]
        for warning in write_run(self._store.folder, run, self._prepared, histories, evaluations, before, made_with):
            if warning != self._prepared.warning:  # which is of all runs, and was told at the beginning
                self._watcher.warned(f"{run.method.name} ({run.order_name}, seed {run.seed}): {warning}")
        self._written.add(run.key)
        self._watcher.run_finished(run)

"""Runs a study: an executor trains and scores what is not stored yet, and each complete run is written."""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import torch

from attrition.corpus.cache import cache_folder
from attrition.engine.environment import deterministic, environment
from attrition.engine.estimate import refuse_too_large
from attrition.engine.executors import Outcome
from attrition.engine.executors.choice import executor_of, refuse_unfit, said_of
from attrition.engine.executors.local import Local
from attrition.engine.pace import Pace
from attrition.engine.progress import Progress, Pulse, wait_for_orphans, write_plan
from attrition.engine.run_warnings import FailedStarts, scored_otherwise
from attrition.engine.schedule import Schedule, Score, Unit
from attrition.engine.side_by_side import in_words, populations
from attrition.engine.tasks import task_of
from attrition.engine.work import Worker
from attrition.engine.write_results import has_before, write_run
from attrition.files import write_whole, writing
from attrition.names import AttritionError, counted
from attrition.prepare.prepare import Prepared, num_threads, prepare
from attrition.results.covariates import FILE as COVARIATES
from attrition.store.archive import refuse_archive
from attrition.store.checkpoints import find_resumable, forget_finished, of_stages
from attrition.store.folder import EARLIER, in_precision_of, locked, put_aside, refuse_other_study
from attrition.store.stages import Store
from attrition.study.keys import evaluation_key
from attrition.study.plan import Job, RunPlan, StudyPlan
from attrition.study.select import select_runs
from attrition.study.spec import Study
from attrition.study.standalone import study_files
from attrition.study.stop import Stopped, StopRequests, TimeUp
from attrition.study.watcher import Watcher

NAMED = 6
"""Number of finished runs that the message at the time limit names."""

TRIES = 5
"""Attempts for a unit at one checkpoint. After these the unit is probably at fault, not the worker."""

LATE_SECONDS = 60.0
"""Longest wait for a stored stage to appear: a network disk may show an old listing for some seconds."""


def run_study(
    study: Study,
    folder: str | Path,
    watcher: Watcher | None = None,
    pack: Path | None = None,
    *,
    only: Sequence[str] = (),
    seconds: float | None = None,
) -> Path:
    """Run or resume a study in `folder` and return `folder`; stored stages are not trained again.

    In the main thread, Ctrl-C or SIGTERM stops the study between two steps; a second signal stops it at once. One worker trains
    the runs in the order of the study. Several workers start with the longest chains. Learners of several runs may train side
    by side.

    Args:
        study: as read from its file, or by `attrition.prepare.pack.open_pack`.
        folder: for the results.
        watcher: receives progress.
        pack: a pack of the study, if corpus and encoder should come from it.
        only: patterns of the runs to train, see `attrition.study.select.select_runs`; empty for all.
        seconds: the time limit. A stage does not start if similar stages took longer than the time left; the first stage always
            starts. A stage in training at the limit is saved as at Ctrl-C.

    Raises:
        AttritionError: the study does not match the folder, or another process is using the folder.
        Stopped: a stop was requested (a `KeyboardInterrupt`). `TimeUp` if it was the time limit.
    """
    requests = StopRequests(seconds)
    watcher, folder = watcher or Watcher(), Path(folder)
    refuse_unfit(in_precision_of(folder, study))
    torch.set_num_threads(num_threads(study.machine.threads))
    refuse_archive(folder)
    with locked(folder), deterministic(study.machine.deterministic):
        refuse_other_study(folder, study.name)
        whole = prepare(in_precision_of(folder, study), watcher, cache_folder(), pack)
        prepared = dataclasses.replace(whole, plan=select_runs(whole.plan, only))
        if study.model.precision == "auto" and prepared.study.model.precision != "float32":
            watcher.noted(
                f"Matrix products use {prepared.study.model.precision}, which is faster on this machine; the rest is float32. "
                'Set model.precision = "float32" to switch this off.'
            )
        if study.machine.compile:
            watcher.noted("machine.compile: the first steps compile the encoder's layers, which takes a minute or more.")
        refuse_too_large(prepared)
        for said in filter(None, (in_words(prepared), said_of(prepared))):
            watcher.noted(said)
        try:
            with writing(folder), requests:
                # environment.json first: a study.toml alone would look like the user's own file.
                write_whole(folder / "environment.json", json.dumps(environment(prepared.device), indent=1) + "\n")
                for name, content in study_files(prepared.study).items():
                    write_whole(folder / name, content)
                write_whole(folder / COVARIATES, prepared.covariates)
                _Driver(prepared, whole.plan, Store(folder), watcher, requests, pack).run()
        except (MemoryError, torch.OutOfMemoryError) as error:
            raise AttritionError(
                "Not enough memory for this study, even with one learner and one utterance at a time. "
                "Lower the rank or encoding.max_tokens, or take a smaller model; finished stages are kept."
            ) from error
    return folder


class _Driver:
    """Runs one study: `prepared.plan` holds the selected runs, `whole` all runs."""

    def __init__(
        self, prepared: Prepared, whole: StudyPlan, store: Store, watcher: Watcher, requests: StopRequests, pack: Path | None
    ) -> None:
        self._prepared, self._store, self._watcher, self._requests = prepared, store, watcher, requests
        # A stage that other runs share has the name of a selected run.
        self._whole = StudyPlan(whole.runs, {**whole.jobs, **prepared.plan.jobs})
        self._jobs, self._pace, self._has_begun = self._whole.jobs, Pace(), False
        self._written: set[str] = set()
        self._passes = {key: job.choice.training.epochs * self._utterances(job) for key, job in self._jobs.items()}
        self._failed = FailedStarts(prepared.plan)
        self._read: dict[str, int] = {}
        self._read_before: dict[str, int] = {}
        pulse = Pulse(store.folder, "local", watcher)
        self._worker = Worker(prepared, self._whole, store, pulse, requests, self._before_scoring)
        self._executor = executor_of(prepared, Local(self._worker, pulse), store.folder, pack)
        self._progress = Progress(store.folder, watcher, self._jobs) if self._executor.elsewhere else None

    def run(self) -> None:
        """Train and score everything, and write each run when it is complete.

        Raises:
            Stopped: a stop was requested.
        """
        try:
            self._run()
        except TimeUp:
            raise TimeUp(f"{self._finished()} {self._kept()}") from None
        except Stopped as stopped:
            raise Stopped(stopped.number, self._kept()) from None

    def _run(self) -> None:
        for warning in self._prepared.warnings:
            self._watcher.warned(warning)
        wait_for_orphans(self._store.folder, self._watcher)
        self._store.clean()
        self._discard_damaged()
        if aside := put_aside(self._store.folder, {run.key for run in self._whole.runs}):
            self._watcher.warned(
                f"{counted(len(aside), 'run')} in {self._store.folder} no longer in this study: moved to "
                f"{self._store.folder / EARLIER}. Their stages are kept."
            )
        if warning := scored_otherwise(self._whole, self._prepared.plan, self._prepared.scored_on, self._store.folder):
            self._watcher.warned(warning)
        self._schedule = self._scheduled()
        self._unscored = self._scores_to_make()
        for warning in self._failed.earlier(self._store, self._prepared.scored_on):
            self._watcher.warned(warning)
        write_plan(self._store.folder, self._whole, self._prepared.plan, self._passes)
        if self._requests.limited:
            self._pace.look_back(self._store, list(self._jobs.values()), self._passes, self._prepared.scored_on)
        try:
            self._drive()
            forget_finished(self._store)
            self._store.clean()  # killed workers leave temporary files
        except Stopped:
            self._executor.stop()
            self._look(())
            raise
        except Exception:
            with suppress(Exception):  # the others keep what they train; the first error is the one to tell
                self._executor.stop()
            raise
        finally:
            self._executor.close()

    def _scheduled(self) -> Schedule:
        """Return the schedule: first the populations with a checkpoint, then the others."""
        stored, selected = self._store, self._prepared.plan.jobs
        setting = self._prepared.study.machine.population
        most = None if setting == "auto" else setting
        device = self._executor.device
        found = find_resumable(stored, self._jobs, self._prepared.vocabulary, device, most, self._watcher.warned)
        done = {key for key in self._jobs if stored.has("stages", key)}
        begun = [each for each in found if any(job.key in selected and job.key not in done for job in each.learners)]
        place = {key: number for number, key in enumerate(self._jobs)}
        begun.sort(key=lambda each: min(place[job.key] for job in each.learners))
        # Learners that started together continue together, even those of runs that are not selected.
        beside = {job.key: job for each in begun for job in each.population}
        for each in begun:
            for job, step in zip(each.learners, each.steps, strict=True):
                if job.key not in done:
                    self._read_before[job.key] = task_of(job, self._prepared, stored).utterances_after(step)
        groups = [tuple(job.key for job in each.population) for each in begun]
        fresh = populations(self._prepared, (job for key, job in selected.items() if key not in beside))
        lacking = [tuple(job.key for job in each if job.key not in done) for each in fresh]
        groups += [keys for keys in lacking if keys]
        wanted = {**selected, **{key: job for key, job in beside.items() if key not in done}}
        work = sum(self._passes[key] for key in wanted)
        left = sum(self._passes[key] for key in wanted if key not in done) - sum(self._read_before.values())
        self._watcher.planned(self._prepared.plan, work, work - left)
        parents = {key: job.parent for key, job in self._jobs.items()}
        return Schedule(groups, parents, done, None if self._executor.slots == 1 else self._passes)

    def _scores_to_make(self) -> dict[Score, str]:
        """Return the unscored models of the selected runs, each with the key of its evaluation."""
        scored_on = self._prepared.scored_on
        wanted: dict[Score, str] = {}
        for run in self._prepared.plan.runs:
            for made in run.made:
                wanted[made.key, False] = evaluation_key(made.key, scored_on.of(made))
            if has_before(run, scored_on):
                first = run.jobs[0]
                wanted[first.key, True] = evaluation_key(first.key, scored_on.of(first, before=True), before=True)
        return {score: key for score, key in wanted.items() if not self._store.has("evaluations", key)}

    def _drive(self) -> None:
        """Give units to the executor until all work is done."""
        executor, schedule = self._executor, self._schedule
        at_work = list(executor.at_work)
        tries: dict[tuple[Unit, tuple[str, ...]], int] = {}
        for unit in at_work:
            schedule.claim(unit)
        self._write_complete_runs()
        while schedule.left or self._unscored or at_work:
            units: list[Unit] = []
            while len(at_work) < executor.slots and (following := self._next(at_work)) and self._may_begin(following, at_work):
                units.append(following)
                at_work.append(following)
            assert at_work, "stages wait for each other"
            if units:
                executor.submit(units)
            ended = executor.wait()
            self._look(at_work)
            if self._progress:
                self._progress.look()
            for outcome in ended:
                at_work.remove(outcome.unit)
                for warning in outcome.warnings:
                    self._watcher.warned(warning)
                self._ended(outcome, tries)
                if self._progress:
                    self._progress.ended(outcome.unit, sum(self._read.get(key, 0) for key in outcome.unit.keys))
            self._write_complete_runs()
            if executor.elsewhere:
                self._requests.check()

    def _next(self, at_work: Sequence[Unit]) -> Unit | None:
        """Return the unit to start next: missing scores of a run, then a population or chain, then any other score."""
        busy = {key for unit in at_work for key in unit.keys} | {key for unit in at_work for key, _ in unit.scores}
        ready = [score for score in self._unscored if score[0] not in busy and score[0] not in self._schedule.left]
        for run in self._prepared.plan.runs if ready else ():
            if run.key not in self._written and not any(job.key in self._schedule.left for job in run.jobs):
                of_run = {made.key for made in run.made}
                if due := [score for score in ready if score[0] in of_run]:
                    return Unit(scores=(due[0],))
        if chain := self._schedule.take(chains=self._executor.chains):
            return Unit(chain)
        stages = [score for score in ready if score[0] in self._jobs]
        return Unit(scores=(stages[0],)) if stages else None

    def _may_begin(self, unit: Unit, at_work: Sequence[Unit]) -> bool:
        """Return whether a unit ends before the time limit. The first unit always starts, so that every command makes progress.

        Raises:
            TimeUp: the unit ends too late, and no other unit is running.
        """
        if not unit.keys and not self._executor.elsewhere:
            return True  # the worker asks before it scores
        try:
            self._begin(self._seconds(unit))
        except TimeUp:
            self._schedule.give_back(unit)
            if not at_work:
                raise
            return False
        return True

    def _begin(self, seconds: float | None) -> None:
        """Raise if work of `seconds` would end after the time limit; the first unit always starts."""
        if self._has_begun:
            self._requests.check_time_for(seconds)
        self._has_begun = True

    def _before_scoring(self, utterances: int) -> None:
        self._begin(self._pace.scoring(utterances))

    def _seconds(self, unit: Unit) -> float | None:
        """Return the seconds to train and score a unit; None if unknown."""
        scored_on = self._prepared.scored_on
        jobs = [self._jobs[key] for key in unit.keys if key in self._schedule.left]
        known = [each for job in jobs if (each := self._pace.training(job, self._passes[job.key])) is not None]
        if jobs and not known:
            return None
        made = {each.key: each for run in self._prepared.plan.runs for each in run.made} if unit.scores else {}
        tests = [scored_on.of(job) for job in jobs] + [scored_on.of(made[key], before=before) for key, before in unit.scores]
        scored = sum(len(scored_on.sets[language]) for each in tests for language in each)
        return (sum(known) * len(jobs) / len(known) if known else 0.0) + (self._pace.scoring(scored) or 0.0)

    def _look(self, at_work: Sequence[Unit]) -> None:
        """Record the stages and scores stored since the last call; all of them if no unit is running."""
        schedule, store = self._schedule, self._store
        keys = {key for unit in at_work for key in unit.keys if key in schedule.left} if at_work else set(schedule.left)
        for key in keys:
            if store.has("stages", key):
                history, job = store.load_history(key), self._jobs[key]
                schedule.stored(key)
                read = len(history.history) * self._utterances(job)
                self._read[key] = read - self._read_before.get(key, 0)
                self._pace.trained(job, self._passes[key], sum(history.seconds.values()))
                if self._progress and history.history:
                    self._progress.epoch_ended(key, history.history[-1])
                self._watcher.finished(job, self._passes[key] - read)
        scored = {key for unit in at_work for key in (*unit.keys, *(each for each, _ in unit.scores))}
        for score in [each for each in self._unscored if each[0] in scored]:
            if store.has("evaluations", evaluation := self._unscored[score]):
                del self._unscored[score]
                found = store.load_evaluation(evaluation)
                if not score[1] and (warning := self._failed.scored(score[0], found)):
                    self._watcher.warned(warning)
                if self._requests.limited:
                    self._pace.scored(sum(len(each.tp) for each in found.counts.values()), found.seconds)

    def _ended(self, outcome: Outcome, tries: dict[tuple[Unit, tuple[str, ...]], int]) -> None:
        """End a unit; its unfinished part can be taken again. `tries`: deaths at one checkpoint."""
        unit, died = outcome.unit, outcome.died
        if not (died or outcome.stopped):
            self._wait_for_results(unit)
        self._schedule.give_back(unit)
        if outcome.stopped or not (died or self._lacks(unit)):
            return
        died = died or f"A worker ended, but {self._store.folder} lacks some of its stages."
        stands = unit, of_stages(self._store, unit.keys)
        tries[stands] = tries.get(stands, 0) + 1
        if tries[stands] == TRIES:
            kept = "Finished stages are kept. If memory ran out, lower machine.workers. The same command resumes."
            raise AttritionError(f"{died} That happened {TRIES} times with the same stages, without progress. {kept}")
        self._watcher.warned(f"{died} Another worker gets the unfinished stages.")

    def _lacks(self, unit: Unit) -> bool:
        return any(key in self._schedule.left for key in unit.keys) or any(each in self._unscored for each in unit.scores)

    def _wait_for_results(self, unit: Unit) -> None:
        """Wait until the stages that a worker stored appear: a network disk may take some seconds."""
        end = time.monotonic() + LATE_SECONDS
        while self._lacks(unit) and time.monotonic() < end and not self._requests.asked:
            time.sleep(0.1)
            self._look([unit])

    def _utterances(self, job: Job) -> int:
        return sum(len(self._prepared.encoded[language, "train"]) for language in job.languages)

    def _discard_damaged(self) -> None:
        for job in self._prepared.plan.jobs.values():
            if self._store.has("stages", job.key) and (problem := self._store.problem("stages", job.key)):
                self._watcher.warned(f"{problem} This stage is trained again ({job.label}).")
                self._store.discard("stages", job.key)

    def _finished(self) -> str:
        runs = self._prepared.plan.runs
        names = [run.label for run in runs if run.key in self._written]
        listed = f": {', '.join(names[:NAMED])}{', ...' if len(names) > NAMED else ''}" if names else ""
        return f"Finished: {len(names)} of {len(runs)} runs{listed}."

    def _kept(self) -> str:
        jobs = self._prepared.plan.jobs
        stored = sum(self._store.has("stages", key) for key in jobs)
        begun = " and the state of training" if self._store.checkpoints() else ""
        return f"Kept: {stored} of {len(jobs)} stages{begun}. Run the same command to resume."

    def _write_complete_runs(self) -> None:
        for run in self._prepared.plan.runs:
            if run.key not in self._written and not any(job.key in self._schedule.left for job in run.jobs):
                scores = {*((made.key, False) for made in run.made), (run.jobs[0].key, True)}
                if scores.isdisjoint(self._unscored):
                    self._write(run)

    def _write(self, run: RunPlan) -> None:
        histories = [self._store.load_history(job.key) for job in run.jobs]
        evaluations = [self._worker.evaluation(each) for each in run.made]
        shows_before = has_before(run, self._prepared.scored_on)
        before = self._worker.evaluation(run.jobs[0], before=True) if shows_before else None
        made_with = [self._store.about("stages", job.key).get("made_with", {}) for job in run.jobs]
        for warning in write_run(self._store.folder, run, self._prepared, histories, evaluations, before, made_with):
            if warning not in self._prepared.warnings:  # these concern all runs and were shown at the start
                self._watcher.warned(f"{run.method.name} ({run.order_name}, seed {run.seed}): {warning}")
        self._written.add(run.key)
        self._watcher.run_finished(run)

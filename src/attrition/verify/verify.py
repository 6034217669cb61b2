"""Checks a results folder: checksums, numbers computed again from counts, stages scored again from weights.

Nothing is written into the folder.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from attrition.names import AttritionError, counted
from attrition.prepare.prepare import Prepared
from attrition.results.covariates import FILE as COVARIATES
from attrition.results.covariates import read_covariates
from attrition.results.packed_counts import STAGES
from attrition.store.archived import INDEX, OF_KIND, ArchivedStore, is_archive
from attrition.store.folder import EARLIER, code_of, is_results
from attrition.store.stages import KINDS, DamagedError, Kind, Store, StoredEvaluation
from attrition.study.spec import read_study
from attrition.study.watcher import Watcher
from attrition.verify.recount import has_counts, recount, recount_from_matrix
from attrition.verify.rescore import CannotRescoreError, rescore

_REMEDY: Mapping[Kind, str] = {
    "stages": "The same `attrition run` trains this stage again, and no other.",
    "evaluations": "The same `attrition run` scores this stage again, and trains nothing.",
    "checkpoints": "No result depends on it. The same `attrition run` starts its stage again. You may delete it.",
}
_REWRITES = "The same `attrition run` writes this file again from stored data."
_ASIDE = "Run the earlier form of the study to write it again."
_NO_COUNTS = "Copy the folder again from its source: without counts nobody can tell which of the two files is wrong."
_RESCORES = "Remove this folder: the same `attrition run` scores the stage again."
_AGAIN = "Make the archive again from its results folder, or copy it again."
_ELSEWHERE = "Verify with the software and the kind of machine that the note names: others give other rounding."


@dataclass(frozen=True)
class Problem:
    """A problem in a results folder: which file, what is wrong, what to do."""

    file: Path
    what: str
    remedy: str


@dataclass(frozen=True)
class Check:
    """One kind of check: how many were made, the problems, and why it was skipped."""

    name: str
    num_checked: int = 0
    problems: tuple[Problem, ...] = ()
    skipped: str | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Verdict:
    """All checks of a folder; without counts only `metrics.json` can be compared with `matrix.csv`."""

    folder: Path
    checks: tuple[Check, ...]
    has_counts: bool = True

    @property
    def problems(self) -> tuple[Problem, ...]:
        """Return the problems, in the order of the checks."""
        return tuple(problem for check in self.checks for problem in check.problems)


@dataclass
class _Count:
    """A check in progress."""

    name: str
    checked: int = 0
    problems: list[Problem] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def wrong(self, file: Path, what: str, remedy: str) -> None:
        self.problems.append(Problem(file, what, remedy))

    def done(self, skipped: str | None = None) -> Check:
        return Check(self.name, self.checked, tuple(self.problems), skipped, tuple(self.notes))


def verify(
    folder: Path, *, sample: int = 1, seed: int = 0, pack: Path | None = None, watcher: Watcher | None = None
) -> Verdict:
    """Check a results folder and return the verdict; the folder is not changed.

    Args:
        folder: a results folder, or an archive (without weights to check).
        sample: number of stages to score again from their weights; 0 for none.
        seed: for the draw of these stages.
        pack: a pack of the study, if corpus and encoder should come from it.
        watcher: receives progress.

    Raises:
        AttritionError: it is not a results folder.
    """
    watcher = watcher or Watcher()
    if is_archive(folder):
        return _of_archive(ArchivedStore(folder), watcher)
    if not is_results(folder):
        raise AttritionError(f"{folder} is not a results folder. Give the folder that `attrition run` wrote.")
    store = Store(folder)
    checks = [_settings(folder), *(_stored(store, kind, watcher) for kind in KINDS), _runs(store, watcher)]
    return Verdict(folder, (*checks, _scored_again(store, sample, seed, watcher, pack)), has_counts(store))


def _of_archive(store: ArchivedStore, watcher: Watcher) -> Verdict:
    """Return all checks of an archive, which has no weights."""
    count = _Count("Files of the archive")
    try:
        count.checked = len(store.index["files"])
    except DamagedError:
        count.wrong(store.folder / INDEX, "is missing or damaged", _AGAIN)
        return Verdict(store.folder, (count.done(), _Count("Everything else").done("the archive is damaged")))
    for name in store.damaged_files():
        count.wrong(store.folder / name, "is missing or does not match archive.json", _AGAIN)
    if count.problems:
        return Verdict(store.folder, (count.done(), _Count("Everything else").done("the archive is damaged")))
    checks = [count.done(), _settings(store.folder)]
    for kind in OF_KIND:
        count = _Count(f"Manifests of {kind}")
        for key in store.keys(kind):
            watcher.reading(count.name, count.checked, len(store.keys(kind)))
            count.checked += 1
            problem = store.problem(kind, key)
            if problem is None and kind == "evaluations" and (language := _contradicts(store.load_evaluation(key))):
                problem = f"its counts of {language} by utterance and by slot differ"
            if problem:
                count.wrong(store.folder / STAGES, f"holds {kind}/{key}, which is damaged ({problem})", _AGAIN)
        if kind == "stages":
            count.notes.append("an archive has no weights, so their checksums were not compared")
        checks.append(count.done())
    no_weights = _Count("Stages scored again").done("an archive has no weights")
    checks = [*checks, _runs(store, watcher), no_weights]
    return Verdict(store.folder, tuple(replace(check, problems=_as_of_archive(check.problems)) for check in checks))


def _as_of_archive(problems: Iterable[Problem]) -> tuple[Problem, ...]:
    """Return problems with what to do about an archive, in which nothing can be trained or written again."""
    return tuple(replace(problem, remedy=_AGAIN) for problem in problems)


def _settings(folder: Path) -> Check:
    """Check study.toml, environment.json and, if present, covariates.json."""
    count = _Count("Study and environment", 2)
    try:
        if code := code_of(folder):
            count.notes.append(f"study.toml was not checked: its Python code ({', '.join(code)}) is not run here")
        else:
            read_study(folder / "study.toml")
    except AttritionError as error:
        count.wrong(folder / "study.toml", f"cannot be read as a study ({error})", _REWRITES)
    try:
        json.loads((folder / "environment.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        count.wrong(folder / "environment.json", "is damaged", _REWRITES)
    try:
        count.checked += read_covariates(folder) is not None
    except AttritionError as error:
        count.wrong(folder / COVARIATES, f"cannot be read ({error})", _REWRITES)
    return count.done()


def _stored(store: Store, kind: Kind, watcher: Watcher) -> Check:
    """Check the checksums of one kind of folder; for evaluations also whether their sums agree."""
    count = _Count(f"Checksums of {kind}")
    parent = store.folder / kind
    folders = sorted(path for path in parent.iterdir() if not path.name.startswith(".")) if parent.is_dir() else []
    for path in folders:
        watcher.reading(count.name, count.checked, len(folders))
        count.checked += 1
        try:
            problem = store.problem(kind, path.name)
            if problem is None and kind == "evaluations" and (language := _contradicts(store.load_evaluation(path.name))):
                what = f"contradicts itself: its counts of {language} by utterance, by slot and by type of error differ"
                count.wrong(path, what, _REMEDY[kind])
        except AttritionError as error:
            count.wrong(path, str(error), "Install the newer version of attrition, and verify with that.")
            continue
        if problem:
            name, _, what = problem.removeprefix(str(path)).partition(" is ")
            count.wrong(Path(f"{path}{name}"), f"is {what.rstrip('.')}", _REMEDY[kind])
    if left := list(parent.glob(".*.tmp")):
        count.notes.append(f"{counted(len(left), 'incomplete folder')} of an interrupted run; the next run removes them")
    return count.done()


def _contradicts(evaluation: StoredEvaluation) -> str | None:
    """Return the first language whose counts by utterance, slot and type of error have different sums, or None."""
    for language, counts in evaluation.counts.items():
        by_utterance = [int(each.sum(dtype=np.int64)) for each in (counts.tp, counts.fp, counts.fn)]
        if by_utterance != counts.by_slot.sum(axis=0).tolist():
            return language
        if counts.errors is not None and not np.array_equal(counts.errors[:, :-1].sum(axis=1), counts.by_slot[:, 2]):
            return language
    return None


def _runs(store: Store, watcher: Watcher) -> Check:
    """Compare the numbers of every finished run with its counts."""
    count, with_counts = _Count("Numbers of runs"), has_counts(store)
    new_metrics: dict[str, int] = {}
    folders = [path for part in ("runs", EARLIER) for path in sorted((store.folder / part).glob("[!.]*")) if path.is_dir()]
    for folder in folders:
        watcher.reading(count.name, count.checked, len(folders))
        if not (folder / "matrix.csv").is_file():
            count.notes.append(f"{folder.name} is not finished, or its matrix.csv is missing; `attrition run` writes it")
            continue
        count.checked += 1
        try:
            found = recount(store, folder) if with_counts else recount_from_matrix(folder)
        except DamagedError as error:
            count.wrong(folder, f"cannot be compared: {error}", _REMEDY["stages"])
            continue
        except AttritionError as error:
            count.notes.append(f"{folder.name} was not compared: {error}")
            continue
        for each in found.differences:
            count.wrong(each.file, each.what, _remedy(folder, with_counts))
        for name in found.new_metrics:
            new_metrics[name] = new_metrics.get(name, 0) + 1
    for name, runs in new_metrics.items():
        count.notes.append(f"metrics.json lacks the newer metric {name} in {runs} of {count.checked} runs")
    if count.checked and not with_counts:
        count.notes.append(
            "this folder has no counts: metrics.json was compared with matrix.csv, but matrix.csv, scores, history and times "
            "could not be checked"
        )
    return count.done()


def _remedy(run: Path, with_counts: bool) -> str:
    if not with_counts:
        return _NO_COUNTS
    return _REWRITES if run.parent.name == "runs" else _ASIDE


def _scored_again(store: Store, sample: int, seed: int, watcher: Watcher, pack: Path | None) -> Check:
    """Score some stages again and compare the counts."""
    count = _Count("Stages scored again")
    if sample < 1:
        return count.done("not asked for (--sample 0)")
    if not store.keys("stages"):
        return count.done("this folder holds no weights")

    def compared(prepared: Prepared) -> None:
        path = store.folder / COVARIATES
        if path.is_file() and path.read_bytes() != prepared.covariates.encode():
            count.wrong(path, "differs from the covariates of the training utterances here", _REWRITES)

    try:
        for result, note in rescore(store, sample, seed, watcher, pack, compared):
            count.checked += 1
            count.notes.append(f"{result.job.label} ({result.job.key}){f': {note}' if note else ''}")
            for what in result.differences:
                count.wrong(store.folder / "evaluations" / result.evaluation, what, _RESCORES if note is None else _ELSEWHERE)
    except CannotRescoreError as error:
        return count.done(str(error))
    return count.done()

"""Warnings about runs: scores of 0, no learning, divergence, lack of memory, scores under other settings."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from attrition.methods import Steps
from attrition.metrics.matrix import RMatrix
from attrition.metrics.result import stage_notes
from attrition.problem.base import Problem
from attrition.problem.slots import SLOTS
from attrition.store.evaluations import ScoredOn
from attrition.store.stages import Store, StoredEvaluation, StoredHistory
from attrition.study.keys import evaluation_key
from attrition.study.plan import StudyPlan

FIRST_STAGES = 3
"""A run with a score of 0 after so many first stages has failed."""


def warnings_of(steps: Steps, R: RMatrix, stages: Sequence[StoredHistory], problem: Problem = SLOTS) -> list[str]:
    """Return the warnings about a run, without its name."""
    never, no_better = _learned_nothing(R)
    score, what = ("F1", "slot") if problem is SLOTS else (problem.score, "label")
    score = score[0].upper() + score[1:]
    found = list(stage_notes(R))
    if never:
        found.append(
            f"{score} is 0 right after training on {', '.join(never)}. The model predicts no {what} right: "
            "try a larger head_learning_rate, more epochs or more utterances."
        )
    if no_better:
        found.append(
            f"{score} was no better after training on {', '.join(no_better)} than before it. "
            "Try more epochs or another learning_rate."
        )
    for step, stored in zip(steps.trainings, stages, strict=True):
        if stored.diverged:
            kept = f"of epoch {stored.kept_epoch}" if stored.kept_epoch else "from before training"
            found.append(
                f"Training on {'+'.join(step.languages)} stopped: {stored.diverged}. The weights {kept} "
                "were kept. Try a smaller learning_rate."
            )
        if stored.shortage:
            found.append(f"Memory ran out in training on {'+'.join(step.languages)}: {stored.shortage}.")
    return found


def _learned_nothing(R: RMatrix) -> tuple[list[str], list[str]]:
    """Return the languages with F1 of 0 after their own stage, and those whose F1 did not rise in it."""
    never, no_better = [], []
    for row, languages in enumerate(R.new):
        before_L = R.scores_SL[row - 1] if row else R.before_L
        for language in languages:
            column = R.languages.index(language)
            after = R.scores_SL[row, column]
            if after == 0:
                never.append(language)
            elif before_L is not None and after <= before_L[column]:
                no_better.append(language)
    return never, no_better


class FailedStarts:
    """Finds runs whose first stages all have a score of 0, so that a long run need not end before its user knows."""

    def __init__(self, plan: StudyPlan) -> None:
        self._runs = {run.label: run.jobs for run in plan.runs if len(run.jobs) > FIRST_STAGES}
        self._first = {label: jobs[:FIRST_STAGES] for label, jobs in self._runs.items()}
        self._zero: dict[str, bool] = {}

    def earlier(self, store: Store, scored_on: ScoredOn) -> list[str]:
        """Return the warnings that the scores of earlier commands give, about runs with stages left."""
        begun = [label for label, jobs in self._runs.items() if not all(store.has("stages", job.key) for job in jobs)]
        found = []
        for job in {job.key: job for label in begun for job in self._first[label]}.values():
            key = evaluation_key(job.key, scored_on.of(job))
            if store.has("evaluations", key) and (warning := self.scored(job.key, store.load_evaluation(key))):
                found.append(warning)
        return found

    def scored(self, key: str, evaluation: StoredEvaluation) -> str:
        """Return a warning if, with these scores, the first stages of a run are known to have failed; otherwise ""."""
        begun = {label: jobs for label, jobs in self._first.items() if key in {job.key for job in jobs}}
        job = next((job for jobs in begun.values() for job in jobs if job.key == key), None)
        if job is None:
            return ""
        counts = [evaluation.counts[each] for each in job.languages if each in evaluation.counts]
        self._zero[key] = bool(counts) and not any(each.tp.any() for each in counts)
        failed = [label for label, jobs in begun.items() if all(self._zero.get(job.key) for job in jobs)]
        for label in failed:
            del self._first[label]
        if not failed:
            return ""
        return (
            f"{' and '.join(failed)}: nothing was right after any of the first {FIRST_STAGES} stages, on the languages just "
            "trained. A sequence seldom recovers from this: press Ctrl-C and try a smaller learning_rate, more epochs or more "
            "utterances."
        )


def scored_otherwise(whole: StudyPlan, selected: StudyPlan, scored_on: ScoredOn, folder: Path) -> str:
    """Return a warning of finished runs that are not selected and were scored under other settings; "" if there are none."""
    chosen, now = {run.key for run in selected.runs}, (scored_on.evaluate, scored_on.split)
    others = [run for run in whole.runs if run.key not in chosen]
    differing = [run.label for run in others if _scored_under(folder / "runs" / run.key) not in (now, None)]
    if not differing:
        return ""
    return (
        f"{len(differing)} runs that are not selected, such as {differing[0]}, were scored with another `evaluate` or "
        "`evaluate_on`. Run once without --only to score them like the others."
    )


def _scored_under(folder: Path) -> tuple[Any, Any] | None:
    """Return `evaluate` and `evaluate_on` of a finished run; None if spec.json is missing or damaged."""
    try:
        spec = json.loads((folder / "spec.json").read_text(encoding="utf-8"))
        return spec.get("evaluate", "all"), spec.get("evaluate_on", "test")
    except (OSError, ValueError, AttributeError):
        return None

"""Warnings about a run: scores of 0, no learning, divergence, lack of memory."""

from __future__ import annotations

from collections.abc import Sequence

from attrition.methods import Steps
from attrition.metrics.matrix import RMatrix
from attrition.metrics.result import stage_notes
from attrition.problem.base import Problem
from attrition.problem.slots import SLOTS
from attrition.store.stages import StoredHistory


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

"""Describes the gains and losses of one run in sentences."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from attrition.metrics.matrix import RMatrix
from attrition.metrics.means import mean_measured
from attrition.metrics.several import changes_SL
from attrition.names import counted

LEARNED = 0.10
"""Below this mean F1 at the languages' own stages almost nothing was learned, so forgetting cannot be measured."""

_STILL = 0.05
"""A smaller change in points is printed as 0.0, so words call it neither a gain nor a loss."""


@dataclass(frozen=True)
class Step:
    """The change of one language at one stage: `trained` names the stage, `change` is a fraction of 1."""

    trained: str
    language: str
    change: float


def changes_since_learned(R: RMatrix) -> dict[str, float]:
    """Return R[T, j] - R[p(j), j] for every language j learned before the last stage, if both were measured.

    >>> R = RMatrix.sequential("abc", [[.75, .25, .125], [.5, .875, .25], [.625, .5, 1]])
    >>> changes_since_learned(R)
    {'a': -0.125, 'b': -0.375}
    """
    change_L = R.scores_SL[-1] - R.own_L
    earlier = [language for stage in R.new[:-1] for language in stage]
    changes = {language: float(change_L[R.languages.index(language)]) for language in earlier}
    return {language: change for language, change in changes.items() if not np.isnan(change)}


def largest_drop(R: RMatrix) -> Step | None:
    """Return the largest drop of a learned language at a single stage, or None if there was none.

    >>> R = RMatrix.sequential("abc", [[.75, .25, .125], [.5, .875, .25], [.625, .5, 1]])
    >>> largest_drop(R)
    Step(trained='c', language='b', change=-0.375)
    """
    change_SL = changes_SL(R, from_before=False)
    learned_before_SL = R.stage_L[None, :] < np.arange(R.num_stages)[:, None]
    drop_SL = np.where(learned_before_SL & (change_SL < 0), change_SL, 0.0)
    stage, column = np.unravel_index(int(np.argmin(drop_SL)), drop_SL.shape)
    if drop_SL[stage, column] == 0:
        return None
    return Step(R.order[stage], R.languages[column], float(drop_SL[stage, column]))


def words(R: RMatrix, score: str = "F1") -> tuple[str, ...]:
    """Return sentences on the changes of languages learned before the last stage, from their own stage to the end.

    The mean change; the largest loss and gain; the largest drop at a single stage. `score` is the name of the score; points are
    hundredths of it. There is a single sentence if no change is defined (joint training, a single stage, cells that were not
    measured), or if the mean score at the languages' own stages is below `LEARNED`.

    >>> for sentence in words(RMatrix.sequential("abc", [[.75, .25, .125], [.5, .875, .25], [.625, .5, 1]])): print(sentence)
    By the end, the 2 languages learned earlier had lost 25.0 points on average.
    The largest loss: b, 37.5 points (from 87.5 to 50.0).
    No language gained.
    Learning c cost b 37.5 points, the largest drop in a single stage.
    """
    if R.joint:
        return (f"All {len(R.new[0])} languages were learned together: none was learned earlier, so none could be forgotten.",)
    if R.num_stages == 1:
        return ("There was a single stage of training: no language was learned earlier, so none could be forgotten.",)
    changes = changes_since_learned(R)
    if not changes:
        return (
            "What was gained or lost is not known: no earlier language was measured both when it was learned and at the end.",
        )
    if not has_learned(R):
        return (not_learned(float(mean_measured(R.own_L)), score),)
    return (_mean(changes, num_earlier=sum(len(stage) for stage in R.new[:-1])), *_extremes(R, changes), _drop(R))


def has_learned(R: RMatrix) -> bool:
    """Return True unless the mean F1 of the languages at their own stages is below `LEARNED`.

    >>> has_learned(RMatrix.sequential("ab", [[0.0, 0.0], [0.0, 0.0]]))
    False
    """
    return not float(mean_measured(R.own_L)) < LEARNED


def not_learned(own_mean: float, score: str = "F1") -> str:
    """Return the sentence for runs that learned almost nothing. `own_mean`: mean score at the own stages, 0 to 1.

    >>> not_learned(0.0).split(". ")[0]
    'Next to nothing was learned: mean F1 right after a language was trained is 0.0, below 10'
    """
    return (
        f"Next to nothing was learned: mean {score} right after a language was trained is {100 * own_mean:.1f}, "
        f"below {100 * LEARNED:.0f}. Nothing can be said about forgetting."
    )


def failed_words(method: str, matrices: Iterable[RMatrix], score: str = "F1") -> str:
    """Return a warning about languages with a score of 0 right after their own training; "" if there are none.

    A mean over languages includes them, so a comparison with another method may only show that some training failed.

    >>> failed_words("VANILLA", [RMatrix.sequential("ab", [[0.5, 0.0], [0.25, 0.0]])]).split(". ")[0]
    'VANILLA: F1 is 0 right after training in 1 of 2 stages'
    """
    given = tuple(matrices)
    own = np.concatenate([R.own_L for R in given])
    failed = int((own == 0).sum())
    if not failed:
        return ""
    cells = "language" if all(R.joint for R in given) else "stage"
    return (
        f"{method}: {score} is 0 right after training in {failed:,} of {counted(int((~np.isnan(own)).sum()), cells)}. "
        "Means over these runs include this failed training. Change learning_rate, epochs or utterances before you compare it."
    )


def points(fraction: float) -> str:
    """Return a change as points without its sign.

    >>> points(-0.1234)
    '12.3 points'
    """
    return f"{abs(100 * fraction):.1f} points"


def _is_still(change: float) -> bool:
    return abs(100 * change) < _STILL


def _mean(changes: dict[str, float], num_earlier: int) -> str:
    mean = float(np.mean(list(changes.values())))
    average = " on average"
    if len(changes) < num_earlier:
        who = f"the {len(changes)} of {num_earlier} languages learned earlier that were measured"
    elif num_earlier == 1:
        who, average = f"{next(iter(changes))}, learned earlier,", ""
    else:
        who = f"the {num_earlier} languages learned earlier"
    if _is_still(mean):
        return f"By the end, {who} had neither gained nor lost{average} (less than {_STILL} points)."
    return f"By the end, {who} had {'lost' if mean < 0 else 'gained'} {points(mean)}{average}."


def _extremes(R: RMatrix, changes: dict[str, float]) -> tuple[str, str]:
    worst, best = min(changes, key=lambda language: changes[language]), max(changes, key=lambda language: changes[language])

    def told(language: str) -> str:
        column = R.languages.index(language)
        start, end = 100 * R.own_L[column], 100 * R.scores_SL[-1, column]
        return f"{language}, {points(changes[language])} (from {start:.1f} to {end:.1f})"

    if changes[worst] >= 0:
        loss = "Nothing was forgotten: no language ended below its score when learned."
    elif _is_still(changes[worst]):
        loss = f"Next to nothing was forgotten: no language lost as much as {_STILL} points."
    else:
        loss = f"The largest loss: {told(worst)}."
    gained = changes[best] > 0 and not _is_still(changes[best])
    return loss, f"The largest gain: {told(best)}." if gained else "No language gained."


def _drop(R: RMatrix) -> str:
    drop = largest_drop(R)
    if drop is None or _is_still(drop.change):
        return "No single stage cost an earlier language anything."
    return f"Learning {drop.trained} cost {drop.language} {points(drop.change)}, the largest drop in a single stage."

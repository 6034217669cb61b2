"""The verdict on each check.

- **pass**: the loss is shown to be smaller than the margin (its upper 95% bound is below it).
- **fail**: a loss is shown (p, adjusted over all checks, is at most 0.05), and its best estimate is beyond the margin.
- **cannot tell**: neither.

The release passes if every check passes, and fails if one fails. A false alarm in any check fails the release, so p is adjusted
for many checks (Holm 1979). A pass needs no adjustment, because *all* checks must pass: a release with one loss as large as its
margin passes in at most 5% of test sets (intersection-union test, Berger 1982).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from attrition.gate.bound import interval, p_by_bound
from attrition.gate.checks import Check
from attrition.gate.ratios import Outcomes
from attrition.gate.swaps import p_of_loss
from attrition.names import counted
from attrition.streams import numpy_stream

Verdict = Literal["pass", "fail", "cannot tell"]
WORST_FIRST: tuple[Verdict, ...] = ("fail", "cannot tell", "pass")
LEVEL = 0.05
"""The probability of any false alarm if the systems are equal, and of a false pass if one loss equals its margin."""


@dataclass(frozen=True, kw_only=True)
class Finding:
    """The verdict on a check and its evidence; scores and losses in points.

    `low` and `high` are one-sided 95% bounds of the loss. `can_show` is the smallest margin that this amount of data can show
    (see `bound.Interval`). `p` is for "no loss", `p_adjusted` the same after Holm over all checks. All NaN without gold spans.
    """

    check: Check
    verdict: Verdict
    words: str
    utterances: int
    differing: int
    gold: int
    old: float
    new: float
    low: float
    high: float
    can_show: float
    p: float
    p_adjusted: float

    @property
    def loss(self) -> float:
        """Old score minus new score, in points."""
        return self.old - self.new


def judge(questions: Sequence[tuple[Check, Outcomes]]) -> tuple[Finding, ...]:
    """Return the verdict on each check, in the given order.

    Each check has its own random stream, so its p before Holm does not depend on other checks.
    """
    draws = max(9_999, 200 * len(questions) - 1)  # the smallest p is a tenth of Holm's strictest level
    p_values = [
        p_of_no_loss(found, numpy_stream("gate", "swaps", check.name), draws) if found.gold else math.nan
        for check, found in questions
    ]
    adjusted = holm(p_values)
    return tuple(
        _finding(check, found, p, p_adjusted)
        for (check, found), p, p_adjusted in zip(questions, p_values, adjusted, strict=True)
    )


def p_of_no_loss(found: Outcomes, rng: np.random.Generator, draws: int) -> float:
    """Return p for "no loss": the larger one of the permutation test and of the bootstrap.

    The permutation test is exact if the answers of the two systems are exchangeable. If they are not, it rejects too often in
    small sets; an example is a new system with more found and more spurious spans at equal F1. The bootstrap is valid there.
    For recall of a system that only breaks single spans both equal a sign test.

    Args:
        found: the kinds of utterances.
        rng: source of swaps and weights.
        draws: number of each; the smallest p is 1 / (draws + 1).
    """
    p = p_of_loss(found, rng, draws)
    return max(p, p_by_bound(found, rng, draws)) if p <= LEVEL else p


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p adjusted by Holm's step-down method. NaN stays NaN and is not counted.

    >>> [round(p, 3) for p in holm([0.01, 0.04, 0.03])]
    [0.03, 0.06, 0.06]
    """
    asked = sorted((p, place) for place, p in enumerate(p_values) if not math.isnan(p))
    adjusted = [math.nan] * len(p_values)
    largest = 0.0
    for step, (p, place) in enumerate(asked):
        largest = max(largest, min(1.0, (len(asked) - step) * p))
        adjusted[place] = largest
    return adjusted


def worst(verdicts: Sequence[Verdict]) -> Verdict:
    """Return the verdict of the release: the worst of its checks; "cannot tell" without checks.

    >>> worst(["pass", "cannot tell"])
    'cannot tell'
    """
    return next((verdict for verdict in WORST_FIRST if verdict in verdicts), "cannot tell")


def _finding(check: Check, found: Outcomes, p: float, p_adjusted: float) -> Finding:
    old, new = (100 * score for score in found.scores)
    low = high = can_show = growth = math.nan
    verdict: Verdict = "cannot tell"
    if found.gold:
        bounds = interval(found, numpy_stream("gate", "bound", check.name))
        low, high, can_show = (100 * each for each in (bounds.low, bounds.high, bounds.can_show))
        growth = bounds.growth(check.margin / 100)
        if high < check.margin:
            verdict = "pass"
        elif p_adjusted <= LEVEL and old - new > check.margin:
            verdict = "fail"
    return Finding(
        check=check,
        verdict=verdict,
        words=_words(check, found, verdict, p_adjusted, high=high, can_show=can_show, growth=growth),
        utterances=found.num_utterances,
        differing=found.num_differing,
        gold=found.gold,
        old=old,
        new=new,
        low=low,
        high=high,
        can_show=can_show,
        p=p,
        p_adjusted=p_adjusted,
    )


def _words(
    check: Check, found: Outcomes, verdict: Verdict, p_adjusted: float, *, high: float, can_show: float, growth: float
) -> str:
    """Return the reason for a verdict, in one sentence."""
    loss, margin = 100 * found.loss, f"{check.margin:g}"
    about = counted(found.num_utterances, "utterance")
    if not found.gold:
        return f"nothing to score: {about} without a gold span"
    if verdict == "pass" and high < 0:
        return f"at least {-high:.2f} points gained"
    if verdict == "pass":
        return f"a loss of {margin} or more is ruled out: at most {high:.2f}"
    if verdict == "fail":
        return f"{loss:.1f} points lost, more than {margin}, and not by chance (p = {p_adjusted:.2g})"
    if can_show > check.margin:
        needed = _two_digits(found.num_utterances * growth)
        words = f"too little data to tell: {about} can show {can_show:.1f} points, not {margin}; about {needed:,} could"
        return f"{words}. The estimate is beyond the margin" if loss > check.margin else words
    if loss > check.margin:
        return f"{loss:.1f} points lost, more than {margin}, but this can be chance (p = {p_adjusted:.2g})"
    return f"too near the margin to tell: {loss:.1f} points lost, at most {high:.1f}"


def _two_digits(number: float) -> int:
    """Return a number rounded up to two significant digits.

    >>> _two_digits(2038.0)
    2100
    """
    unit = int(10 ** max(0, math.floor(math.log10(max(number, 1))) - 1))
    return math.ceil(number / unit) * unit

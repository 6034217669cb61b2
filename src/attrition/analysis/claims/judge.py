"""Verdicts on a list of claims, corrected for their number.

A claim says that a contrast is in a region: above 0, below 0, or between two margins. Two one-sided tests check if it is
inside (both ends must be rejected: TOST, Schuirmann 1987) and if it is outside. The claim's p-value is twice the smaller p.
The false discovery rate over all tested claims is 5% (Benjamini and Hochberg 1995). If every true contrast is at its
region's edge, the probability of any verdict is at most 5%; otherwise at most 5% of the verdicts are wrong on average.
Holm's correction would limit the probability of a single wrong verdict, but with five orders it has too little power.
"""

from __future__ import annotations

import bisect
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy import stats

from attrition.analysis.claims.ask import ask
from attrition.analysis.claims.form import Claim
from attrition.analysis.claims.needs import Found, Needs
from attrition.analysis.evidence import Evidence
from attrition.analysis.intervals import Estimate, satterthwaite
from attrition.metrics.several import Floats

Verdict = Literal["supported", "contradicted", "equivalent", "undecided", "needs"]

RATE = 0.05
"""The false discovery rate over all tested claims."""

MOST_REPLICATES = 200
"""If more orders than this are needed, the message says that orders alone would not decide."""


@dataclass(frozen=True, kw_only=True)
class Judged:
    """A claim with its verdict: `found` is the contrast in points, `p_adjusted` is corrected for all tested claims."""

    claim: Claim
    found: Found
    verdict: Verdict
    p: float = math.nan
    p_adjusted: float = math.nan
    needs: str = ""

    def words(self) -> str:
        """Return the evidence in a line.

        >>> claim = Claim(id="a", statement="A.", expect="higher")
        >>> Judged(claim=claim, found=Needs("5 orders"), verdict="needs", needs="5 orders").words()
        'Needs 5 orders.'
        """
        if isinstance(self.found, Needs):
            return f"Needs {self.found.what}."
        each = self.found
        interval = f"95% {each.low:+.1f} to {each.high:+.1f}"
        said = f"{each.value:+.1f} points ({interval}; {_counted(each)}; adjusted p {_p(self.p_adjusted)})."
        return said + (f" To decide: {self.needs}." if self.needs else "")


def _counted(each: Estimate) -> str:
    runs = f"{each.num_replicates} replicate{'s' if each.num_replicates != 1 else ''}"
    return f"{runs}, {each.num_languages} languages" if each.num_languages > 1 else runs


def _p(value: float) -> str:
    return "below 0.001" if value < 0.001 else f"{value:.3f}"


def judge_all(claims: Sequence[Claim], evidence: Evidence) -> tuple[Judged, ...]:
    """Return the verdict on each claim, corrected for the number of claims that could be tested."""
    found = [ask(claim, evidence) for claim in claims]
    tests = [None if isinstance(each, Needs) else _tests(claim, each) for claim, each in zip(claims, found, strict=True)]
    p_values = np.array([2 * min(test) if test is not None else math.nan for test in tests], dtype=np.float64).clip(max=1.0)
    adjusted = benjamini_hochberg(p_values)
    num_asked, num_decided = int((~np.isnan(p_values)).sum()), int((adjusted <= RATE).sum())
    judged = []
    for claim, each, test, p, p_adjusted in zip(claims, found, tests, p_values.tolist(), adjusted.tolist(), strict=True):
        if isinstance(each, Needs) or test is None:
            judged.append(Judged(claim=claim, found=each, verdict="needs", needs=each.what if isinstance(each, Needs) else ""))
            continue
        verdict: Verdict = "undecided"
        if p_adjusted <= RATE:
            inside: Verdict = "equivalent" if claim.equivalence else "supported"
            verdict = inside if test[0] < test[1] else "contradicted"
        needs = "" if verdict != "undecided" else replicates_needed(claim, each, RATE * (num_decided + 1) / num_asked)
        judged.append(Judged(claim=claim, found=each, verdict=verdict, p=p, p_adjusted=p_adjusted, needs=needs))
    return tuple(judged)


def _tests(claim: Claim, found: Estimate) -> tuple[float, float]:
    """Return the p-values of the tests for "inside the claim's region" and "outside it"."""
    low, high = claim.region
    inside = max(found.above(low), found.below(high))
    outside = min(1.0, min(found.below(low), found.above(high)) * (1 if math.isinf(low) or math.isinf(high) else 2))
    return inside, outside


def benjamini_hochberg(p_values: Floats) -> Floats:
    """Return p-values adjusted for their number; NaN stays NaN (Benjamini and Hochberg 1995).

    >>> benjamini_hochberg(np.array([0.01, 0.04, np.nan, 0.03])).round(3).tolist()
    [0.03, 0.04, nan, 0.04]
    """
    adjusted = np.full(p_values.shape, np.nan)
    asked = ~np.isnan(p_values)
    if asked.any():
        adjusted[asked] = stats.false_discovery_control(p_values[asked], method="bh")
    return adjusted


def replicates_needed(claim: Claim, found: Estimate, threshold: float) -> str:
    """Return what would decide a claim, such as a number of orders, if the estimate is right and p must reach `threshold`."""
    low, high = claim.region
    now = found.num_replicates
    if found.error == 0 or math.isnan(found.freedom):
        return ""
    if now < 2:
        return "more replicates (orders or seeds)"

    def decides(number: int) -> bool:
        lessened, stays = (found.error**2 - found.lasting**2) * now / number, found.lasting**2
        freedom = satterthwaite((lessened, max(found.freedom, number - 1.0)), (stays, found.freedom))
        error = math.sqrt(lessened + stays)
        return 2 * min(_tests(claim, Estimate(value=found.value, error=error, freedom=freedom))) <= threshold

    if decides(MOST_REPLICATES):
        number = bisect.bisect_left(range(now, MOST_REPLICATES), True, key=decides) + now
        return f"about {max(number, now + 1)} orders, if the difference is what it seems"
    if found.lasting**2 > found.error**2 / 2:
        other = "languages, test utterances or seeds of the other method" if claim.versus else "languages or test utterances"
        return f"more {other}: more orders would not be enough"
    edge = [abs(found.value - end) for end in (low, high) if not math.isinf(end)]
    return f"more than {MOST_REPLICATES} orders: the value lies {min(edge):.2f} points from the claim's limit"

"""Variance that a claim's estimate does not show: between runs of a method with one run, and from test utterances."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from attrition.analysis.claims.form import Claim
from attrition.analysis.evidence import FEWEST_ORDERS, Evidence, RunEvidence, replicates
from attrition.analysis.intervals import Estimate
from attrition.analysis.quantities import QUANTITIES, Values
from attrition.metrics.matrix import RMatrix
from attrition.metrics.means import mean_measured


@dataclass(frozen=True)
class Needs:
    """The data that a claim's test lacks."""

    what: str


Found = Estimate | Needs


def with_run_noise(
    found: Estimate, runs: Sequence[RunEvidence], other: Sequence[RunEvidence], claim: Claim, evidence: Evidence
) -> Found:
    """Add the run-to-run variance of a joint method that was run with one seed.

    All its languages share this run, so their spread does not show it. If it is unknown, the variance between the orders of
    a sequential method with at least five orders is used. It is not smaller, because it includes the seeds.
    """
    function = QUANTITIES[claim.quantity].function if claim.quantity in QUANTITIES else None
    variance = found.error**2 if found.known else 0.0
    freedom = found.freedom
    for side in (runs, other):
        if not side[0].matrix.joint or function is None:
            continue
        means_O = mean_measured(replicates(side, function).values_OL, axis=1)
        if len(means_O) > 1:
            continue
        borrowed = _run_variance(evidence, function)
        if borrowed is None:
            return Needs(f"a second seed of {side[0].kind}, or {FEWEST_ORDERS} orders of VANILLA, to tell how runs differ")
        extra, extra_freedom = borrowed
        freedom = _satterthwaite((variance, freedom), (extra, extra_freedom))
        variance += extra
    return replace(found, error=math.sqrt(variance), freedom=freedom) if variance > 0 or found.known else found


def _run_variance(evidence: Evidence, function: Callable[[RMatrix], Values]) -> tuple[float, float] | None:
    for kind in ("VANILLA", "SHARED LoRA", ""):
        runs = evidence.of(kind)
        if runs and runs[0].order_matters:
            means_O = mean_measured(replicates(runs, function).values_OL, axis=1)
            if len(means_O) >= FEWEST_ORDERS:
                return float(np.var(means_O, ddof=1)), len(means_O) - 1.0
    return None


def _satterthwaite(*parts: tuple[float, float]) -> float:
    known = [(variance, freedom) for variance, freedom in parts if variance > 0 and freedom > 0]
    total = sum(variance for variance, _ in known)
    return total**2 / sum(variance**2 / freedom for variance, freedom in known) if known else math.nan

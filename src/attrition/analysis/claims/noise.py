"""Variance between runs that the difference of two methods does not show."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from attrition.analysis.claims.contrast import weights_of
from attrition.analysis.claims.curves import function_of
from attrition.analysis.claims.form import Claim
from attrition.analysis.claims.needs import Found, Needs
from attrition.analysis.evidence import FEWEST_ORDERS, SEQUENTIAL, Evidence, Replicates, RunEvidence, are_paired, replicates
from attrition.analysis.intervals import Estimate, satterthwaite, two_way


def with_run_noise(
    found: Estimate, runs: Sequence[RunEvidence], other: Sequence[RunEvidence], claim: Claim, evidence: Evidence
) -> Found:
    """Add the run-to-run variance of that side of a difference that is only present as a mean.

    Replicates of two methods are paired if they are the same orders. Otherwise the mean of one side is subtracted from each
    replicate of the other, and the variance of this mean is added (Welch). A joint method with one seed shows no variance, and
    the spread of its languages does not show it either, because they share the run. Two seeds show it badly. So below five
    seeds the variance between the orders of a sequential method with at least five orders is used, if it is larger. It should
    not be smaller, because it includes the seeds.
    """
    function = function_of(claim.quantity)
    one, two = replicates(runs, function), replicates(other, function)
    if are_paired(one, two):
        return found
    single = two if one.number >= two.number else one
    parts = [(found.error**2, found.freedom)] if found.known else []
    added = 0.0
    for side, table in ((runs, one), (other, two)):
        joint = side[0].matrix.joint
        if table is not single and not (joint and table.number == 1):
            continue
        known = [_variance_of_mean(table, claim)]
        if joint and table.number < FEWEST_ORDERS:
            known.append(_variance_of_run(claim, evidence, table.number))
        extra = max((each for each in known if each is not None), default=None)
        if extra is not None:
            parts.append(extra)
            added += extra[0]
        elif joint:
            return Needs(f"a second seed of {side[0].kind}, or {FEWEST_ORDERS} orders of VANILLA, to tell how runs differ")
    if not added:
        return found
    error = math.sqrt(sum(variance for variance, _ in parts))
    return replace(found, error=error, freedom=satterthwaite(*parts), lasting=math.sqrt(found.lasting**2 + added))


def _variance_of_mean(table: Replicates, claim: Claim) -> tuple[float, float] | None:
    """Return the variance of a contrast's mean over replicates, and its degrees of freedom."""
    weights = weights_of(table.languages, claim.of, claim.against)
    if isinstance(weights, Needs):
        return None
    each = two_way(table.values_OL, weights.weights_L, sample_of_languages=False)
    return (each.error**2, each.freedom) if each.known else None


def _variance_of_run(claim: Claim, evidence: Evidence, number: int) -> tuple[float, float] | None:
    """Return the variance of a contrast's mean over this number of runs of a sequential method, and its degrees of freedom."""
    for kind in (*SEQUENTIAL, ""):
        runs = evidence.of(kind)
        if not runs or not runs[0].order_matters:
            continue
        table = replicates(runs, function_of(claim.quantity))
        found = _variance_of_mean(table, claim) if table.number >= FEWEST_ORDERS else None
        if found is not None:
            return found[0] * table.number / number, found[1]
    return None

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
        own = _variance_of_mean(table, claim)
        few = table.number < FEWEST_ORDERS and _share_a_run(side[0], claim)
        borrowed = _variance_of_run(claim, evidence, side[0], table.number) if few else None
        if few and own is None and borrowed is None:
            return Needs(f"a second seed of {side[0].kind}, or {FEWEST_ORDERS} orders of VANILLA, to tell how runs differ")
        extra = max((each for each in (own, borrowed) if each is not None), default=None)
        if extra is not None and own is not None and table is not single:
            extra = (extra[0] - own[0], extra[1])  # its own variance is in the estimate
        if extra is not None and extra[0] > 0:
            parts.append(extra)
            added += extra[0]
    if not added:
        return found
    error = math.sqrt(sum(variance for variance, _ in parts))
    return replace(found, error=error, freedom=satterthwaite(*parts), lasting=math.sqrt(found.lasting**2 + added))


def _share_a_run(run: RunEvidence, claim: Claim) -> bool:
    """Return True if the spread of languages does not show how runs of a method without an order differ.

    The languages of a joint method share its run. Those of MONO have runs of their own, but a claim on named languages does
    not use their spread.
    """
    named = claim.of is not None and claim.of.named
    return run.matrix.joint or (not run.order_matters and named)


def _variance_of_mean(table: Replicates, claim: Claim) -> tuple[float, float] | None:
    """Return the variance of a contrast's mean over replicates, and its degrees of freedom."""
    weights = weights_of(table.languages, claim.of, claim.against)
    if isinstance(weights, Needs):
        return None
    each = two_way(table.values_OL, weights.weights_L, sample_of_languages=False)
    return (each.error**2, each.freedom) if each.known else None


def _variance_of_run(claim: Claim, evidence: Evidence, like: RunEvidence, number: int) -> tuple[float, float] | None:
    """Return the variance of a contrast's mean over this number of runs of a sequential method, and its degrees of freedom."""
    for kind in (*SEQUENTIAL, ""):
        runs = evidence.of(kind, setup=like.setup)
        if not runs or not runs[0].order_matters:
            continue
        table = replicates(runs, function_of(claim.quantity))
        found = _variance_of_mean(table, claim) if table.number >= FEWEST_ORDERS else None
        if found is not None:
            return found[0] * table.number / number, found[1]
    return None

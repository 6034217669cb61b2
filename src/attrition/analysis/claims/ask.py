"""Estimates a claim's contrast in points, or names the missing data."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from attrition.analysis.claims.contrast import contrast
from attrition.analysis.claims.curves import CURVES, function_of
from attrition.analysis.claims.form import Claim
from attrition.analysis.claims.needs import Found, Needs
from attrition.analysis.claims.noise import with_run_noise
from attrition.analysis.claims.pairs import pair_contrast, pairs_contrast
from attrition.analysis.claims.select import selected, too_few
from attrition.analysis.claims.stages import position_contrast, stages_contrast
from attrition.analysis.evidence import Evidence, RunEvidence, paired, replicates
from attrition.analysis.intervals import Estimate, mean_of_replicates
from attrition.analysis.utterances import Table
from attrition.metrics.means import mean_measured


def ask(claim: Claim, evidence: Evidence) -> Found:
    """Return the claim's contrast in points, or the missing data."""
    if evidence.generated:
        return Needs("a corpus of real language: this one is generated")
    chosen = selected(claim, evidence)
    if isinstance(chosen, Needs):
        return chosen
    runs, other = chosen
    lacking = too_few(claim.runs, runs) or (None if other is None or claim.versus is None else too_few(claim.versus, other))
    if lacking is not None:
        return lacking
    found = _estimate(claim, runs, other)
    if isinstance(found, Needs):
        return found
    if math.isnan(found.value):
        return Needs("more stages or languages, so that the quantity is defined")
    utterances = _utterance_variance(claim, found, runs, other, evidence)
    if other is not None:
        widened = with_run_noise(found, runs, other, claim, evidence)
        if isinstance(widened, Needs):
            return widened
        found = widened
    found = found.widened(utterances)
    if not found.known:
        return Needs("a second replicate (order or seed), or two languages of each kind, to tell the spread")
    return replace(found, value=100 * found.value, error=100 * found.error, lasting=100 * found.lasting)


def _estimate(
    claim: Claim, runs: Sequence[RunEvidence], other: Sequence[RunEvidence] | None, table: Table = replicates
) -> Found:
    """Return the contrast in fractions of F1; `table` makes the tables of replicates."""
    if claim.stages is not None:
        return stages_contrast(claim, runs, table)
    if claim.position:
        return position_contrast(claim, runs, table)
    if claim.pairs is not None:
        return pairs_contrast(claim.pairs, runs, table)
    if claim.pair is not None:
        return pair_contrast(claim.pair, runs, table, against_others=claim.against == "others")
    function = function_of(claim.quantity)
    found = table(runs, function) if other is None else paired(table(runs, function), table(other, function))
    if claim.quantity in CURVES:
        return mean_of_replicates(mean_measured(found.values_OL, axis=1), num_languages=len(found.languages))
    return contrast(found, claim.of, claim.against)


def _utterance_variance(
    claim: Claim, found: Estimate, runs: Sequence[RunEvidence], other: Sequence[RunEvidence] | None, evidence: Evidence
) -> float:
    """Return the contrast's variance from the choice of test utterances; NaN if counts are not stored."""
    if evidence.utterances is None:
        return math.nan

    def again(table: Table) -> Estimate | None:
        drawn = _estimate(claim, runs, other, table)
        return None if isinstance(drawn, Needs) else drawn

    return evidence.utterances.main_variance((*runs, *(other or ())), found, again)

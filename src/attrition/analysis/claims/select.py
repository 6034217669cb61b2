"""Chooses the runs that a claim is about."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import product
from typing import TypeAlias

from attrition.analysis.claims.form import Claim, Runs
from attrition.analysis.claims.needs import Needs
from attrition.analysis.evidence import FEWEST_ORDERS, Evidence, RunEvidence
from attrition.results.replicates import distinct
from attrition.results.spec import Setup

UNBROKEN = frozenset({"th-TH", "km-KH", "my-MM"})
"""Languages without blanks, in which MASSIVE has blanks of its annotators. Its Japanese and Chinese are in characters."""

Selected: TypeAlias = tuple[tuple[RunEvidence, ...], tuple[RunEvidence, ...] | None]
"""The runs of a claim, and those that it compares them with, if any."""


def selected(claim: Claim, evidence: Evidence) -> Selected | Needs:
    """Return the runs of a claim and of its comparison, or what is missing.

    A claim on a model or a cut takes the two set-ups with the most replicates that differ in nothing else.
    """
    named = [side for side in (claim.runs, claim.versus) if side is not None and (side.model or side.cuts)]
    if not named:
        return _both(claim, evidence, None, None)
    found = [_both(claim, evidence, *setups) for setups in _setups(claim, evidence)]
    there = [each for each in found if not isinstance(each, Needs)]
    if there:
        return max(there, key=lambda each: min(_num_replicates(side) for side in each if side is not None))
    absent = [side for side in named if not any(_fits(side, each) for each in evidence.setups)]
    return next(iter(found), Needs(f"the same study with {' and '.join(map(_setup_words, absent or named))}"))


def too_few(wanted: Runs, runs: Sequence[RunEvidence]) -> Needs | None:
    """Return the missing data if a verdict depends on the order and there are too few orders."""
    if not runs[0].order_matters or runs[0].matrix.num_stages < 2:
        return None
    number = _num_replicates(distinct(runs))
    return None if number >= FEWEST_ORDERS else Needs(f"{FEWEST_ORDERS} orders of {wanted.words()}, here {number}")


def _both(claim: Claim, evidence: Evidence, setup: Setup | None, other_setup: Setup | None) -> Selected | Needs:
    runs = _runs(claim.runs, evidence, setup)
    if isinstance(runs, Needs):
        return runs
    other = None if claim.versus is None else _runs(claim.versus, evidence, other_setup)
    return other if isinstance(other, Needs) else (runs, other)


def _runs(wanted: Runs, evidence: Evidence, setup: Setup | None) -> tuple[RunEvidence, ...] | Needs:
    if wanted.method == "sequential":
        found = evidence.sequential(setup)
    elif isinstance(wanted.rank, str):
        by_rank = list(evidence.by_rank(wanted.method, setup=setup, shared_by=wanted.shared_by).values())
        if len(by_rank) < 2:
            return Needs(f"{wanted.method} at two ranks, with the same training")
        found = by_rank[0] if wanted.rank == "lowest" else by_rank[-1]
    else:
        found = evidence.of(wanted.method, rank=wanted.rank, setup=setup, shared_by=wanted.shared_by)
    return found or Needs(f"runs of {wanted.words()}")


def _num_replicates(runs: Sequence[RunEvidence]) -> int:
    return len({run.replicate for run in runs})


def _setups(claim: Claim, evidence: Evidence) -> Iterator[tuple[Setup, Setup | None]]:
    """Yield pairs of set-ups that fit the claim, and differ only in what it names."""
    first = [each for each in evidence.setups if _fits(claim.runs, each)]
    if claim.versus is None:
        yield from ((each, None) for each in first)
        return
    second = [each for each in evidence.setups if _fits(claim.versus, each)]
    other_model, other_cuts = claim.runs.model != claim.versus.model, claim.runs.cuts != claim.versus.cuts
    for one, other in product(first, second):
        alike = replace(other, model=one.model, weights=one.weights) if other_model else other
        alike = replace(alike, cuts=one.cuts) if other_cuts else alike
        as_claimed = (one.model != other.model) == other_model and (one.cuts != other.cuts) == other_cuts
        if as_claimed and one == alike:
            yield one, other


def _fits(wanted: Runs, setup: Setup) -> bool:
    if wanted.model is not None and wanted.model.lower() not in setup.model.lower():
        return False
    if wanted.cuts is None:
        return True
    otherwise = {each.split()[0] for each in setup.cuts.split(", ") if each}
    return not otherwise if wanted.cuts == "blanks" else bool(otherwise & UNBROKEN)


def _setup_words(wanted: Runs) -> str:
    if wanted.model is not None:
        return f"a model named *{wanted.model}*"
    how = "cut at blanks" if wanted.cuts == "blanks" else "cut into characters or graphemes"
    return f"th-TH, km-KH and my-MM (and ja-JP, zh-CN) {how}"

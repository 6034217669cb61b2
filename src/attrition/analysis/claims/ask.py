"""Estimates a claim's contrast in points, or names the missing data.

Shape letters: O replicates, L languages (L, L: the trained a, the changed b).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache

import numpy as np
from numpy.typing import NDArray

from attrition.analysis.claims.curves import learned_gap, own_gain
from attrition.analysis.claims.form import Claim, Languages, Runs
from attrition.analysis.claims.noise import Found, Needs, with_run_noise
from attrition.analysis.evidence import (
    FEWEST_ORDERS,
    Evidence,
    Replicates,
    RunEvidence,
    distinct,
    paired,
    replicates,
)
from attrition.analysis.intervals import Estimate, mean_of_replicates, two_way
from attrition.analysis.quantities import QUANTITIES, Values
from attrition.analysis.utterances import Table
from attrition.languages import language_of
from attrition.languages.portions import language_of_portion
from attrition.metrics import learned_mean
from attrition.metrics.donors import others_LL
from attrition.metrics.matrix import RMatrix
from attrition.metrics.means import mean_measured
from attrition.metrics.several import Floats
from attrition.results.spec import Setup

__all__ = ["Found", "Needs", "ask"]

UNBROKEN = frozenset({"th-TH", "km-KH", "my-MM"})
"""Languages without blanks, in which MASSIVE has blanks of its annotators. Its Japanese and Chinese are in characters."""

NEAR = 0.25
"""Stages are near each other if their distance is at most this share of the sequence."""


def ask(claim: Claim, evidence: Evidence) -> Found:
    """Return the claim's contrast in points, or the missing data."""
    if evidence.generated:
        return Needs("a corpus of real language: this one is generated")
    runs = _runs(claim.runs, evidence)
    if isinstance(runs, Needs):
        return runs
    other = None if claim.versus is None else _runs(claim.versus, evidence)
    if isinstance(other, Needs):
        return other
    lacking = _too_few(claim.runs, runs) or (None if other is None or claim.versus is None else _too_few(claim.versus, other))
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


# Which runs


def _runs(wanted: Runs, evidence: Evidence) -> tuple[RunEvidence, ...] | Needs:
    setup = None
    if wanted.model is not None or wanted.cuts is not None:
        setups = [each for each in evidence.setups if _fits(wanted, each)]
        if not setups:
            return Needs(f"the same study with {_setup_words(wanted)}")
        setup = setups[0]
    if wanted.method == "sequential":
        runs = evidence.sequential(setup)
        return runs or Needs("runs of VANILLA or SHARED LoRA")
    rank = wanted.rank
    if isinstance(rank, str):
        ranks = evidence.ranks(wanted.method)
        if len(ranks) < 2:
            return Needs(f"{wanted.method} at two ranks")
        rank = ranks[0] if rank == "lowest" else ranks[-1]
    found = evidence.of(wanted.method, rank=rank, setup=setup, shared_by=wanted.shared_by)
    return found or Needs(f"runs of {wanted.words()}")


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


def _too_few(wanted: Runs, runs: Sequence[RunEvidence]) -> Needs | None:
    """Return the missing data if a verdict depends on the order and there are too few orders."""
    if not runs[0].order_matters or runs[0].matrix.num_stages < 2:
        return None
    orders = {run.replicate for run in distinct(runs)}
    if len(orders) >= FEWEST_ORDERS:
        return None
    return Needs(f"{FEWEST_ORDERS} orders of {wanted.words()}, here {len(orders)}")


# What is estimated


def _estimate(
    claim: Claim, runs: Sequence[RunEvidence], other: Sequence[RunEvidence] | None, table: Table = replicates
) -> Found:
    """Return the contrast in fractions of F1; `table` makes the tables of replicates."""
    if claim.quantity in CURVES:
        function = _curve_values(CURVES[claim.quantity])
        found = _side_by_side(function, runs, other, table)
        return mean_of_replicates(mean_measured(found.values_OL, axis=1), num_languages=len(found.languages))
    if claim.stages is not None:
        return _stages(claim, runs, table)
    if claim.position:
        return _position(claim, runs, table)
    if claim.pairs is not None:
        return _pairs(claim.pairs, runs, table)
    if claim.pair is not None:
        return _pair(claim.pair, runs, table, against_others=claim.against == "others")
    return _contrast(_side_by_side(QUANTITIES[claim.quantity].function, runs, other, table), claim.of, claim.against)


def _side_by_side(
    function: Callable[[RMatrix], Values], runs: Sequence[RunEvidence], other: Sequence[RunEvidence] | None, table: Table
) -> Replicates:
    """Return a quantity of some runs, or its difference from other runs."""
    return table(runs, function) if other is None else paired(table(runs, function), table(other, function))


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


def _contrast(table: Replicates, of: Languages | None, against: Languages | str | None) -> Found:
    """Return the mean over languages, or one set of them minus another."""
    places = {language: place for place, language in enumerate(table.languages)}
    weights_L = np.zeros(len(places))
    if of is None:
        weights_L[:] = 1 / len(places)
        return two_way(table.values_OL, weights_L, sample_of_languages=True)
    chosen = of.among(places)
    named = of.named
    if isinstance(against, Languages):
        rest = against.among(places) - chosen
        named = named or against.named
    else:
        rest = frozenset(places) - chosen if against == "others" else frozenset()
    fewest = 1 if named else 2
    if of.named and not chosen >= set(of.languages or ()):
        missing = sorted(set(of.languages or ()) - chosen)
        return Needs(f"runs with {', '.join(missing)}")
    if len(chosen) < fewest:
        return Needs(f"{fewest} languages or more that are {of.words()} (here: {len(chosen)})")
    if against is not None and len(rest) < 2:
        words = against.words() if isinstance(against, Languages) else "others"
        return Needs(f"2 languages or more that are {words} (here: {len(rest)})")
    for names, sign in ((chosen, 1), (rest, -1)):
        for name in names:
            weights_L[places[name]] = sign / len(names)
    return two_way(table.values_OL, weights_L, sample_of_languages=not named)


def fall(R: RMatrix) -> float:
    """Return P at the end minus the maximum of P.

    >>> fall(RMatrix.sequential("abc", [[.75, .25, .125], [.5, .875, .25], [.625, .5, .875]]))  # .6667 - .75
    -0.08333...
    """
    P_S = learned_mean(R)
    return float(P_S[-1] - P_S.max())


def swing(R: RMatrix) -> float:
    """Return the maximum of P minus its minimum over the sequence.

    >>> swing(RMatrix.sequential("abc", [[.75, .25, .125], [.5, .875, .25], [.625, .5, 1]]))  # .75 - .6875
    0.0625
    """
    P_S = learned_mean(R)
    return float(P_S.max() - P_S.min())


CURVES: dict[str, Callable[[RMatrix], float]] = {
    "fall": fall, "swing": swing, "learned_gap": learned_gap, "own_gain": own_gain,
}  # fmt: skip


@cache
def _curve_values(curve: Callable[[RMatrix], float]) -> Callable[[RMatrix], Values]:
    """Return the curve's number for every language. Cached, because tables of resampled utterances use the function as key."""
    return lambda R: (np.full(len(R.languages), curve(R)), np.ones(len(R.languages)))


# Pairs


def _groups(locale: str) -> tuple[str, str, str]:
    """Return branch, script and family; an unknown attribute is shared with no other language."""
    language, alone = language_of(locale), f"({locale})"
    return (language.branch or alone).split(" (")[0] or alone, language.script or alone, language.family or alone


def _pair_masks(kind: str, R: RMatrix) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return the pairs of a kind, and the pairs to compare with, each (L, L)."""
    branches, scripts, families = np.array([_groups(language) for language in R.languages]).T
    different = ~np.eye(len(R.languages), dtype=bool)
    branch = (branches[:, None] == branches[None, :]) & different
    script = (scripts[:, None] == scripts[None, :]) & different
    family = (families[:, None] == families[None, :]) & ~branch & different
    romance = branch & (branches == "Romance")[:, None]
    near = np.abs(R.stage_L[:, None] - R.stage_L[None, :]) <= NEAR * R.num_stages
    return {
        "same branch": (branch, ~branch & different),
        "same script": (script, ~script & different),
        "same script, other branch": (script & ~branch, ~script & ~branch & different),
        "same branch, other script": (branch & ~script, ~script & ~branch & different),
        "same family, other branch": (family, ~family & ~branch & different),
        "same family and script, other branch": (family & script, family & ~script),
        "Romance": (romance, ~romance & different),
        "Romance, near": (romance & near, romance & ~near),
        "Romance, far": (romance & ~near, ~romance & different),
    }[kind]


@cache
def _pairs_values(kind: str) -> Callable[[RMatrix], Values]:
    def values(R: RMatrix) -> Values:
        first, second = _pair_masks(kind, R)
        effect_LL = others_LL(R)
        one_L = mean_measured(np.where(first, effect_LL, np.nan), axis=1)
        found_L = one_L - mean_measured(np.where(second, effect_LL, np.nan), axis=1)
        return found_L, np.ones(len(found_L))

    return values


def _pairs(kind: str, runs: Sequence[RunEvidence], make: Table) -> Found:
    table = make(runs, _pairs_values(kind))
    known = ~np.isnan(mean_measured(table.values_OL, axis=0))
    if known.sum() < 3:
        return Needs(f"3 languages that have pairs of both kinds ({kind})")
    return two_way(table.values_OL, known / known.sum(), sample_of_languages=True)


@cache
def _pair_values(trained: str, changed: str) -> Callable[[RMatrix], Values]:
    def values(R: RMatrix) -> Values:
        if trained not in R.languages or changed not in R.languages:
            return np.full(len(R.languages), np.nan), np.zeros(len(R.languages))
        return others_LL(R)[R.languages.index(trained)], np.ones(len(R.languages))

    return values


def _pair(pair: tuple[str, str], runs: Sequence[RunEvidence], make: Table, *, against_others: bool) -> Found:
    trained, changed = pair
    table = make(runs, _pair_values(trained, changed))
    if trained not in table.languages or changed not in table.languages:
        return Needs(f"runs with {trained} and {changed}")
    weights_L = np.zeros(len(table.languages))
    weights_L[table.languages.index(changed)] = 1.0
    if against_others:
        rest = [place for place, name in enumerate(table.languages) if name not in pair]
        if len(rest) < 2:
            return Needs("two other languages")
        weights_L[rest] = -1 / len(rest)
    return two_way(table.values_OL, weights_L, sample_of_languages=False)


# Stages and positions: statistics of all replicates together


def _stages(claim: Claim, runs: Sequence[RunEvidence], make: Table) -> Found:
    """Return a quantity at stages with the condition minus at the other stages, within languages."""
    condition = is_late if claim.stages == "late" else follows_family
    table = make(runs, QUANTITIES[claim.quantity].function)
    kinds = replicates(
        runs, lambda R: (np.array([condition(R, language) for language in R.languages]), np.ones(len(R.languages)))
    )
    assert claim.of is not None
    chosen = [place for place, name in enumerate(table.languages) if name in claim.of.among(table.languages)]
    y_OL = np.where(np.isnan(kinds.values_OL), np.nan, table.values_OL)[:, chosen]
    x_OL = np.where(np.isnan(y_OL), np.nan, kinds.values_OL[:, chosen])
    return jackknife(
        lambda rows: _slope(x_OL[rows], y_OL[rows]), len(y_OL), f"stages of both kinds ({claim.stages})", len(chosen)
    )


def _slope(x_OL: Floats, y_OL: Floats) -> float:
    """Return the slope of y on x within languages; NaN without variation."""
    dx_OL, dy_OL = x_OL - mean_measured(x_OL, axis=0), y_OL - mean_measured(y_OL, axis=0)
    spread = float(np.nansum(dx_OL**2))
    return float(np.nansum(dx_OL * dy_OL)) / spread if spread > 1e-12 else math.nan


def is_late(R: RMatrix, language: str) -> float:
    """Return 1.0 for a language learned in the second half of the sequence, else 0.0; NaN if it was never trained.

    >>> R = RMatrix.sequential("abc", [[.75, .25, .125], [.5, .875, .25], [.625, .5, 1]])
    >>> [is_late(R, language) for language in "abc"]
    [0.0, 0.0, 1.0]
    """
    stage = R.learned_at[language]
    return math.nan if stage is None else float(stage >= (R.num_stages + 1) // 2)


def follows_family(R: RMatrix, language: str) -> float:
    """Return 1.0 if the language trained just before is in the same family, else 0.0; NaN for the first."""
    stage = R.learned_at[language]
    family = language_of(language).family
    if stage is None or stage == 0 or family is None:
        return math.nan
    before = [language_of_portion(name, R.languages) for name in R.trained[stage - 1]]
    return float(family in [language_of(other).family for other in before])


def _position(claim: Claim, runs: Sequence[RunEvidence], make: Table) -> Found:
    """Return the part of a language's quantity that its positions explain (log of the languages learned before)."""
    table = make(runs, QUANTITIES[claim.quantity].function)
    places = replicates(runs, lambda R: (np.log(np.maximum(R.stage_L, 1).astype(float)), np.ones(len(R.languages))))
    assert claim.of is not None
    chosen = [place for place, name in enumerate(table.languages) if name in claim.of.among(table.languages)]
    if not chosen:
        return Needs(f"runs with {claim.of.words()}")
    y_OL = table.values_OL
    x_OL = np.where(np.isnan(y_OL), np.nan, places.values_OL)

    def share(rows: list[int]) -> float:
        slope = _slope(x_OL[rows], y_OL[rows])
        return slope * float(mean_measured(x_OL[rows][:, chosen]) - mean_measured(x_OL[rows]))

    return jackknife(share, len(y_OL), "orders in which languages change their positions", len(chosen))


def jackknife(statistic: Callable[[list[int]], float], number: int, what: str, num_languages: int) -> Found:
    """Return a statistic of all replicates, with the jackknife error and O-1 freedom (Efron and Stein 1981)."""
    every = list(range(number))
    value = statistic(every)
    parts = np.array([statistic([row for row in every if row != left]) for left in every])
    if math.isnan(value) or np.isnan(parts).any():
        return Needs(f"more {what}")
    error = math.sqrt((number - 1) / number * float(np.sum((parts - parts.mean()) ** 2)))
    return Estimate(value=value, error=error, freedom=number - 1, num_replicates=number, num_languages=num_languages)

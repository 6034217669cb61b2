"""Contrasts of D over kinds of pairs: languages of one branch, script or family, and others.

Shape letters: O replicates, L languages (L, L: the trained a, the changed b), G groups of languages.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache

import numpy as np
from numpy.typing import NDArray

from attrition.analysis.claims.needs import Found, Needs
from attrition.analysis.evidence import Replicates, RunEvidence
from attrition.analysis.intervals import two_way
from attrition.analysis.quantities import Values
from attrition.analysis.utterances import Table
from attrition.languages import language_of
from attrition.metrics.donors import others_LL
from attrition.metrics.matrix import RMatrix
from attrition.metrics.means import mean_measured

NEAR = 0.25
"""Stages are near each other if their distance is at most this share of the sequence."""

GROUPED_BY = {"same branch": "branch", "same branch, other script": "branch", "same family, other branch": "family"}
"""The attribute whose groups of languages are the independent units of a kind of pairs.

Scripts and single branches are not here. Few scripts have several languages, and most of these languages are in Latin
script, so claims on scripts speak about these scripts, with languages as the sample.
"""

FEWEST_GROUPS = 5
"""The smallest number of groups that can stand for others of their kind."""


def _groups(locale: str) -> tuple[str, str, str]:
    """Return branch, script and family; an unknown attribute is shared with no other language."""
    language, alone = language_of(locale), f"({locale})"
    return (language.branch or alone).split(" (")[0] or alone, language.script or alone, language.family or alone


def pair_masks(kind: str, R: RMatrix) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return the pairs of a kind, and the pairs to compare with, each (L, L)."""
    branches, scripts, families = np.array([_groups(language) for language in R.languages]).T
    different = ~np.eye(len(R.languages), dtype=bool)
    branch = (branches[:, None] == branches[None, :]) & different
    script = (scripts[:, None] == scripts[None, :]) & different
    family = (families[:, None] == families[None, :]) & ~branch & different
    romance = branch & (branches == "Romance")[:, None]
    near = np.abs(R.stage_L[:, None] - R.stage_L[None, :]) <= NEAR * R.num_stages
    known = (R.stage_L < R.num_stages)[None, :]  # a language that is only watched is neither near nor far
    return {
        "same branch": (branch, ~branch & different),
        "same script": (script, ~script & different),
        "same script, other branch": (script & ~branch, ~script & ~branch & different),
        "same branch, other script": (branch & ~script, ~script & ~branch & different),
        "same family, other branch": (family, ~family & ~branch & different),
        "same family and script, other branch": (family & script, family & ~script),
        "Romance": (romance, ~romance & different),
        "Romance, near": (romance & near & known, romance & ~near & known),
        "Romance, far": (romance & ~near, ~romance & different),
    }[kind]


@cache
def _pairs_values(kind: str) -> Callable[[RMatrix], Values]:
    def values(R: RMatrix) -> Values:
        first, second = pair_masks(kind, R)
        effect_LL = others_LL(R)
        one_L = mean_measured(np.where(first, effect_LL, np.nan), axis=1)
        found_L = one_L - mean_measured(np.where(second, effect_LL, np.nan), axis=1)
        return found_L, np.ones(len(found_L))

    return values


def pairs_contrast(kind: str, runs: Sequence[RunEvidence], make: Table) -> Found:
    """Return D over one kind of pairs minus D over the pairs to compare with: the mean over trained languages.

    Languages of one branch are not independent: a->b and b->a are two observations of one relation. So branches (or families)
    are the sample, weighted by their numbers of languages. For other kinds the languages are the sample; see `GROUPED_BY`.
    """
    table = make(runs, _pairs_values(kind))
    known = ~np.isnan(mean_measured(table.values_OL, axis=0))
    if kind in GROUPED_BY:
        return _over_groups(kind, table, known)
    if known.sum() < 3:
        return Needs(f"3 languages that have pairs of both kinds ({kind})")
    return two_way(table.values_OL, known / known.sum(), sample_of_languages=True)


def _over_groups(kind: str, table: Replicates, known: NDArray[np.bool_]) -> Found:
    """Return the mean over languages with pairs of both kinds, with groups of languages as the sample."""
    attribute = GROUPED_BY[kind]
    of_language = [_groups(language)[0 if attribute == "branch" else 2] for language in table.languages]
    groups = [name for name in dict.fromkeys(of_language) if any(known[i] for i, own in enumerate(of_language) if own == name)]
    if len(groups) < FEWEST_GROUPS:
        plural = {"branch": "branches", "family": "families"}[attribute]
        return Needs(f"{FEWEST_GROUPS} {plural} that have pairs of both kinds ({kind}), here {len(groups)}")
    places = [[i for i, own in enumerate(of_language) if own == name and known[i]] for name in groups]
    values_OG = np.stack([mean_measured(table.values_OL[:, own], axis=1) for own in places], axis=1)
    weights_G = np.array([len(own) for own in places]) / known.sum()
    return replace(two_way(values_OG, weights_G, sample_of_languages=True), num_languages=int(known.sum()))


@cache
def _pair_values(trained: str, changed: str) -> Callable[[RMatrix], Values]:
    def values(R: RMatrix) -> Values:
        if trained not in R.languages or changed not in R.languages:
            return np.full(len(R.languages), np.nan), np.zeros(len(R.languages))
        return others_LL(R)[R.languages.index(trained)], np.ones(len(R.languages))

    return values


def pair_contrast(pair: tuple[str, str], runs: Sequence[RunEvidence], make: Table, *, against_others: bool) -> Found:
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

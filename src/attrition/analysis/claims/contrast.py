"""A quantity's mean over languages, or the difference of two sets of languages.

Shape letters: O replicates, L languages.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from attrition.analysis.claims.form import Languages
from attrition.analysis.claims.needs import Found, Needs
from attrition.analysis.evidence import Replicates
from attrition.analysis.intervals import two_way
from attrition.metrics.several import Floats


@dataclass(frozen=True, eq=False)
class Weights:
    """The weights of a contrast of languages. `named`: it is about these very languages, not about others of their kind."""

    weights_L: Floats
    named: bool


def contrast(table: Replicates, of: Languages | None, against: Languages | str | None) -> Found:
    """Return the mean over languages, or one set of them minus another."""
    weights = weights_of(table.languages, of, against)
    if isinstance(weights, Needs):
        return weights
    return two_way(table.values_OL, weights.weights_L, sample_of_languages=not weights.named)


def weights_of(languages: Sequence[str], of: Languages | None, against: Languages | str | None) -> Weights | Needs:
    """Return the weights of the mean over languages, or of one set of them minus another."""
    places = {language: place for place, language in enumerate(languages)}
    weights_L = np.zeros(len(places))
    if of is None:
        weights_L[:] = 1 / len(places)
        return Weights(weights_L, named=False)
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
    return Weights(weights_L, named)

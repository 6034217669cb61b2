"""Simulated pairs of systems whose true loss is known, to measure how often a verdict is wrong.

Gold spans per utterance have the frequencies of the test set of MASSIVE 1.1 (en-US). An utterance is easy or hard for both
systems. In a share of utterances, the `disagreement`, the systems answer independently; in the others they agree.
The true loss is exact: it is computed over the large population from which test sets are drawn.

Shape letters: U utterances, K kinds of utterances, G gold spans of an utterance.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq

from attrition.gate.ratios import Outcomes, ratios
from attrition.streams import numpy_stream

SPANS_PER_UTTERANCE = (0.334, 0.448, 0.170, 0.034, 0.012, 0.002)
"""Shares of utterances with 0, 1, 2, ... gold spans."""

TYPICAL = 2
"""Gold spans of a typical utterance: the mean over utterances with spans is 1.4."""

SIZE = 60_000
_ABILITY, _SPREAD, _WRONG, _SPURIOUS = 1.75, 1.2, 0.7, 0.08

Breaks = Literal["spans", "utterances", "trade"]
"""How the new system loses: single spans, all spans of an utterance, or more spurious spans in trade for more found."""


@dataclass(frozen=True, eq=False)
class Population:
    """Kinds of utterances int64 [K, 4] (see `ratios.Outcomes`) and their probabilities, [K]; F1 only."""

    kinds: NDArray[np.int64]
    chance: NDArray[np.float64]

    @property
    def loss(self) -> float:
        """The true loss of F1, in points."""
        old, new = ratios(self.chance @ self.kinds)
        return 100 * float(old - new)

    @property
    def differing(self) -> float:
        """The share of utterances that the two systems count differently."""
        return float(self.chance[(self.kinds[:, :2] != self.kinds[:, 2:]).any(axis=1)].sum())

    def draw(self, utterances: int, rng: np.random.Generator) -> Outcomes:
        """Return a random test set."""
        number = rng.multinomial(utterances, self.chance)
        drawn = number > 0
        return Outcomes(self.kinds[drawn], number[drawn], TYPICAL, span=2, gold=utterances)


@cache
def population(disagreement: float, loss: float, breaks: Breaks = "spans") -> Population:
    """Return a population with this true loss (points of F1).

    Args:
        disagreement: share of utterances in which the systems answer independently, 0 to 1.
        loss: of the new system; 0 gives exchangeable systems, except for breaks "trade".
        breaks: how the new system loses.

    >>> found = population(0.1, 1.0)
    >>> round(found.loss, 6), round(population(0.1, 0.0).loss, 6)
    (1.0, 0.0)
    """
    rng = numpy_stream("gate", "world", str(disagreement), breaks)
    gold_U = rng.choice(len(SPANS_PER_UTTERANCE), size=SIZE, p=SPANS_PER_UTTERANCE)
    easy_U = 1 / (1 + np.exp(-(_ABILITY + _SPREAD * rng.standard_normal(SIZE))))
    old = _answers(gold_U, easy_U, rng)
    new = np.where((rng.random(SIZE) < disagreement)[:, None], _answers(gold_U, easy_U, rng), old)
    equal = np.concatenate([_kinds(old, new), _kinds(new, old)])
    worse = _broken(new, gold_U, breaks, rng)
    base = equal
    if breaks == "trade":  # half of the utterances find more, as many as needed invent more
        finds = new + (gold_U - new[:, 0])[:, None] * (rng.random((SIZE, 1)) < 0.5) * np.array([1, 0, -1])
        base = np.concatenate([equal[:SIZE], _kinds(old, finds)])
    elif not loss:
        return _mixture(equal, _kinds(old, worse), 0.0)
    lost = _kinds(old, worse)
    means = base.mean(axis=0), lost.mean(axis=0)

    def beyond(share: float) -> float:
        old_score, new_score = ratios((1 - share) * means[0] + share * means[1])
        return 100 * float(old_score - new_score) - loss

    return _mixture(base, lost, float(brentq(beyond, 0.0, 1.0, xtol=1e-12)))


def _answers(gold_U: NDArray[np.int64], easy_U: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.int64]:
    """Return tp, fp, fn of one system, [U, 3]: a span that is not found is wrong or missed; some spans are spurious."""
    tp = rng.binomial(gold_U, easy_U)
    wrong = rng.binomial(gold_U - tp, _WRONG)
    return np.stack([tp, wrong + rng.poisson(_SPURIOUS, len(gold_U)), gold_U - tp], axis=1)


def _broken(new: NDArray[np.int64], gold_U: NDArray[np.int64], breaks: Breaks, rng: np.random.Generator) -> NDArray[np.int64]:
    tp, fp, fn = new.T
    if breaks == "trade":
        return np.stack([tp, fp + 1, fn], axis=1)
    lost = rng.binomial(tp, 0.5) if breaks == "spans" else tp
    return np.stack([tp - lost, fp + rng.binomial(lost, _WRONG), gold_U - tp + lost], axis=1)


def _kinds(old: NDArray[np.int64], new: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return numerators and denominators of F1, [U, 4]."""
    (tp, fp, fn), (new_tp, new_fp, new_fn) = old.T, new.T
    return np.stack([2 * tp, 2 * tp + fp + fn, 2 * new_tp, 2 * new_tp + new_fp + new_fn], axis=1)


def _mixture(base: NDArray[np.int64], lost: NDArray[np.int64], share: float) -> Population:
    """Return a population with a share of utterances from `lost` and the others from `base`."""
    both = np.concatenate([base, lost])
    weight = np.concatenate([np.full(len(base), (1 - share) / len(base)), np.full(len(lost), share / len(lost))])
    base_of_key = int(both.max()) + 1
    powers = base_of_key ** np.arange(3, -1, -1)
    keys, place = np.unique(both @ powers, return_inverse=True)
    chance = np.bincount(place, weights=weight)
    kept = chance > 0
    kinds = keys[kept, None] // powers % base_of_key
    return Population(kinds, chance[kept] / chance[kept].sum())

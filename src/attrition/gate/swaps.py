"""Tests whether a loss can be chance: the paired permutation test.

If the old and the new system are equally good, it is chance which of the two gave which answer to an utterance. So the labels
"old" and "new" are swapped in each utterance with probability 1/2 (Fisher 1935; Yeh 2000 for F1). p is the share of all swaps
with a loss at least as large as the observed one. If the answers of two systems can be exchanged, p is at most 0.05 in at most
5% of test sets, of whatever size.

Shape letters: P pairs of kinds that mirror each other, R random swaps.
"""

from __future__ import annotations

from itertools import product
from math import prod

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binom

from attrition.gate.ratios import Outcomes, portions, ratios

FEW = 1_999
"""Number of first random swaps; a small p is then estimated again from more."""

SMALL = 0.05
_MOST_EXACT = 20_000
_AT_ONCE = 4_000_000
_ROUNDING = 1e-12


def p_of_loss(found: Outcomes, rng: np.random.Generator, draws: int = 9_999) -> float:
    """Return the one-sided p of "the new system is no worse".

    It is exact if there are at most 20,000 different sums. Otherwise it uses 1,999 random swaps, and if p is at most 0.05, it
    is computed again from `draws` new swaps. For levels up to 0.05 this is as valid as the p of the new swaps alone.

    Args:
        found: the kinds of utterances.
        rng: source of the swaps.
        draws: number of new swaps; the smallest p is 1 / (draws + 1).

    >>> from attrition.gate.ratios import outcomes
    >>> right, wrong = np.array([[1, 0, 0]] * 5), np.array([[0, 0, 1]] * 5)
    >>> p_of_loss(outcomes(right, wrong, "recall"), np.random.default_rng(0)), 1 / 2**5
    (0.03125, 0.03125)
    """
    base_4, ahead_P4, number_P = _mirrored(found)
    if not len(number_P):
        return 1.0
    observed = found.loss - _ROUNDING
    if prod(int(number) + 1 for number in number_P) <= _MOST_EXACT:
        swapped = np.array(list(product(*(range(int(number) + 1) for number in number_P))))
        chance = np.prod([binom.pmf(swapped[:, at], number, 0.5) for at, number in enumerate(number_P)], axis=0)
        return float(min(chance[_losses(swapped, base_4, ahead_P4, number_P) >= observed].sum(), 1.0))
    first = _sampled(rng, FEW, observed, base_4, ahead_P4, number_P)
    return first if first > SMALL else _sampled(rng, draws, observed, base_4, ahead_P4, number_P)


def _mirrored(found: Outcomes) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Return sums over utterances without a difference [4], kinds of the others [P, 4], and sizes of mirrored pairs [P]."""
    differs = (found.kinds[:, :2] != found.kinds[:, 2:]).any(axis=1)
    base = found.number[~differs] @ found.kinds[~differs]
    numbers: dict[tuple[int, ...], int] = {}
    for kind, number in zip(found.kinds[differs].tolist(), found.number[differs].tolist(), strict=True):
        key = max(tuple(kind), (*kind[2:], *kind[:2]))
        numbers[key] = numbers.get(key, 0) + number
    kinds = np.array(list(numbers), dtype=np.int64).reshape(-1, 4)
    return base, kinds, np.array(list(numbers.values()), dtype=np.int64)


def _losses(
    as_is: NDArray[np.int64], base: NDArray[np.int64], kinds: NDArray[np.int64], number: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Return the loss if `as_is` [R, P] utterances of each kind stay and the others are swapped."""
    mirror = kinds[:, [2, 3, 0, 1]]
    old, new = ratios(base + as_is @ kinds + (number - as_is) @ mirror)
    return old - new


def _sampled(
    rng: np.random.Generator,
    draws: int,
    observed: float,
    base: NDArray[np.int64],
    kinds: NDArray[np.int64],
    number: NDArray[np.int64],
) -> float:
    as_large = sum(
        int((_losses(rng.binomial(number, 0.5, size=(some, len(number))), base, kinds, number) >= observed).sum())
        for some in portions(draws, max(1, _AT_ONCE // len(number)))
    )
    return (1 + as_large) / (1 + draws)

"""The permutation test against enumeration of all swaps of utterances."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from attrition.gate import swaps
from attrition.gate.ratios import METRICS, Metric, Outcomes, outcomes, parts


def by_enumeration(old: np.ndarray, new: np.ndarray, metric: Metric) -> float:
    """p from all 2^U swaps."""
    before, now = parts(old, metric), parts(new, metric)

    def loss(swapped: tuple[bool, ...]) -> float:
        mask = np.array(swapped)[:, None]
        one, other = np.where(mask, now, before).sum(axis=0), np.where(mask, before, now).sum(axis=0)
        return float((one[0] / one[1] if one[1] else 0) - (other[0] / other[1] if other[1] else 0))

    observed = loss((False,) * len(old))
    return float(np.mean([loss(each) >= observed - 1e-12 for each in product((False, True), repeat=len(old))]))


def random_counts(rng: np.random.Generator, utterances: int) -> tuple[np.ndarray, np.ndarray]:
    gold = rng.integers(0, 3, size=utterances)
    sides = []
    for chance in (0.8, 0.6):
        tp = rng.binomial(gold, chance)
        sides.append(np.stack([tp, rng.integers(0, 2, utterances), gold - tp], axis=1))
    return sides[0], sides[1]


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("metric", METRICS)
def test_p_is_that_of_all_swaps(seed: int, metric: Metric) -> None:
    old, new = random_counts(np.random.default_rng(seed), 9)
    p = swaps.p_of_loss(outcomes(old, new, metric), np.random.default_rng(0))
    assert p == pytest.approx(by_enumeration(old, new, metric), abs=1e-9)


@pytest.mark.parametrize("seed", range(3))
def test_random_swaps_estimate_it(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    old, new = random_counts(np.random.default_rng(seed), 10)
    found = outcomes(old, new, "f1")
    exact = swaps.p_of_loss(found, np.random.default_rng(0))
    monkeypatch.setattr(swaps, "_MOST_EXACT", 0)
    sampled = swaps.p_of_loss(found, np.random.default_rng(0), 20_000)
    assert sampled == pytest.approx(exact, abs=4 * np.sqrt(exact * (1 - exact) / swaps.FEW) + 1e-3)


def test_equal_systems_have_p_of_one() -> None:
    same = Outcomes(np.array([[2, 2, 2, 2]]), np.array([50]), 1, 2, 50)
    assert swaps.p_of_loss(same, np.random.default_rng(0)) == 1.0


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    old, new = random_counts(np.random.default_rng(1), 200)
    found = outcomes(old, new, "f1")
    whole = swaps.p_of_loss(found, np.random.default_rng(0))
    monkeypatch.setattr(swaps, "_AT_ONCE", 1_000)
    assert swaps.p_of_loss(found, np.random.default_rng(0)) == pytest.approx(whole, abs=0.02)

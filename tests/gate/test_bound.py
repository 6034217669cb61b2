"""The interval of the loss against Clopper and Pearson and against a slow bootstrap."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import beta

from attrition.gate.bound import interval
from attrition.gate.ratios import outcomes


@pytest.mark.parametrize(("utterances", "broken"), [(20, 0), (100, 0), (100, 3), (400, 10)])
def test_the_upper_bound_of_a_share_is_exact(utterances: int, broken: int) -> None:
    old = np.array([[1, 0, 0]] * utterances)
    new = old.copy()
    new[:broken] = [0, 0, 1]
    found = interval(outcomes(old, new, "recall"), np.random.default_rng(1), draws=40_000)
    # k of n broken: the upper end of a one-sided 95% Clopper-Pearson interval.
    assert found.high == pytest.approx(beta.ppf(0.95, broken + 1, utterances - broken), rel=0.02)


def test_in_a_large_set_it_is_the_bootstrap() -> None:
    rng = np.random.default_rng(2)
    gold = rng.integers(0, 4, size=3_000)
    sides = []
    for _ in range(2):
        tp = rng.binomial(gold, 0.8)
        sides.append(np.stack([tp, rng.poisson(0.2, 3_000), gold - tp], axis=1))
    old, new = sides

    def f1(counts: np.ndarray) -> float:
        tp, fp, fn = counts.sum(axis=0)
        return float(2 * tp / (2 * tp + fp + fn))

    losses = []
    for _ in range(1_500):
        drawn = rng.integers(0, 3_000, size=3_000)
        losses.append(f1(old[drawn]) - f1(new[drawn]))
    found = interval(outcomes(old, new, "f1"), rng, draws=4_000)
    low, high = np.quantile(losses, [0.05, 0.95])
    error = np.std(losses)
    assert found.error == pytest.approx(error, rel=0.08)
    assert found.low == pytest.approx(low, abs=0.25 * error)
    assert found.high == pytest.approx(high, abs=0.25 * error)
    assert found.can_show == pytest.approx((1.645 + 0.8416) * error, rel=0.15)


def test_the_bounds_lie_around_the_loss() -> None:
    same = np.array([[1, 1, 0]] * 5)
    found = interval(outcomes(same, same, "precision"), np.random.default_rng(3))
    assert found.low < 0 < found.high

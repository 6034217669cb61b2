"""How often a verdict is wrong in simulated worlds; benchmarks/gate_calibration.py is the long form."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binom

from attrition.gate.bound import interval
from attrition.gate.checks import Check
from attrition.gate.judge import judge, p_of_no_loss
from attrition.gate.swaps import p_of_loss
from attrition.gate.worlds import Breaks, population


def test_the_true_loss_is_exact() -> None:
    rng = np.random.default_rng(0)
    world = population(0.1, 2.0)
    large = world.draw(2_000_000, rng)
    assert 100 * large.loss == pytest.approx(2.0, abs=0.15)


@pytest.mark.parametrize("utterances", [60, 300])
def test_equal_systems_seldom_seem_to_lose(utterances: int) -> None:
    rng = np.random.default_rng(utterances)
    world = population(0.3, 0.0)
    small = sum(p_of_loss(world.draw(utterances, rng), rng, 1_999) <= 0.05 for _ in range(200))
    assert binom.sf(small - 1, 200, 0.05) > 0.001


def test_equal_f1_of_unlike_precision_and_recall_seldom_seems_to_be_a_loss() -> None:
    # The permutation test alone gives a small p in 8% of these sets.
    rng = np.random.default_rng(1)
    world = population(0.1, 0.0, "trade")
    small = sum(p_of_no_loss(world.draw(100, rng), rng, 1_999) <= 0.05 for _ in range(400))
    assert binom.sf(small - 1, 400, 0.05) > 0.001


@pytest.mark.parametrize("breaks", ["spans", "utterances"])
@pytest.mark.parametrize("utterances", [150, 1_000])
def test_a_loss_as_large_as_the_margin_seldom_passes(utterances: int, breaks: Breaks) -> None:
    # Without disagreement every difference is a break: few of them, all on one side.
    rng = np.random.default_rng(utterances)
    world = population(0.0, 2.0, breaks)
    passed = sum(100 * interval(world.draw(utterances, rng), rng, 400).high < 2.0 for _ in range(200))
    assert binom.sf(passed - 1, 200, 0.05) > 0.001


def test_twice_the_margin_is_found() -> None:
    rng = np.random.default_rng(0)
    world = population(0.02, 2.0)
    check = Check("language", "de", "", 1.0)
    found = [judge([(check, world.draw(1_000, rng))])[0].verdict for _ in range(40)]
    assert found.count("fail") >= 0.8 * len(found)
    assert "pass" not in found

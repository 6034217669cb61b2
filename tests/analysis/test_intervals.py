"""Intervals of means over replicates, and over replicates and languages, against scipy and by simulation."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from attrition.analysis.intervals import Estimate, mean_of_replicates, satterthwaite, two_way


def test_equal_weights_are_the_t_interval_of_scipy() -> None:
    values = np.random.default_rng(0).normal(3, 2, 7)
    found = mean_of_replicates(values)
    low, high = stats.t.interval(0.95, 6, loc=values.mean(), scale=stats.sem(values))
    assert (found.low, found.high) == pytest.approx((low, high))
    assert found.p == pytest.approx(stats.ttest_1samp(values, 0).pvalue)
    assert found.above(2.0) == pytest.approx(stats.ttest_1samp(values, 2.0, alternative="greater").pvalue)
    assert found.below(4.0) == pytest.approx(stats.ttest_1samp(values, 4.0, alternative="less").pvalue)


def test_weighted_variance_is_unbiased_and_the_interval_covers() -> None:
    """Replicates with variance 1/w: the mean squared error equals the mean of the estimated variances, the interval holds 0."""
    random = np.random.default_rng(1)
    weights = np.array([1.0, 3.0, 9.0, 20.0, 50.0])
    found = [mean_of_replicates(random.normal(0, 1 / np.sqrt(weights)), weights) for _ in range(4000)]
    assert np.mean([each.error**2 for each in found]) == pytest.approx(1 / weights.sum(), rel=0.06)
    # One replicate with most of the weight leaves little to judge its variance by: the interval is then wide, never narrow.
    assert 0.93 < np.mean([each.low <= 0 <= each.high for each in found]) < 0.99


def test_too_few_replicates_have_a_value_and_no_interval() -> None:
    found = mean_of_replicates([0.5, math.nan])
    assert found.value == 0.5
    assert not found.known
    assert math.isnan(found.low)
    assert math.isnan(found.p)
    assert math.isnan(mean_of_replicates([math.nan]).value)


def test_an_estimate_without_spread_is_certain() -> None:
    sure = Estimate(value=1.0, error=0.0, freedom=4)
    assert (sure.above(0.0), sure.below(0.0)) == (0.0, 1.0)
    assert sure.above(-math.inf) == 0.0


def test_named_languages_have_only_the_spread_of_replicates() -> None:
    values = np.random.default_rng(2).normal(size=(6, 5))
    weights = np.array([1.0, -0.25, -0.25, -0.25, -0.25])
    found = two_way(values, weights, sample_of_languages=False)
    direct = mean_of_replicates(values @ weights)
    assert (found.value, found.error, found.freedom) == pytest.approx((direct.value, direct.error, direct.freedom))


def test_one_replicate_rests_on_the_languages_as_welch() -> None:
    values = np.random.default_rng(3).normal(size=(1, 9))
    weights = np.array([0.25] * 4 + [-0.2] * 5)
    found = two_way(values, weights, sample_of_languages=True)
    welch = stats.ttest_ind(values[0, :4], values[0, 4:], equal_var=False)
    assert found.value / found.error == pytest.approx(welch.statistic)
    assert found.freedom == pytest.approx(welch.df)


def test_a_missing_cell_leaves_the_weights_of_its_group_whole() -> None:
    values = np.array([[1.0, 3.0, 0.0, 0.0], [1.0, math.nan, 0.0, 0.0]])
    found = two_way(values, np.array([0.5, 0.5, -0.5, -0.5]), sample_of_languages=False)
    assert found.value == pytest.approx(2.0)  # of the languages' means, 1 and 3
    assert found.num_replicates == 2


def test_a_group_without_numbers_leaves_the_contrast_unknown() -> None:
    values = np.array([[1.0, math.nan], [1.0, math.nan]])
    assert math.isnan(two_way(values, np.array([1.0, -1.0]), sample_of_languages=False).value)


def test_known_variances_alone_have_infinite_freedom() -> None:
    assert satterthwaite((0.0, 4.0), (1.0, math.inf)) == math.inf
    assert math.isnan(satterthwaite((0.0, 4.0)))


@pytest.mark.parametrize(("language_sd", "order_sd"), [(0.0, 0.0), (1.0, 0.0), (0.0, 1.0), (1.0, 1.0)])
@pytest.mark.parametrize(("num_orders", "sizes"), [(5, (6, 10)), (8, (20, 30))])
def test_two_way_covers_groups_of_languages(
    language_sd: float, order_sd: float, num_orders: int, sizes: tuple[int, int]
) -> None:
    """Languages of random effect, orders that shift the groups apart, and chance: the interval holds 0, no rarer than 93%."""
    random = np.random.default_rng([int(language_sd), int(order_sd), num_orders])
    size = sum(sizes)
    weights = np.array([1 / sizes[0]] * sizes[0] + [-1 / sizes[1]] * sizes[1])
    first = weights > 0
    held = []
    for _ in range(600):
        values = random.normal(0, language_sd, size) + random.normal(0, 1, (num_orders, size))
        values = values + np.where(first, random.normal(0, order_sd, (num_orders, 1)), 0.0)
        found = two_way(values, weights, sample_of_languages=True)
        held.append(found.low <= 0 <= found.high)
    assert np.mean(held) > 0.93


@pytest.mark.parametrize("number", [2, 3, 5])
@pytest.mark.parametrize("shared", [0.3, 1.0, 3.0])
def test_an_interval_with_an_added_variance_covers(number: int, shared: float) -> None:
    """Also with few replicates, where Satterthwaite's degrees of freedom alone cover 87% (2 replicates, shared 0.3)."""
    random, covered, studies = np.random.default_rng(number), 0, 2000
    for _ in range(studies):
        replicates_O = random.normal(0, number**0.5, number) + random.normal(0, shared)
        own = mean_of_replicates(replicates_O)
        found = own.widened(shared**2)
        assert found.high >= own.high - 1e-6
        assert found.error**2 == pytest.approx(own.error**2 + shared**2)
        covered += found.low <= 0 <= found.high
    assert covered / studies >= 0.94 - 2 * (0.95 * 0.05 / studies) ** 0.5

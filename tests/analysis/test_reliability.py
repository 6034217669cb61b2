"""Moderated variances, reliability and the probabilities of being extreme."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from attrition.analysis.evidence import Replicates
from attrition.analysis.intervals import Estimate
from attrition.analysis.moderation import per_language, prior_variance
from attrition.analysis.reliability import extremes, reliability


def table(values: np.ndarray) -> Replicates:
    names = tuple(f"l{place}" for place in range(values.shape[1]))
    return Replicates(languages=names, values_OL=values, weights_OL=np.ones_like(values), keys=tuple(range(len(values))))


def test_the_prior_of_variances_is_found_again() -> None:
    """Variances drawn as Smyth's model has them: s0^2 = 2 and d0 = 8 come back."""
    random = np.random.default_rng(0)
    true = 2 * 8 / random.chisquare(8, 20_000)
    variances = true * random.chisquare(4, 20_000) / 4
    prior, freedom = prior_variance(variances, np.full(20_000, 4.0))
    assert prior == pytest.approx(2, rel=0.05)
    assert freedom == pytest.approx(8, rel=0.1)


def test_moderated_intervals_are_narrower_and_cover() -> None:
    random = np.random.default_rng(1)
    held, widths, plain = [], [], []
    for _ in range(100):
        found = per_language(table(random.normal(size=(5, 30))))
        held += [each.low <= 0 <= each.high for each in found.values()]
        widths += [each.high - each.low for each in found.values()]
        plain.append(2 * 2.776 / math.sqrt(5))
    assert 0.93 < np.mean(held) < 0.97
    assert np.mean(widths) < 0.8 * np.mean(plain)


def test_unequal_variances_keep_their_own() -> None:
    """A language with a hundred times the spread of the others has a far wider interval."""
    random = np.random.default_rng(2)
    values = random.normal(size=(6, 40)) * np.where(np.arange(40) % 2, 10.0, 0.1)
    widths = [each.high - each.low for each in per_language(table(values)).values()]
    assert np.median(widths[1::2]) > 20 * np.median(widths[::2])


def test_reliability_is_high_for_languages_and_none_for_chance() -> None:
    random = np.random.default_rng(3)
    effects, chance = random.normal(0, 3, 30), random.normal(0, 1, (5, 30))
    sure, none = reliability(effects + chance), reliability(chance)
    assert sure.icc > 0.8
    assert sure.low < 0.9 < sure.high  # 9 / (9 + 1)
    assert sure.rank_agreement > 0.8
    assert none.low < 0 < none.high
    assert math.isnan(reliability(chance[:1]).icc)


def test_the_share_of_a_mean_is_the_icc_of_averages() -> None:
    """ICC(A,k) from mean squares (McGraw and Wong 1996, Table 7); and in a simulation, the share in a mean of five."""
    random = np.random.default_rng(6)
    values = random.normal(0, 1, 40) + random.normal(0, 2, (5, 40)) + random.normal(0, 1, (5, 1))
    rows, columns, grand = values.mean(axis=1), values.mean(axis=0), values.mean()
    ms_l, ms_o = 5 * columns.var(ddof=1), 40 * rows.var(ddof=1)
    ms_e = ((values - rows[:, None] - columns + grand) ** 2).sum() / (4 * 39)
    found = reliability(values)
    assert found.num_replicates == 5
    assert found.of_mean(5).icc == pytest.approx((ms_l - ms_e) / (ms_l + (ms_o - ms_e) / 40))
    assert found.of_mean(1) == found
    effects = random.normal(0, 1, 20_000)
    many = reliability(effects + random.normal(0, 2, (5, 20_000)))
    assert many.of_mean(5).icc == pytest.approx(1 / (1 + 4 / 5), abs=0.02)
    assert many.of_mean(5).low < many.of_mean(5).icc < many.of_mean(5).high
    assert math.isnan(replace(found, icc=-0.9).of_mean(3).icc), "1 - 2 x 0.9 is below 0"


def test_a_gap_is_filled_and_costs_a_degree_of_freedom() -> None:
    random = np.random.default_rng(4)
    values = random.normal(0, 3, 30) + random.normal(0, 1, (5, 30))
    gaps = values.copy()
    gaps[[0, 1, 2], [3, 7, 9]] = math.nan
    assert reliability(gaps).icc == pytest.approx(reliability(values).icc, abs=0.05)


def test_where_chance_explains_all_no_language_is_the_worst() -> None:
    random = np.random.default_rng(5)
    found = extremes(
        {f"l{i}": Estimate(value=value, error=1.0, freedom=4) for i, value in enumerate(random.normal(0, 0.1, 20))}
    )
    assert max(each.worst for each in found.values()) < 0.12
    assert sum(each.worst for each in found.values()) == pytest.approx(1)
    assert sum(each.among_worst for each in found.values()) == pytest.approx(5)


def test_the_probability_of_being_the_worst_is_calibrated() -> None:
    """Over many worlds, languages given about the same probability are the worst that often."""
    random = np.random.default_rng(6)
    told, was = [], []
    for world in range(300):
        true = random.normal(0, 1, 10)
        values = true + random.normal(0, 1, (5, 10))
        found = extremes(per_language(table(values)), seed=world)
        told += [each.worst for each in found.values()]
        was += [place == int(np.argmin(true)) for place in range(10)]
    probability, truth = np.array(told), np.array(was)
    for low, high in ((0.0, 0.1), (0.1, 0.5), (0.5, 1.0)):
        inside = (probability >= low) & (probability < high)
        assert truth[inside].mean() == pytest.approx(probability[inside].mean(), abs=0.08)

"""The bootstrap against resampling in plain loops, against scipy's, and where it must not be sure of anything."""

from __future__ import annotations

import time

import numpy as np
import pytest
from scipy import stats

from attrition.analysis.bootstrap import (
    CellCounts,
    cell_interval,
    difference_interval,
    draws_BU,
    f1_from_counts,
    percentile_interval,
    resampled_f1,
    statistic_interval,
)
from attrition.names import AttritionError


def simulated(num_cells: int, num_utterances: int, seed: int = 0) -> CellCounts:
    rng = np.random.default_rng(seed)
    tp, fp, fn = (rng.integers(0, high, (num_cells, num_utterances)).astype(np.uint8) for high in (4, 2, 3))
    return CellCounts(tp, fp, fn)


def test_resamples_equal_counting_in_loops() -> None:
    counts = simulated(num_cells=3, num_utterances=17)
    draws = draws_BU(17, num_resamples=5, seed=3)
    found = resampled_f1(counts, num_resamples=5, seed=3)
    for resample in range(5):
        drawn = [u for u in range(17) for _ in range(int(draws[resample, u]))]
        assert len(drawn) == 17
        for cell in range(3):
            tp = sum(int(counts.tp_CU[cell, u]) for u in drawn)
            wrong = sum(int(counts.fp_CU[cell, u]) + int(counts.fn_CU[cell, u]) for u in drawn)
            assert found[resample, cell] == 2 * tp / (2 * tp + wrong)


def test_more_cells_than_fit_at_once_and_huge_counts_stay_exact() -> None:
    counts = simulated(num_cells=1030, num_utterances=5)
    found = resampled_f1(counts, num_resamples=4, seed=1)
    alone = resampled_f1(counts.take([1025]), num_resamples=4, seed=1)
    np.testing.assert_array_equal(found[:, 1025], alone[:, 0])
    huge = CellCounts(np.array([[2**25 + 1, 1]]), np.array([[0, 1]]), np.array([[0, 0]]))
    drawn_second_twice = np.isclose(resampled_f1(huge, num_resamples=50, seed=0)[:, 0], 2 / 3)
    weights = draws_BU(2, num_resamples=50, seed=0)
    np.testing.assert_array_equal(drawn_second_twice, weights[:, 1] == 2)
    once = f1_from_counts(2**25 + 2, 1)
    assert resampled_f1(huge, num_resamples=50, seed=0)[weights[:, 1] == 1, 0].tolist()[0] == once


def test_draws_are_uniform_and_repeat_with_their_seed() -> None:
    draws = draws_BU(10, num_resamples=20_000, seed=0)
    assert (draws.sum(axis=1) == 10).all()
    np.testing.assert_allclose(draws.mean(axis=0), 1.0, atol=0.05)
    np.testing.assert_allclose(draws.var(axis=0), 0.9, atol=0.05)  # multinomial: n p (1 - p)
    np.testing.assert_array_equal(draws_BU(10, 5, seed=1), draws_BU(10, 5, seed=1))
    assert not np.array_equal(draws_BU(10, 5, seed=1), draws_BU(10, 5, seed=2))


def test_intervals_agree_with_scipys_paired_bootstrap() -> None:
    counts = simulated(num_cells=2, num_utterances=200, seed=5)

    def difference(*data: np.ndarray, axis: int) -> np.ndarray:
        tp_a, wrong_a, tp_b, wrong_b = (part.sum(axis=axis) for part in data)
        return f1_from_counts(tp_a, wrong_a) - f1_from_counts(tp_b, wrong_b)

    wrong = counts.fp_CU + counts.fn_CU
    theirs = stats.bootstrap(
        (counts.tp_CU[0].astype(float), wrong[0].astype(float), counts.tp_CU[1].astype(float), wrong[1].astype(float)),
        difference,
        paired=True,
        vectorized=True,
        n_resamples=4000,
        method="percentile",
        rng=np.random.default_rng(0),
    ).confidence_interval
    ours = difference_interval(counts, 0, 1, num_resamples=4000, seed=1)
    assert ours.low == pytest.approx(theirs.low, abs=0.004)
    assert ours.high == pytest.approx(theirs.high, abs=0.004)


def test_pairing_makes_a_constant_difference_certain() -> None:
    """Cell b has one miss more on every utterance: unpaired draws would blur it, paired ones cannot change its sign."""
    rng = np.random.default_rng(0)
    tp = rng.integers(1, 4, 100)
    counts = CellCounts(
        np.stack([tp, tp]), np.zeros((2, 100), dtype=int), np.stack([np.zeros(100, dtype=int), np.ones(100, dtype=int)])
    )
    interval = difference_interval(counts, 0, 1)
    assert 0 < interval.low < interval.estimate < interval.high
    assert interval.p_value < 0.01
    paired_width = interval.high - interval.low
    assert paired_width < cell_interval(counts, 1).high - cell_interval(counts, 1).low + 1e-12


def test_equal_cells_differ_by_nothing() -> None:
    counts = simulated(1, 50)
    twice = CellCounts(*(np.vstack([part, part]) for part in (counts.tp_CU, counts.fp_CU, counts.fn_CU)))
    interval = difference_interval(twice, 0, 1)
    assert (interval.estimate, interval.low, interval.high, interval.p_value) == (0, 0, 0, 1)


def test_a_statistic_of_many_cells() -> None:
    counts = simulated(4, 60)
    interval = statistic_interval(counts, lambda f1: f1.mean(axis=-1), level=0.9, num_resamples=200)
    assert interval.low < interval.estimate < interval.high
    assert (interval.level, interval.num_resamples) == (0.9, 200)
    assert cell_interval(counts, 2).estimate == f1_from_counts(counts.tp_CU[2].sum(), (counts.fp_CU[2] + counts.fn_CU[2]).sum())


def test_nothing_to_find_is_zero_as_in_seqeval() -> None:
    zeros = np.zeros((1, 4), dtype=int)
    assert cell_interval(CellCounts(zeros, zeros, zeros), 0).high == 0


def test_undefined_and_impossible_requests() -> None:
    interval = percentile_interval(0.5, [])
    assert np.isnan([interval.low, interval.high, interval.p_value]).all()
    with pytest.raises(AttritionError, match="level 95 is not between 0 and 1"):
        percentile_interval(0.5, [0.5], level=95)
    with pytest.raises(AttritionError, match="at least 1"):
        draws_BU(5, 0, seed=0)
    ones = np.ones((2, 3), dtype=int)
    with pytest.raises(AttritionError, match=r"fn_CU has shape \(2, 4\)"):
        CellCounts(ones, ones, np.ones((2, 4), dtype=int))
    with pytest.raises(AttritionError, match="whole numbers from 0 up"):
        CellCounts(ones, -ones, ones)
    with pytest.raises(AttritionError, match="whole numbers from 0 up"):
        CellCounts(ones, ones * 0.5, ones)
    with pytest.raises(AttritionError, match="no utterances"):
        CellCounts(ones[:, :0], ones[:, :0], ones[:, :0])


def test_a_whole_matrix_takes_seconds() -> None:
    """52 x 52 cells, 2,974 utterances, 1,000 resamples: under a second where nothing else runs; the bound is generous."""
    counts = simulated(52 * 52, 2974)
    start = time.perf_counter()
    found = resampled_f1(counts)
    assert found.shape == (1000, 2704)
    assert time.perf_counter() - start < 20

"""The standard error of F1: against the bootstrap, and against what samples in fact scatter."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from attrition.analysis.bootstrap import CellCounts, resampled_f1
from attrition.problem.counts import Counts

NOTHING = np.zeros((1, 3), np.int64)


def counts_of(tp: NDArray[np.integer], fp: NDArray[np.integer], fn: NDArray[np.integer]) -> Counts:
    return Counts(tp.astype(np.int16), fp.astype(np.int16), fn.astype(np.int16), NOTHING)


def some_counts(num_utterances: int, seed: int) -> Counts:
    """Utterances of 0 to 4 slots, of which some are hard: their spans are missed together."""
    stream = np.random.default_rng(seed)
    size = stream.integers(0, 5, num_utterances)
    tp = stream.binomial(size, stream.choice([0.3, 0.95], num_utterances))
    return counts_of(tp, stream.binomial(size, 0.2), size - tp)


@pytest.mark.parametrize(("num_utterances", "seed"), [(200, 0), (1000, 1), (2974, 2)])
def test_it_is_that_of_the_bootstrap(num_utterances: int, seed: int) -> None:
    counts = some_counts(num_utterances, seed)
    cell = CellCounts(counts.tp[None], counts.fp[None], counts.fn[None])
    assert counts.f1_error() == pytest.approx(resampled_f1(cell, num_resamples=4000).std(), rel=0.05)


@pytest.mark.parametrize(("drawn", "whole"), [(100, 2974), (500, 1000), (900, 1000)])
def test_it_is_the_scatter_of_random_samples(drawn: int, whole: int) -> None:
    every = some_counts(whole, 3)
    stream = np.random.default_rng(4)
    f1, stated = [], []
    for _ in range(2000):
        rows = stream.permutation(whole)[:drawn]
        sample = counts_of(every.tp[rows], every.fp[rows], every.fn[rows])
        f1.append(sample.f1)
        stated.append(sample.f1_error(drawn_from=whole))
    assert np.mean(stated) == pytest.approx(np.sqrt(np.mean((np.array(f1) - every.f1) ** 2)), rel=0.06)
    within = np.abs(np.array(f1) - every.f1) < 2 * np.array(stated)
    assert 0.92 < within.mean() < 0.98


def test_by_hand() -> None:
    # F1 = 2 * 3 / (6 + 2) = 0.75; d = 2 - 1.5, 4 - 0.75 * 6: 0.5 and -0.5; variance 0.5; sqrt(2 * 0.5) / 8.
    counts = counts_of(np.array([1, 2]), np.array([0, 1]), np.array([0, 1]))
    assert counts.f1 == 0.75
    assert counts.f1_error() == pytest.approx(1 / 8)
    assert counts.f1_error(drawn_from=4) == pytest.approx(math.sqrt(0.5) / 8)
    assert counts.f1_error(drawn_from=2) == 0


@pytest.mark.parametrize("num_utterances", [0, 1, 5])
def test_undefined_without_spans_or_utterances(num_utterances: int) -> None:
    nothing = np.zeros(num_utterances, np.int64)
    assert math.isnan(counts_of(nothing, nothing, nothing).f1_error())
    assert math.isnan(counts_of(np.array([3]), np.array([1]), np.array([1])).f1_error())

"""The measurement error of changes: simulated test sets whose population changes are known."""

from __future__ import annotations

import itertools
from types import ModuleType

import numpy as np
import pytest

from attrition.analysis.changes import changes
from attrition.analysis.drivers import factors
from attrition.analysis.measurement import known_variance_N, own_share, resampled_changes_BN
from attrition.analysis.mixed import fit_mixed
from attrition.analysis.utterances import Utterances


def test_the_residual_is_that_of_the_population_only_with_the_known_variance(simulate: ModuleType) -> None:
    """The residual variance over the population is 1; the test sets add about six times as much."""
    found, errors = [], []
    for seed in range(5):
        world = simulate.measured(seed)
        of = changes([run.matrix for run in world.runs], scope="all")
        true = changes(world.truth, scope="all")
        known_N = known_variance_N(of, factors(of), world.runs, world.utterances)
        assert known_N is not None
        one = np.ones((len(of), 1))
        fits = [fit_mixed(of.points_N, one, ["mean"], factors(of), each) for each in (None, known_N)]
        found.append([fit.variance("residual") for fit in fits])
        errors.append((known_N.mean(), (of.points_N - true.points_N).var()))
    blind, seeing = np.mean(found, axis=0)
    expected, happened = np.mean(errors, axis=0)
    assert expected == pytest.approx(happened, rel=0.1)
    assert blind > 6
    assert 0.4 < seeing < 1.8


def test_rows_are_those_of_the_resampled_matrices(simulate: ModuleType) -> None:
    world = simulate.measured(0, num_languages=5, num_orders=2, num_utterances=30, resamples=4)
    of = changes([run.matrix for run in world.runs])
    drawn_BN = resampled_changes_BN(of, world.runs, world.utterances)
    for resample in range(4):
        again = changes([world.utterances.matrix(run.matrix, resample) for run in world.runs])
        np.testing.assert_allclose(drawn_BN[resample], again.points_N, atol=1e-12)


def test_the_own_share_is_that_of_all_pairs_of_rows() -> None:
    """By brute force: least squares over the covariance of every two rows."""
    random = np.random.default_rng(0)
    groups = {"donor": random.integers(0, 4, 40), "receiver": random.integers(0, 5, 40)}
    groups["pair"] = groups["donor"] * 5 + groups["receiver"]
    parts = {name: random.normal(size=(300, 25)) for name in groups}
    deviation_BN = random.normal(size=(300, 40)) + sum(0.7 * parts[name][:, codes] for name, codes in groups.items())
    deviation_BN -= deviation_BN.mean(axis=0)
    covariance_NN = np.cov(deviation_BN.T)
    rows = [
        (covariance_NN[n, m], 1, *(codes[n] == codes[m] for codes in groups.values()))
        for n, m in itertools.permutations(range(40), 2)
    ]
    table = np.array(rows, dtype=np.float64)
    weights = np.linalg.lstsq(table[:, 1:], table[:, 0])[0]
    expected = 1 - weights.sum() / covariance_NN.diagonal().mean()
    assert own_share(deviation_BN, groups) == pytest.approx(expected)
    assert expected == pytest.approx(1 / (1 + 3 * 0.49), abs=0.08)
    assert own_share(np.zeros((3, 40)), groups) == 1.0


def test_a_row_counts_with_its_receivers_variance_and_none_is_without_error(simulate: ModuleType) -> None:
    world = simulate.measured(1, num_languages=5, num_orders=3, num_utterances=40)
    of = changes([run.matrix for run in world.runs])
    known_N = known_variance_N(of, factors(of), world.runs, world.utterances)
    assert known_N is not None
    for receiver in range(5):
        assert np.ptp(known_N[of.receiver_N == receiver]) < 1e-12
    assert known_N.min() > 0


def test_without_counts_nothing_is_known(simulate: ModuleType) -> None:
    world = simulate.measured(2, num_languages=4, num_orders=2, num_utterances=20)
    of = changes([run.matrix for run in world.runs])
    assert known_variance_N(of, factors(of), world.runs, None) is None
    assert known_variance_N(of, factors(of), world.runs, Utterances({})) is None

"""Position-adjusted effects against the explicit design matrix, and on matrices whose effects were planted."""

from __future__ import annotations

import numpy as np
import pytest

from attrition.analysis.position import position_adjusted
from attrition.matrix import RMatrix
from attrition.metrics import shift_fixed
from attrition.names import UnknownNameError


def random_orders(num_orders: int, seed: int) -> list[RMatrix]:
    rng = np.random.default_rng(seed)
    languages = tuple("abcdef")
    return [
        RMatrix(rng.random((6, 6)), languages, tuple((str(x),) for x in rng.permutation(languages))) for _ in range(num_orders)
    ]


@pytest.mark.parametrize("scope", ["fixed", "growing"])
def test_estimates_and_errors_equal_the_explicit_least_squares(scope: str) -> None:
    matrices = random_orders(5, seed=1)
    found = position_adjusted(matrices, scope=scope)  # type: ignore[arg-type]
    observed = []
    for R in matrices:
        for language, stage in R.learned_at.items():
            assert stage is not None
            if stage == 0:
                continue
            earlier = R.learned_SL[stage - 1]
            change = (R.scores_SL[stage] - R.scores_SL[stage - 1])[earlier].mean()
            if scope == "growing":
                change = R.scores_SL[stage, R.learned_SL[stage]].mean() - R.scores_SL[stage - 1, earlier].mean()
            observed.append((R.languages.index(language), stage + 1, change))
    positions = np.array([position for _, position, _ in observed], dtype=float)
    y = np.array([change for _, _, change in observed])
    X = np.zeros((len(observed), 7))
    X[np.arange(len(observed)), [language for language, _, _ in observed]] = 1
    X[:, 6] = positions - positions.mean()
    beta, residual, rank, _ = np.linalg.lstsq(X, y)
    assert rank == 7
    covariance = np.linalg.inv(X.T @ X) * residual[0] / (len(y) - 7)
    np.testing.assert_allclose(found.adjusted_L, beta[:6])
    assert found.slope == pytest.approx(beta[6])
    np.testing.assert_allclose(found.standard_error_L, np.sqrt(np.diag(covariance)[:6]))
    assert found.slope_error == pytest.approx(np.sqrt(covariance[6, 6]))
    assert found.num_observations == len(observed) == 25
    assert found.mean_position == pytest.approx(positions.mean())


def test_planted_effects_come_back_without_the_position() -> None:
    """Each stage changes every earlier language by effect + slope * position; the late language looks worse than it is."""
    effect, slope = {"a": 0.01, "b": 0.0, "c": -0.01, "d": 0.0}, -0.02
    matrices = []
    for order in ("abcd", "bacd", "acbd", "cabd", "abdc"):  # d nearly always last
        scores = np.full((4, 4), 0.5)
        for stage in range(1, 4):
            scores[stage] = scores[stage - 1]
            scores[stage, :stage] += effect[order[stage]] + slope * (stage + 1)
        matrices.append(RMatrix.sequential(order, scores))
    found = position_adjusted(matrices)
    adjusted = dict(zip(found.languages, found.adjusted_L, strict=True))
    raw = dict(zip(found.languages, found.raw_L, strict=True))
    assert found.slope == pytest.approx(slope)
    assert adjusted["b"] == pytest.approx(adjusted["d"])
    assert adjusted["a"] - adjusted["c"] == pytest.approx(0.02)
    assert raw["d"] < raw["c"]
    np.testing.assert_allclose(found.raw_L, shift_fixed(matrices).values)
    assert "-2.00 points per position (standard error 0.00)" in found.statement
    assert "over 15 stages of 5 orders" in found.statement


def test_a_single_order_cannot_tell_them_apart() -> None:
    found = position_adjusted(random_orders(1, seed=0))
    assert np.isnan(found.adjusted_L).all()
    assert np.isnan(found.slope)
    assert not np.isnan(found.raw_L).all()
    assert found.statement.startswith("Language and position cannot be told apart")


def test_the_same_order_twice_adds_nothing() -> None:
    (R,) = random_orders(1, seed=0)
    assert np.isnan(position_adjusted([R, R]).slope)


def test_joint_runs_and_unknown_scopes() -> None:
    joint = RMatrix(np.array([[0.5, 0.5]]), ("a", "b"), (("a", "b"),))
    assert np.isnan(position_adjusted(joint).raw_L).all()
    with pytest.raises(UnknownNameError, match=r"Unknown scope 'fixd'\. Did you mean 'fixed'"):
        position_adjusted(joint, scope="fixd")  # type: ignore[arg-type]

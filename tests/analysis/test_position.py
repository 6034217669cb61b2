"""Position effects against the explicit design matrix and scipy's regression, and on matrices with planted effects."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from attrition.analysis.position import Scope, due_to_position_L, position_effect, shifts_and_positions
from attrition.metrics import shift_fixed
from attrition.metrics.matrix import RMatrix
from attrition.names import AttritionError, UnknownNameError


def random_orders(num_orders: int, seed: int) -> list[RMatrix]:
    rng = np.random.default_rng(seed)
    languages = tuple("abcdef")
    return [
        RMatrix(rng.random((6, 6)), languages, tuple((str(x),) for x in rng.permutation(languages))) for _ in range(num_orders)
    ]


def observations(matrices: list[RMatrix], scope: Scope) -> list[tuple[int, int, float, float]]:
    """Order, language, log of the number learned before, shift."""
    observed = []
    for order, R in enumerate(matrices):
        for language, stage in R.learned_at.items():
            if not stage:
                continue
            earlier = R.learned_SL[stage - 1]
            change = (R.scores_SL[stage] - R.scores_SL[stage - 1])[earlier].mean()
            if scope == "growing":
                change = R.scores_SL[stage, R.learned_SL[stage]].mean() - R.scores_SL[stage - 1, earlier].mean()
            observed.append((order, R.languages.index(language), float(np.log(stage)), float(change)))
    return observed


def design(observed: list[tuple[int, int, float, float]], center: float) -> tuple[np.ndarray, np.ndarray]:
    X = np.zeros((len(observed), 7))
    X[np.arange(len(observed)), [language for _, language, _, _ in observed]] = 1
    X[:, 6] = np.array([x for _, _, x, _ in observed]) - center
    return X, np.array([y for _, _, _, y in observed])


@pytest.mark.parametrize("scope", ["fixed", "growing"])
def test_estimates_and_intervals_equal_the_explicit_least_squares(scope: Scope) -> None:
    matrices = random_orders(5, seed=1)
    found = position_effect(matrices, scope=scope, level=0.9)
    observed = observations(matrices, scope)
    center = float(np.mean([x for _, _, x, _ in observed]))
    X, y = design(observed, center)
    beta, residual, rank, _ = np.linalg.lstsq(X, y)
    assert rank == 7
    covariance = np.linalg.inv(X.T @ X) * residual[0] / (len(y) - 7)
    np.testing.assert_allclose(found.adjusted_L, beta[:6])
    np.testing.assert_allclose(found.standard_error_L, np.sqrt(np.diag(covariance)[:6]))
    assert found.mean_log_before == pytest.approx(center)
    slope = found.slope
    assert slope.value == pytest.approx(beta[6])
    assert slope.standard_error == pytest.approx(np.sqrt(covariance[6, 6]))
    assert slope.degrees_of_freedom == 25 - 7
    assert slope.num_observations == len(observed) == 25
    expected = stats.t.interval(0.9, 18, loc=beta[6], scale=np.sqrt(covariance[6, 6]))
    assert (slope.low, slope.high) == pytest.approx(expected)
    data = shifts_and_positions(matrices, scope=scope)
    np.testing.assert_allclose(due_to_position_L(data.shift_OL, data.log_before_OL), found.raw_L - found.adjusted_L)


def test_the_interval_over_orders_leaves_out_each_order_once() -> None:
    matrices = random_orders(5, seed=2)
    found = position_effect(matrices).slope_over_orders
    observed = observations(matrices, "fixed")
    left_out = []
    for order in range(5):
        X, y = design([each for each in observed if each[0] != order], 0.0)
        left_out.append(np.linalg.lstsq(X, y)[0][6])
    error = np.sqrt(4 / 5 * np.sum((np.array(left_out) - np.mean(left_out)) ** 2))
    assert found.value == position_effect(matrices).slope.value
    assert found.standard_error == pytest.approx(error)
    assert (found.low, found.high) == pytest.approx(stats.t.interval(0.95, 4, loc=found.value, scale=error))
    assert found.statement == "Jackknife over 5 orders, t interval with 4 degrees of freedom."


def test_slopes_by_language_equal_scipys_regression() -> None:
    matrices = random_orders(6, seed=3)
    found = position_effect(matrices)
    observed = observations(matrices, "fixed")
    defined = 0
    for place, language in enumerate(found.languages):
        x = [each[2] for each in observed if each[1] == place]
        y = [each[3] for each in observed if each[1] == place]
        slope = found.by_language[language]
        assert slope.num_observations == len(x)
        if len(x) < 3 or len(set(x)) < 2:
            assert np.isnan(slope.value)
            continue
        defined += 1
        theirs = stats.linregress(x, y)
        assert slope.value == pytest.approx(theirs.slope)
        assert slope.standard_error == pytest.approx(theirs.stderr)
        interval = stats.t.interval(0.95, len(x) - 2, loc=theirs.slope, scale=theirs.stderr)
        assert (slope.low, slope.high) == pytest.approx(interval)
    assert defined >= 5


def planted(orders: tuple[str, ...], effect: dict[str, float], slope: float) -> list[RMatrix]:
    """Each stage changes every earlier language by effect + slope * log(number before)."""
    matrices = []
    for order in orders:
        scores = np.full((len(order), len(order)), 0.5)
        for stage in range(1, len(order)):
            scores[stage] = scores[stage - 1]
            scores[stage, :stage] += effect[order[stage]] + slope * np.log(stage)
        matrices.append(RMatrix.sequential(order, scores))
    return matrices


def test_planted_effects_come_back_without_the_position() -> None:
    # d stands nearly always last, so it looks worse than it is.
    matrices = planted(("abcd", "bacd", "acbd", "cabd", "abdc"), {"a": 0.01, "b": 0.0, "c": -0.01, "d": 0.0}, -0.02)
    found = position_effect(matrices)
    adjusted = dict(zip(found.languages, found.adjusted_L, strict=True))
    raw = dict(zip(found.languages, found.raw_L, strict=True))
    assert found.slope.value == pytest.approx(-0.02)
    assert (found.slope.low, found.slope.high) == pytest.approx((-0.02, -0.02))
    assert found.slope_over_orders.standard_error == pytest.approx(0, abs=1e-12)
    assert adjusted["b"] == pytest.approx(adjusted["d"])
    assert adjusted["a"] - adjusted["c"] == pytest.approx(0.02)
    assert raw["d"] < raw["b"] - 0.005
    np.testing.assert_allclose(found.raw_L, shift_fixed(matrices).values)
    said = "-1.39 points each time the number of languages learned before doubles (95% interval -1.39 to -1.39; over orders"
    assert said in found.statement
    assert "over 15 shifts of 5 orders" in found.statement
    assert found.by_language["c"].value == pytest.approx(-0.02)
    assert found.by_language["c"].statement == "t interval of least squares over 4 orders, 2 degrees of freedom."


def test_the_interval_covers_a_planted_slope_as_often_as_it_says() -> None:
    """With independent errors the t interval is exact: 90% of 300 draws, give or take four standard errors."""
    rng = np.random.default_rng(4)
    covered = 0
    for _ in range(300):
        matrices = []
        for _ in range(3):
            order = tuple(str(x) for x in rng.permutation(list("abcde")))
            scores = np.full((5, 5), 0.5)
            for stage in range(1, 5):
                scores[stage] = scores[stage - 1] - 0.03 * np.log(stage) + rng.normal(0, 0.02)
            matrices.append(RMatrix.sequential(order, scores))
        slope = position_effect(matrices, level=0.9).slope
        covered += slope.low <= -0.03 <= slope.high
    assert abs(covered - 270) < 4 * np.sqrt(300 * 0.9 * 0.1)


def test_stages_of_several_languages_count_all_of_them() -> None:
    R = RMatrix(np.full((2, 4), 0.5), tuple("abcd"), (("a", "b", "c"), ("d",)))
    assert shifts_and_positions(R).log_before_OL[0].tolist() == pytest.approx([np.nan] * 3 + [np.log(3)], nan_ok=True)


def test_a_single_order_cannot_tell_them_apart() -> None:
    found = position_effect(random_orders(1, seed=0))
    assert np.isnan(found.adjusted_L).all()
    assert np.isnan(found.slope.value)
    assert np.isnan(found.slope_over_orders.value)
    assert not np.isnan(found.raw_L).all()
    assert found.statement.startswith("Position effects need a language that was learned after different numbers of languages.")


@pytest.mark.parametrize("times", [2, 3, 7])
def test_the_same_order_again_adds_nothing(times: int) -> None:
    """Means of equal logarithms differ from them in the last bit; that is not a change of position."""
    found = position_effect(random_orders(1, seed=0) * times)
    assert np.isnan(found.slope.value)
    assert np.isnan(found.adjusted_L).all()
    if times >= 3:
        statements = [slope.statement for slope in found.by_language.values() if slope.num_observations]
        assert len(statements) == 5
        assert all("it always came after the same number of languages" in statement for statement in statements)


def test_too_few_orders_give_a_slope_without_an_interval() -> None:
    # b and c change places: four shifts, two effects and one slope leave one degree of freedom.
    two = position_effect(planted(("abc", "acb"), {"a": 0, "b": 0, "c": 0}, -0.02))
    assert two.slope.degrees_of_freedom == 1
    assert np.isnan(two.slope_over_orders.low)
    assert two.slope_over_orders.statement == "An interval over orders needs 3 orders with a measured shift; there are 2."


def test_no_degree_of_freedom() -> None:
    R = RMatrix.sequential("abc", [[0.5, 0.5, 0.5], [0.4, 0.5, 0.5], [0.3, 0.4, 0.5]])
    # The second order measures the stage of b only, in the third place.
    nan = np.nan
    other = RMatrix.sequential("acb", [[0.5, nan, nan], [nan, 0.5, nan], [nan, 0.4, 0.5]])
    found = position_effect([R, other])
    assert found.slope.num_observations == 3
    assert not np.isnan(found.slope.value)
    assert np.isnan(found.slope.low)
    assert found.slope.statement.startswith("An interval needs more than 3 shifts")
    assert np.isnan(found.standard_error_L).all()
    assert "(no interval; over orders no interval)" in found.statement


def test_joint_runs_unknown_scopes_and_levels() -> None:
    joint = RMatrix(np.array([[0.5, 0.5]]), ("a", "b"), (("a", "b"),))
    found = position_effect(joint)
    assert np.isnan(found.raw_L).all()
    assert found.statement.startswith("Position effects need the shift of a second stage; none was measured.")
    with pytest.raises(UnknownNameError, match=r"Unknown scope 'fixd'\. Did you mean 'fixed'"):
        position_effect(joint, scope="fixd")  # type: ignore[arg-type]
    with pytest.raises(AttritionError, match="The level 95 is not between 0 and 1"):
        position_effect(joint, level=95)

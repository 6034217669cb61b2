"""The mixed models against lme4 and lmerTest (golden files, written by `golden/lme4/make_golden.R`) and against brute force."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from scipy.optimize import minimize

from attrition.analysis.mixed import MixedFit, fit_mixed
from attrition.analysis.mixed_equations import State, problem
from attrition.names import AttritionError

GOLDEN = Path(__file__).parent / "golden" / "lme4"
MODELS = {
    "penicillin": ("diameter", (), ("plate", "sample")),
    "pastes": ("strength", (), ("batch", "sample")),
    "sleepstudy": ("Reaction", ("Days",), ("Subject",)),
    "dyestuff2": ("Yield", (), ("Batch",)),
    "insteval": ("y", ("service",), ("s", "d")),
    "changes": ("y", (), ("donor", "receiver", "pair", "order", "stage")),
    "changes_covariate": ("y", ("position", "same"), ("donor", "receiver", "pair", "order", "stage")),
}


def fit_golden(name: str) -> tuple[MixedFit, dict[str, list[str]]]:
    outcome, columns, factors = MODELS[name]
    table = pd.read_csv(GOLDEN / f"{name}.csv")
    X = np.column_stack([np.ones(len(table)), *(table[column] for column in columns)])
    groups, labels = {}, {}
    for factor in factors:
        codes, uniques = pd.factorize(table[factor].astype(str), sort=True)
        groups[factor], labels[factor] = codes.astype(np.int64), list(uniques)
    return fit_mixed(table[outcome].to_numpy(float), X, ["(Intercept)", *columns], groups), labels


@pytest.mark.parametrize("name", MODELS)
def test_fits_equal_lme4(name: str) -> None:
    fit, labels = fit_golden(name)
    assert fit.converged
    assert not fit.notes
    components = pd.read_csv(GOLDEN / f"{name}_components.csv").set_index("name")["variance"]
    assert fit.criterion == pytest.approx(components["criterion"], abs=1e-5)
    for component in fit.components:
        assert component.variance == pytest.approx(components[component.name], rel=2e-4), component.name
    assert sum(component.share for component in fit.components) == pytest.approx(1)
    fixed = pd.read_csv(GOLDEN / f"{name}_fixed.csv").set_index("name")
    for effect in fit.fixed:
        expected = fixed.loc[effect.name]
        assert effect.estimate == pytest.approx(expected["estimate"], rel=1e-4)
        assert effect.standard_error == pytest.approx(expected["se"], rel=2e-4)
        assert effect.df == pytest.approx(expected["df"], rel=1e-3)
        assert effect.t == pytest.approx(expected["t"], rel=5e-4)
        assert effect.p == pytest.approx(expected["p"], rel=2e-2 if expected["p"] < 1e-6 else 1e-3)
    levels = pd.read_csv(GOLDEN / f"{name}_levels.csv", dtype={"level": str})
    for factor, rows in levels.groupby("factor"):
        ours, expected = fit.levels[str(factor)], rows.set_index("level").loc[labels[str(factor)]]
        scale = max(expected["effect"].abs().max(), 1e-12)
        np.testing.assert_allclose(ours.effect_Q, expected["effect"], rtol=1e-3, atol=5e-4 * scale)
        np.testing.assert_allclose(ours.conditional_sd_Q, expected["sd"], rtol=5e-4)


def tiny(seed: int) -> tuple[NDArray[np.float64], NDArray[np.float64], dict[str, NDArray[np.int64]], NDArray[np.float64]]:
    """Five donors, six receivers, a row or two per pair, known variances that differ."""
    rng = np.random.default_rng(seed)
    donor, receiver = (codes.ravel() for codes in np.meshgrid(np.arange(5), np.arange(6)))
    donor, receiver = np.concatenate([donor, donor[:20]]), np.concatenate([receiver, receiver[:20]])
    X = np.column_stack([np.ones(len(donor)), rng.normal(size=len(donor))])
    known = rng.uniform(0.05, 0.8, len(donor))
    y = 2 + 0.5 * X[:, 1] + rng.normal(size=5)[donor] + 0.7 * rng.normal(size=6)[receiver]
    y += 0.6 * rng.normal(size=30)[donor * 6 + receiver] + rng.normal(size=len(donor)) * np.sqrt(0.3 + known)
    return y, X, {"donor": donor, "receiver": receiver, "pair": donor * 6 + receiver}, known


def dense(
    y: NDArray[np.float64], X: NDArray[np.float64], V: NDArray[np.float64]
) -> tuple[float, NDArray[np.float64], NDArray[np.float64]]:
    """-2 log of the restricted likelihood, the fixed effects and their covariance, by the textbook."""
    inverse = np.linalg.inv(V)
    covariance = np.linalg.inv(X.T @ inverse @ X)
    fixed = covariance @ X.T @ inverse @ y
    left = y - X @ fixed
    logs = np.linalg.slogdet(V)[1] - np.linalg.slogdet(covariance)[1]
    return float((len(y) - X.shape[1]) * np.log(2 * np.pi) + logs + left @ inverse @ left), fixed, covariance


@pytest.mark.parametrize("with_known", [True, False])
def test_fit_equals_dense_brute_force(with_known: bool) -> None:
    y, X, groups, known = tiny(3)
    indicators = [np.equal.outer(codes, np.unique(codes)).astype(float) for codes in groups.values()]
    parts = [*(Z @ Z.T for Z in indicators), np.eye(len(y))]
    fixed_part = np.diag(known) if with_known else np.zeros((len(y), len(y)))

    def V_at(variances: NDArray[np.float64]) -> NDArray[np.float64]:
        return fixed_part + sum(v * part for v, part in zip(variances, parts, strict=True))

    best = minimize(
        lambda logs: dense(y, X, V_at(np.exp(logs)))[0],
        np.log([0.5] * 4),
        method="Nelder-Mead",
        options={"xatol": 1e-8, "fatol": 1e-10, "maxiter": 20000, "maxfev": 20000},
    )
    variances = np.exp(best.x)
    fit = fit_mixed(y, X, ["one", "x"], groups, known if with_known else None)
    assert fit.converged
    assert fit.criterion == pytest.approx(best.fun, abs=1e-6)
    np.testing.assert_allclose([fit.variance(name) for name in (*groups, "residual")], variances, rtol=1e-3, atol=2e-5)
    V = V_at(variances)
    _, fixed, covariance = dense(y, X, V)
    np.testing.assert_allclose([effect.estimate for effect in fit.fixed], fixed, rtol=1e-4)
    np.testing.assert_allclose(fit.covariance_PP, covariance, rtol=1e-3)
    inverse = np.linalg.inv(V)
    P = inverse - inverse @ X @ covariance @ X.T @ inverse
    for variance, (name, Z) in zip(variances, zip(groups, indicators, strict=True), strict=False):
        levels = fit.levels[name]
        np.testing.assert_allclose(levels.effect_Q, variance * Z.T @ P @ y, rtol=5e-3, atol=1e-4)
        np.testing.assert_allclose(
            levels.standard_error_Q**2, np.diag(variance * np.eye(Z.shape[1]) - variance**2 * Z.T @ P @ Z), rtol=2e-3, atol=1e-6
        )
        np.testing.assert_allclose(levels.shrinkage_Q, variance * np.diag(Z.T @ inverse @ Z), rtol=2e-3, atol=1e-6)
        assert (levels.rows_Q == Z.sum(axis=0)).all()
    assert ("known" in [component.name for component in fit.components]) == with_known

    # Satterthwaite by differences of the dense likelihood.
    def criterion(v: NDArray[np.float64]) -> float:
        return dense(y, X, V_at(v))[0]

    kept = np.array([component.variance for component in fit.components[:4]]) > 0
    assert kept.all(), "another seed: this comparison needs all variances above 0"
    widths, hessian, slope = 1e-3 * variances, np.empty((4, 4)), np.empty((4, 2))
    for i in range(4):
        step_i = np.eye(4)[i] * widths[i]
        slope[i] = (np.diag(dense(y, X, V_at(variances + step_i))[2]) - np.diag(dense(y, X, V_at(variances - step_i))[2])) / (
            2 * widths[i]
        )
        for j in range(4):
            step_j = np.eye(4)[j] * widths[j]
            hessian[i, j] = sum(a * b * criterion(variances + a * step_i + b * step_j) for a in (1, -1) for b in (1, -1)) / (
                4 * widths[i] * widths[j]
            )
    spread = np.einsum("ip,ij,jp->p", slope, 2 * np.linalg.inv(hessian), slope)
    np.testing.assert_allclose([effect.df for effect in fit.fixed], 2 * np.diag(covariance) ** 2 / spread, rtol=5e-3)


@pytest.mark.parametrize("with_known", [True, False])
def test_gradient_is_the_slope_of_the_criterion(with_known: bool) -> None:
    y, X, groups, known = tiny(5)
    model = problem(y, X, list(groups.values()), known if with_known else None)
    variances = np.array([0.8, 0.3, 0.2, 0.6])
    gradient = State(model, variances).slope().gradient_C
    for place in range(4):
        step = np.eye(4)[place] * 1e-5
        numeric = (State(model, variances + step).criterion - State(model, variances - step).criterion) / 2e-5
        assert gradient[place] == pytest.approx(numeric, rel=1e-5, abs=1e-6)


def test_a_known_variance_equal_in_all_rows_is_taken_off_the_residual() -> None:
    y, X, groups, _ = tiny(3)
    plain, known = fit_mixed(y, X, ["one", "x"], groups), fit_mixed(y, X, ["one", "x"], groups, np.full(len(y), 0.2))
    assert known.variance("residual") == pytest.approx(plain.variance("residual") - 0.2, rel=1e-4)
    assert known.variance("donor") == pytest.approx(plain.variance("donor"), rel=1e-4)
    assert known.effect("x").p == pytest.approx(plain.effect("x").p, rel=1e-3)
    too_much = fit_mixed(y, X, ["one", "x"], groups, np.full(len(y), 5.0))
    assert too_much.variance("residual") == 0


def test_without_factors_it_is_least_squares() -> None:
    y, X, _, _ = tiny(3)
    fit = fit_mixed(y, X, ["one", "x"], {"all": np.zeros(len(y), dtype=int), "row": np.arange(len(y))})
    assert fit.notes == (
        "Factor all was left out: it has one level.",
        "Factor row was left out: each of its levels has one row, as the residual has.",
    )
    beta, (squares,), _, _ = np.linalg.lstsq(X, y)
    np.testing.assert_allclose([effect.estimate for effect in fit.fixed], beta)
    assert [effect.df for effect in fit.fixed] == pytest.approx([len(y) - 2] * 2, rel=1e-4)
    assert fit.variance("residual") == pytest.approx(squares / (len(y) - 2), rel=1e-4)


def test_units_and_start_do_not_matter() -> None:
    y, X, groups, known = tiny(3)
    fit = fit_mixed(y, X, ["one", "x"], groups, known)
    large = fit_mixed(1000 * y, X, ["one", "x"], groups, 1e6 * known, start={"donor": 1e9, "residual": 1.0})
    assert large.effect("x").estimate == pytest.approx(1000 * fit.effect("x").estimate, rel=1e-4)
    assert large.variance("donor") == pytest.approx(1e6 * fit.variance("donor"), rel=1e-3)
    assert fit_mixed(y, X, ["one", "x"], groups, known, start=fit.variances).num_steps <= 2
    assert np.isinf(fit_mixed(y, X, ["one", "x"], groups, known, satterthwaite=False).effect("x").df)


def test_columns_and_factors_that_say_nothing_new_are_left_out() -> None:
    y, X, groups, _ = tiny(3)
    plain = fit_mixed(y, X, ["one", "x"], groups)
    more = np.column_stack([X, 2 + 3 * X[:, 1], np.zeros(len(y))])
    again = fit_mixed(y, more, ["one", "x", "y", "z"], {**groups, "donor again": groups["donor"] + 7})
    assert again.notes == (
        "Column y was left out: it depends on one, x.",
        "Column z was left out: it is 0 in every row.",
        "Factor donor again was left out: its levels are those of donor.",
    )
    assert again.effect("x").estimate == pytest.approx(plain.effect("x").estimate)
    told_apart = fit_mixed(y, np.eye(5)[groups["donor"]], list("abcde"), groups)
    assert told_apart.notes == ("Factor donor was left out: the fixed effects tell all its levels apart.",)


def test_mistakes_are_answered() -> None:
    y, X, groups, known = tiny(3)
    names = ["one", "x"]
    broken = y.copy()
    broken[3] = np.nan
    wrong: list[tuple[str, tuple]] = [  # type: ignore[type-arg]
        ("not a finite number", (broken, X, names, groups)),
        ("with 1 names", (y, X, ["one"], groups)),
        ("one whole number per row", (y, X, names, {"donor": groups["donor"][:-1]})),
        ("one whole number per row", (y, X, names, {"donor": y})),
        ("never below 0", (y, X, names, groups, -known)),
        ("known_variance has 3 rows", (y, X, names, groups, known[:3])),
        ("Rename it", (y, X, names, {"residual": groups["donor"]})),
        ("too few", (y[:3], X[:3], names, {})),
        ("explain y exactly", (X @ [1.0, 2.0], X, names, groups)),
        ("explain every row exactly", (groups["pair"] % 7.0, X[:, :1], ["one"], groups)),
        ("no column", (y, X[:, :0], [], groups)),
        ("Every column of X is 0", (y, 0 * X, names, groups)),
    ]
    for message, arguments in wrong:
        with pytest.raises(AttritionError, match=message):
            fit_mixed(*arguments)
    crossed = np.random.default_rng(1).permutation(np.repeat(np.arange(7000), 2))
    with pytest.raises(AttritionError, match="Leave out a factor"):
        fit_mixed(
            np.random.default_rng(0).normal(size=14000),
            np.ones((14000, 1)),
            ["one"],
            {"a": crossed, "b": np.repeat(np.arange(7000), 2)},
        )


@pytest.mark.long
@pytest.mark.parametrize("with_known", [True, False])
def test_planted_variances_come_back_at_full_size(with_known: bool) -> None:
    rng = np.random.default_rng(0)
    order, donor, receiver = (codes.ravel() for codes in np.meshgrid(np.arange(8), np.arange(52), np.arange(52)))
    apart = donor != receiver
    order, donor, receiver = order[apart], donor[apart], receiver[apart]
    groups = {"donor": donor, "receiver": receiver, "order": order, "stage": order * 52 + donor, "pair": donor * 52 + receiver}
    sds = {"donor": 1.0, "receiver": 0.6, "order": 0.3, "stage": 0.5, "pair": 0.4}
    y = sum(rng.normal(0, sds[name], codes.max() + 1)[codes] for name, codes in groups.items())
    known = rng.uniform(0.0, 0.3, len(donor)) if with_known else np.zeros(len(donor))
    y = y + rng.normal(size=len(donor)) * np.sqrt(0.25 + known)
    fit = fit_mixed(y, np.ones((len(y), 1)), ["one"], groups, known if with_known else None)
    assert fit.converged
    assert fit.variance("residual") == pytest.approx(0.25, rel=0.05)
    assert fit.variance("pair") == pytest.approx(0.16, rel=0.1)
    assert fit.variance("stage") == pytest.approx(0.25, rel=0.25)  # 416 levels: 0.07 is one standard error
    assert fit.variance("donor") == pytest.approx(1.0, rel=0.6)  # 52 levels: 0.2

"""The mixed models against lme4 and lmerTest (golden files, written by `golden/lme4/make_golden.R`) and against brute force."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from attrition.analysis.mixed import MixedFit, fit_mixed

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

"""Groups: means by hand, intervals against loops, and no certainty from a single language or order."""

from __future__ import annotations

import json

import numpy as np
import pytest
from scipy import stats

from attrition.analysis.groups import by_group, by_group_json
from attrition.analysis.quantities import QUANTITIES
from attrition.metrics import donor, final_mean, mbt, nulls_for_nan, receiver, shift_fixed
from attrition.metrics.matrix import RMatrix
from attrition.names import AttritionError, UnknownNameError

SCRIPTS = {"a": "Latn", "b": "Latn", "c": "Thai", "d": "Thai"}


def orders(num_orders: int = 3, seed: int = 0) -> list[RMatrix]:
    rng = np.random.default_rng(seed)
    return [
        RMatrix(rng.random((4, 4)), tuple("abcd"), tuple((str(x),) for x in rng.permutation(list("abcd"))), rng.random(4))
        for _ in range(num_orders)
    ]


def test_means_by_hand() -> None:
    R = RMatrix.sequential("abcd", [[0.5, 0, 0, 0], [0.5, 0.5, 0, 0], [0.25, 0.5, 0.5, 0], [0.25, 0.75, 1.0, 0.5]])
    found = {(entry.group, entry.quantity): entry for entry in by_group(R, SCRIPTS)}
    assert len(found) == 2 * len(QUANTITIES)
    assert found["Latn", "final"].mean == 0.5
    assert found["Thai", "final"].mean == 0.75
    assert found["Latn", "kept"].mean == pytest.approx((-0.25 + 0.25) / 2)
    assert found["Thai", "kept"].mean == 0.5  # d was learned last: nothing came after it
    assert found["Thai", "kept"].num_languages == 1
    # c's stage: a -.25, b 0; d's stage: a 0, b .25, c .5
    assert found["Thai", "shift_fixed"].mean == pytest.approx((-0.125 + 0.25) / 2)


def test_measures_agree_with_the_metrics_of_the_same_name() -> None:
    (R,) = orders(1)
    everyone = dict.fromkeys("abcd", "all")
    found = {entry.quantity: entry.mean for entry in by_group(R, everyone)}
    assert found["final"] == pytest.approx(final_mean(R))
    for name, metric in (("donor", donor), ("receiver", receiver), ("shift_fixed", shift_fixed)):
        assert found[name] == pytest.approx(float(metric(R).overall))
    assert found["mbt"] == pytest.approx(np.nanmean([np.nanmean(row) for row in mbt(R).values if not np.isnan(row).all()]))


def test_the_group_mean_is_over_languages_of_their_means_over_orders() -> None:
    matrices = orders()
    (latin, _) = by_group(matrices, SCRIPTS, quantities=["shift_fixed"])
    shifts = shift_fixed(matrices)
    assert latin.mean == pytest.approx(np.mean([shifts["a"], shifts["b"]]))
    assert latin.num_orders == 3


def test_intervals_are_those_of_scipy() -> None:
    matrices = orders(4)
    latin, _ = by_group(matrices, SCRIPTS, quantities=["final"])
    per_order = np.array([np.mean(R.scores_SL[-1, :2]) for R in matrices])
    expected = stats.t.interval(0.95, 3, loc=per_order.mean(), scale=stats.sem(per_order))
    assert (latin.over_orders.low, latin.over_orders.high) == pytest.approx(expected)
    (everyone,) = by_group(matrices, dict.fromkeys("abcd", "all"), quantities=["final"])
    per_language = np.mean([R.scores_SL[-1] for R in matrices], axis=0)
    expected = stats.t.interval(0.95, 3, loc=per_language.mean(), scale=stats.sem(per_language))
    assert (everyone.over_languages.low, everyone.over_languages.high) == pytest.approx(expected)


def test_one_order_or_one_language_says_nothing_about_spread() -> None:
    latin, thai = by_group(orders(1), {"a": "Latn", "b": "Latn", "c": "Latn", "d": "Thai"}, quantities=["final"])
    assert np.isnan(latin.over_orders.low)
    assert not np.isnan(latin.over_languages.low)
    assert np.isnan(thai.over_languages.low)
    assert not np.isnan(thai.mean)


def test_unknown_names_and_languages_without_group() -> None:
    with pytest.raises(AttritionError, match="no group for c, d"):
        by_group(orders(), {"a": "Latn", "b": "Latn"})
    with pytest.raises(UnknownNameError, match=r"Unknown quantity 'finale'\. Did you mean 'final'"):
        by_group(orders(), SCRIPTS, quantities=["finale"])


def test_languages_never_trained_need_no_group() -> None:
    R = RMatrix(np.array([[0.5, 0.25]]), ("a", "x"), (("a",),))
    (only,) = by_group(R, {"a": "Latn"}, quantities=["final"])
    assert only.mean == 0.5


def test_as_json_it_says_the_same() -> None:
    matrices = orders(3)
    found = by_group_json(matrices, SCRIPTS)
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert list(found) == ["Latn", "Thai"]
    for each in by_group(matrices, SCRIPTS):
        entry = found[each.group][each.quantity]
        assert entry["mean"] == nulls_for_nan(each.mean)
        assert entry["over_languages"] == nulls_for_nan([each.over_languages.low, each.over_languages.high])
        assert entry["over_orders"] == nulls_for_nan([each.over_orders.low, each.over_orders.high])
    lone = by_group_json(matrices[0], dict(zip("abcd", "abcd", strict=True)))["a"]["final"]
    assert (lone["over_languages"], lone["over_orders"]) == ([None, None], [None, None])

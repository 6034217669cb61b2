"""Groups: means by hand, intervals against loops, and no certainty from a single language or order."""

from __future__ import annotations

import json

import numpy as np
import pytest

from attrition.analysis.bootstrap import draws_BU
from attrition.analysis.groups import MEASURES, by_group, by_group_json, group_difference
from attrition.matrix import RMatrix
from attrition.metrics import donor, final_mean, mbt, receiver, shift_fixed
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
    found = {(entry.group, entry.measure): entry for entry in by_group(R, SCRIPTS)}
    assert len(found) == 2 * len(MEASURES)
    assert found["Latn", "final"].mean == 0.5
    assert found["Thai", "final"].mean == 0.75
    assert found["Latn", "change"].mean == pytest.approx((-0.25 + 0.25) / 2)
    assert found["Thai", "change"].mean == 0.5  # d was learned last: nothing came after it
    assert found["Thai", "change"].num_languages == 1
    # c's stage: a -.25, b 0; d's stage: a 0, b .25, c .5
    assert found["Thai", "shift_fixed"].mean == pytest.approx((-0.125 + 0.25) / 2)


def test_measures_agree_with_the_metrics_of_the_same_name() -> None:
    (R,) = orders(1)
    everyone = dict.fromkeys("abcd", "all")
    found = {entry.measure: entry.mean for entry in by_group(R, everyone)}
    assert found["final"] == pytest.approx(final_mean(R))
    for name, metric in (("donor", donor), ("receiver", receiver), ("shift_fixed", shift_fixed)):
        assert found[name] == pytest.approx(float(metric(R).overall))
    assert found["mbt"] == pytest.approx(np.nanmean([np.nanmean(row) for row in mbt(R).values if not np.isnan(row).all()]))


def test_the_group_mean_is_over_languages_of_their_means_over_orders() -> None:
    matrices = orders()
    (latin, _) = by_group(matrices, SCRIPTS, measures=["shift_fixed"])
    shifts = shift_fixed(matrices)
    assert latin.mean == pytest.approx(np.mean([shifts["a"], shifts["b"]]))
    assert latin.num_orders == 3


def test_intervals_over_orders_equal_loops() -> None:
    matrices = orders(4)
    latin, _ = by_group(matrices, SCRIPTS, measures=["final"], num_resamples=200, seed=7)
    samples = []
    for weights in draws_BU(4, 200, seed=7):
        drawn = [matrices[order] for order in range(4) for _ in range(int(weights[order]))]
        samples.append(np.mean([[R.scores_SL[-1, 0], R.scores_SL[-1, 1]] for R in drawn]))
    assert (latin.over_orders.low, latin.over_orders.high) == pytest.approx(tuple(np.quantile(samples, [0.025, 0.975])))


def test_intervals_over_languages_equal_loops() -> None:
    matrices = orders(2)
    groups = dict.fromkeys("abcd", "all")
    (everyone,) = by_group(matrices, groups, measures=["final"], num_resamples=200, seed=7)
    per_language = np.mean([R.scores_SL[-1] for R in matrices], axis=0)
    samples = [float(weights @ per_language) / 4 for weights in draws_BU(4, 200, seed=7)]
    interval = everyone.over_languages
    assert (interval.low, interval.high) == pytest.approx(tuple(np.quantile(samples, [0.025, 0.975])))


def test_one_order_or_one_language_says_nothing_about_spread() -> None:
    latin, thai = by_group(orders(1), {"a": "Latn", "b": "Latn", "c": "Latn", "d": "Thai"}, measures=["final"])
    assert np.isnan(latin.over_orders.low)
    assert not np.isnan(latin.over_languages.low)
    assert np.isnan(thai.over_languages.low)
    assert not np.isnan(thai.mean)


def test_the_difference_of_groups_and_its_intervals() -> None:
    high, low = [0.9, 0.8, 0.9, 0.8], [0.2, 0.1, 0.2, 0.1]
    matrices = [RMatrix.sequential("abcdefgh", np.array([high + low] * 8) + shift) for shift in (0.0, 0.05)]
    groups = dict(zip("abcdefgh", ["top"] * 4 + ["bottom"] * 4, strict=True))
    found = group_difference(matrices, groups, "top", "bottom", "final")
    assert found.mean == pytest.approx(0.7)
    assert found.group == "top - bottom"
    assert found.num_languages == 8
    # All orders shift both groups alike, so under the same draws of orders the difference is certain.
    assert (found.over_orders.low, found.over_orders.high) == pytest.approx((0.7, 0.7))
    assert 0.55 < found.over_languages.low < 0.7 < found.over_languages.high < 0.85
    assert found.over_languages.p_value < 0.01
    alike = group_difference(matrices, dict(zip("abcdefgh", ["x", "y"] * 4, strict=True)), "x", "y", "final")
    assert alike.over_languages.low < 0 < alike.over_languages.high


def test_unknown_names_and_languages_without_group() -> None:
    with pytest.raises(AttritionError, match="no group for c, d"):
        by_group(orders(), {"a": "Latn", "b": "Latn"})
    with pytest.raises(UnknownNameError, match=r"Unknown measure 'finale'\. Did you mean 'final'"):
        by_group(orders(), SCRIPTS, measures=["finale"])
    with pytest.raises(UnknownNameError, match=r"Unknown group 'Latin'\. Did you mean 'Latn'"):
        group_difference(orders(), SCRIPTS, "Latin", "Thai", "final")


def test_languages_never_trained_need_no_group() -> None:
    R = RMatrix(np.array([[0.5, 0.25]]), ("a", "x"), (("a",),))
    (only,) = by_group(R, {"a": "Latn"}, measures=["final"])
    assert only.mean == 0.5


def test_as_json_it_says_the_same() -> None:
    matrices = orders(3)
    found = by_group_json(matrices, SCRIPTS)
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert list(found) == ["Latn", "Thai"]
    for each in by_group(matrices, SCRIPTS):
        entry = found[each.group][each.measure]
        assert entry["mean"] == each.mean
        assert entry["over_languages"] == [each.over_languages.low, each.over_languages.high]
        assert entry["over_orders"] == [each.over_orders.low, each.over_orders.high]
    lone = by_group_json(matrices[0], dict(zip("abcd", "abcd", strict=True)))["a"]["final"]
    assert (lone["over_languages"], lone["over_orders"]) == ([None, None], [None, None])

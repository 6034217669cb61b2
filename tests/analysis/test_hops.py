"""MBT and MFT over hops: the numbers of the metrics, intervals over orders and test utterances, the cells behind them."""

from __future__ import annotations

import json
from types import ModuleType

import numpy as np
import pytest

from attrition.analysis.evidence import from_matrices
from attrition.analysis.hops import METRICS, hop_curves, hops_json, most_hops
from attrition.analysis.intervals import mean_of_replicates
from attrition.analysis.worlds import locales, world
from attrition.metrics.hops_balanced import hops_balanced
from attrition.metrics.matrix import RMatrix
from attrition.metrics.result import nulls_for_nan

MATRICES = world("nothing", locales(9), 0).runs(5, seed=0)


@pytest.mark.parametrize("metric", METRICS)
def test_numbers_and_cells_are_those_of_the_metric(metric: str) -> None:
    found = hop_curves(from_matrices(MATRICES).runs, metric)  # type: ignore[arg-type]
    assert found.num_hops == most_hops(MATRICES, metric) == 5  # type: ignore[arg-type]
    expected = hops_balanced(MATRICES, metric, 5)  # type: ignore[arg-type]
    for ours, theirs in ((found.balanced, expected.balanced), (found.literal, expected.literal)):
        assert ours.languages == theirs.per_language.languages
        np.testing.assert_allclose(ours.values_LH, 100 * theirs.per_language.values)
        np.testing.assert_allclose([each.value for each in ours.overall_H], 100 * theirs.overall_H)
        assert list(ours.num_cells_H) == theirs.num_cells_H.tolist()
        assert list(ours.num_languages_H) == theirs.num_languages_H.tolist()
    assert len(set(found.balanced.num_cells_H)) == 1
    assert list(found.literal.num_cells_H) == [40, 35, 30, 25, 20]


def test_the_interval_is_students_over_the_means_of_the_orders() -> None:
    found = hop_curves(from_matrices(MATRICES).runs, "mbt")
    by_order = [100 * hops_balanced([R], "mbt", 5).balanced.overall_H[3] for R in MATRICES]
    expected = mean_of_replicates(by_order)
    assert found.balanced.overall_H[3].error == pytest.approx(expected.error)
    assert found.balanced.overall_H[3].freedom == 4


def test_seeds_of_one_order_are_one_replicate() -> None:
    runs = from_matrices(MATRICES).runs
    again = from_matrices([*MATRICES, RMatrix(MATRICES[0].scores_SL + 0.01, MATRICES[0].languages, MATRICES[0].trained)]).runs
    one, two = hop_curves(runs, "mft"), hop_curves(again, "mft")
    assert [each.num_replicates for each in two.literal.overall_H] == [each.num_replicates for each in one.literal.overall_H]


def test_test_utterances_widen_the_intervals(simulate: ModuleType) -> None:
    """By the variance of the printed mean over resamples that the spread of the orders does not hold: often 0 for changes."""
    added = []
    for seed in range(3):
        measured = simulate.measured(seed, num_languages=6, num_orders=4, num_utterances=40, resamples=40)
        without, found = (hop_curves(measured.runs, "mbt", each) for each in (None, measured.utterances))
        for narrow, wide in zip(without.literal.overall_H, found.literal.overall_H, strict=True):
            assert wide.value == narrow.value
            assert wide.error**2 == pytest.approx(narrow.error**2 + wide.lasting**2)
            added.append(wide.lasting)
    assert max(added) > 0


def test_52_languages_show_ten_hops_and_two_show_one() -> None:
    order = [str(number) for number in range(52)]
    assert most_hops([RMatrix.sequential(order, np.eye(52))], "mft") == 10
    assert most_hops([RMatrix.sequential("ab", np.eye(2))], "mbt") == 1


def test_what_is_unknown_is_null() -> None:
    told = nulls_for_nan(hops_json(hop_curves(from_matrices(MATRICES[:1]).runs, "mbt")))
    assert json.loads(json.dumps(told, allow_nan=False)) == told
    first = told["balanced"]["overall"][0]
    assert (first["low"], first["orders"], first["languages"], first["cells"]) == (None, 1, 4, 4)
    assert first["estimate"] is not None
    assert set(told["literal"]["languages"]) == set(MATRICES[0].languages)

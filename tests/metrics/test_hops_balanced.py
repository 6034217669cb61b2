"""Balanced hops against loops over cells, and where nothing remains."""

from __future__ import annotations

import math

import numpy as np
import pytest

from attrition.metrics import mbt, mbt_pairwise, mft, mft_pairwise
from attrition.metrics.hops_balanced import HopMetric, cells_left, hops_balanced
from attrition.metrics.matrix import RMatrix
from attrition.names import AttritionError, UnknownNameError

NAN = float("nan")
METRICS: tuple[HopMetric, ...] = ("mft", "mbt", "mft_pairwise", "mbt_pairwise")
LITERAL = {"mft": mft, "mbt": mbt, "mft_pairwise": mft_pairwise, "mbt_pairwise": mbt_pairwise}


def random_orders(missing: float) -> list[RMatrix]:
    rng = np.random.default_rng(11)
    languages = tuple("abcdefg")
    matrices = []
    for _ in range(4):
        scores = rng.random((7, 7))
        scores[rng.random((7, 7)) < missing] = NAN
        matrices.append(RMatrix(scores, languages, tuple((str(x),) for x in rng.permutation(languages))))
    return matrices


def slow_value(R: RMatrix, x: str, h: int, metric: str) -> float:
    order = [label for (label,) in R.trained]
    p = order.index(x) + 1

    def r(i: int, label: str) -> float:
        return float(R.scores_SL[i - 1, R.languages.index(label)]) if 1 <= i <= len(order) else NAN

    def mean_of_learned(i: int) -> float:
        known = [r(i, label) for label in order[: max(i, 0)] if not math.isnan(r(i, label))]
        return sum(known) / len(known) if known else NAN

    if metric == "mft":
        return mean_of_learned(p + h) - mean_of_learned(p - 1)
    if metric == "mbt":
        return mean_of_learned(p) - mean_of_learned(p - h - 1)
    other = p + h if metric == "mft_pairwise" else p - h
    if h == 0 or not 1 <= other <= len(order):
        return NAN
    return r(p, order[other - 1]) - r(p - 1, order[other - 1])


@pytest.mark.parametrize("missing", [0.0, 0.15])
@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("num_hops", [2, 3, 5])
def test_every_hop_is_the_mean_over_the_same_cells(metric: HopMetric, num_hops: int, missing: float) -> None:
    matrices = random_orders(missing)
    found = hops_balanced(matrices, metric, num_hops)
    first = 1 if metric.endswith("pairwise") else 0
    num_cells = 0
    means: dict[str, list[float]] = {}
    for x in matrices[0].languages:
        kept = []
        for R in matrices:
            values = [slow_value(R, x, h, metric) for h in range(num_hops)]
            if not any(math.isnan(value) for value in values[first:]):
                kept.append(values)
        num_cells += len(kept)
        expected = [sum(column) / len(kept) for column in zip(*kept, strict=True)] if kept else [NAN] * num_hops
        assert found.balanced.per_language[x] == pytest.approx(expected, nan_ok=True)
        counts = [len(kept) if h >= first else 0 for h in range(num_hops)]
        assert found.balanced.per_language.counts_as_dict()[x] == counts
        if kept:
            means[x] = expected
    expected_overall = [sum(column) / len(means) for column in zip(*means.values(), strict=True)] if means else [NAN] * num_hops
    assert found.balanced.overall_H.tolist() == pytest.approx(expected_overall, nan_ok=True)
    assert found.balanced.num_cells_H.tolist() == [num_cells if h >= first else 0 for h in range(num_hops)]
    assert found.balanced.num_languages_H.tolist() == [len(means) if h >= first else 0 for h in range(num_hops)]
    assert cells_left(matrices, metric, most_hops=num_hops)[num_hops] == num_cells


@pytest.mark.parametrize("metric", METRICS)
def test_literal_values_stand_beside(metric: HopMetric) -> None:
    matrices = random_orders(0.1)
    literal, theirs = hops_balanced(matrices, metric, 6).literal, LITERAL[metric](matrices, 6)
    np.testing.assert_array_equal(literal.per_language.values, theirs.values)
    np.testing.assert_array_equal(literal.per_language.counts, theirs.counts)
    np.testing.assert_array_equal(literal.overall_H, theirs.overall)
    np.testing.assert_array_equal(literal.num_cells_H, theirs.counts.sum(axis=0))


def test_without_missing_scores_the_cells_are_those_of_the_positions() -> None:
    matrices = random_orders(0.0)
    for metric, spare in (("mft", 0), ("mbt", 0), ("mft_pairwise", 0), ("mbt_pairwise", 1)):
        left = cells_left(matrices, metric)  # type: ignore[arg-type]
        assert left == {H: 4 * (7 - H + spare) for H in left}
        assert list(left.values())[-1] == 0


def test_hops_differ_by_cells_alone_and_balancing_sees_it() -> None:
    """P falls by .1 at stage 2 only: every later language sees this fall at its largest hop, whatever the distance."""
    P = [0.6, 0.5, 0.5, 0.5, 0.5]
    R = RMatrix.sequential("abcde", np.repeat(np.array(P)[:, None], 5, axis=1))
    found = hops_balanced(R, "mbt", num_hops=3)
    assert found.literal.overall_H.tolist() == pytest.approx([-0.1 / 4, -0.1 / 3, -0.1 / 2])
    # Only d and e have all three hops; neither meets the fall at hops 0 and 1, d does at hop 2.
    assert found.balanced.overall_H.tolist() == pytest.approx([0, 0, -0.1 / 2])
    assert found.balanced.num_cells_H.tolist() == [2, 2, 2]
    assert found.literal.num_cells_H.tolist() == [4, 3, 2]


def test_nothing_remains() -> None:
    R = RMatrix.sequential("abc", [[0.75, 0.25, 0.125], [0.5, 0.875, 0.25], [0.625, 0.5, 1]])
    for metric in METRICS:
        found = hops_balanced(R, metric, num_hops=4).balanced
        assert np.isnan(found.per_language.values).all()
        assert np.isnan(found.overall_H).all()
        assert not found.per_language.counts.any()
        assert not found.num_cells_H.any()
    lone = hops_balanced(R, "mbt_pairwise", num_hops=1)  # hop 0 alone: no pairwise reading
    assert lone.balanced.num_cells_H.tolist() == [0]
    assert cells_left(R, "mbt_pairwise", most_hops=1) == {}
    joint = RMatrix([[0.5, 0.75]], ("a", "b"), (("a", "b"),))
    assert cells_left(joint, "mft") == {1: 0}


def test_what_cannot_be_computed_is_said() -> None:
    R = RMatrix.sequential("ab", [[0.75, 0.25], [0.5, 0.875]])
    with pytest.raises(UnknownNameError, match=r"Unknown metric over hops 'mbtt'\. Did you mean 'mbt'"):
        hops_balanced(R, "mbtt")  # type: ignore[arg-type]
    with pytest.raises(AttritionError, match="0 hops were asked for"):
        cells_left(R, "mbt", most_hops=0)

"""Null counterparts against the formulas in loops, and their expectations against every order of five languages."""

from __future__ import annotations

import itertools
from collections import defaultdict

import numpy as np
import pytest

from attrition.analysis.null import (
    average_p_avg_parts,
    expected_null_mbt_LH,
    expected_null_mft_LH,
    null_counterparts,
    null_matrix,
    p_avg_by_stage,
)
from attrition.metrics import average_p_avg, mbt, mft, shift_growing
from attrition.metrics.matrix import RMatrix
from attrition.metrics.shift import shift_fixed_L
from attrition.metrics.single import learned_mean
from attrition.names import AttritionError, UnknownNameError

NAN = float("nan")


def random_orders(num_orders: int, num_languages: int, seed: int, missing: float = 0.0) -> list[RMatrix]:
    rng = np.random.default_rng(seed)
    languages = tuple("abcdefgh"[:num_languages])
    matrices = []
    for _ in range(num_orders):
        scores = rng.random((num_languages, num_languages))
        scores[rng.random(scores.shape) < missing] = NAN
        matrices.append(RMatrix(scores, languages, tuple((str(x),) for x in rng.permutation(languages))))
    return matrices


def running_means(own: list[float]) -> list[float]:
    """Q_0 (unused), Q_1, ..., Q_T."""
    return [NAN, *(sum(own[:i]) / i for i in range(1, len(own) + 1))]


def mbt_of(Q: list[float], p: int, h: int) -> float | None:
    return Q[p] - Q[p - h - 1] if p - h - 1 >= 1 else None


def mft_of(Q: list[float], p: int, h: int) -> float | None:
    return Q[p + h] - Q[p - 1] if p >= 2 and p + h < len(Q) else None


@pytest.mark.parametrize(("metric", "formula", "theirs"), [("mbt", mbt_of, mbt), ("mft", mft_of, mft)])
def test_literal_and_null_equal_the_formulas_in_loops(metric, formula, theirs) -> None:  # type: ignore[no-untyped-def]
    matrices = random_orders(4, 6, seed=1)
    found = null_counterparts(matrices, metric, num_hops=5)
    assert found.parts_OLH.literal.shape == (4, 6, 5)
    for o, R in enumerate(matrices):
        order = [x for (x,) in R.trained]
        own = [float(R.scores_SL[i, R.languages.index(x)]) for i, x in enumerate(order)]
        Q = running_means(own)
        for p, x in enumerate(order, start=1):
            for h in range(5):
                expected = formula(Q, p, h)
                null = found.parts_OLH.null[o, R.languages.index(x), h]
                assert null == pytest.approx(NAN if expected is None else expected, nan_ok=True)
    np.testing.assert_allclose(found.by_hop("literal").values, theirs(matrices, 5).values)
    np.testing.assert_array_equal(found.by_hop("null").counts, theirs(matrices, 5).counts)
    np.testing.assert_allclose(
        found.by_language("transfer").values, found.by_language("literal").values - found.by_language("null").values
    )


def test_cells_above_the_diagonal_change_nothing() -> None:
    """Why one null matrix serves MBT and MFT: neither reads languages that are not learned yet."""
    rng = np.random.default_rng(0)
    for R in random_orders(3, 6, seed=2):
        other = RMatrix(
            np.where(R.learned_SL, R.scores_SL, rng.random(R.scores_SL.shape)), R.languages, R.trained, rng.random(6)
        )
        assert null_matrix(R) == null_matrix(other)
        for metric in ("mbt", "mft", "shift_growing", "p_avg"):
            one, two = null_counterparts(R, metric).parts_OLH, null_counterparts(other, metric).parts_OLH  # type: ignore[arg-type]
            np.testing.assert_array_equal(one.literal, two.literal)
            np.testing.assert_array_equal(one.null, two.null)


def test_a_world_without_transfer_is_all_null() -> None:
    own = np.array([0.75, 0.5, 0.875, 0.25, 0.625])
    matrices = [RMatrix(np.tile(own, (5, 1)), tuple("abcde"), tuple(order)) for order in ("abcde", "edcba", "cadbe")]
    for metric in ("mbt", "mft", "shift_growing", "p_avg"):
        found = null_counterparts(matrices, metric)  # type: ignore[arg-type]
        assert np.nanmax(np.abs(found.parts_OLH.transfer)) == 0
        assert np.nanmax(np.abs(found.parts_OLH.null)) > 0


def test_transfer_is_the_change_of_backward_transfer_and_how_it_goes_with_the_fixed_shift() -> None:
    for R in random_orders(3, 7, seed=3):
        B_S = learned_mean(R) - learned_mean(null_matrix(R))
        transfer_L = null_counterparts(R, "shift_growing").parts_OLH.transfer[0, :, 0]
        fixed_L = shift_fixed_L(R)
        for place, stage in enumerate(R.stage_L.tolist()):
            if stage == 0:
                continue
            p = stage + 1
            assert transfer_L[place] == pytest.approx(B_S[stage] - B_S[stage - 1])
            assert transfer_L[place] == pytest.approx((p - 1) / p * fixed_L[place] - B_S[stage - 1] / p)


def test_eq_9_per_stage_per_language_and_overall() -> None:
    matrices = [*random_orders(2, 6, seed=4), *random_orders(1, 4, seed=5)]
    by_stage, average = p_avg_by_stage(matrices), average_p_avg_parts(matrices)
    assert by_stage.literal.shape == (3, 5)
    assert np.isnan(by_stage.literal[2, 3:]).all()
    assert float(average.literal) == pytest.approx(average_p_avg(matrices))
    assert float(average.null) == pytest.approx(np.nanmean(by_stage.null))
    assert float(average.transfer) == pytest.approx(float(average.literal - average.null))
    growing, printed = null_counterparts(matrices, "shift_growing"), null_counterparts(matrices, "p_avg")
    np.testing.assert_allclose(growing.by_language("literal").values, shift_growing(matrices).values)
    np.testing.assert_allclose(printed.by_language("null").values, -growing.by_language("null").values)
    first = matrices[0]
    np.testing.assert_allclose(printed.parts_OLH.null[0, first.stage_L.argsort()[1:], 0], by_stage.null[0])


def test_cells_not_measured_leave_both_means_the_same_languages() -> None:
    # b is not measured after stage 3, so the null P_3 is the mean of a and c too.
    R = RMatrix.sequential("abc", [[0.75, 0, 0], [0.5, 0.875, 0], [0.625, NAN, 1]])
    assert null_matrix(R).scores_SL[2].tolist() == pytest.approx([0.75, NAN, 1], nan_ok=True)
    # b was not measured at its own stage but later: the null P_3 is unknown, the literal one is not.
    R = RMatrix.sequential("abc", [[0.75, 0, 0], [0.5, NAN, 0], [0.625, 0.5, 1]])
    found = null_counterparts(R, "shift_growing")
    assert np.isnan(null_matrix(R).scores_SL[2]).all()
    assert not np.isnan(found.by_language("literal")["c"])
    assert np.isnan(found.by_language("transfer")["c"])
    assert found.by_language("null").counts_as_dict() == {"a": 0, "b": 1, "c": 0}
    for R in random_orders(5, 8, seed=6, missing=0.2):
        null_P, P = learned_mean(null_matrix(R)), learned_mean(R)
        assert not np.isnan(P[~np.isnan(null_P)]).any()


def test_stages_of_several_languages_and_languages_never_trained() -> None:
    R = RMatrix([[0.5, 0.25, 0.75, 0.1], [0.5, 0.5, 0.5, 0.1]], tuple("abcd"), (("a", "b"), ("c",)))
    assert null_matrix(R).scores_SL[1].tolist() == pytest.approx([0.5, 0.25, 0.5, NAN], nan_ok=True)
    assert null_counterparts(R, "shift_growing").by_language("null")["c"] == pytest.approx(1.25 / 3 - 0.375)
    joint = RMatrix([[0.5, 0.75]], ("a", "b"), (("a", "b"),))
    assert np.isnan(null_counterparts(joint, "mbt").by_language("transfer").values).all()
    assert np.isnan(average_p_avg_parts(joint).null)


@pytest.mark.parametrize(("formula", "expected"), [(mbt_of, expected_null_mbt_LH), (mft_of, expected_null_mft_LH)])
def test_expectations_equal_the_mean_over_all_orders_of_five(formula, expected) -> None:  # type: ignore[no-untyped-def]
    own = [0.9, 0.2, 0.55, 0.7, 0.65]
    by_hop: dict[tuple[int, int], list[float]] = defaultdict(list)
    by_position: dict[tuple[int, int, int], list[float]] = defaultdict(list)
    for order in itertools.permutations(range(5)):
        Q = running_means([own[x] for x in order])
        for p, x in enumerate(order, start=1):
            for h in range(5):
                value = formula(Q, p, h)
                if value is not None:
                    by_hop[x, h].append(value)
                    by_position[x, p, h].append(value)
    whole = expected(own, 5)
    for x, h in itertools.product(range(5), range(5)):
        assert whole[x, h] == pytest.approx(np.mean(by_hop[x, h]) if (x, h) in by_hop else NAN, nan_ok=True)
        for p in range(1, 6):
            there = expected(own, 5, position_L=[p] * 5)[x, h]
            assert there == pytest.approx(np.mean(by_position[x, p, h]) if (x, p, h) in by_position else NAN, nan_ok=True)
    assert np.isnan(whole[:, 4]).all()  # five languages have no hop 4


@pytest.mark.parametrize(("metric", "expected"), [("mbt", expected_null_mbt_LH), ("mft", expected_null_mft_LH)])
def test_expectations_are_near_the_mean_over_random_orders_of_twelve(metric, expected) -> None:  # type: ignore[no-untyped-def]
    rng = np.random.default_rng(7)
    own, num_orders = rng.random(12), 4000
    order_OT = rng.permuted(np.tile(np.arange(12), (num_orders, 1)), axis=1)
    Q_OT = np.cumsum(own[order_OT], axis=1) / np.arange(1, 13)
    position_OL = order_OT.argsort(axis=1)
    rows = np.arange(num_orders)[:, None]
    for h in (0, 3, 9):
        first, last = (position_OL - h - 1, position_OL) if metric == "mbt" else (position_OL - 1, position_OL + h)
        within = (first >= 0) & (last < 12)
        values = np.where(within, Q_OT[rows, last.clip(0, 11)] - Q_OT[rows, first.clip(0, 11)], np.nan)
        error = np.nanstd(values, axis=0) / np.sqrt(within.sum(axis=0))
        assert (np.abs(np.nanmean(values, axis=0) - expected(own, 10)[:, h]) < 4.5 * error).all()


def test_the_spread_over_orders_that_the_docs_state() -> None:
    own = [0.9, 0.2, 0.55, 0.7, 0.65]
    for k, i in ((1, 2), (1, 5), (3, 4)):
        values = [running_means(list(order))[i] - running_means(list(order))[k] for order in itertools.permutations(own)]
        assert np.var(values) == pytest.approx(np.var(own, ddof=1) * (1 / k - 1 / i))


def test_expectations_leave_out_languages_without_a_score() -> None:
    whole, partial = expected_null_mbt_LH([0.5, 0.75, 1], 2), expected_null_mbt_LH([0.5, NAN, 0.75, 1], 2)
    np.testing.assert_allclose(partial[[0, 2, 3]], whole)
    assert np.isnan(partial[1]).all()
    assert np.isnan(expected_null_mbt_LH([0.5, NAN], 2)).all()
    assert not np.isnan(expected_null_mbt_LH([0.5, NAN, 0.75, 1], 1, position_L=[3, NAN, 2, 3])[0, 0])


def test_what_cannot_be_computed_is_said() -> None:
    with pytest.raises(UnknownNameError, match=r"Unknown metric with a null counterpart 'mtf'\. Did you mean 'mft'"):
        null_counterparts(random_orders(1, 3, seed=0), "mtf")  # type: ignore[arg-type]
    with pytest.raises(UnknownNameError, match="Unknown part 'nul'"):
        null_counterparts(random_orders(1, 3, seed=0), "mbt").by_hop("nul")  # type: ignore[arg-type]
    with pytest.raises(AttritionError, match="a whole number from 1 to 2 for each of the 2 languages"):
        expected_null_mbt_LH([0.5, 0.75], position_L=[1, 3])
    with pytest.raises(AttritionError, match="own_L has shape"):
        expected_null_mft_LH([[0.5, 0.75]])

"""Properties that every metric has, each tested once over the whole registry, and what the registry says of them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from attrition import metrics
from attrition.metrics import METRICS, NUMBERS, MetricInfo, PerLanguage, num_terms, summary
from attrition.metrics.matrix import RMatrix
from attrition.metrics.single import TERMS

NAN = float("nan")

# Whether a metric compares scores (then it is 0 for a constant matrix) or averages them (then it is the constant).
COMPARES = {name for name, info in METRICS.items() if info.low < 0}


def value_of(info: MetricInfo, R: RMatrix) -> np.ndarray:
    """The metric's numbers, per language in alphabetical order where it has one per language."""
    if info.takes == "matrix and reference":
        reference = RMatrix(np.full((1, len(R.languages)), 0.5), R.languages, (R.languages,))
        return np.asarray(info.function(R, reference))
    if info.takes == "matrix and groups":
        odd_and_even = {language: "odd" if int(language[1:]) % 2 else "even" for language in R.languages}
        return np.asarray(list(info.function(R, odd_and_even).values()))
    found: Any = info.function(R)
    if isinstance(found, PerLanguage):
        return found.values[np.argsort(found.languages)]
    return np.asarray(found, dtype=np.float64)


@st.composite
def matrices(draw: st.DrawFn) -> RMatrix:
    num_stages = draw(st.integers(1, 12))
    num_languages = num_stages + draw(st.integers(0, 2))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    scores = rng.random((num_stages + 1, num_languages))
    scores[rng.random(scores.shape) < draw(st.sampled_from([0.0, 0.2, 0.7]))] = np.nan
    languages = tuple(f"l{number:02}" for number in range(num_languages))
    order = tuple((str(x),) for x in rng.permutation(languages)[:num_stages])
    return RMatrix(scores[1:], languages, order, scores[0])


def sequential(scores: object, before: object = None) -> RMatrix:
    rows = np.asarray(scores, dtype=np.float64)
    return RMatrix.sequential([f"l{number:02}" for number in range(rows.shape[1])], rows, before)  # type: ignore[arg-type]


def test_the_registry_is_complete_and_says_what_it_should() -> None:
    promised = (
        "learned_mean final_mean cft cft_cells cbt cbt_literal bwt fwt forgetting intransigence learning_accuracy "
        "average_accuracy area_under_learned_mean p_avg mft mbt mft_pairwise mbt_pairwise shift_growing shift_fixed "
        "composition final_mean_by_group donor receiver receiver_learned donor_learned donor_unlearned"
    )
    assert set(METRICS) == set(promised.split())
    for name, info in METRICS.items():
        assert info.name == name
        assert info.title
        assert info.formula
        assert info.source
        assert info.low < info.high
        assert getattr(metrics, name) is info.function
        assert info.function.__doc__
        assert ">>>" in info.function.__doc__, f"{name} has no example"
    assert {name for name, info in METRICS.items() if info.higher_is_better is False} == {
        "forgetting",
        "p_avg",
        "intransigence",
    }
    assert set(NUMBERS) == {name for name, info in METRICS.items() if info.takes == "matrix" and info.gives == "number"}
    assert set(TERMS) == set(NUMBERS)


@pytest.mark.parametrize("info", METRICS.values(), ids=METRICS.keys())
@settings(max_examples=25, deadline=None)
@given(R=matrices(), seed=st.integers(0, 1000))
def test_the_order_of_columns_does_not_matter(info: MetricInfo, R: RMatrix, seed: int) -> None:
    places = np.random.default_rng(seed).permutation(len(R.languages))
    assert R.before_L is None or len(places) == len(R.before_L)
    before = None if R.before_L is None else R.before_L[places]
    moved = RMatrix(R.scores_SL[:, places], tuple(R.languages[place] for place in places), R.trained, before)
    np.testing.assert_allclose(value_of(info, moved), value_of(info, R), atol=1e-12)


@pytest.mark.parametrize("info", METRICS.values(), ids=METRICS.keys())
@settings(max_examples=25, deadline=None)
@given(R=matrices())
def test_values_lie_in_the_range_that_the_registry_names(info: MetricInfo, R: RMatrix) -> None:
    values = value_of(info, R)
    values = values[~np.isnan(values)]
    assert ((values >= info.low) & (values <= info.high)).all()


@pytest.mark.parametrize("info", METRICS.values(), ids=METRICS.keys())
@pytest.mark.parametrize("constant", [0.0, 0.3, 1.0])
def test_a_constant_matrix_has_that_constant_or_no_change(info: MetricInfo, constant: float) -> None:
    values = value_of(info, sequential(np.full((11, 11), constant), before=np.full(11, constant)))
    expected = 0.0 if info.name in COMPARES else constant
    if info.name == "intransigence":  # whose reference scores 0.5
        expected = 0.5 - constant
    values = values[~np.isnan(values)]
    assert len(values) > 0
    np.testing.assert_allclose(values, expected, atol=1e-12)


@pytest.mark.parametrize("info", METRICS.values(), ids=METRICS.keys())
def test_nothing_measured_is_nan_and_no_warning(info: MetricInfo) -> None:
    assert np.isnan(value_of(info, sequential(np.full((3, 3), NAN)))).all()


@pytest.mark.parametrize("info", METRICS.values(), ids=METRICS.keys())
def test_a_cell_not_measured_is_never_counted_as_zero(info: MetricInfo) -> None:
    """In a matrix of ones a cell read as 0 would show; left out, it does not."""
    for stage in range(4):
        for column in range(4):
            scores = np.ones((4, 4))
            scores[stage, column] = NAN
            values = value_of(info, sequential(scores, before=np.ones(4)))
            expected = 0.0 if info.name in COMPARES else 1.0
            if info.name == "intransigence":
                expected = -0.5
            np.testing.assert_allclose(values[~np.isnan(values)], expected, atol=1e-12)


@pytest.mark.parametrize("info", METRICS.values(), ids=METRICS.keys())
@settings(max_examples=10, deadline=None)
@given(R=matrices())
def test_the_callers_matrix_is_untouched(info: MetricInfo, R: RMatrix) -> None:
    before = R.to_csv()
    value_of(info, R)
    assert R.to_csv() == before


@pytest.mark.parametrize("info", METRICS.values(), ids=METRICS.keys())
def test_a_joint_run_has_no_change_between_stages(info: MetricInfo) -> None:
    R = RMatrix(np.array([[0.25, 0.5, 0.75]]), ("l00", "l01", "l02"), (("l00", "l01", "l02"),), np.array([0.0, 0.0, 0.0]))
    values = value_of(info, R)
    if info.name == "intransigence":  # it compares two runs, not two stages
        assert values == pytest.approx(0.0)
    elif info.name in COMPARES or info.name in ("cft", "cft_cells"):
        assert np.isnan(values).all()
    else:
        np.testing.assert_allclose(values, 0.5)


@settings(max_examples=25, deadline=None)
@given(R=matrices())
def test_one_cell_of_a_non_shared_run_moves_only_its_own_terms(R: RMatrix) -> None:
    """Learners of one language each: nothing above the diagonal, and nothing forgotten."""
    own = np.nan_to_num(R.own_L, nan=0.5)
    scores = np.where(R.learned_SL, own, np.nan)
    alone = RMatrix(scores, R.languages, R.trained)
    found = summary(alone)
    assert math.isnan(found["cft"])
    assert math.isnan(found["cft_cells"])
    if R.num_stages > 1:
        assert found["cbt"] == found["cbt_literal"] == found["bwt"] == found["forgetting"] == 0
    assert found["final_mean"] == pytest.approx(found["learning_accuracy"])


def test_summary_has_every_number_and_nothing_else() -> None:
    R = sequential([[0.75, 0.25, 0.125], [0.5, 0.875, 0.25], [0.625, 0.5, 1]], before=[0.125, 0, 0.125])
    found = summary(R)
    assert set(found) == set(NUMBERS)
    by_hand = {
        "cft": 0.21875,
        "cbt": -0.25,
        "cbt_literal": -0.125,
        "fwt": 0.1875,
        "forgetting": 0.25,
        "learning_accuracy": 0.875,
    }
    assert {name: found[name] for name in by_hand} == pytest.approx(by_hand)


def test_terms_are_counted() -> None:
    R = sequential([[0.75, NAN, 0.125], [0.5, 0.875, 0.25], [0.625, 0.5, NAN]])
    assert num_terms(R, "cft_cells") == (2, 3)
    assert num_terms(R, "cft") == (2, 2)
    assert num_terms(R, "final_mean") == (2, 3)
    assert num_terms(R, "fwt") == (0, 2)


def test_forgetting_and_bwt_differ_where_a_later_stage_was_better() -> None:
    """a: .5, .75, .25. Forgetting counts from the best (.5), BWT from its own stage (-.25)."""
    R = sequential([[0.5, 0, 0], [0.75, 0.5, 0], [0.25, 0.5, 0.5]])
    assert metrics.forgetting(R) == pytest.approx((0.5 + 0.0) / 2)
    assert metrics.bwt(R) == pytest.approx((-0.25 + 0.0) / 2)
    # The last row never joins the maximum: a gain at the end is negative forgetting, not none.
    assert metrics.forgetting(sequential([[0.5, 0], [0.75, 0.5]])) == pytest.approx(-0.25)


def test_stages_of_several_languages_give_each_its_own_term() -> None:
    R = RMatrix(np.array([[0.5, 0.75, 0.25], [0.25, 0.75, 1.0]]), ("a", "b", "c"), (("a", "b"), ("c",)), np.zeros(3))
    assert metrics.learned_mean(R).tolist() == pytest.approx([0.625, 2 / 3])
    assert metrics.cbt(R) == pytest.approx((-0.25 + 0.0) / 2)
    assert metrics.fwt(R) == pytest.approx(0.25)
    assert metrics.cft(R) == pytest.approx(0.25)
    # What one stage did to both of its languages cannot be told apart; c's stage changed both.
    effects = metrics.pairwise_effects(R)
    np.testing.assert_array_equal(effects.values, [[NAN, NAN, NAN], [NAN, NAN, NAN], [-0.25, 0.0, 0.75]])
    last = RMatrix(np.array([[0.25, 0.25, 0.5], [0.5, 0.75, 0.25]]), ("a", "b", "c"), (("c",), ("a", "b")))
    assert np.isnan(metrics.pairwise_effects(last).values).all()


def test_intransigence_against_mono_and_against_strangers() -> None:
    R = sequential([[0.75, 0.25], [0.5, 0.875]])
    mono = RMatrix(np.array([[NAN, 0.75], [1.0, 0.75]]), ("l00", "l01"), (("l01",), ("l00",)))
    assert metrics.intransigence(R, mono) == pytest.approx((0.25 - 0.125) / 2)
    half = RMatrix(np.array([[1.0]]), ("l00",), (("l00",),))
    assert metrics.intransigence(R, half) == pytest.approx(0.25)
    with pytest.raises(ValueError, match="learned none of the languages l00, l01"):
        metrics.intransigence(R, RMatrix(np.array([[1.0]]), ("x",), (("x",),)))


def test_groups_hold_the_languages_learned_so_far() -> None:
    R = RMatrix(np.array([[0.5, 0.25, 0.75], [0.25, 0.75, 1.0]]), ("x", "b", "a"), (("a",), ("b",)))
    found = metrics.learned_mean_by_group(R, {"a": "first", "b": "second"})
    np.testing.assert_array_equal(found["first"], [0.75, 1.0])
    np.testing.assert_array_equal(found["second"], [NAN, 0.75])
    assert metrics.final_mean_by_group(R, {"a": "first", "b": "second", "x": "first"}) == {"first": 1.0, "second": 0.75}
    with pytest.raises(ValueError, match="no group for b"):
        metrics.final_mean_by_group(R, {"a": "first"})

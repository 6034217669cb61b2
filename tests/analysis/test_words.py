"""Words follow the numbers, whatever their sign."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from attrition.analysis.words import LEARNED, changes_since_learned, has_learned, largest_drop, words
from attrition.metrics import cbt
from attrition.metrics.matrix import RMatrix

NAN = float("nan")


def test_losses_are_named_with_the_stage_that_cost_most() -> None:
    R = RMatrix(
        np.array([[0.60, 0.2, 0.1], [0.65, 0.7, 0.1], [0.527, 0.605, 0.8]]),
        ("en-US", "de-DE", "th-TH"),
        (("en-US",), ("de-DE",), ("th-TH",)),
    )
    assert words(R) == (
        "By the end, the 2 languages learned earlier had lost 8.4 points on average.",
        "The largest loss: de-DE, 9.5 points (from 70.0 to 60.5).",
        "No language gained.",
        "Learning th-TH cost en-US 12.3 points, the largest drop in a single stage.",
    )


def test_gains_are_told_as_gains() -> None:
    R = RMatrix.sequential("abc", [[0.5, 0, 0], [0.6, 0.5, 0], [0.7, 0.6, 0.5]])
    assert words(R) == (
        "By the end, the 2 languages learned earlier had gained 15.0 points on average.",
        "Nothing was forgotten: no language ended below its score when learned.",
        "The largest gain: a, 20.0 points (from 50.0 to 70.0).",
        "No single stage cost an earlier language anything.",
    )


def test_gains_and_losses_that_cancel_are_both_told() -> None:
    R = RMatrix.sequential("abc", [[0.5, 0, 0], [0.5, 0.5, 0], [0.6, 0.4, 0.5]])
    assert words(R)[:3] == (
        "By the end, the 2 languages learned earlier had neither gained nor lost on average (less than 0.05 points).",
        "The largest loss: b, 10.0 points (from 50.0 to 40.0).",
        "The largest gain: a, 10.0 points (from 50.0 to 60.0).",
    )


def test_a_drop_that_was_made_good_is_still_told() -> None:
    R = RMatrix.sequential("abc", [[0.5, 0, 0], [0.4, 0.5, 0], [0.5, 0.5, 0.5]])
    assert words(R)[1].startswith("Nothing was forgotten")
    assert words(R)[3] == "Learning b cost a 10.0 points, the largest drop in a single stage."


def test_a_change_too_small_to_print_is_no_change() -> None:
    R = RMatrix.sequential("ab", [[0.5, 0], [0.4996, 0.5]])
    assert words(R) == (
        "By the end, a, learned earlier, had neither gained nor lost (less than 0.05 points).",
        "Next to nothing was forgotten: no language lost as much as 0.05 points.",
        "No language gained.",
        "No single stage cost an earlier language anything.",
    )


def test_one_earlier_language() -> None:
    R = RMatrix.sequential("ab", [[0.5, 0], [0.25, 0.5]])
    assert words(R)[0] == "By the end, a, learned earlier, had lost 25.0 points."


@pytest.mark.parametrize(
    ("R", "sentence"),
    [
        (RMatrix(np.array([[0.5, 0.5]]), ("a", "b"), (("a", "b"),)), "All 2 languages were learned together"),
        (RMatrix.sequential("a", [[0.5]]), "There was a single stage of training"),
        (RMatrix.sequential("ab", [[NAN, 0], [0.5, 0.5]]), "What was gained or lost is not known"),
    ],
)
def test_where_no_change_is_defined_one_sentence_says_so(R: RMatrix, sentence: str) -> None:
    (only,) = words(R)
    assert only.startswith(sentence)


def test_languages_that_were_not_measured_are_not_spoken_for() -> None:
    R = RMatrix.sequential("abc", [[0.5, 0, 0], [NAN, 0.5, 0], [NAN, 0.25, 0.5]])
    assert changes_since_learned(R) == {"b": -0.25}
    assert words(R)[0] == "By the end, the 1 of 2 languages learned earlier that were measured had lost 25.0 points on average."


def test_where_next_to_nothing_was_learned_nothing_is_said_about_forgetting() -> None:
    (only,) = words(RMatrix.sequential("abc", np.zeros((3, 3))))
    assert only.startswith("Next to nothing was learned: mean F1 right after a language was trained is 0.0, below 10.")
    assert "forgotten" not in only


def test_the_bound_is_the_mean_over_own_stages() -> None:
    """Neither a high score before its own stage nor a language that was not measured counts."""
    at_bound = RMatrix.sequential("ab", [[LEARNED, 0.9], [0.9, LEARNED]])
    below = RMatrix.sequential("ab", [[LEARNED, 0.9], [0.9, LEARNED - 0.01]])
    unknown = RMatrix.sequential("abc", [[0.5, 0, 0], [0.5, NAN, 0], [0.5, 0, NAN]])
    assert has_learned(at_bound)
    assert not has_learned(below)
    assert has_learned(unknown)


def test_what_a_stage_does_to_languages_not_learned_yet_is_no_loss() -> None:
    R = RMatrix.sequential("abc", [[0.5, 0.9, 0.9], [0.5, 0.5, 0.1], [0.5, 0.5, 0.5]])
    assert largest_drop(R) is None


@settings(max_examples=50, deadline=None)
@given(num_languages=st.integers(1, 6), seed=st.integers(0, 10_000), share=st.sampled_from([0.0, 0.3, 0.9]))
def test_the_mean_in_words_is_cbt(num_languages: int, seed: int, share: float) -> None:
    rng = np.random.default_rng(seed)
    scores = rng.random((num_languages, num_languages))
    scores[rng.random(scores.shape) < share] = NAN
    R = RMatrix.sequential([f"l{number}" for number in range(num_languages)], scores)
    told = words(R)
    if np.isnan(cbt(R)) or not has_learned(R):
        assert len(told) == 1
    else:
        assert len(told) == 4
        assert f"{abs(100 * cbt(R)):.1f} points" in told[0] or abs(cbt(R)) < 0.0005
        assert ("lost" in told[0]) == (cbt(R) < 0) or "neither" in told[0]

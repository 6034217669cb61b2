"""Span F1 against seqeval, to the last bit."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from attrition.corpus.encoded import Encoded
from attrition.names import AttritionError
from attrition.problem.base import word_predictions
from attrition.problem.counts import precision_recall_f1
from attrition.problem.slots import TagTable, count_spans, span_f1

seqeval_metrics = pytest.importorskip("seqeval.metrics")

BIO = ("O", "B-a", "I-a", "B-b", "I-b", "B-b-c", "I-b-c")
IO = ("O", "I-a", "I-b", "I-b-c")

Tags = Sequence[Sequence[str]]


def pairs(labels: Sequence[str]) -> st.SearchStrategy[list[tuple[list[str], list[str]]]]:
    """Utterances of 0 to 8 words, each with gold tags and predicted ones."""
    both = st.integers(0, 8).flatmap(
        lambda n: st.tuples(*(st.lists(st.sampled_from(labels), min_size=n, max_size=n) for _ in range(2)))
    )
    return st.lists(both, min_size=1, max_size=6)


def seqeval(gold: Tags, predicted: Tags) -> tuple[float, float, float]:
    gold, predicted = [list(tags) for tags in gold], [list(tags) for tags in predicted]
    scores = [
        getattr(seqeval_metrics, name)(gold, predicted, zero_division=0)
        for name in ("precision_score", "recall_score", "f1_score")
    ]
    return float(scores[0]), float(scores[1]), float(scores[2])


def flat(labels: Sequence[str], sequences: Tags) -> np.ndarray:
    return np.array([labels.index(tag) for tags in sequences for tag in tags], dtype=np.int16)


def offsets_of(sequences: Tags) -> np.ndarray:
    return np.concatenate([[0], np.cumsum([len(tags) for tags in sequences])]).astype(np.int64)


def check(labels: Sequence[str], utterances: list[tuple[list[str], list[str]]]) -> None:
    gold, predicted = [left for left, _ in utterances], [right for _, right in utterances]
    expected = seqeval(gold, predicted)
    counts = count_spans(flat(labels, gold), flat(labels, predicted), offsets_of(gold), TagTable.of(labels))
    assert counts.scores == expected
    assert counts.f1 == expected[2]
    assert span_f1(gold, predicted) == expected[2]
    assert counts.by_slot.sum(0).tolist() == [int(each.sum()) for each in (counts.tp, counts.fp, counts.fn)]


@given(pairs(BIO))
@example([(["I-a"], ["B-a"])])  # an I- at the start begins a span
@example([(["B-a", "B-a"], ["B-a", "I-a"])])  # two spans of one name side by side
@example([(["B-a", "I-b", "I-b"], ["B-a", "I-a", "I-b"])])  # I- of another name
@example([(["O", "I-a"], ["O", "I-a"]), (["I-a", "O"], ["B-a", "O"])])  # at the seam of two utterances
@example([([], []), (["B-b-c", "I-b-c"], ["B-b", "I-b-c"]), ([], [])])  # no words; a name with a hyphen
@example([(["O"], ["O"])])
@settings(max_examples=300, deadline=None)
def test_bio_equals_seqeval(utterances: list[tuple[list[str], list[str]]]) -> None:
    check(BIO, utterances)


@given(pairs(IO))
@example([(["I-a", "I-a"], ["I-a", "I-b"])])
@example([(["I-a"], ["I-a"]), (["I-a"], ["I-a"])])
@settings(max_examples=200, deadline=None)
def test_io_equals_seqeval(utterances: list[tuple[list[str], list[str]]]) -> None:
    check(IO, utterances)


def test_a_large_random_sample_equals_seqeval() -> None:
    """Many utterances, so that ratios are not small fractions; half of the words right."""
    stream = np.random.default_rng(0)
    utterances = []
    for length in stream.integers(1, 20, 800):
        gold = stream.choice(BIO, length)
        predicted = np.where(stream.random(length) < 0.5, gold, stream.choice(BIO, length))
        utterances.append((gold.tolist(), predicted.tolist()))
    check(BIO, utterances)


@given(pairs(BIO))
@settings(max_examples=100, deadline=None)
def test_counts_per_slot_equal_seqevals_report(utterances: list[tuple[list[str], list[str]]]) -> None:
    gold, predicted = [left for left, _ in utterances], [right for _, right in utterances]
    table = TagTable.of(BIO)
    counts = count_spans(flat(BIO, gold), flat(BIO, predicted), offsets_of(gold), table)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # seqeval warns where there is nothing to divide by, and fails where there is no slot
        try:
            report: dict[str, Any] = seqeval_metrics.classification_report(gold, predicted, output_dict=True, zero_division=0)
        except ValueError:
            assert not counts.by_slot.any()
            return
    for name, (tp, fp, fn) in zip(table.slot_names, counts.by_slot.tolist(), strict=True):
        row = report.get(name, {"precision": 0.0, "recall": 0.0, "f1-score": 0.0, "support": 0})
        assert tp + fn == row["support"]
        assert precision_recall_f1(tp, fp, fn) == (row["precision"], row["recall"], row["f1-score"])


@given(pairs(BIO))
@settings(max_examples=100, deadline=None)
def test_counts_per_utterance_are_those_of_each_alone(utterances: list[tuple[list[str], list[str]]]) -> None:
    gold, predicted = [left for left, _ in utterances], [right for _, right in utterances]
    table = TagTable.of(BIO)
    together = count_spans(flat(BIO, gold), flat(BIO, predicted), offsets_of(gold), table)
    for row, (left, right) in enumerate(utterances):
        alone = count_spans(flat(BIO, [left]), flat(BIO, [right]), offsets_of([left]), table)
        assert (together.tp[row], together.fp[row], together.fn[row]) == (alone.tp[0], alone.fp[0], alone.fn[0])


def test_counts_by_hand() -> None:
    """One span right, one too long, one missed, one of another name."""
    gold = [["B-a", "I-a", "O", "B-b"], ["B-a", "O", "B-b", "O"]]
    predicted = [["B-a", "I-a", "O", "B-a"], ["B-a", "I-a", "O", "O"]]
    counts = count_spans(flat(BIO, gold), flat(BIO, predicted), offsets_of(gold), TagTable.of(BIO))
    assert counts.tp.tolist() == [1, 0]
    assert counts.fp.tolist() == [1, 1]
    assert counts.fn.tolist() == [1, 2]
    assert dict(zip(("a", "b", "b-c"), counts.by_slot.tolist(), strict=True)) == {
        "a": [1, 2, 1],
        "b": [0, 0, 2],
        "b-c": [0, 0, 0],
    }
    assert counts.scores == (1 / 3, 1 / 4, pytest.approx(2 / 7))


def test_nothing_at_all_scores_zero() -> None:
    counts = count_spans(np.zeros(0, np.int16), np.zeros(0, np.int16), np.array([0]), TagTable.of(BIO))
    assert counts.scores == (0.0, 0.0, 0.0)
    assert counts.by_slot.shape == (3, 3)
    assert span_f1([], []) == 0.0


def test_a_perfect_prediction_scores_one() -> None:
    gold = [["B-a", "I-a", "B-a"], ["I-b"]]
    assert span_f1(gold, gold) == 1.0


@pytest.mark.parametrize(
    ("gold", "predicted", "message"),
    [
        ([["O"]], [], "1 gold sequences cannot be compared with 0 predicted ones"),
        ([["O"], ["O"]], [["O"], ["O", "O"]], "Sequence 1: 1 gold tags but 2 predicted ones"),
        ([["E-a"]], [["O"]], "'E-a' is not a tag: write 'O', 'B-name' or 'I-name'"),
        ([["B-"]], [["O"]], "'B-' is not a tag"),
        ([["O"]], [["o"]], "'o' is not a tag"),
    ],
)
def test_what_cannot_be_scored(gold: Tags, predicted: Tags, message: str) -> None:
    with pytest.raises(AttritionError) as caught:
        span_f1(gold, predicted)
    assert message in str(caught.value)


def words(word_token: list[int], inside: list[bool], tokens: list[int], of_words: list[int]) -> Encoded:
    """Only what scoring reads: utterances of `tokens` sub-tokens and `of_words` words."""
    num_words, num_tokens = len(word_token), sum(tokens)
    return Encoded(
        ids=np.zeros(num_tokens, np.int32),
        labels=np.zeros(num_tokens, np.int16),
        offsets=np.concatenate([[0], np.cumsum(tokens)]).astype(np.int64),
        gold=np.zeros(num_words, np.int16),
        word_token=np.array(word_token, np.int32),
        word_inside=np.array(inside, bool),
        word_offsets=np.concatenate([[0], np.cumsum(of_words)]).astype(np.int64),
        utterance_ids=np.array(["u"] * len(tokens)),
    )


def test_word_predictions_with_a_cut_off_and_inside_words() -> None:
    """Word 1 shares sub-token 1 with word 0, word 2 was cut off; the second utterance has one word."""
    encoded = words([1, 1, -1, 2], [False, True, False, False], tokens=[3, 4], of_words=[3, 1])
    predicted_N = np.array([0, BIO.index("B-a"), 0, 0, 0, BIO.index("B-b"), 0])
    found = word_predictions(encoded, predicted_N, TagTable.of(BIO).inside)
    assert [BIO[each] for each in found] == ["B-a", "I-a", "O", "B-b"]


@pytest.mark.parametrize("predicted", ["O", "I-a", "I-b"])
def test_a_word_inside_an_unbegun_sub_token_repeats_it(predicted: str) -> None:
    encoded = words([0, 0], [False, True], tokens=[1], of_words=[2])
    found = word_predictions(encoded, np.array([BIO.index(predicted)]), TagTable.of(BIO).inside)
    assert [BIO[each] for each in found] == [predicted, predicted]


def test_words_inside_in_io_repeat_the_label() -> None:
    encoded = words([0, 0], [False, True], tokens=[1], of_words=[2])
    assert word_predictions(encoded, np.array([2]), TagTable.of(IO).inside).tolist() == [2, 2]


def test_no_words_and_no_sub_tokens() -> None:
    assert (
        word_predictions(words([], [], tokens=[], of_words=[]), np.zeros(0, np.int16), TagTable.of(BIO).inside).tolist() == []
    )
    assert word_predictions(
        words([-1], [False], tokens=[0], of_words=[1]), np.zeros(0, np.int16), TagTable.of(BIO).inside
    ).tolist() == [0]


def test_the_tag_table_of_massive() -> None:
    from attrition.corpus.words import label_set

    slots = [f"slot_{number:02}" for number in range(55)]
    bio, io = TagTable.of(label_set(slots, "bio")), TagTable.of(label_set(slots, "io"))
    assert (len(bio.slot), len(io.slot), len(bio.slot_names), len(io.slot_names)) == (111, 56, 55, 55)
    assert bio.begins.sum() == 55
    assert not io.begins.any()
    assert np.array_equal(io.inside, np.arange(56))
    assert np.array_equal(bio.slot[bio.inside], bio.slot)

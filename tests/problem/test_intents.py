"""Intents: where the label stands, how it is counted, which corpora have none."""

from __future__ import annotations

import numpy as np
import pytest
from tokenizers import Tokenizer

from attrition.corpus import InMemory, tagged
from attrition.corpus.base import Utterance
from attrition.corpus.encoded import UNSCORED, EncodingSettings
from attrition.encoder.sources import load_pretrained
from attrition.names import AttritionError
from attrition.problem import word_predictions
from attrition.problem.counts import macro_f1
from attrition.problem.intents import INTENTS, count_labels

LABELS = ("alarm", "music", "weather")


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return load_pretrained("tiny:bert").tokenizer


def utterance(name: str, intent: str, *words: str) -> Utterance:
    return tagged(words, ["B-time", *(["O"] * (len(words) - 1))], name=name)._replace(intent=intent)


@pytest.mark.parametrize("align", ["words", "offsets"])
def test_the_label_stands_on_the_first_sub_token(tokenizer: Tokenizer, align: str) -> None:
    given = [utterance("a", "weather", "will", "it", "rain"), utterance("b", "alarm", "wake", "me")]
    settings = EncodingSettings(align=align, max_tokens=4)  # type: ignore[arg-type]
    encoded = INTENTS.encode(given, tokenizer, labels=LABELS, cut="blanks", settings=settings)
    start = tokenizer.encode("wake").ids[0]
    assert encoded.ids[encoded.offsets[:-1]].tolist() == [start, start]
    assert encoded.labels[encoded.offsets[:-1]].tolist() == encoded.gold.tolist() == [2, 0]
    assert int((encoded.labels != UNSCORED).sum()) == 2
    assert encoded.word_token.tolist() == [0, 0]
    assert encoded.word_offsets.tolist() == [0, 1, 2]
    assert encoded.lengths.tolist() == [4, 4]
    predicted_N = np.where(encoded.labels == UNSCORED, 1, encoded.labels)
    counter = INTENTS.counter(LABELS)
    predicted_W = word_predictions(encoded, predicted_N, counter.inside)
    assert counter.count(encoded.gold, predicted_W, encoded.word_offsets).tp.tolist() == [1, 1]
    assert INTENTS.encode([], tokenizer, labels=LABELS, cut="blanks", settings=settings).gold.tolist() == []


@pytest.mark.parametrize("seed", range(8))
def test_counts_give_accuracy_and_macro_f1_as_by_brute_force(seed: int) -> None:
    stream = np.random.default_rng(seed)
    classes, number = int(stream.integers(2, 9)), int(stream.integers(1, 60))
    gold, predicted = stream.integers(0, classes, (2, number))
    counts = count_labels(gold, predicted, np.arange(number + 1), num_classes=classes + 2)
    accuracy = sum(left == right for left, right in zip(gold.tolist(), predicted.tolist(), strict=True)) / number
    assert counts.scores == pytest.approx((accuracy,) * 3, abs=1e-15)
    assert (counts.tp + counts.fp).tolist() == [1] * number
    assert counts.fp.tolist() == counts.fn.tolist()
    by_class = []
    for each in sorted({*gold.tolist(), *predicted.tolist()}):
        tp = int(((gold == each) & (predicted == each)).sum())
        fp, fn = int((predicted == each).sum()) - tp, int((gold == each).sum()) - tp
        assert counts.by_slot[each].tolist() == [tp, fp, fn]
        by_class.append(2 * tp / (2 * tp + fp + fn))
    assert macro_f1(counts.by_slot) == pytest.approx(sum(by_class) / len(by_class))
    metrics = pytest.importorskip("sklearn.metrics")
    assert macro_f1(counts.by_slot) == pytest.approx(metrics.f1_score(gold, predicted, average="macro"))
    assert counts.f1 == pytest.approx(metrics.f1_score(gold, predicted, average="micro"))


def test_nothing_has_no_macro_f1() -> None:
    assert np.isnan(macro_f1(np.zeros((3, 3), np.int64)))


def test_a_corpus_without_intents_is_refused(tokenizer: Tokenizer) -> None:
    def labels_of(*intents: str) -> tuple[str, ...]:
        given = [utterance(str(number), intent, "wake") for number, intent in enumerate(intents)]
        return INTENTS.labels(InMemory({("yor", "train"): given}, name="mine"), EncodingSettings())

    assert labels_of("weather", "", "alarm") == ("alarm", "weather")
    with pytest.raises(AttritionError, match=r'problem = "intents", but the corpus \'mine\' has no intents'):
        labels_of("", "")
    with pytest.raises(AttritionError, match=r"has one intent only \('alarm'\)"):
        labels_of("alarm", "alarm")
    settings = EncodingSettings()
    with pytest.raises(AttritionError, match=r"utterance 'a' has no intent\. Give every utterance an intent"):
        INTENTS.encode([utterance("a", "", "wake")], tokenizer, labels=LABELS, cut="blanks", settings=settings)
    with pytest.raises(AttritionError, match=r"has the intent 'joke', which the corpus does not list"):
        INTENTS.encode([utterance("a", "joke", "wake")], tokenizer, labels=LABELS, cut="blanks", settings=settings)

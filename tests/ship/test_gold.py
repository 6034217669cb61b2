"""Utterances of a corpus as rows of the gate."""

from __future__ import annotations

import pytest

from attrition.corpus.phrasebook import Phrasebook
from attrition.names import AttritionError
from attrition.problem.slots import span_f1
from attrition.ship.gold import gold_rows


def test_words_and_tags_spell_the_slots() -> None:
    book = Phrasebook(5, 5, 8, languages=("de-DE", "th-TH"))
    rows = gold_rows(book, ["th-TH", "de-DE"])
    assert [row.language for row in rows] == ["th-TH"] * 8 + ["de-DE"] * 8
    for row, utterance in zip(rows, [*book.read("th-TH", "test"), *book.read("de-DE", "test")], strict=True):
        assert row.words is not None
        assert row.gold is not None
        assert "".join(row.words) == utterance.text.replace(" ", "")
        assert (row.id, row.fields["intent"]) == (utterance.id, utterance.intent)
        spans: dict[str, str] = {}
        for word, tag in zip(row.words, row.gold, strict=True):
            if tag != "O":
                spans[tag[2:]] = spans.get(tag[2:], "") + word
        if len({slot.name for slot in utterance.slots}) == len(utterance.slots):
            assert spans == {slot.name: utterance.text[slot.start : slot.end].replace(" ", "") for slot in utterance.slots}
    assert span_f1([row.gold or () for row in rows], [row.gold or () for row in rows]) == 1.0


def test_another_split_another_cut_and_what_is_not_there() -> None:
    book = Phrasebook(3, 2, 2, languages=("de-DE",))
    assert len(gold_rows(book, split="train")) == 3
    (first, _) = gold_rows(book, cuts={"de-DE": "characters"})
    assert first.words is not None
    assert {len(word) for word in first.words} == {1}
    with pytest.raises(AttritionError, match="Did you mean 'de-DE'"):
        gold_rows(book, ["de-DD"])

"""Cuts, labels and the leak, on utterances small enough to do by hand; seqeval is the oracle for labels."""

from __future__ import annotations

import math
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from seqeval.metrics.sequence_labeling import get_entities

from attrition.corpus.annotation import annotate
from attrition.corpus.base import Cut, Slot, Utterance
from attrition.corpus.release import SLOTS
from attrition.corpus.words import blank_leak, cut_words, label_set, tags
from attrition.names import AttritionError


def utterance(text: str, annotation: str) -> Utterance:
    return Utterance("7", "alarm_set", text, *annotate(text, annotation, blanks_may_differ=True))


def cut(given: Utterance, how: Cut) -> list[str]:
    return [given.text[start:end] for start, end in cut_words(given, how)]


def test_annotation_gives_words_and_slots_of_the_text() -> None:
    words, slots = annotate("um fünf uhr in bonn", "um [time : fünf uhr] in [place_name : bonn]")
    assert words == ((0, 2), (3, 7), (8, 11), (12, 14), (15, 19))
    assert slots == (Slot(3, 11, "time"), Slot(15, 19, "place_name"))


def test_annotation_is_aligned_when_the_text_has_no_blanks() -> None:
    text = "今週は午前五時に起こして"
    words, slots = annotate(text, "[date : 今週] は [time : 午前五時] に起こして", blanks_may_differ=True)
    assert [text[start:end] for start, end in words] == ["今週", "は", "午前五時", "に起こして"]
    assert [(text[slot.start : slot.end], slot.name) for slot in slots] == [("今週", "date"), ("午前五時", "time")]


def test_alignment_goes_on_where_text_and_annotation_both_have_blanks_and_where_only_the_text_has() -> None:
    text = "播放 rock music 吧"
    words, slots = annotate(text, "播放 [music_genre : rockmusic] 吧", blanks_may_differ=True)
    assert [text[start:end] for start, end in words] == ["播放", "rock", "music", "吧"]
    assert slots == (Slot(3, 13, "music_genre"),)


def test_blanks_at_the_edge_of_a_slot_do_not_belong_to_it() -> None:
    text = "um  fünf  uhr"
    assert annotate(text, "um [time :  fünf ] uhr") == (((0, 2), (4, 8), (10, 13)), (Slot(4, 8, "time"),))


def test_only_blanks_and_tabs_separate_words_and_nothing_is_stripped() -> None:
    text = "\u200bخانه\u200cها\u00a0را\u3000x\ty"
    assert cut(utterance(text, text), "blanks") == ["\u200bخانه\u200cها\u00a0را\u3000x", "y"]
    assert "".join(cut(utterance(text, text), "characters")) == text.replace("\t", "")


@pytest.mark.parametrize(
    ("annotation", "said"),
    [
        ("wake me at [time : five am", "unbalanced"),
        ("wake me at time : five am]", "unbalanced"),
        ("wake me at [time: five am]", "unbalanced or misformed"),
        ("wake me at [time : [date : five] am]", "unbalanced"),
        ("wake me at [time :  ] five am", "'time' is empty"),
        ("wake me at [time : six am]", "does not match"),
        ("wake me at five  am", "does not match"),
        ("", "does not match"),
    ],
)
def test_a_wrong_annotation_is_refused(annotation: str, said: str) -> None:
    with pytest.raises(AttritionError, match=said):
        annotate("wake me at five am", annotation)


def test_hostile_brackets_are_refused_quickly() -> None:
    for hostile in ("[" * 200_000, "[a : " * 50_000, "[a" * 100_000 + " : "):
        with pytest.raises(AttritionError, match="unbalanced"):
            annotate("x", hostile, blanks_may_differ=True)


def test_the_three_cuts_of_one_utterance() -> None:
    thai = utterance("ปลุก ตีห้า", "ปลุก [time : ตีห้า]")
    assert cut(thai, "blanks") == ["ปลุก", "ตีห้า"]
    assert cut(thai, "characters") == list("ปลุกตีห้า")
    assert cut(thai, "graphemes") == ["ป", "ลุ", "ก", "ตี", "ห้", "า"]


def test_a_grapheme_cluster_is_cut_at_the_edge_of_a_slot() -> None:
    text = "กิน"  # the slot begins with the vowel sign that belongs to the first consonant
    straddling = Utterance("1", "", text, ((0, 3),), (Slot(1, 3, "food_type"),))
    assert unicodedata.combining(text[1]) == 0
    assert unicodedata.category(text[1]) == "Mn"
    assert cut(straddling, "graphemes") == ["ก", "\u0e34", "น"]
    assert tags(straddling, cut_words(straddling, "graphemes"), "bio") == ["O", "B-food_type", "I-food_type"]
    assert cut(straddling._replace(slots=()), "graphemes") == ["กิ", "น"]


def test_a_combining_mark_after_a_blank_does_not_bring_the_blank_along() -> None:
    assert cut(utterance("a \u0301b", "a \u0301b"), "graphemes") == ["a", "\u0301", "b"]


def test_a_slot_edge_inside_a_word_is_refused_by_words_and_labels() -> None:
    glued = utterance("wake me at5", "wake me at[time : 5]")
    with pytest.raises(AttritionError, match=r"Utterance '7'.*inside the word 'at5'.*characters"):
        cut_words(glued, "blanks")
    with pytest.raises(AttritionError, match="only in part in a slot"):
        tags(glued, glued.words, "bio")
    assert tags(glued, cut_words(glued, "characters"), "io")[-2:] == ["O", "I-time"]


def test_unknown_cut_and_scheme_are_answered_with_the_nearest() -> None:
    plain = utterance("a", "a")
    with pytest.raises(AttritionError, match="Did you mean 'characters'"):
        cut_words(plain, "character")  # type: ignore[arg-type]
    with pytest.raises(AttritionError, match="Known: bio, io"):
        tags(plain, plain.words, "bilou")  # type: ignore[arg-type]
    with pytest.raises(AttritionError, match="Known: bio, io"):
        label_set([], "BIOES")  # type: ignore[arg-type]


def test_neighbouring_slots_of_one_name_stay_two_in_bio_and_become_one_in_io() -> None:
    two = utterance("milk eggs now", "[food_type : milk] [food_type : eggs] now")
    assert tags(two, two.words, "bio") == ["B-food_type", "B-food_type", "O"]
    assert tags(two, two.words, "io") == ["I-food_type", "I-food_type", "O"]


def test_slots_that_touch_without_a_blank_and_slots_that_no_range_touches() -> None:
    touching = utterance("今週五時", "[date : 今週] [time : 五時]")
    assert tags(touching, cut_words(touching, "characters"), "bio") == ["B-date", "I-date", "B-time", "I-time"]
    assert tags(touching, [(2, 4)], "bio") == ["B-time"]
    three = utterance("a b c", "[x : a] [y : b] [z : c]")
    assert tags(three, three.words[2:], "bio") == ["B-z"]


def test_label_sets_of_massive_have_the_published_sizes() -> None:
    bio, io = label_set(SLOTS, "bio"), label_set(reversed(SLOTS), "io")
    assert (len(bio), len(io)) == (111, 56)
    assert bio[:3] == ("O", "B-alarm_type", "I-alarm_type")
    assert io[0] == "O"
    assert list(io[1:]) == sorted(io[1:])


WORD = st.text("aé\u200c\u0301", min_size=1, max_size=3)


@given(st.lists(st.tuples(WORD, st.sampled_from(["", "x", "y"]), st.booleans()), min_size=1))
def test_labels_mean_to_seqeval_what_the_slots_say(pieces: list[tuple[str, str, bool]]) -> None:
    words: list[str] = []
    annotation: list[str] = []
    expected: list[tuple[str, int, int]] = []
    for word, name, is_long in pieces:
        own = [word, word] if is_long else [word]
        if name:
            expected.append((name, len(words), len(words) + len(own) - 1))
        annotation.append(f"[{name} : {' '.join(own)}]" if name else " ".join(own))
        words += own
    made = utterance(" ".join(words), " ".join(annotation))
    assert cut(made, "blanks") == words
    assert [tuple(entity) for entity in get_entities(tags(made, made.words, "bio"))] == expected
    for how in ("characters", "graphemes"):
        ranges = cut_words(made, how)
        labels = tags(made, ranges, "bio")
        assert [(ranges[first][0], ranges[last][1], name) for name, first, last in get_entities(labels)] == list(made.slots)


def test_the_leak_counts_what_a_reader_counts() -> None:
    # edges: at|five of four blanks; 今週|は and は|五時 of two, which the text has not
    english = utterance("wake me at five am", "wake me at [time : five am]")
    japanese = utterance("今週は五時", "[date : 今週] は [time : 五時]")
    leak = blank_leak([english, japanese])
    assert (leak.blanks, leak.edges, leak.text_blanks, leak.text_edges) == (6, 3, 4, 1)
    assert (leak.slots, leak.multi_word_slots) == (3, 1)
    assert (leak.annotation, leak.text, leak.multi_word) == (0.5, 0.25, 1 / 3)


def test_the_leak_of_nothing_is_not_a_number() -> None:
    leak = blank_leak([])
    assert math.isnan(leak.annotation)
    assert math.isnan(leak.text)
    assert math.isnan(leak.multi_word)
    assert math.isnan(blank_leak([utterance("今週は", "[date : 今週] は")]).text)

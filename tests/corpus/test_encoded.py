"""Words to sub-tokens and labels, checked by hand with a tokeniser of single characters and with E5's own."""

from __future__ import annotations

from dataclasses import fields
from typing import Any, get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer

from attrition.corpus.annotation import annotate
from attrition.corpus.base import Cut, Slot, Utterance
from attrition.corpus.encoded import Encoded, EncodingSettings, encode_utterances, gather_ranges, join
from attrition.corpus.words import cut_words, label_set
from attrition.encoder import embedded
from attrition.encoder.tiny import byte_tokenizer
from attrition.names import AttritionError

BYTES = byte_tokenizer()
SLOTS = ("city", "time")
OUT, B_CITY, I_CITY, B_TIME, I_TIME = range(5)


def utterance(text: str, annotated: str, number: str = "1") -> Utterance:
    words, slots = annotate(text, annotated, blanks_may_differ=True)
    return Utterance(number, "any", text, words, slots)


ROME = utterance("go to rome", "go to [city : rome]", "7")
LATE = utterance("at six am", "at [time : six am]", "8")


def encode(
    *utterances: Utterance, tokenizer: Tokenizer = BYTES, cut: Cut = "blanks", slots: Any = SLOTS, **more: Any
) -> Encoded:
    return encode_utterances(utterances, tokenizer, slots=slots, cut=cut, settings=EncodingSettings(**more))


def tokens(encoded: Encoded, tokenizer: Tokenizer = BYTES) -> list[str]:
    return [tokenizer.id_to_token(int(token)) for token in encoded.ids]


def scored(encoded: Encoded, tokenizer: Tokenizer = BYTES) -> list[tuple[str, int]]:
    """The sub-tokens that carry a label, with it."""
    return [(piece, int(label)) for piece, label in zip(tokens(encoded, tokenizer), encoded.labels, strict=True) if label >= 0]


# --- alignment by words and by characters


@pytest.mark.parametrize("align", ["words", "offsets"])
def test_two_utterances_by_hand(align: str) -> None:
    encoded = encode(ROME, LATE, align=align)
    assert tokens(encoded) == ["<s>", *"▁go▁to▁rome", "</s>", "<s>", *"▁at▁six▁am", "</s>"]
    assert encoded.offsets.tolist() == [0, 13, 25]
    assert encoded.word_offsets.tolist() == [0, 3, 6]
    assert encoded.gold.tolist() == [OUT, OUT, B_CITY, OUT, B_TIME, I_TIME]
    # The first letter of each word, counted from the utterance's <s>.
    assert encoded.word_token.tolist() == [2, 5, 8, 2, 5, 9]
    assert scored(encoded) == [("g", OUT), ("t", OUT), ("r", B_CITY), ("a", OUT), ("s", B_TIME), ("a", I_TIME)]
    assert not encoded.word_inside.any()
    assert encoded.utterance_ids.tolist() == ["7", "8"]
    assert len(encoded) == 2
    assert encoded.num_tokens == 25
    assert encoded.lengths.tolist() == [13, 12]


def test_the_very_first_sub_token_may_be_a_lone_blank() -> None:
    encoded = encode(ROME, label_on="first")
    assert encoded.word_token.tolist() == [1, 4, 7]
    assert scored(encoded) == [("▁", OUT), ("▁", OUT), ("▁", B_CITY)]


def test_by_characters_the_first_sub_token_of_a_word_holds_one_of_its_characters() -> None:
    """On the unsplit text a blank between words belongs to no word: only the one put before the text does."""
    encoded = encode(ROME, align="offsets", label_on="first")
    assert encoded.word_token.tolist() == [1, 5, 8]


def test_a_word_of_which_nothing_is_visible_is_scored_at_its_lone_blank() -> None:
    encoded = encode(utterance("a ▁", "a [city : ▁]"))
    assert tokens(encoded) == ["<s>", "▁", "a", "▁", "</s>"]
    assert encoded.word_token.tolist() == [2, 3]
    assert scored(encoded) == [("a", OUT), ("▁", B_CITY)]


def test_words_that_share_a_sub_token_share_its_prediction() -> None:
    """Two characters whose bytes the tokeniser reports as one piece of text: the second word is inside the first's."""
    japanese = utterance("日本 x", "[city : 日本] x")
    encoded = encode(japanese, cut="characters", align="offsets")
    assert tokens(encoded)[2:8] == ["<0xE6>", "<0x97>", "<0xA5>", "<0xE6>", "<0x9C>", "<0xAC>"]
    assert encoded.gold.tolist() == [B_CITY, I_CITY, OUT]
    assert encoded.word_token.tolist() == [2, 2, 9]
    assert encoded.word_inside.tolist() == [False, True, False]
    assert scored(encoded) == [("<0xE6>", B_CITY), ("x", OUT)]


def test_characters_cut_apart_each_have_a_sub_token_of_their_own() -> None:
    japanese = utterance("日本 x", "[city : 日本] x")
    encoded = encode(japanese, cut="characters", align="words")
    assert encoded.word_token.tolist() == [2, 6, 10]
    assert not encoded.word_inside.any()
    assert scored(encoded) == [("<0xE6>", B_CITY), ("<0xE6>", I_CITY), ("x", OUT)]


def test_the_last_word_of_one_utterance_and_the_first_of_the_next_are_not_one() -> None:
    """Both are scored at sub-token 2 of their own utterance."""
    encoded = encode(utterance("a", "a"), utterance("b", "b"), align="offsets")
    assert encoded.word_token.tolist() == [2, 2]
    assert encoded.word_inside.tolist() == [False, False]


@pytest.mark.parametrize(
    ("max_tokens", "kept", "word_token"),
    [
        (13, "▁go▁to▁rome", [2, 5, 8]),
        (12, "▁go▁to▁rom", [2, 5, 8]),
        (8, "▁go▁to", [2, 5, -1]),
        (6, "▁go▁", [2, 4, -1]),  # of "to" only its lone blank is left
        (3, "▁", [1, -1, -1]),
        (2, "", [-1, -1, -1]),
    ],
)
def test_truncation_keeps_the_special_sub_tokens_and_drops_words(max_tokens: int, kept: str, word_token: list[int]) -> None:
    encoded = encode(ROME, LATE, max_tokens=max_tokens)
    first = tokens(encoded)[: encoded.offsets[1]]
    assert first == ["<s>", *kept, "</s>"]
    assert encoded.word_token[:3].tolist() == word_token
    assert encoded.gold[:3].tolist() == [OUT, OUT, B_CITY], "a word cut off keeps its gold label and counts as missed"
    assert (encoded.lengths <= max_tokens).all()


@pytest.mark.parametrize("align", ["words", "offsets"])
def test_a_word_cut_off_is_predicted_outside(align: str) -> None:
    from attrition.problem.base import word_predictions
    from attrition.problem.slots import TagTable, count_spans

    encoded = encode(ROME, LATE, max_tokens=8, align=align)
    table = TagTable.of(label_set(SLOTS, "bio"))
    everything_a_city = np.full(encoded.num_tokens, B_CITY)
    predicted = word_predictions(encoded, everything_a_city, table.inside)
    assert predicted.tolist() == [B_CITY, B_CITY, OUT, B_CITY, B_CITY, OUT]
    perfect = np.where(encoded.labels >= 0, encoded.labels, 0)
    counts = count_spans(encoded.gold, word_predictions(encoded, perfect, table.inside), encoded.word_offsets, table)
    assert (counts.tp.sum(), counts.fp.sum(), counts.fn.sum()) == (0, 1, 2), "city cut off; time found too short"


# --- schemes and label sets


def test_io_marks_only_the_inside() -> None:
    encoded = encode(ROME, LATE, scheme="io")
    assert label_set(SLOTS, "io") == ("O", "I-city", "I-time")
    assert encoded.gold.tolist() == [0, 0, 1, 0, 2, 2]


@pytest.mark.parametrize(
    ("scheme", "num_labels", "gold"), [("bio", 111, [0, 0, 1, 0, 109, 110]), ("io", 56, [0, 0, 1, 0, 55, 55])]
)
def test_as_many_labels_as_massive_has(scheme: Any, num_labels: int, gold: list[int]) -> None:
    """55 slots; "city" is the first of them by name, "time" the last."""
    slots = ["city", "time", *(f"place_{number:02}" for number in range(53))]
    assert len(label_set(slots, scheme)) == num_labels
    assert encode(ROME, LATE, slots=slots, scheme=scheme).gold.tolist() == gold


def test_a_slot_that_ends_inside_a_word() -> None:
    broken = Utterance("9", "any", "go to rome", ((0, 2), (3, 5), (6, 10)), (Slot(6, 8, "city"),))
    with pytest.raises(AttritionError, match="'9'"):
        encode(broken)


# --- flat arrays


def same(left: Encoded, right: Encoded) -> bool:
    return all(
        np.array_equal(getattr(left, field.name), getattr(right, field.name))
        and getattr(left, field.name).dtype.kind == getattr(right, field.name).dtype.kind
        for field in fields(Encoded)
    )


TEXTS = st.lists(st.text("ab é日", min_size=1, max_size=8).filter(lambda text: text.strip() != ""), min_size=1, max_size=6)


@given(TEXTS, st.sampled_from(["words", "offsets"]), st.randoms(use_true_random=False))
@settings(max_examples=60, deadline=None)
def test_select_and_join_round_trip(texts: list[str], align: str, random: Any) -> None:
    utterances = [utterance(text, text, str(number)) for number, text in enumerate(texts)]
    whole = encode(*utterances, align=align)
    singles = [encode(each, align=align) for each in utterances]
    assert same(join(singles), whole)
    order = list(range(len(texts)))
    random.shuffle(order)
    shuffled = whole.select(np.array(order))
    assert same(shuffled, join([singles[row] for row in order]))
    assert same(shuffled.select(np.argsort(order)), whole)


@given(TEXTS, st.sampled_from(get_args(Cut)), st.sampled_from(["words", "offsets"]), st.integers(2, 12))
@settings(max_examples=100, deadline=None)
def test_what_holds_for_every_encoding(texts: list[str], cut: Cut, align: str, max_tokens: int) -> None:
    utterances = [utterance(text, text, str(number)) for number, text in enumerate(texts)]
    encoded = encode(*utterances, cut=cut, align=align, max_tokens=max_tokens)
    assert len(encoded.gold) == sum(len(cut_words(each, cut)) for each in utterances)
    starts = np.repeat(encoded.offsets[:-1], np.diff(encoded.word_offsets))
    lengths = np.repeat(encoded.lengths, np.diff(encoded.word_offsets))
    is_there = encoded.word_token >= 0
    assert (encoded.word_token < lengths).all()
    # Every word that begins a sub-token's prediction has its label there, and no other sub-token has one.
    heads = is_there & ~encoded.word_inside
    assert np.array_equal(encoded.labels[(starts + encoded.word_token)[heads]], encoded.gold[heads])
    assert (encoded.labels >= 0).sum() == heads.sum()
    if max_tokens == 12 and align == "words" and all(len(text) <= 2 for text in texts):
        assert is_there.all()


def test_selecting_nothing_and_twice_the_same() -> None:
    encoded = encode(ROME, LATE)
    nothing = encoded.select(np.zeros(0, np.int64))
    assert len(nothing) == nothing.num_tokens == len(nothing.gold) == 0
    twice = encoded.select(np.array([1, 1]))
    assert twice.utterance_ids.tolist() == ["8", "8"]
    assert np.array_equal(twice.ids[:12], twice.ids[12:])
    assert same(join([nothing, encoded]), encoded)


def test_no_utterances() -> None:
    for align in ("words", "offsets"):
        encoded = encode(align=align)
        assert len(encoded) == 0
        assert encoded.offsets.tolist() == [0]
        assert encoded.gold.dtype == np.int16


def test_types_are_those_promised() -> None:
    encoded = encode(ROME)
    kinds = {name: array.dtype.name for name, array in encoded.arrays().items() if name != "utterance_ids"}
    assert kinds == {
        "ids": "int32", "labels": "int16", "offsets": "int64", "gold": "int16",
        "word_token": "int32", "word_inside": "bool", "word_offsets": "int64",
    }  # fmt: skip


def test_gather_ranges_by_hand() -> None:
    positions, new = gather_ranges(np.array([0, 2, 2, 5]), np.array([2, 1, 0, 2]))
    assert positions.tolist() == [2, 3, 4, 0, 1, 2, 3, 4]
    assert new.tolist() == [0, 3, 3, 5, 8]


# --- with the tokeniser of E5


@pytest.fixture(scope="module")
def e5() -> Tokenizer:
    pytest.importorskip("semantra_multilingual", reason="needs the extra 'embedded'")
    return Tokenizer.from_file(str(embedded._located(*embedded.TOKENIZER_FILE)))


@pytest.mark.long
def test_japanese_cut_into_characters_has_a_lone_blank_before_nearly_each(e5: Tokenizer) -> None:
    japanese = utterance("明日の朝", "[time : 明日 の 朝]")
    encoded = encode(japanese, tokenizer=e5, cut="characters")
    assert tokens(encoded, e5) == ["<s>", "▁", "明", "▁", "日", "▁", "の", "▁", "朝", "</s>"]
    assert scored(encoded, e5) == [("明", B_TIME), ("日", I_TIME), ("の", I_TIME), ("朝", I_TIME)]
    first = encode(japanese, tokenizer=e5, cut="characters", label_on="first")
    assert [piece for piece, _ in scored(first, e5)] == ["▁"] * 4


@pytest.mark.long
def test_japanese_by_characters_of_the_unsplit_text_has_half_the_sub_tokens(e5: Tokenizer) -> None:
    japanese = utterance("明日の朝", "[time : 明日] の 朝")
    encoded = encode(japanese, tokenizer=e5, cut="characters", align="offsets")
    assert tokens(encoded, e5) == ["<s>", "▁", "明日", "の", "朝", "</s>"]
    assert encoded.word_token.tolist() == [2, 2, 3, 4]
    assert encoded.word_inside.tolist() == [False, True, False, False]
    assert scored(encoded, e5) == [("明日", B_TIME), ("の", OUT), ("朝", OUT)]


@pytest.mark.long
def test_a_sub_token_over_the_edge_of_a_slot_takes_the_label_of_its_first_word(e5: Tokenizer) -> None:
    """今日の is one sub-token, of which only 今日 is the time."""
    japanese = utterance("今日の天気", "[time : 今日] の 天気")
    encoded = encode(japanese, tokenizer=e5, cut="characters", align="offsets")
    assert tokens(encoded, e5) == ["<s>", "▁", "今日の", "天気", "</s>"]
    assert encoded.gold.tolist() == [B_TIME, I_TIME, OUT, OUT, OUT]
    assert encoded.word_inside.tolist() == [False, True, True, False, True]
    assert scored(encoded, e5) == [("今日の", B_TIME), ("天気", OUT)]


@pytest.mark.long
def test_thai_words_behind_a_lone_blank(e5: Tokenizer) -> None:
    thai = utterance("ปลุก ฉัน ตี ห้า", "ปลุก ฉัน [time : ตี ห้า]")
    encoded = encode(thai, tokenizer=e5)
    assert tokens(encoded, e5) == ["<s>", "▁ป", "ลุก", "▁ฉัน", "▁", "ตี", "▁", "ห้า", "</s>"]
    assert encoded.word_token.tolist() == [1, 3, 5, 7]
    assert scored(encoded, e5) == [("▁ป", OUT), ("▁ฉัน", OUT), ("ตี", B_TIME), ("ห้า", I_TIME)]


@pytest.mark.long
def test_normalised_text_keeps_its_characters_places(e5: Tokenizer) -> None:
    """Half-width katakana become full-width before they are tokenised; offsets stay those of the text."""
    half = utterance("ｽﾃﾚｵ x", "[city : ｽﾃﾚｵ] x")
    encoded = encode(half, tokenizer=e5, align="offsets")
    assert tokens(encoded, e5)[2] == "ステ"
    assert [label for _, label in scored(encoded, e5)] == [B_CITY, OUT]

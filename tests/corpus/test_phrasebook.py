"""The Phrasebook over all its locales: the rules for pattern files, the values, and what is promised of utterances."""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
from dataclasses import replace
from itertools import combinations, product
from pathlib import Path

import babel
import numpy as np
import pytest

from attrition.corpus.base import SPLITS, Split
from attrition.corpus.phrasebook import Phrasebook
from attrition.corpus.phrasebook.generate import (
    SCENARIOS,
    Pattern,
    _Deck,
    annotate,
    fill,
    join,
    known_languages,
    num_distinct,
    parse_patterns,
    pattern_source,
    pools,
    read_patterns,
    split_of,
)
from attrition.corpus.phrasebook.values import MOST_WORDS, SLOTS, clean, in_script, slot_values
from attrition.names import AttritionError

LANGUAGES = known_languages()
WITHOUT_BLANKS = {"ja-JP", "zh-CN", "zh-TW", "th-TH", "km-KH", "my-MM"}
ANNOTATION = re.compile(r"\[(\S+?) : (.*?)\]")  # The pattern that parses every row of MASSIVE.

by_language = pytest.mark.parametrize("language", LANGUAGES)


def test_all_locales_of_massive_are_there() -> None:
    assert len(LANGUAGES) == 52
    assert {"en-US", "sl-SL", "tl-PH", "zh-TW"} <= set(LANGUAGES)


# --- pattern files ------------------------------------------------------------------------------------------------------------


def pattern_file(**changed: str) -> str:
    """A well-formed file, but for the intents in `changed`."""
    intents = {
        "alarm_set": '["wake me at {time}", "alarm {date} {time}"]',
        "alarm_remove": '["no alarm {time}", "clear {date}"]',
        "calendar_set": '["note {date}", "meet in {place_name}"]',
        "calendar_query": '["plans {date}", "free at {time}"]',
        "weather_query": '["weather {place_name}", "rain {date}"]',
        "datetime_query": '["time in {time_zone}", "clock of {time_zone}", "now {time_zone}"]',
        "qa_currency": '["{currency_name} to {currency_name}", "rate of {currency_name}"]',
        "qa_definition": '["define {definition_word}", "what is {definition_word}", "{definition_word} meaning"]',
        "qa_factoid": '["people of {place_name}", "where is {place_name}"]',
        "news_query": '["news {place_name}", "news about {currency_name}"]',
        "audio_volume_up": '["louder by {change_amount}", "{change_amount} up", "up {change_amount} please"]',
        "recommendation_events": '["events {date}", "what is on in {place_name}"]',
    }
    return "blanks = true\n[intents]\n" + "\n".join(f"{intent} = {text}" for intent, text in (intents | changed).items())


def mistakes(source: str) -> str:
    with pytest.raises(AttritionError) as caught:
        parse_patterns(source, where="xx.toml")
    return str(caught.value)


def test_a_well_formed_file_is_read() -> None:
    read = parse_patterns(pattern_file(), where="xx.toml")
    assert read.blanks
    assert len(read.patterns) == 27
    assert Pattern("alarm_set", "alarm {date} {time}") in read.patterns


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"alarm_sett": '["a", "b"]'}, "xx.toml: unknown intent 'alarm_sett'. Did you mean 'alarm_set'?"),
        ({"alarm_set": '["wake me at {time}"]'}, "xx.toml, intent alarm_set: 1 pattern(s), but at least 2 are needed."),
        ({"alarm_set": '"wake me at {time}"'}, "xx.toml, intent alarm_set: this must be a list of sentences in quotes."),
        (
            {"alarm_set": '["wake at {tiem}", "up {time}"]'},
            "'wake at {tiem}': unknown placeholder 'tiem'. Did you mean 'time'?",
        ),
        ({"alarm_set": '["wake me at{time}", "up {time}"]'}, "'at{time}' is no placeholder by itself"),
        ({"alarm_set": '["wake me {time", "up {time}"]'}, "'{time' is no placeholder by itself"),
        ({"alarm_set": '["up  at {time}", "up {time}"]'}, "'up  at {time}' has a blank at its start or end, or two in a row."),
        ({"alarm_set": '["up\\u00a0at {time}", "up {time}"]'}, "white space other than a plain blank"),
        ({"alarm_set": '["up [at {time}", "up {time}"]'}, "has a square bracket"),
        ({"alarm_set": '["news {place_name}", "up {time}"]'}, "'news {place_name}' is there already"),
        ({"qa_factoid": '["time in {place_name}", "where is {place_name}"]'}, "by a placeholder only (intent datetime_query)"),
        (
            {"datetime_query": '["hour of {time_zone}", "what day is {date}"]'},
            "{time_zone} must occur in 2 intents or in 3 patterns",
        ),
    ],
)
def test_a_mistake_is_a_sentence_with_file_and_intent(changed: dict[str, str], said: str) -> None:
    assert said in mistakes(pattern_file(**changed))


def test_every_mistake_of_a_file_is_said_at_once() -> None:
    assert len(mistakes(pattern_file(alarm_set='["up"]', news_query='["{x}", "y{time}"]')).splitlines()) == 4


def test_a_file_must_be_whole() -> None:
    assert "xx.toml: this is not TOML" in mistakes("blanks =")
    assert "the intent 'news_query' is missing" in mistakes(re.sub("news_query.*", "", pattern_file()))
    assert "'blanks' must say true or false" in mistakes(pattern_file().replace("blanks = true", ""))
    assert "'connectives' has no effect" in mistakes('connectives = ["and"]\n' + pattern_file())
    assert "unknown key 'blancs'. Did you mean 'blanks'?" in mistakes("blancs = true\n" + pattern_file())


def test_files_without_blanks_have_them_around_placeholders_only() -> None:
    source = pattern_file().replace("blanks = true", "blanks = false")
    assert "'wake me at {time}' has a blank between words, but blanks = false" in mistakes(source)


@by_language
def test_the_patterns_of_every_language(language: str) -> None:
    read = read_patterns(language)
    intents = [pattern.intent for pattern in read.patterns]
    assert set(intents) == set(SCENARIOS)
    assert min(map(intents.count, SCENARIOS)) >= 2
    assert read.blanks == (language not in WITHOUT_BLANKS)
    assert sum(not pattern.slots for pattern in read.patterns) <= 1
    assert all(in_script(re.sub(r"{\w+}", "", pattern.sentence), language) for pattern in read.patterns)
    assert not [pattern for pattern in read.patterns if pattern.sentence[-1] in ".?!。？！؟।"]


def test_a_language_without_patterns_is_refused_by_name() -> None:
    with pytest.raises(AttritionError, match=r"patterns/ml-NL.toml is missing: unknown language 'ml-NL'. Did you mean"):
        pattern_source("ml-NL")


# --- values -------------------------------------------------------------------------------------------------------------------


@by_language
def test_the_values_of_every_language(language: str) -> None:
    values = slot_values(language)
    assert tuple(values) == SLOTS
    assert {slot: len(of_slot) for slot, of_slot in values.items() if len(of_slot) < 40} == {}
    # A name borrowed from another locale would be dropped for its script, or make two days one.
    assert (len(values["date"]), len(values["time"]), len(values["change_amount"])) == (730, 288, 200)
    for of_slot in values.values():
        assert list(of_slot) == sorted(set(of_slot))
        for value in of_slot:
            assert in_script(value, language), value
            assert len(value.split()) <= MOST_WORDS
            assert value == clean(value, language)
            assert not re.search(r"[\[\]{}()\t\u00a0\u202f\u200b]|^ | $|  | : ", value), value
    for slot in ("currency_name", "definition_word", "place_name", "time_zone"):
        assert not [value for value in values[slot] if re.search(r"\d", value)]


@pytest.mark.parametrize(
    ("language", "slot", "value"),
    [
        ("en-US", "date", "wednesday march 15"),
        ("en-US", "time", "7:05 am"),
        ("de-DE", "date", "mittwoch 15. märz"),
        ("de-DE", "change_amount", "2,5 %"),
        ("de-DE", "place_name", "berlin"),  # Not in CLDR's German: read from "Europe/Berlin".
        ("de-DE", "time_zone", "tokio"),
        ("de-DE", "definition_word", "kilometer pro stunde"),
        ("fr-FR", "date", "mercredi 15 mars"),
        ("fi-FI", "date", "keskiviikkona 15. maaliskuuta"),
        ("es-ES", "date", "miércoles 15 de marzo"),
        ("sw-KE", "date", "jumatano 15 machi"),
        ("tr-TR", "date", "15 mart çarşamba"),
        ("tr-TR", "place_name", "ırak"),
        ("tr-TR", "place_name", "indianapolis"),
        ("ru-RU", "date", "среда 15 марта"),
        ("ru-RU", "currency_name", "российский рубль"),
        ("ja-JP", "date", "3月15日 水曜日"),
        ("ko-KR", "date", "3월 15일 수요일"),
        ("zh-CN", "place_name", "德国"),
        ("zh-TW", "time", "清晨7:05"),
        ("hi-IN", "time", "सुबह 7:30"),
        ("ar-SA", "change_amount", "٢٠٪"),
        ("fa-IR", "time", "۷:۳۰"),
        ("vi-VN", "date", "thứ tư 15 tháng 3"),
        ("sl-SL", "date", "sreda 15. marec"),
        ("tl-PH", "date", "miyerkules marso 15"),
    ],
)
def test_values_known_by_heart(language: str, slot: str, value: str) -> None:
    assert value in slot_values(language)[slot]


def test_names_that_need_brackets_or_another_script_are_left_out() -> None:
    assert "knox indiana" not in slot_values("en-US")["place_name"]
    assert not [value for value in slot_values("ka-GE")["currency_name"] if "cfa" in value]
    assert not [value for value in slot_values("hi-IN")["time"] if re.search("[ap]m", value)]


# --- utterances ---------------------------------------------------------------------------------------------------------------


def test_a_filled_pattern_by_hand() -> None:
    utterance = fill(Pattern("alarm_set", "wake me {date} at {time}"), ["march 15", "7:30 am"], blanks=True, id="9")
    assert utterance.text == "wake me march 15 at 7:30 am"
    assert [utterance.text[start:end] for start, end in utterance.words] == utterance.text.split()
    assert utterance.slots == ((8, 16, "date"), (20, 27, "time"))
    assert annotate(utterance) == "wake me [date : march 15] at [time : 7:30 am]"


def test_a_filled_pattern_without_blanks_by_hand() -> None:
    utterance = fill(
        Pattern("weather_query", "查一下 {place_name} 在 {date} 的天气"), ["柏林", "3月15日"], blanks=False, id="9"
    )
    assert utterance.text == "查一下柏林在3月15日的天气"
    assert [utterance.text[start:end] for start, end in utterance.words] == ["查一下", "柏林", "在", "3月15日", "的天气"]
    assert utterance.slots == ((3, 5, "place_name"), (6, 11, "date"))
    assert annotate(utterance) == "查一下 [place_name : 柏林] 在 [date : 3月15日] 的天气"


def test_two_numbers_never_run_together() -> None:
    assert join(["မတ် 14", "7:30"], blanks=False) == "မတ်14 7:30"
    utterance = fill(Pattern("alarm_set", "{date} {time}"), ["မတ်14", "7:30"], blanks=False, id="0")
    assert [utterance.text[slot.start : slot.end] for slot in utterance.slots] == ["မတ်14", "7:30"]


@by_language
def test_utterances_are_well_formed_unique_and_share_no_filling_between_splits(language: str) -> None:
    book = Phrasebook(train=300, dev=60, test=120, languages=(language,))
    blanks = language not in WITHOUT_BLANKS
    fillings: dict[Split, set[str]] = {}
    ids: list[str] = []
    texts: list[str] = []
    for split, size in zip(SPLITS, (300, 60, 120), strict=True):
        utterances = book.read(language, split)
        assert len(utterances) == size
        for utterance in utterances:
            pieces = [utterance.text[start:end] for start, end in utterance.words]
            assert "".join(pieces) == utterance.text.replace(" ", "")
            if blanks:
                assert pieces == utterance.text.split(" ")
            else:
                assert not re.search(r"(?<!\d) | (?!\d)", utterance.text)
            found = ANNOTATION.findall(annotate(utterance))
            assert [name for name, _ in found] == [slot.name for slot in utterance.slots]
            assert [value for _, value in found] == [utterance.text[slot.start : slot.end] for slot in utterance.slots]
            assert set(book.slots) >= {slot.name for slot in utterance.slots}
            fillings.setdefault(split, set()).update(value for _, value in found)
        assert {utterance.intent for utterance in utterances} == set(book.intents) or size < 300
        ids += [utterance.id for utterance in utterances]
        texts += [utterance.text for utterance in utterances]
    assert len(set(ids)) == len(ids)
    assert len(set(texts)) == len(texts)
    assert fillings["train"].isdisjoint(fillings["dev"] | fillings["test"])
    assert fillings["dev"].isdisjoint(fillings["test"])


@by_language
def test_pools_share_no_surface_and_none_is_empty(language: str) -> None:
    found = pools(language)
    surfaces = {split: set[str]().union(*found[split].values()) for split in SPLITS}
    for one, other in combinations(SPLITS, 2):
        assert surfaces[one].isdisjoint(surfaces[other])
    assert min(len(found[split][slot]) for split in SPLITS for slot in SLOTS) >= 5


def test_seven_tenths_of_the_surfaces_are_for_training() -> None:
    held_by = [split_of(f"word {number}") for number in range(10_000)]
    assert [round(held_by.count(split) / 10_000, 1) for split in SPLITS] == [0.7, 0.1, 0.2]


@pytest.mark.parametrize("language", ["en-US", "ja-JP"])
def test_a_larger_size_continues_a_smaller_one(language: str) -> None:
    small, large = (Phrasebook(train=size, dev=size, test=size, languages=(language,)) for size in (7, 400))
    for split in SPLITS:
        assert large.read(language, split)[:7] == small.read(language, split)


def test_other_seeds_and_languages_are_other_utterances() -> None:
    book = Phrasebook(train=50, languages=("en-US", "de-DE"))
    texts = [utterance.text for utterance in book.read("en-US", "train")]
    assert texts != [utterance.text for utterance in replace(book, seed=1).read("en-US", "train")]
    assert [utterance.intent for utterance in book.read("en-US", "train")] != [
        utterance.intent for utterance in book.read("de-DE", "train")
    ]


def test_a_deck_deals_every_filling_once() -> None:
    deck = _Deck(Pattern("x", "{a} {b}"), (("1", "2", "3"), ("x", "y")), 6)
    stream = np.random.PCG64(0)
    dealt = [deck.draw(stream.random_raw()) for _ in range(6)]
    assert dealt != sorted(dealt)
    assert sorted(dealt) == sorted(product("123", "xy"))


def test_the_random_stream_is_the_one_the_first_corpora_were_made_with() -> None:
    stream = np.random.PCG64(0)
    assert [stream.random_raw() for _ in range(2)] == [11749869230777074271, 4976686463289251617]


def test_a_size_beyond_all_utterances_says_how_many_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    most = num_distinct("en-US", "dev")
    with pytest.raises(AttritionError, match=rf"no more than {most} different ones. Set dev to at most {most}"):
        Phrasebook(dev=most + 1, languages=("en-US",)).read("en-US", "dev")

    tiny = {split: dict.fromkeys(SLOTS, ("one", "two")) for split in SPLITS}
    monkeypatch.setattr("attrition.corpus.phrasebook.generate.pools", lambda _: tiny)
    most = num_distinct("en-US", "dev")
    assert most == sum(2 ** len(pattern.slots) for pattern in read_patterns("en-US").patterns if pattern.slots)
    every = Phrasebook(dev=most, languages=("en-US",)).read("en-US", "dev")
    assert len({annotate(utterance) for utterance in every}) == most


def test_a_sentence_without_slots_is_in_one_split_only() -> None:
    sentence = next(pattern.sentence for pattern in read_patterns("en-US").patterns if not pattern.slots)
    book = Phrasebook(train=2000, dev=2000, test=2000, languages=("en-US",))
    holding = [split for split in SPLITS if sentence in {utterance.text for utterance in book.read("en-US", split)}]
    assert holding == [split_of(sentence)]


DIGEST = """
import hashlib, sys
from babel import Locale
for first in ("ja_JP", "sw_KE"):
    for context in ("stand-alone", "format"):
        Locale.parse(first).months[context]["wide"], Locale.parse(first).days[context]["wide"]
from attrition.corpus.phrasebook import Phrasebook
book = Phrasebook(train=100, languages=("sw-KE", "fr-FR", "km-KH", "de-DE"))
said = {language: repr(book.read(language, "train")) for language in book.languages}
sys.stdout.write(hashlib.sha256("".join(said[language] for language in sorted(said)).encode()).hexdigest())
"""


def test_another_process_with_other_locales_loaded_first_says_the_same() -> None:
    book = Phrasebook(train=100, languages=("de-DE", "fr-FR", "km-KH", "sw-KE"))
    here = hashlib.sha256("".join(repr(book.read(language, "train")) for language in book.languages).encode()).hexdigest()
    environment = os.environ | {"PYTHONHASHSEED": "12345"}
    there = subprocess.run([sys.executable, "-c", DIGEST], env=environment, capture_output=True, text=True, check=True)
    assert there.stdout == here


# --- the corpus ---------------------------------------------------------------------------------------------------------------


def test_it_says_everywhere_that_it_is_generated(tmp_path: Path) -> None:
    book = Phrasebook(train=1, dev=1, test=1, languages=("en-US",))
    assert (book.name, book.generated) == ("phrasebook", True)
    assert "generated" in book.licence
    assert "generated" in book.citation
    assert {row["worker_id"] for row in book.rows("en-US", "train")} == {"generated"}
    (data,) = book.write(tmp_path)
    assert book.citation in (data.parent.parent / "GENERATED.txt").read_text(encoding="utf-8")


def test_the_names_are_those_of_massive() -> None:
    book = Phrasebook()
    assert book.languages == LANGUAGES
    assert len(book.intents) == 12
    assert book.slots == tuple(sorted(book.slots))
    assert set(map(book.default_cut, ["ja-JP", "zh-CN", "zh-TW"])) == {"characters"}
    assert set(map(book.default_cut, ["th-TH", "km-KH", "my-MM"])) == {"graphemes"}
    assert {book.default_cut(language) for language in set(LANGUAGES) - WITHOUT_BLANKS} == {"blanks"}


def test_rows_have_massives_schema(tmp_path: Path) -> None:
    book = Phrasebook(train=5, dev=2, test=3, languages=("zh-CN",))
    (path,) = book.write(tmp_path)
    assert path == tmp_path / "1.1" / "data" / "zh-CN.jsonl"
    text = path.read_text(encoding="utf-8")
    assert not text.endswith("\n")
    rows = [json.loads(line) for line in text.splitlines()]
    assert list(rows[0]) == ["id", "locale", "partition", "scenario", "intent", "utt", "annot_utt", "worker_id"]
    assert [int(row["id"]) for row in rows] == sorted([0, 3, 6, 9, 12, 1, 4, 2, 5, 8])
    assert [row["partition"] for row in rows].count("train") == 5
    for row in rows:
        assert ANNOTATION.sub(r"\2", row["annot_utt"]).replace(" ", "") == row["utt"].replace(" ", "")


@pytest.mark.parametrize("language", ["en-US", "ja-JP", "zh-TW", "fa-IR", "kn-IN"])
def test_the_reader_of_massive_reads_back_what_was_written(language: str, tmp_path: Path) -> None:
    massive = pytest.importorskip("attrition.corpus.massive", reason="the reader of MASSIVE is not there")
    book = Phrasebook(train=60, dev=10, test=20, languages=(language,))
    book.write(tmp_path / "written")
    read = massive.Massive(tmp_path / "written", cache=tmp_path / "cache")
    for split in SPLITS:
        assert list(read.read(language, split)) == book.read(language, split)


def test_fingerprints_tell_corpora_apart() -> None:
    book = Phrasebook(languages=("de-DE", "en-US"))
    others = [
        replace(book, train=501),
        replace(book, dev=101),
        replace(book, test=201),
        replace(book, seed=1),
        replace(book, languages=("de-DE",)),
    ]
    assert len({book.fingerprint, *(other.fingerprint for other in others)}) == 6
    assert re.fullmatch("[0-9a-f]{64}", book.fingerprint)
    assert replace(book, languages=("en-US", "de-DE")).fingerprint == book.fingerprint


def test_the_fingerprint_covers_patterns_and_babel(monkeypatch: pytest.MonkeyPatch) -> None:
    book = Phrasebook(languages=("de-DE",))
    before = book.fingerprint
    monkeypatch.setattr("attrition.corpus.phrasebook.pattern_source", lambda language: pattern_source(language) + "\n")
    changed = book.fingerprint
    monkeypatch.setattr(babel, "__version__", "0.0")
    assert len({before, changed, book.fingerprint}) == 3


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"dev": 0}, "dev = 0, but every split needs at least 1 utterance"),
        ({"languages": ()}, "no language was given"),
        ({"languages": ("de-DE", "de-DE")}, "'de-DE' was given twice"),
        ({"languages": ("de-DD",)}, "unknown language 'de-DD'. Did you mean 'de-DE'?"),
    ],
)
def test_settings_that_make_no_corpus_are_refused(settings: dict[str, object], said: str) -> None:
    with pytest.raises(AttritionError, match=re.escape(said)):
        Phrasebook(**settings)  # type: ignore[arg-type]


def test_what_is_not_in_the_corpus_is_refused_by_name() -> None:
    book = Phrasebook(languages=("de-DE",))
    with pytest.raises(AttritionError, match="unknown language 'en-US'"):
        book.read("en-US", "train")
    with pytest.raises(AttritionError, match=r"unknown split 'trian'. Did you mean 'train'\?"):
        book.read("de-DE", "trian")  # type: ignore[arg-type]

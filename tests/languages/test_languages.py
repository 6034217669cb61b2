"""The language table against independent sources, and groupings of its languages."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
from babel.core import get_global

from attrition.languages import (
    GROUPINGS,
    LANGUAGES,
    SOURCES,
    Language,
    doubts,
    grouping,
    is_tag,
    language_of,
    read_languages,
    select,
)
from attrition.names import AttritionError, UnknownNameError

EACH = pytest.mark.parametrize("language", LANGUAGES.values(), ids=lambda language: language.locale)


def test_there_are_52_locales_in_order() -> None:
    assert len(LANGUAGES) == 52
    assert list(LANGUAGES) == sorted(LANGUAGES)
    assert all(locale == language.locale for locale, language in LANGUAGES.items())


def test_the_table_cannot_be_changed() -> None:
    with pytest.raises(TypeError):
        LANGUAGES["xx-XX"] = LANGUAGES["de-DE"]  # type: ignore[index]
    with pytest.raises(dataclasses.FrozenInstanceError):
        LANGUAGES["de-DE"].script = "Cyrl"  # type: ignore[misc]


@EACH
def test_the_code_is_the_individual_language_of_that_name(language: Language) -> None:
    pycountry = pytest.importorskip("pycountry", reason="pycountry (ISO 639-3) is not installed")
    entry = pycountry.languages.get(alpha_3=language.iso639_3)
    assert (entry.scope, entry.type) == ("I", "L"), "a living, individual language"
    # Names differ in what they add ("Halh Mongolian", "Mongolian (Khalkha)"), so one telling word must be shared.
    assert words(language.name) & words(entry.name)


def words(name: str) -> set[str]:
    common = {"modern", "standard", "north", "central", "eastern", "language", "individual"}
    return {word.strip("(),") for word in name.casefold().split()} - common


@EACH
def test_the_code_and_script_are_those_of_the_locale_in_cldr(language: Language) -> None:
    tag = language.locale.split("-")[0]
    aliases, likely = get_global("language_aliases"), get_global("likely_subtags")
    assert aliases[language.iso639_3] == {"tl": "fil"}.get(tag, tag)
    full = likely.get(language.locale.replace("-", "_")) or likely[tag]
    assert full.split("_")[1] == language.script


@EACH
def test_every_row_is_plausible(language: Language) -> None:
    assert language.joshi_class in range(6)
    assert len(language.glottocode) == 8
    assert language.glottocode[4:].isdigit()
    assert language.cc100_gib > 0
    assert language.cc100_tokens_m > 0
    assert language.family
    assert language.branch


def test_codes_are_unique_but_for_mandarin() -> None:
    codes = [language.iso639_3 for language in LANGUAGES.values()]
    assert {code for code in codes if codes.count(code) > 1} == {"cmn"}


def test_vitality_has_the_sizes_of_the_default_cut() -> None:
    counts = {vitality: len(select({"vitality": vitality})) for vitality in ("Low", "Mid", "High")}
    assert counts == {"Low": 15, "Mid": 29, "High": 8}


def test_one_script_has_one_type_and_one_branch_one_family() -> None:
    for narrow, wide in (("script", "script_type"), ("branch", "family")):
        pairs = {(language.value(narrow), language.value(wide)) for language in LANGUAGES.values()}
        assert len(pairs) == len({first for first, _ in pairs})


def test_a_record_names_every_attribute_and_is_json() -> None:
    record = LANGUAGES["sv-SE"].record()
    assert list(record) == list(SOURCES)
    assert json.loads(json.dumps(record)) == record
    assert record["latin"] is True
    assert record["cc100_tokens_m"] == 77.8
    assert {field.name for field in dataclasses.fields(Language)} - {"stated_vitality"} | {"latin", "vitality"} == set(SOURCES)


def test_doubtful_values_say_so() -> None:
    assert set(doubts()) >= {"sv-SE", "my-MM", "nb-NO", "tl-PH", "zh-CN", "zh-TW", "ja-JP", "th-TH"}
    assert "de-DE" not in doubts()


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        ({"script": "Cyrl"}, ["mn-MN", "ru-RU"]),
        ({"script": "cyrl", "joshi_class": "4"}, ["ru-RU"]),
        ({"latin": "TRUE", "joshi_class": "5"}, ["de-DE", "en-US", "es-ES", "fr-FR"]),
        ({"cc100_gib": "46.9"}, ["el-GR", "zh-CN"]),
        ({"script": "Cyrl", "joshi_class": "5"}, []),
    ],
)
def test_select(where: dict[str, str], expected: list[str]) -> None:
    assert [language.locale for language in select(where)] == expected


def test_select_without_a_condition_gives_all() -> None:
    assert len(select({})) == 52


def test_select_refuses_what_has_no_effect() -> None:
    with pytest.raises(UnknownNameError, match=r"Unknown attribute of a language 'skript'\. Did you mean 'script'\?"):
        select({"skript": "Latn"})
    with pytest.raises(UnknownNameError, match=r"No language has script 'Latin'\. Did you mean 'Latn'\? Known: Arab, "):
        select({"script": "Latin"})


@pytest.mark.parametrize("name", GROUPINGS)
def test_every_grouping_covers_all_languages(name: str) -> None:
    groups = grouping(name)
    assert list(groups) == list(LANGUAGES)
    expected = {"all": 1, "language": 52, "latin": 2, "vitality": 3, "joshi_class": 5, "iso639_3": 51}
    assert len(set(groups.values())) == expected.get(name, len(set(groups.values())))
    assert all(groups.values())


def test_all_and_language_group_also_what_massive_lacks() -> None:
    assert dict(grouping("all", ["sk-SK"])) == {"sk-SK": "all"}
    assert dict(grouping("language", ["sk-SK"])) == {"sk-SK": "sk-SK"}
    assert dict(grouping("script", ["sk-SK", "de-DE"])) == {"sk-SK": "Latn", "de-DE": "Latn"}


def test_an_own_grouping_comes_from_toml_or_csv_alike(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text('th-TH = "east"\nde-DE = "west"\n', encoding="utf-8")
    (tmp_path / "mine.csv").write_text("locale,group\nth-TH,east\n\nde-DE, west\n", encoding="utf-8")
    expected = {"th-TH": "east", "de-DE": "west"}
    assert grouping("mine.toml", folder=tmp_path) == grouping(tmp_path / "mine.csv") == grouping(expected) == expected
    assert list(grouping("mine.csv", ["de-DE", "th-TH"], folder=tmp_path)) == ["de-DE", "th-TH"]
    assert list(grouping("mine.csv", ["de-DE"], folder=tmp_path)) == ["de-DE"]


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        (
            "a.csv",
            "locale,group\nde-DE,x\nnl_NL,x\n",
            r"^a\.csv, line 3: 'nl_NL' is no language tag \(BCP 47 or ISO 639\)\. Did you mean 'nl-NL'\?$",
        ),
        ("a.csv", "locale,group\nde-DE,x\nde-DE,y\n", r"^a\.csv, line 3: 'de-DE' already has the group 'x'"),
        ("a.csv", "locale,group\nde-DE\n", r"^a\.csv, line 2: 1 values"),
        ("a.csv", "de-DE,x\n", r"^a\.csv, line 1: the header is 'de-DE,x'"),
        ("a.csv", "", r"^a\.csv, line 1: the header is ''"),
        ("a.csv", "locale,group\nde-DE,\n", r"^a\.csv, line 2: the group of 'de-DE' is ''"),
        (
            "a.toml",
            '# mine\nde-DE = "x"\nqqqqqq = "x"\n',
            r"^a\.toml, line 3: 'qqqqqq' is no language tag .* `attrition languages`",
        ),
        ("a.toml", "de-DE = 1\n", r"^a\.toml, line 1: the group of 'de-DE' is 1, but it must be a text"),
        ("a.toml", '[west]\nde-DE = "x"\n', r"^a\.toml: 'west' is no language tag"),
        ("a.toml", 'de-DE = "x"\nde-DE = "y"\n', r"^a\.toml is not valid TOML: .*line 2"),
        ("a.toml", 'th-TH = "x"\n', r"^a\.toml: no group for de-DE"),
    ],
)
def test_a_faulty_grouping_is_a_sentence_with_file_and_line(tmp_path: Path, name: str, text: str, message: str) -> None:
    (tmp_path / name).write_text(text, encoding="utf-8")
    with pytest.raises(AttritionError, match=message):
        grouping(name, ["de-DE"], folder=tmp_path)


def test_a_grouping_that_is_nowhere_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(
        AttritionError, match=r"There is no grouping file .*mine\.toml.*Give a file that exists, or one of: all, "
    ):
        grouping("mine.toml", folder=tmp_path)
    with pytest.raises(UnknownNameError, match=r"Unknown grouping 'scripts'\. Did you mean 'script'\?"):
        grouping("scripts")
    (tmp_path / "b.csv").write_bytes(b"\xff\xfe\xff")
    with pytest.raises(AttritionError, match="not UTF-8 text"):
        grouping("b.csv", folder=tmp_path)


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("mine.csv", "locale,group\nde-DE," + "x" * 200_000, r"mine\.csv is not valid CSV: field larger than field limit"),
        ("mine.toml", "de-DE = " + "9" * 5_000, r"mine\.toml is not valid TOML: Exceeds the limit"),
        ("mine.toml", "de-DE = " + "[" * 50_000, r"mine\.toml is not valid TOML"),
    ],
)
def test_a_grouping_file_that_no_reader_takes(name: str, text: str, said: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(AttritionError, match=said):
        grouping(name, folder=tmp_path)


# Languages that MASSIVE lacks

MASAKHANER = [
    "bam",
    "bbj",
    "ewe",
    "fon",
    "hau",
    "ibo",
    "kin",
    "lug",
    "luo",
    "mos",
    "nya",
    "pcm",
    "sna",
    "swa",
    "tsn",
    "twi",
    "wol",
    "xho",
    "yor",
    "zul",
]


def test_every_two_letter_code_of_iso_639_and_three_letter_code_of_a_living_language_is_a_tag() -> None:
    pycountry = pytest.importorskip("pycountry", reason="pycountry (ISO 639-3) is not installed")
    living = [entry for entry in pycountry.languages if entry.scope == "I" and entry.type == "L"]
    assert len(living) > 7_000
    codes = {entry.alpha_3 for entry in living} | {entry.alpha_2 for entry in living if hasattr(entry, "alpha_2")}
    refused = {code for code in codes if not is_tag(code)}
    assert len(refused) < 0.01 * len(codes), "the registry of tags is a year or two behind ISO at most"


@pytest.mark.parametrize(
    "label", ["", "a", "ed-US", "en_US", "EN-us", "Klingon", "en-", "xyz", "en-US-", "en US", "en-ÜS", "e" * 99]
)
def test_what_is_no_tag_is_a_label_of_which_nothing_is_known(label: str) -> None:
    assert not is_tag(label)
    found = language_of(label)
    assert (found.locale, found.name) == (label, label)
    assert {found.value(name) for name in SOURCES if name not in ("locale", "name", "note")} == {None}


def test_script_is_that_of_the_tag_or_the_likely_one_of_cldr() -> None:
    likely = get_global("likely_subtags")
    for code in MASAKHANER:
        tag = get_global("language_aliases").get(code, code)
        if tag in likely:
            assert language_of(code).script == likely[tag].split("_")[1], code
    assert [language_of(tag).script for tag in ("sr", "sr-Latn", "uz-Arab", "pnb", "yue")] == [
        "Cyrl", "Latn", "Arab", "Arab", "Hant",
    ]  # fmt: skip
    assert [language_of(code).latin for code in MASAKHANER] == [True] * 20


def test_names_are_those_of_cldr() -> None:
    assert [language_of(tag).name for tag in ("yor", "yo", "pcm", "swa")] == ["Yoruba", "Yoruba", "Nigerian Pidgin", "Swahili"]


@pytest.mark.parametrize("language", LANGUAGES.values(), ids=lambda language: language.locale)
def test_the_codes_of_a_language_of_the_table_mean_that_language(language: Language) -> None:
    for code in {language.iso639_3, language.locale.split("-")[0]} - {None}:
        found = language_of(str(code))
        assert (found.family, found.branch, found.joshi_class) == (language.family, language.branch, language.joshi_class)
        if found.script == language.script:
            assert (found.script_type, found.cc100_gib) == (language.script_type, language.cc100_gib)


def test_a_relative_in_another_script_has_no_size_of_text() -> None:
    found = language_of("ru-Latn")
    assert (found.family, found.script, found.cc100_gib) == ("Indo-European", "Latn", None)


def test_unknown_is_a_group_of_its_own() -> None:
    languages = ["de-DE", "yor", "my-dialect"]
    assert dict(grouping("family", languages)) == {"de-DE": "Indo-European", "yor": "unknown", "my-dialect": "unknown"}
    assert dict(grouping("latin", languages)) == {"de-DE": "Latin", "yor": "Latin", "my-dialect": "unknown"}
    assert dict(grouping("vitality", languages)) == {"de-DE": "High", "yor": "unknown", "my-dialect": "unknown"}


def test_a_file_of_languages_adds_to_the_table(tmp_path: Path) -> None:
    path = tmp_path / "mine.csv"
    path.write_text(
        "locale,family,vitality,script,cc100_tokens_m\nyor,Atlantic-Congo,Low,,\nmy-dialect,Mine,,Adlm,2.5\nde-DE,,Mid,,\n"
    )
    own = read_languages(path)
    languages = ["de-DE", "yor", "my-dialect", "swa"]
    assert list(grouping("family", languages, own=own).values()) == [
        "Indo-European",
        "Atlantic-Congo",
        "Mine",
        "Atlantic-Congo",
    ]
    assert list(grouping("script", languages, own=own).values()) == ["Latn", "Latn", "Adlm", "Latn"]
    assert list(grouping("vitality", languages, own=own).values()) == ["Mid", "Low", "unknown", "Low"]
    assert own["my-dialect"].cc100_tokens_m == 2.5
    assert own["yor"].name == "Yoruba"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", r"line 1: the first column is \[\], but it must be 'locale'"),
        ("family,locale\n", "line 1: the first column is"),
        ("locale,famly\n", "line 1: unknown column 'famly'. Did you mean 'family'"),
        ("locale,family,family\n", "'family' is there twice"),
        ("locale,family\nyor\n", "line 2: 1 values, but the header has 2"),
        ("locale,family\nyor,x\nyor,y\n", "line 3: 'yor' is there twice"),
        ("locale,family\n,x\n", "line 2: '' cannot name a language"),
        ("locale,script\nyor,Latin\n", "line 2: script 'Latin' is not allowed. Write a code of ISO 15924"),
        ("locale,vitality\nyor,low\n", "vitality 'low' is not allowed. Write one of Low, Mid, High"),
        ("locale,joshi_class\nyor,7\n", "joshi_class '7' is not allowed"),
        ("locale,cc100_gib\nyor,nan\n", "cc100_gib 'nan' is not allowed"),
        ("locale,family\nyor,a\x1bb\n", "family .* is not allowed. It holds a control character"),
        ('locale,family\nyor,"a\n', "is not valid CSV"),
    ],
)
def test_a_faulty_file_of_languages_is_a_sentence_with_its_line(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "mine.csv").write_text(text)
    with pytest.raises(AttritionError, match=rf"mine\.csv.*{said}"):
        read_languages(tmp_path / "mine.csv")

"""The language table against independent sources, and groupings of its languages."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
from babel.core import get_global

from attrition.languages import GROUPINGS, LANGUAGES, SOURCES, Language, by_locale, doubts, grouping, select
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
    record = by_locale("sv-SE").record()
    assert list(record) == list(SOURCES)
    assert json.loads(json.dumps(record)) == record
    assert record["latin"] is True
    assert record["cc100_tokens_m"] == 77.8
    assert {field.name for field in dataclasses.fields(Language)} | {"latin", "vitality"} == set(SOURCES)


def test_doubtful_values_say_so() -> None:
    assert set(doubts()) >= {"sv-SE", "my-MM", "nb-NO", "tl-PH", "zh-CN", "zh-TW", "ja-JP", "th-TH"}
    assert "de-DE" not in doubts()


def test_an_unknown_locale_is_a_sentence() -> None:
    with pytest.raises(UnknownNameError, match=r"^study\.toml: unknown locale 'de_DE'\. Did you mean 'de-DE'\?"):
        by_locale("de_DE", where="study.toml")


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
    with pytest.raises(UnknownNameError, match="Unknown locale 'sk-SK'"):
        grouping("script", ["sk-SK"])


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
            "locale,group\nde-DE,x\nml-NL,x\n",
            r"^a\.csv, line 3: 'ml-NL' is not a locale of MASSIVE 1\.1\. Did you mean 'nl-NL'\?$",
        ),
        ("a.csv", "locale,group\nde-DE,x\nde-DE,y\n", r"^a\.csv, line 3: 'de-DE' already has the group 'x'"),
        ("a.csv", "locale,group\nde-DE\n", r"^a\.csv, line 2: 1 values"),
        ("a.csv", "de-DE,x\n", r"^a\.csv, line 1: the header is 'de-DE,x'"),
        ("a.csv", "", r"^a\.csv, line 1: the header is ''"),
        ("a.csv", "locale,group\nde-DE,\n", r"^a\.csv, line 2: the group of 'de-DE' is ''"),
        ("a.toml", '# mine\nde-DE = "x"\nqqqqqq = "x"\n', r"^a\.toml, line 3: 'qqqqqq' is not .* `attrition languages`"),
        ("a.toml", "de-DE = 1\n", r"^a\.toml, line 1: the group of 'de-DE' is 1, but it must be a text"),
        ("a.toml", '[west]\nde-DE = "x"\n', r"^a\.toml: 'west' is not a locale"),
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

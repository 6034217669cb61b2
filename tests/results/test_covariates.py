"""Covariates as files: written and read again, damaged, joined; CSV of one's own."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from attrition.names import AttritionError
from attrition.results.covariates import (
    FILE,
    Covariates,
    covariates_json,
    joined,
    languages_of_covariates,
    parse_covariates_csv,
    read_covariates,
    read_covariates_csv,
)

LANGUAGES = ("en-US", "de-DE", "th-TH")
GIVEN = Covariates(
    language={"fertility": {"en-US": 1.23456789, "de-DE": 1.5, "th-TH": 2.0}, "edges": {"en-US": 0.25, "th-TH": math.nan}},
    pair={"overlap": {(a, b): i + j / 8 for i, a in enumerate(LANGUAGES) for j, b in enumerate(LANGUAGES)}},
)


def test_what_is_written_is_read(tmp_path: Path) -> None:
    assert read_covariates(tmp_path) is None
    text = covariates_json(LANGUAGES, GIVEN)
    (tmp_path / FILE).write_text(text)
    found = read_covariates(tmp_path)
    assert found is not None
    assert found.language["fertility"] == {"en-US": 1.234568, "de-DE": 1.5, "th-TH": 2.0}
    assert found.language["edges"]["en-US"] == 0.25
    assert math.isnan(found.language["edges"]["th-TH"])
    assert math.isnan(found.language["edges"]["de-DE"])
    assert found.pair["overlap"] == GIVEN.pair["overlap"]
    assert languages_of_covariates(found) == LANGUAGES
    assert covariates_json(LANGUAGES, found) == text


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[]", "a JSON object is expected"),
        ('{"format": 2}', "format 2 is not known"),
        ('{"format": 1, "languages": "ab"}', "'languages' must be a list"),
        ('{"format": 1, "languages": ["a", "a"]}', "names a language twice"),
        ('{"format": 1, "languages": ["a"]}', "'language' must be an object"),
        ('{"format": 1, "languages": ["a"], "language": {"x": [1, 2]}, "pair": {}}', "'x' must be a list of 1 numbers"),
        ('{"format": 1, "languages": ["a"], "language": {"x": [true]}, "pair": {}}', "'True' is there"),
        ('{"format": 1, "languages": ["a"], "language": {"x": [1' + "0" * 400 + ']}, "pair": {}}', "should be a finite number"),
        ('{"format": 1, "languages": ["a"], "language": {}, "pair": {"x": [1]}}', "'x', a must be a list"),
        ('{"format": 1, "languages": ["a"], "language": {}, "pair": {"x": []}}', "a list of 1 rows"),
    ],
)
def test_a_damaged_file_is_named(text: str, said: str, tmp_path: Path) -> None:
    (tmp_path / FILE).write_text(text)
    with pytest.raises(AttritionError) as error:
        read_covariates(tmp_path)
    assert str(error.value).startswith(str(tmp_path / FILE))
    assert said in str(error.value)


def test_joining_fills_gaps_and_refuses_contradictions() -> None:
    other = Covariates(
        language={"fertility": {"de-DE": 1.5, "fi-FI": 2.5}, "edges": {"th-TH": 0.75, "en-US": math.nan}},
        pair={"overlap": {("fi-FI", "fi-FI"): 1.0}},
    )
    found = joined(GIVEN, other)
    assert found is not None
    assert found.language["fertility"] == {**GIVEN.language["fertility"], "fi-FI": 2.5}
    assert found.language["edges"] == {"en-US": 0.25, "th-TH": 0.75}
    assert len(found.pair["overlap"]) == 10
    assert joined(GIVEN, Covariates(language={"fertility": {"de-DE": 1.25}})) is None
    assert joined(GIVEN, Covariates(pair={"overlap": {("en-US", "de-DE"): 9.0}})) is None


def test_csv_of_languages_and_of_pairs(tmp_path: Path) -> None:
    path = tmp_path / "mine.csv"
    path.write_text("name, locale ,vowels,tones\nGerman,de-DE,15,\n\nThai,th-TH,9,5\nMy own,xx-1,3,0\n", encoding="utf-8-sig")
    found = read_covariates_csv(path, ["xx-1"])
    assert found.language == {"vowels": {"de-DE": 15.0, "th-TH": 9.0, "xx-1": 3.0}, "tones": {"th-TH": 5.0, "xx-1": 0.0}}
    assert not found.pair
    path.write_text("changed,trained,distance\nde-DE,th-TH,0.5\nth-TH,de-DE,0.25\n")
    found = read_covariates_csv(path)
    assert found.pair == {"distance": {("th-TH", "de-DE"): 0.5, ("de-DE", "th-TH"): 0.25}}
    assert not found.language


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "mine.csv, line 1: the header is ''"),
        ("language,x\nde-DE,1\n", "needs a column 'locale'"),
        ("trained,x\nde-DE,1\n", "the columns 'trained' and 'changed'"),
        ("locale,trained,changed,x\n", "needs a column 'locale'"),
        ("locale,x,x\nde-DE,1,2\n", "two columns are called 'x'"),
        ("locale,x,\nde-DE,1,2\n", "'' cannot name a column"),
        ("locale,x\nde-DE,1\nde-DF,2\n", "mine.csv, line 3: 'de-DF' is not a locale of MASSIVE 1.1. Did you mean 'de-DE'?"),
        (
            "trained,changed,x\nde-DE,en-UX,2\n",
            "line 2: 'en-UX' is not a locale of MASSIVE 1.1. Did you mean 'en-US'?",
        ),
        ("locale,x\nde-DE,1\nth-TH,2\nde-DE,1\n", "mine.csv, line 4: the same as line 2 (de-DE)"),
        ("locale,x\nde-DE,1\nth-TH,1.2.3\n", "mine.csv, line 3: x is '1.2.3', but should be a finite number"),
        ("locale,x\nde-DE,1\nth-TH,inf\n", "mine.csv, line 3: x is 'inf'"),
        ("locale,x\nde-DE,1,5\n", "mine.csv, line 2: 3 values, but the header names 2 columns"),
        ("locale,x\nde-DE,high\n", "no column of numbers besides locale"),
        ('locale,x\nde-DE,"1\n', "not CSV"),
    ],
)
def test_a_wrong_csv_is_named(text: str, said: str) -> None:
    with pytest.raises(AttritionError) as error:
        parse_covariates_csv(text, "mine.csv")
    assert said in str(error.value)

"""MASSIVE: a miniature of the release by hand, malformed rows, and (where it is there) the release itself."""

from __future__ import annotations

import json
import os
import shutil
import tarfile
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from attrition.corpus import release
from attrition.corpus.base import Corpus, Slot, Split
from attrition.corpus.check import check
from attrition.corpus.massive import Massive
from attrition.corpus.words import blank_leak
from attrition.names import AttritionError

GERMAN = [
    ("0", "train", "alarm_set", "weck mich um fünf", "weck mich um [time : fünf]"),
    ("1", "dev", "general_joke", "witz", "witz"),
    ("2", "test", "weather_query", "regnet es in bonn", "regnet es in [place_name : bonn]"),
    ("3", "train", "general_greet", "hallo", "hallo"),
]
JAPANESE = [
    ("0", "train", "alarm_set", "五時に起こして", "[time : 五時] に起こして"),
    ("1", "dev", "general_joke", "冗談", "冗談"),
    ("2", "test", "weather_query", "雨 ですか", "雨 ですか"),
]


def line(locale: str, row: tuple[str, str, str, str, str], **changes: Any) -> str:
    name, partition, intent, text, annotation = row
    fields = {"id": name, "locale": locale, "partition": partition, "scenario": intent.split("_")[0], "intent": intent}
    fields |= {"utt": text, "annot_utt": annotation, "worker_id": "1"}
    return json.dumps({key: value for key, value in (fields | changes).items() if value is not ...}, ensure_ascii=False)


def lines(locale: str, rows: list[tuple[str, str, str, str, str]]) -> str:
    return "\n".join(line(locale, row) for row in rows)  # like the release: no final newline


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    data = tmp_path / "unpacked" / "1.1" / "data"
    data.mkdir(parents=True)
    (data / "de-DE.jsonl").write_text(lines("de-DE", GERMAN), encoding="utf-8")
    (data / "ja-JP.jsonl").write_text(lines("ja-JP", JAPANESE), encoding="utf-8")
    (data.parent / "LICENSE").write_text("CC BY 4.0", encoding="utf-8")
    return data


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


def pack(folder: Path, archive: Path, mode: str = "w:gz") -> Path:
    with tarfile.open(archive, mode) as tar:  # type: ignore[call-overload]
        tar.add(folder.parent, arcname="1.1")
    return archive


def one_file(tmp_path: Path, content: str | bytes, locale: str = "de-DE") -> Massive:
    folder = tmp_path / "one"
    folder.mkdir(exist_ok=True)
    (folder / f"{locale}.jsonl").write_bytes(content if isinstance(content, bytes) else content.encode())
    return Massive(folder, cache=tmp_path / "cache")


# -- Reading ----------------------------------------------------------------------------------------------------------


def test_reads_a_folder(folder: Path, cache: Path) -> None:
    corpus: Corpus = Massive(folder, cache=cache)
    assert corpus.languages == ("de-DE", "ja-JP")
    assert (corpus.name, corpus.revision, corpus.licence, corpus.generated) == ("massive", "1.1", "CC BY 4.0", False)
    first, second = corpus.read("de-DE", "train")
    assert (first.id, first.intent, first.text) == ("0", "alarm_set", "weck mich um fünf")
    assert first.slots == (Slot(13, 17, "time"),)
    assert second.slots == ()
    assert corpus.read("ja-JP", "train")[0].words == ((0, 2), (2, 7))
    assert [corpus.default_cut(locale) for locale in ("de-DE", "ja-JP", "zh-CN", "zh-TW", "th-TH")] == [
        "blanks", "characters", "characters", "characters", "blanks",
    ]  # fmt: skip


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:bz2", "w:xz"])
def test_reads_an_archive_whatever_its_compression(folder: Path, cache: Path, tmp_path: Path, mode: str) -> None:
    packed = Massive(pack(folder, tmp_path / "any-name", mode), cache=cache)
    unpacked = Massive(folder, cache=cache)
    assert packed.languages == unpacked.languages
    assert packed.fingerprint == unpacked.fingerprint
    assert packed.read("ja-JP", "test") == unpacked.read("ja-JP", "test")


def test_finds_the_files_at_every_level_of_the_folder(folder: Path, cache: Path, tmp_path: Path) -> None:
    for level in (folder, folder.parent, folder.parent.parent):
        assert Massive(level, cache=cache).languages == ("de-DE", "ja-JP")
    beside = tmp_path / "downloads"
    beside.mkdir()
    pack(folder, beside / "amazon-massive-dataset-1.1.tar.xz", "w:xz")
    assert Massive(beside, cache=cache).languages == ("de-DE", "ja-JP")


def test_a_locale_is_parsed_once_and_four_are_kept(folder: Path, cache: Path) -> None:
    for locale in ("af-ZA", "am-ET", "ar-SA", "az-AZ"):
        (folder / f"{locale}.jsonl").write_text(lines(locale, GERMAN), encoding="utf-8")
    corpus = Massive(folder, cache=cache)
    german = corpus.read("de-DE", "test")
    assert corpus.read("de-DE", "test") is german
    for locale in ("af-ZA", "am-ET", "ar-SA", "de-DE", "az-AZ"):
        corpus.read(locale, "dev")
    assert corpus.read("de-DE", "test") is german
    assert len(corpus._recent) == 4
    assert "af-ZA" not in corpus._recent


def test_the_fingerprint_is_of_content_and_notices_a_change(folder: Path, cache: Path, tmp_path: Path) -> None:
    before = Massive(folder, cache=cache).fingerprint
    elsewhere = shutil.copytree(folder, tmp_path / "elsewhere")
    assert Massive(elsewhere, cache=tmp_path / "other cache").fingerprint == before
    path = folder / "de-DE.jsonl"
    path.write_text(path.read_text(encoding="utf-8").replace("bonn", "köln"), encoding="utf-8")
    os.utime(path, ns=(1, 1))
    assert Massive(folder, cache=cache).fingerprint != before
    for record in (cache / "massive" / "checksums").iterdir():
        record.write_text("{ damaged", encoding="utf-8")
    assert Massive(elsewhere, cache=cache).fingerprint == before


def test_the_fingerprint_needs_no_writable_cache(folder: Path, tmp_path: Path) -> None:
    blocked = tmp_path / "a file"
    blocked.write_text("", encoding="utf-8")
    assert Massive(folder, cache=blocked).fingerprint == Massive(folder, cache=tmp_path / "cache").fingerprint


# -- Malformed rows -----------------------------------------------------------------------------------------------------

ROW = GERMAN[0]


@pytest.mark.parametrize(
    ("second", "said"),
    [
        ("{", "not a JSON object"),
        ("", "it is empty"),
        ('["0"]', "not a JSON object but a list"),
        ("[" * 100_000, "not a JSON object"),
        (line("de-DE", ROW, utt=...), r"field 'utt' is missing \(the row has: id, locale"),
        (line("de-DE", ROW, id=9), "field 'id' must be text, but is the value 9"),
        (line("de-DE", ROW, intent=None), "field 'intent' must be text, but is None"),
        (line("de-DE", ROW, partition="trian"), "unknown partition 'trian'. Did you mean 'train'"),
        (line("de-DE", ROW, partition=""), "unknown partition ''"),
        (line("nl-NL", ROW), "of locale 'nl-NL', the file of 'de-DE'"),
        (line("de-DE", ROW, intent="alarmset"), "unknown intent 'alarmset'. Did you mean 'alarm_set'"),
        (line("de-DE", ROW, annot_utt="weck mich um [tme : fünf]"), "unknown slot 'tme'. Did you mean 'time'"),
        (line("de-DE", ROW, annot_utt="weck mich um [time : fünf"), "unbalanced"),
        (line("de-DE", ROW, utt="weck mich um ", annot_utt="weck mich um [time : ]"), "slot 'time' is empty"),
        (line("de-DE", ROW, annot_utt="weck mich um [time : sechs]"), "does not match the text"),
        (line("de-DE", ROW, annot_utt="weckmich um [time : fünf]"), "does not match the text"),
        (line("de-DE", ROW, utt=" ", annot_utt=" "), "the utterance is empty"),
        (line("de-DE", ROW), "id '0' was used in line 1 already"),
        (line("de-DE", ROW, utt="x").replace('"x"', '"\\ud800"'), "not a JSON object in UTF-8"),
    ],
)
def test_a_malformed_row_is_named_by_file_and_line(tmp_path: Path, second: str, said: str) -> None:
    first, last = line("de-DE", ROW), line("de-DE", ROW, id="8")
    corpus = one_file(tmp_path, f"{first}\n{second}\n{last}")
    with pytest.raises(AttritionError, match=rf"one/de-DE\.jsonl, line 2: .*{said}"):
        corpus.read("de-DE", "train")


def test_a_line_that_is_not_utf8_is_named(tmp_path: Path) -> None:
    with pytest.raises(AttritionError, match=r"de-DE\.jsonl, line 2: the line is not UTF-8 \(byte 0xfc at"):
        one_file(tmp_path, lines("de-DE", GERMAN[:1]).encode() + b"\n" + line("de-DE", GERMAN[0]).encode("latin-1")).read(
            "de-DE", "train"
        )


def test_an_error_in_an_archive_names_the_archive(folder: Path, cache: Path, tmp_path: Path) -> None:
    (folder / "de-DE.jsonl").write_text("{", encoding="utf-8")
    with pytest.raises(AttritionError, match=r"release\.tar: de-DE\.jsonl, line 1: "):
        Massive(pack(folder, tmp_path / "release.tar", "w"), cache=cache).read("de-DE", "train")


def test_a_split_without_rows_is_an_error_and_unknown_names_are_answered(folder: Path, cache: Path, tmp_path: Path) -> None:
    with pytest.raises(AttritionError, match=r"no row has partition 'test'.*2,974"):
        one_file(tmp_path, lines("de-DE", GERMAN[:2])).read("de-DE", "test")
    corpus = Massive(folder, cache=cache)
    with pytest.raises(AttritionError, match=r"'ml-NL'\. Did you mean 'nl-NL'"):
        corpus.read("ml-NL", "test")
    with pytest.raises(AttritionError, match="no file for 'nl-NL'; it has de-DE, ja-JP"):
        corpus.read("nl-NL", "test")
    with pytest.raises(AttritionError, match=r"Unknown split 'tset'\. Did you mean 'test'"):
        corpus.read("de-DE", "tset")  # type: ignore[arg-type]
    with pytest.raises(AttritionError, match="Did you mean 'nl-NL'"):
        corpus.default_cut("ml-NL")


def test_line_separators_of_unicode_do_not_end_a_row(tmp_path: Path) -> None:
    text = "a\u2028b\u0085c"
    odd = line("de-DE", ("5", "train", "alarm_set", text, text))
    assert one_file(tmp_path, odd + "\r\n").read("de-DE", "train")[0].text == text


# -- Checking -----------------------------------------------------------------------------------------------------------


def test_check_collects_every_problem(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(release, "COUNTS", {"train": 2, "dev": 1, "test": 1})
    broken = [
        line("de-DE", GERMAN[0]),
        "{",
        line("de-DE", GERMAN[1]),
        line("de-DE", GERMAN[2], annot_utt="regnet es in [plce_name : bonn]"),
        line("de-DE", GERMAN[3], utt="um5 uhr", annot_utt="um[time : 5] uhr"),
    ]
    one_file(tmp_path, "\n".join(broken).encode() + b"\n\xff")
    corpus = one_file(tmp_path, lines("en-DE", GERMAN), "en-DE")
    report = check(corpus.path, cache=tmp_path / "cache")
    assert not report.ok
    assert [(Path(problem.file).name, problem.line) for problem in report.problems] == [
        ("en-DE.jsonl", None),
        ("de-DE.jsonl", 2),
        ("de-DE.jsonl", 4),
        ("de-DE.jsonl", 5),
        ("de-DE.jsonl", 6),
        ("de-DE.jsonl", None),
    ]
    assert "not a locale of MASSIVE 1.1. Did you mean" in report.problems[0].message
    assert "inside the word 'um5'" in report.problems[3].message
    assert "0 sound rows of partition 'test', but the release has 1" in report.problems[5].message
    assert [(count.split, count.found, count.expected) for count in report.counts] == [
        ("train", 2, 2), ("dev", 1, 1), ("test", 0, 1),
    ]  # fmt: skip
    assert len(report.missing) == 51
    assert report.summary().endswith("6 problems.")


def test_check_of_a_sound_copy_finds_nothing(folder: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "de-DE.jsonl").write_text(lines("de-DE", GERMAN[:3]), encoding="utf-8")
    monkeypatch.setattr(release, "COUNTS", {"train": 1, "dev": 1, "test": 1})
    report = check(folder, cache=cache)
    assert report.ok
    assert report.problems == ()
    assert not report.is_release
    assert "6 utterances in 2 of 52 locales. Not there: af-ZA" in report.summary()


def test_the_names_of_the_release_are_sorted_and_as_many_as_published() -> None:
    for names, number in ((release.LOCALES, 52), (release.SLOTS, 55), (release.INTENTS, 60)):
        assert len(set(names)) == len(names) == number
        assert list(names) == sorted(names)
    assert release.COUNTS == {"train": 11_514, "dev": 2_033, "test": 2_974}


# -- The release itself -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def real() -> Massive:
    beside = Path(__file__).parents[2] / "../shared/massive/amazon-massive-dataset-1.1.tar.xz"
    path = Path(os.environ.get("ATTRITION_MASSIVE") or beside)
    if not path.exists():
        pytest.skip("MASSIVE 1.1 is not here: set ATTRITION_MASSIVE to its archive or folder")
    return Massive(path)


@pytest.mark.massive
def test_these_are_the_files_of_the_release(real: Massive) -> None:
    assert real.languages == release.LOCALES
    assert real.fingerprint == release.FINGERPRINT


@pytest.mark.massive
@pytest.mark.long
def test_every_locale_has_the_counts_and_names_of_the_release(real: Massive) -> None:
    counts: Counter[tuple[str, Split]] = Counter()
    slots: set[str] = set()
    intents: set[str] = set()
    for locale in real.languages:
        for row in real.rows(locale):
            counts[locale, row.split] += 1
            intents.add(row.utterance.intent)
            slots.update(slot.name for slot in row.utterance.slots)
    assert counts == {(locale, split): number for locale in release.LOCALES for split, number in release.COUNTS.items()}
    assert tuple(sorted(slots)) == release.SLOTS
    assert tuple(sorted(intents)) == release.INTENTS


@pytest.mark.massive
@pytest.mark.parametrize(
    ("locale", "annotation", "multi_word"),
    [("ja-JP", 0.94, 0.02), ("zh-CN", 0.98, 0.00), ("th-TH", 0.56, 0.07), ("my-MM", 0.45, 0.05), ("en-US", 0.23, 0.38)],
)
def test_blanks_leak_as_measured(real: Massive, locale: str, annotation: float, multi_word: float) -> None:
    leak = blank_leak(real.read(locale, "train"))
    assert round(leak.annotation, 2) == annotation
    assert round(leak.multi_word, 2) == multi_word
    if locale in release.CHARACTER_LOCALES:
        assert leak.text_blanks < leak.blanks / 5
    else:
        assert (leak.text_blanks, leak.text_edges) == (leak.blanks, leak.edges)


@pytest.mark.massive
def test_zero_width_characters_of_the_release_are_kept(real: Massive) -> None:
    for locale in ("fa-IR", "kn-IN"):
        texts = [row.utterance.text for row in real.rows(locale)]
        assert sum(any(mark in text for mark in "\u200b\u200c\u200d\u00a0\ufeff") for text in texts) > 1_000

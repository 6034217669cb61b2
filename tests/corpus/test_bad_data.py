"""What goes wrong with people's data, in each format, and the sentence that says so."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from attrition.corpus.check import check
from attrition.corpus.columns import Columns
from attrition.corpus.massive import Massive
from attrition.corpus.words import cut_words
from attrition.names import AttritionError

ZERO_WIDTH = "\u200b"


def row(**changes: Any) -> str:
    fields = {"id": "0", "locale": "de-DE", "partition": "train", "intent": "alarm_set", "utt": "um fünf"}
    return json.dumps({**fields, "annot_utt": "um [time : fünf]", **changes}, ensure_ascii=False)


def massive(tmp_path: Path, content: str | bytes, locale: str = "de-DE") -> Massive:
    (tmp_path / f"{locale}.jsonl").write_bytes(content if isinstance(content, bytes) else content.encode())
    return Massive(tmp_path, cache=tmp_path / "cache")


def columns(tmp_path: Path, content: str | bytes, ending: str = "jsonl", **settings: Any) -> Columns:
    folder = tmp_path / f"own-{ending}"
    folder.mkdir(exist_ok=True)
    (folder / f"de.train.{ending}").write_bytes(content if isinstance(content, bytes) else content.encode())
    return Columns(folder, **settings)


MASSIVE_ROWS = [
    ("id twice", [row(), row()], 2, r"id '0' was used in line 1 already"),
    ("unknown slot", [row(annot_utt="um [tme : fünf]")], 1, "unknown slot 'tme'. Did you mean 'time'"),
    ("unknown intent", [row(intent="alarm_st")], 1, "unknown intent 'alarm_st'. Did you mean 'alarm_set'"),
    ("unknown partition", [row(partition="trian")], 1, "unknown partition 'trian'"),
    ("slot without words", [row(utt="um ", annot_utt="um [time : ]")], 1, "slot 'time' is empty"),
    ("slot of zero width", [row(utt=f"um {ZERO_WIDTH}", annot_utt=f"um [time : {ZERO_WIDTH}]")], 1, r"be seen \(U\+200B"),
    ("utterance of zero width", [row(utt=ZERO_WIDTH, annot_utt=ZERO_WIDTH)], 1, r"the utterance holds nothing .* \(U\+200B\)"),
    ("slot name of zero width", [row(annot_utt=f"um [ti{ZERO_WIDTH}me : fünf]")], 1, r"unknown slot 'ti\\u200bme'"),
    ("another locale", [row(locale="fr-FR")], 1, "of locale 'fr-FR', the file of 'de-DE'. Move it to its own file"),
    ("another locale's row", [row(), row(id="1", locale="fr-FR")], 2, "of locale 'fr-FR', the file of 'de-DE'"),
    ("a key twice", [row()[:-1] + ', "utt": "um sechs"}'], 1, "the key 'utt' is there twice"),
    ("not a number", [row()[:-1] + ', "score": NaN}'], 1, "NaN is no number of JSON"),
    ("U+0000", [row(utt="um \0fünf")], 1, r"U\+0000 is no text"),
    ("half a character", [row(utt="x").replace('"x"', '"\\ud800"')], 1, "half a surrogate pair"),
    ("files joined", [row(), "\ufeff" + row(id="1")], 2, "begins with a byte-order mark, as where files were joined"),
]  # fmt: skip


@pytest.mark.parametrize(("rows", "line", "said"), [case[1:] for case in MASSIVE_ROWS], ids=[case[0] for case in MASSIVE_ROWS])
def test_a_row_of_massive(rows: list[str], line: int, said: str, tmp_path: Path) -> None:
    with pytest.raises(AttritionError, match=rf"de-DE\.jsonl, line {line}: .*{said}"):
        massive(tmp_path, "\n".join(rows)).read("de-DE", "train")


@pytest.mark.parametrize(
    ("encoding", "said"),
    [
        ("latin-1", r"line 1: the line is not UTF-8 \(byte 0xfc at"),
        ("utf-16", "line 1: the file is UTF-16, not UTF-8"),
        ("utf-32", "line 1: the file is UTF-16, not UTF-8"),  # begins with the same mark
        ("utf-16-le", r"line 1: the line (holds U\+0000. Is the file UTF-16|is not UTF-8)"),
    ],
)
def test_another_encoding(encoding: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(AttritionError, match=rf"de-DE\.jsonl, {said}.*Save .* as UTF-8"):
        massive(tmp_path, row().encode(encoding)).read("de-DE", "train")
    for ending, content in (("jsonl", '{"words": ["fünf"], "tags": ["O"]}'), ("conll", "fünf\tO\n")):
        with pytest.raises(AttritionError, match=rf"de\.train\.{ending}, {said}"):
            columns(tmp_path, content.encode(encoding), ending).read("de", "train")


def test_utf16_is_one_problem_of_a_check(tmp_path: Path) -> None:
    problems = check(massive(tmp_path, "\n".join([row(), row(id="1")]).encode("utf-16")).path).problems
    assert [problem.line for problem in problems if problem.line is not None] == [1]


def test_zero_width_characters_beside_others_are_content(tmp_path: Path) -> None:
    text = f"می{chr(0x200C)}خواهم {ZERO_WIDTH} پنج"
    (utterance,) = massive(tmp_path, row(utt=text, annot_utt=f"{text[:-3]}[time : {text[-3:]}]")).read("de-DE", "train")
    assert utterance.text == text
    assert [text[start:end] for start, end in utterance.words] == text.split(" ")


def test_a_byte_order_mark_at_the_start_is_skipped(tmp_path: Path) -> None:
    assert len(massive(tmp_path, b"\xef\xbb\xbf" + row().encode()).read("de-DE", "train")) == 1


def test_an_empty_split(tmp_path: Path) -> None:
    with pytest.raises(AttritionError, match=r"de-DE\.jsonl: no row has partition 'test'"):
        massive(tmp_path, row()).read("de-DE", "test")
    with pytest.raises(AttritionError, match=r"de-DE\.jsonl: no row has partition 'train'"):
        massive(tmp_path, b"").read("de-DE", "train")
    for content in ("", "\n\n", "# a remark\n"):
        with pytest.raises(AttritionError, match=r"de\.train\.conll holds no utterance"):
            columns(tmp_path, content, "conll").read("de", "train")


def test_a_quoted_row_of_a_megabyte_is_a_short_message(tmp_path: Path) -> None:
    with pytest.raises(AttritionError, match=r"line 1: .* \[\.\.\.\] ") as caught:
        massive(tmp_path, row(utt="x" * 1_000_000)).read("de-DE", "train")
    assert len(str(caught.value)) < 3_000


@pytest.mark.parametrize(
    ("content", "ending", "said"),
    [
        ('{"id": "1", "text": "a", "slots": []}\n' * 2, "jsonl", "line 2: id '1' was used in line 1 already"),
        ("# id = 1\na O\n\n# id = 1\nb O\n", "conll", "line 5: id '1' was used in line 2 already"),
        ('{"text": "a b", "slots": [{"start": 1, "end": 2, "name": "time"}]}', "jsonl", "line 1: slot .* holds blanks only"),
        ('{"text": "a", "slots": [{"start": 1, "end": 1, "name": "time"}]}', "jsonl", "line 1: .* is not a slot of 'a'"),
        (
            '{"text": "a \u200b", "slots": [{"start": 2, "end": 3, "name": "time"}]}',
            "jsonl",
            r"line 1: slot 'time' .*\(U\+200B\)",
        ),
        ("um\tO\n\u200b\tB-time\n", "conll", r"line 1: slot 'time' holds nothing that can be seen \(U\+200B\)"),
        ("\u200b\tO\n", "conll", r"line 1: the utterance holds nothing that can be seen"),
        ("um\tB-ti\u200bme\n", "conll", r"line 1: the slot name 'ti\\u200bme' holds U\+200B"),
        ("um\tB-tme\n", "conll", "line 1: unknown slot 'tme'. Did you mean 'time'"),
        ("um\tX\nda\tB-time\n", "conll", "line 1: 'X' is not a tag"),
    ],
)
def test_a_file_of_the_users_own(content: str, ending: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(AttritionError, match=rf"de\.train\.{ending}, {said}"):
        columns(tmp_path, content, ending, inventory=("time", "ti\u200bme")).read("de", "train")


def test_a_file_name_that_is_no_text(tmp_path: Path) -> None:
    path = tmp_path / "d\udce9.train.conll"
    try:
        path.write_text("a O\n")
    except (OSError, UnicodeEncodeError):
        pytest.skip("this system has no such names")
    with pytest.raises(AttritionError, match="the name is not UTF-8"):
        assert Columns(tmp_path).languages


def test_a_row_of_very_many_slots_is_cut_in_no_time(tmp_path: Path) -> None:
    text = "ab " * 40_000
    slots = [{"start": 3 * n, "end": 3 * n + 2, "name": "time"} for n in range(40_000)]
    (utterance,) = columns(tmp_path, json.dumps({"text": text, "slots": slots})).read("de", "train")
    assert len(cut_words(utterance, "blanks")) == 40_000

"""A user's own files: every form, both ways of naming them, and every way of getting them wrong."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from attrition.corpus.base import Corpus, Slot, Utterance
from attrition.corpus.columns import Columns
from attrition.names import AttritionError

COLUMNS = """\
-DOCSTART- -X- O O

# a comment of another kind
# id = 17
# intent = alarm_set
# text = weck mich um fünf
weck\tVERB\tO
mich\tPRON\tO
um\tADP\tO
fünf\tNUM\tB-time

# O
#hallo B-person
"""


def write(folder: Path, files: Mapping[str, str | bytes]) -> Path:
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return folder


def one(tmp_path: Path, content: str | bytes, ending: str = "conll") -> tuple[Utterance, ...]:
    return Columns(write(tmp_path, {f"nds.train.{ending}": content})).read("nds", "train")


def test_columns_with_comments_give_utterances(tmp_path: Path) -> None:
    first, second = one(tmp_path, COLUMNS)
    assert first == Utterance(
        "17", "alarm_set", "weck mich um fünf", ((0, 4), (5, 9), (10, 12), (13, 17)), (Slot(13, 17, "time"),)
    )
    assert second == Utterance("nds/train/2", "", "# #hallo", ((0, 1), (2, 8)), (Slot(2, 8, "person"),))


def test_the_text_may_join_words_without_blanks(tmp_path: Path) -> None:
    (found,) = one(tmp_path, "# text = 五時に 起こして\n五時 B-time\nに O\n起こして O\n")
    assert found.text == "五時に 起こして"
    assert found.words == ((0, 2), (2, 3), (4, 8))
    assert found.slots == (Slot(0, 2, "time"),)


def test_a_mark_at_the_start_line_ends_of_windows_and_odd_spaces_are_read(tmp_path: Path) -> None:
    (found,) = one(tmp_path, b"\xef\xbb\xbf" + "a\u00a0b\tO\r\n\u200b\tO\r\n\r\n".encode())
    assert found.text == "a\u00a0b \u200b"
    assert found.words == ((0, 3), (4, 5))


@pytest.mark.parametrize(
    "row",
    [
        '{"id": "17", "intent": "alarm_set", "words": ["um", "fünf"], "tags": ["O", "B-time"]}',
        '{"id": "17", "intent": "alarm_set", "words": ["um", "fünf"], "tags": ["O", "I-time"], "text": "um fünf"}',
        '{"id": "17", "intent": "alarm_set", "text": "um fünf", "slots": [{"start": 2, "end": 7, "name": "time"}]}',
        '{"id": "17", "intent": "alarm_set", "utt": "um fünf", "annot_utt": "um [time : fünf]", "partition": "train"}',
    ],
)
def test_all_forms_of_rows_mean_the_same(tmp_path: Path, row: str) -> None:
    (found,) = one(tmp_path, row, "jsonl")
    assert found == Utterance("17", "alarm_set", "um fünf", ((0, 2), (3, 7)), (Slot(3, 7, "time"),))


def test_rows_may_go_without_id_and_intent(tmp_path: Path) -> None:
    rows = '{"text": "a", "slots": []}\n{"words": ["b"], "tags": ["O"]}\n{"utt": "c", "annot_utt": "c"}\n'
    assert [(found.id, found.intent) for found in one(tmp_path, rows, "jsonl")] == [
        ("nds/train/1", ""), ("nds/train/2", ""), ("nds/train/3", ""),
    ]  # fmt: skip


def test_slots_of_a_row_are_sorted(tmp_path: Path) -> None:
    row = '{"text": "a b", "slots": [{"start": 2, "end": 3, "name": "y"}, {"start": 0, "end": 1, "name": "x"}]}'
    assert one(tmp_path, row, "jsonl")[0].slots == (Slot(0, 1, "x"), Slot(2, 3, "y"))


def test_both_ways_of_naming_files_and_languages_of_any_name(tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            "nds/train.conll": "a O\n",
            "nds/dev.jsonl": '{"text": "b", "slots": []}',
            "nds.test.tsv": "c\tB-x\n",
            "gsw.be.train.conll": "d B-y\n",
            "README.md": "notes",
            ".hidden.conll": "?",
            "nds/.train.conll": "?",
        },
    )
    corpus: Corpus = Columns(tmp_path, cuts={"gsw.be": "characters"}, licence="CC0")
    assert corpus.languages == ("gsw.be", "nds")
    assert [found.text for split in ("train", "dev", "test") for found in corpus.read("nds", split)] == ["a", "b", "c"]
    assert corpus.slots == ("x", "y")
    assert corpus.intents == ()
    assert (corpus.default_cut("nds"), corpus.default_cut("gsw.be")) == ("blanks", "characters")
    assert (corpus.name, corpus.licence, corpus.generated) == ("columns", "CC0", False)
    with pytest.raises(AttritionError, match=r"has no test file for 'gsw\.be'\. Name files"):
        corpus.read("gsw.be", "test")
    with pytest.raises(AttritionError, match=r"'ndss'\. Did you mean 'nds'"):
        corpus.read("ndss", "test")
    with pytest.raises(AttritionError, match="Unknown split 'valid'"):
        corpus.read("nds", "valid")  # type: ignore[arg-type]
    with pytest.raises(AttritionError, match="Unknown language"):
        corpus.default_cut("de")


def test_the_fingerprint_is_of_content_not_of_place(tmp_path: Path) -> None:
    here = Columns(write(tmp_path / "a", {"nds/train.conll": "a O\n"}))
    there = Columns(write(tmp_path / "b", {"nds.train.conll": "a O\n"}))
    other = Columns(write(tmp_path / "c", {"nds.train.conll": "b O\n"}))
    assert here.fingerprint == there.fingerprint != other.fingerprint


def test_an_inventory_fixes_the_slots(tmp_path: Path) -> None:
    write(tmp_path, {"nds.train.conll": "a B-x\n\nb B-tme\n"})
    assert Columns(tmp_path).slots == ("tme", "x")
    strict = Columns(tmp_path, inventory=("x", "time"))
    assert strict.slots == ("time", "x")
    with pytest.raises(AttritionError, match=r"train\.conll, line 3: unknown slot 'tme'\. Did you mean 'time'"):
        strict.read("nds", "train")
    with pytest.raises(AttritionError, match=r"the cut of 'nds': unknown cut 'chars'"):
        Columns(tmp_path, cuts={"nds": "chars"})  # type: ignore[dict-item]


@pytest.mark.parametrize(
    ("content", "line", "said"),
    [
        ("a O\nb\n", 2, "'b' has one column"),
        ("a\u00a0O\n", 1, "has one column"),
        ("a O\nb S-time\nc\tU-time\n", 3, "'U-time' is not a tag of BIOES, whose tags are 'O', 'B-name', 'I-name', 'E-name'"),
        ("a O\nb B-\n", 2, "'B-' is not a tag of BIO"),
        ("a O\nb time\nc B-time\n", 2, "'time' is not a tag of BIO.*If this line is a header"),
        ("a O\nNew York\tB-x\n", 2, "'New York' holds a blank"),
        ("a O\n# id = 4\nb O\n", 2, "stands between words"),
        ("# id = 4\na O\n\n# id = 4\nb O\n", 5, "id '4' was used in line 2 already"),
        ("# text = a c\na O\nb O\n", 2, "does not go on with the word 'b' at character 3"),
        ("# text = a b c\na O\nb O\n", 2, "goes on after the last word with ' c'"),
        (b"a O\n\xff O\n", 2, "not UTF-8"),
    ],
)
def test_malformed_columns_are_named_by_file_and_line(tmp_path: Path, content: str | bytes, line: int, said: str) -> None:
    with pytest.raises(AttritionError, match=rf"nds\.train\.conll, line {line}: .*{said}"):
        one(tmp_path, content)


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("{", "not a JSON object"),
        ("", "it is empty"),
        ("3", "the value 3"),
        ('{"text": "a"}', r"has the fields text\. Give it 'words' and 'tags' \(or"),
        ('{"words": ["a"]}', "'tags' must be a list"),
        ('{"words": "a", "tags": ["O"]}', "'words' must be a list of texts"),
        ('{"words": ["a", 1], "tags": ["O", "O"]}', "'words' must be a list of texts"),
        ('{"words": ["a"], "tags": ["O", "O"]}', "1 words and 2 tags"),
        ('{"words": [], "tags": []}', "0 words"),
        ('{"words": ["a b"], "tags": ["O"]}', "holds a blank"),
        ('{"words": ["a"], "tags": ["x"]}', "not a tag"),
        ('{"words": ["a"], "tags": [1]}', "holds numbers, and the file does not say what they mean. Set corpus.labels"),
        ('{"words": ["a"], "tags": [true]}', "neither a text nor a whole number"),
        ('{"words": ["a"], "tags": ["O"], "text": "b"}', "does not go on with the word 'a'"),
        ('{"text": " ", "slots": []}', "the text is empty"),
        ('{"text": 5, "slots": []}', "'text' must be text"),
        ('{"text": "a", "slots": {}}', "'slots' must be a list"),
        ('{"text": "a", "slots": [{"start": 0, "end": 2, "name": "x"}]}', "0 <= start < end <= 1"),
        ('{"text": "a", "slots": [{"start": 0, "end": true, "name": "x"}]}', "is not a slot of"),
        ('{"text": "a", "slots": [{"start": 0, "end": 1}]}', "is not a slot of"),
        ('{"text": "a", "slots": [{"start": 0, "end": 1, "name": ""}]}', "is not a slot of"),
        ('{"text": "a b", "slots": [{"start": 1, "end": 2, "name": "x"}]}', "holds blanks only"),
        ('{"text": "ab", "slots": [{"start": 0, "end": 2, "name": "x"}, {"start": 1, "end": 2, "name": "y"}]}', "overlap"),
        ('{"text": "a", "slots": [], "id": [3]}', "'id' must be text"),
        ('{"utt": "a", "annot_utt": "[x : b]"}', "does not match the text"),
        ('{"utt": "a", "annot_utt": "a", "partition": "test"}', "of partition 'test', the file of 'train'"),
    ],
)
def test_malformed_rows_are_named_by_file_and_line(tmp_path: Path, row: str, said: str) -> None:
    content = f'{{"words": ["good"], "tags": ["B-x"]}}\n{row}\n'
    with pytest.raises(AttritionError, match=rf"nds\.train\.jsonl, line 2: .*{said}"):
        one(tmp_path, content, "jsonl")


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({}, "holds no file of a language and split. Name files"),
        ({"train.conll": "a O"}, "does not say which language and split"),
        ({"nds.trian.conll": "a O"}, "unknown split 'trian'. Did you mean 'train'"),
        ({"nds/trian.conll": "a O"}, "unknown split 'trian'. Did you mean 'train'"),
        ({"nds/train.conll": "a O", "nds.train.jsonl": "{}"}, "are both train of 'nds'"),
        ({"nds.train.conll": "\n\n"}, "holds no utterance"),
    ],
)
def test_a_wrong_folder_is_a_sentence(tmp_path: Path, files: dict[str, str], said: str) -> None:
    with pytest.raises(AttritionError, match=said):
        Columns(write(tmp_path, files)).read("nds", "train")


def test_a_path_that_is_no_folder_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(AttritionError, match="is not a folder"):
        assert Columns(tmp_path / "gone").languages

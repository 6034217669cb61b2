"""Reading rows: forms, languages, pairing, and errors that say where."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from attrition.gate.rows import Layout, Row, read_rows
from attrition.gate.sources import FilePredictions, read_source
from attrition.names import AttritionError

Write = Callable[..., Path]
GOLD = Layout(has_gold=True, has_predicted=False)
PREDICTED = Layout(has_gold=False, has_predicted=True)
BOTH = Layout(has_gold=True, has_predicted=True)


def rows(path: Path, layout: Layout) -> list[Row]:
    return list(read_rows(path, "de", layout))


def test_fields_are_found_by_their_usual_names(write_rows: Write) -> None:
    path = write_rows(
        "a.jsonl", [{"tokens": ["um", "fünf"], "ner_tags": ["O", "B-time"], "prediction": ["O", "O"], "lang": "fi"}]
    )
    (found,) = rows(path, BOTH)
    assert (found.words, found.gold, found.predicted, found.language) == (("um", "fünf"), ("O", "B-time"), ("O", "O"), "fi")
    assert rows(path, GOLD)[0].gold == ("O", "B-time")
    assert rows(path, PREDICTED)[0].predicted == ("O", "O")


def test_fields_can_be_named(write_rows: Write) -> None:
    path = write_rows("a.jsonl", [{"words": ["um"], "tags": ["O"], "mine": ["B-x"]}])
    assert rows(path, Layout(has_gold=True, has_predicted=True, gold="tags", predicted="mine"))[0].predicted == ("B-x",)
    with pytest.raises(AttritionError, match=r"line 1: unknown field of the row 'mein'. Did you mean 'mine'\?"):
        rows(path, Layout(has_gold=False, has_predicted=True, predicted="mein"))


def test_texts_with_slots_and_rows_of_massive(write_rows: Write) -> None:
    slots = {"text": "um fünf", "slots": [{"start": 3, "end": 7, "name": "time"}]}
    massive = {"id": "1", "locale": "de-DE", "utt": "um fünf", "annot_utt": "um [time : fünf]", "intent": "x"}
    for row in (slots, massive):
        (found,) = rows(write_rows("a.jsonl", [row]), GOLD)
        assert (found.words, found.gold) == (("um", "fünf"), ("O", "B-time"))


def test_columns(tmp_path: Path) -> None:
    path = tmp_path / "a.conll"
    path.write_text("-DOCSTART- O O\n\n# id = 7\n# domain = alarm\num O O\nfünf B-time O\n\n\n# O O\n", encoding="utf-8")
    first, second = rows(path, Layout(has_gold=True, has_predicted=True)), rows(path, GOLD)
    assert [(row.id, row.line, row.words, row.gold, row.predicted) for row in first] == [
        ("7", 5, ("um", "fünf"), ("O", "B-time"), ("O", "O")),
    ]
    assert second[0].gold == ("O", "O")
    by_number = Layout(has_gold=True, has_predicted=False, gold="2")
    assert rows(path, by_number)[0].gold == ("O", "B-time")


@pytest.mark.parametrize(
    ("text", "layout", "why"),
    [
        ('{"words": ["a", "b"], "tags": ["O"]}', GOLD, "2 words but 1 gold tags"),
        ('{"words": ["a"], "tags": [3]}', GOLD, "'tags' must be a list of texts"),
        ('{"words": ["a"]}', PREDICTED, "no predicted tags: the row has words"),
        ("{", GOLD, "the row is not a JSON object"),
        ('{"text": "a", "slots": [{}]}', GOLD, "{} is not a slot of 'a'"),
    ],
)
def test_errors_say_where_and_quote_only_if_they_may(tmp_path: Path, text: str, layout: Layout, why: str) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(text + "\n", encoding="utf-8")
    with pytest.raises(AttritionError) as raised:
        rows(path, layout)
    assert f"{path}, line 1: " in str(raised.value)
    assert why in str(raised.value)
    silent = Layout(has_gold=layout.has_gold, has_predicted=layout.has_predicted, show_text=False)
    with pytest.raises(AttritionError, match=r"line 1: the row cannot be read. Run the command without --no-text to see why"):
        rows(path, silent)


def test_a_folder_has_a_file_a_language(write_rows: Write, tmp_path: Path) -> None:
    row = {"words": ["a"], "tags": ["O"]}
    for name in ("de.jsonl", "fi.test.jsonl", "th/test.jsonl", "fi.train.jsonl", "th/dev.jsonl"):
        write_rows(f"in/{name}", [row])
    assert sorted(each.language for each in read_source(tmp_path / "in", GOLD)) == ["de", "fi", "th"]
    write_rows("in/th.jsonl", [row])
    with pytest.raises(AttritionError, match="are both 'th'"):
        read_source(tmp_path / "in", GOLD)


def test_rows_are_paired_by_id_or_by_sequence(write_rows: Write) -> None:
    gold = [{"id": str(n), "words": [f"w{n}"], "tags": ["O"]} for n in range(3)]
    predicted = [{**row, "tags": [f"B-x{row['id']}"]} for row in reversed(gold)]
    test = read_source(write_rows("gold.jsonl", gold), GOLD)
    found = FilePredictions("new", read_source(write_rows("new.jsonl", predicted), PREDICTED)).tags(test)
    assert found == [("B-x0",), ("B-x1",), ("B-x2",)]
    without_id = [{key: value for key, value in row.items() if key != "id"} for row in predicted]
    wrong_sequence = FilePredictions("new", read_source(write_rows("new.jsonl", without_id), PREDICTED))
    with pytest.raises(AttritionError, match=r"the words differ from those of .*gold.jsonl, line 1"):
        wrong_sequence.tags(test)


@pytest.mark.parametrize(
    ("predicted", "why"),
    [
        ([{"id": "0", "tags": ["O"]}], "new has no prediction for the utterance of .*gold.jsonl, line 2"),
        ([{"tags": ["O"]}], "new has 1 utterance of language 'all', but the test set has 2"),
        ([{"id": "0", "tags": ["O"]}, {"id": "1", "tags": ["O", "O"]}], "line 2: 2 tags, but .* has 1 words"),
        ([{"id": "0", "tags": ["O"]}, {"id": "0", "tags": ["O"]}], "line 1 and line 2 have the same id"),
        ([{"language": "al", "tags": ["O"]}], "new has no predictions for language 'all'. Did you mean 'al'"),
    ],
)
def test_predictions_that_do_not_fit_are_named(write_rows: Write, predicted: list[dict[str, object]], why: str) -> None:
    test = read_source(write_rows("gold.jsonl", [{"id": str(n), "words": ["w"], "tags": ["O"]} for n in range(2)]), GOLD)
    new = FilePredictions("new", read_source(write_rows("new.jsonl", predicted), PREDICTED))
    with pytest.raises(AttritionError, match=why):
        new.tags(test)

"""Reads annotated utterances of any system: JSONL rows or CoNLL columns, with gold tags, predicted tags or both.

A JSONL row has `words` (or `tokens`) and tags, or `text` and `slots`, or is a row of MASSIVE:

    {"id": "17", "language": "de", "words": ["um", "fünf"], "gold": ["O", "B-time"], "predicted": ["O", "O"], "domain": "alarm"}

A CoNLL line has a word first and its tags last. A prediction file without a gold file has both tags, as for the CoNLL
evaluation script: `word gold predicted`. Comments before the first word give fields: `# domain = alarm`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from attrition.corpus.annotation import BLANKS
from attrition.corpus.formats import utterance_of
from attrition.corpus.formats.records import row_of_record
from attrition.corpus.formats.row import USUAL
from attrition.corpus.rows import json_object, text_lines
from attrition.corpus.words import tags as tags_of
from attrition.gate.alike import Alike, Named
from attrition.names import AttritionError, unknown

LANGUAGE = ("language", "locale", "lang")
WORDS = ("words", "tokens")
TAGS = ("tags", "labels", "ner_tags")
GOLD = ("gold", "gold_tags", "reference")
PREDICTED = ("predicted", "predicted_tags", "prediction", "pred")
"""The default names of JSONL fields; the first that a row has is used."""

NOT_SHOWN = "the row cannot be read. Run the command without --no-text to see why"
_FIELD_OF_ROW = "field of the row"
_FIELD = re.compile(r"#[ \t]*([^\s=]+)[ \t]*=[ \t]?(.*)")
_NO_FIELDS: Mapping[str, str] = MappingProxyType({})
_SEPARATOR = re.compile(r"[ \t]+")


class Row(NamedTuple):
    """One utterance of a file: its tags and its place.

    `predicted` and `gold` are tags, one per word; None if the file does not have them. `words` is None if the row has tags
    only. `fields` are the values of the fields to slice by.
    """

    file: str
    line: int
    id: str
    language: str
    words: tuple[str, ...] | None
    gold: tuple[str, ...] | None
    predicted: tuple[str, ...] | None
    fields: Mapping[str, str]

    @property
    def place(self) -> str:
        """File and line, for messages."""
        return f"{self.file}, line {self.line}"


@dataclass(frozen=True, kw_only=True)
class Layout:
    """The fields to read from a file.

    Args:
        has_gold, has_predicted: True if these tags are required.
        gold, predicted: names of JSONL fields, or numbers of CoNLL columns from 1; "" finds them automatically.
        fields: fields to slice by, besides language and label.
        show_text: True if an error may quote the data.
    """

    has_gold: bool
    has_predicted: bool
    gold: str = ""
    predicted: str = ""
    fields: tuple[str, ...] = ()
    show_text: bool = True


def read_rows(path: Path, language: str, layout: Layout) -> Iterator[Row]:
    """Yield the utterances of one file.

    Args:
        path: `.jsonl`, `.conll` or `.tsv`.
        language: of rows without a language.
        layout: the fields to read.

    Raises:
        AttritionError: "file, line N: what is wrong, what to do".
    """
    if path.suffix not in (".jsonl", ".conll", ".tsv"):
        raise AttritionError(f"{path}: the name must end in .jsonl, .conll or .tsv. Rename the file.")
    try:
        data = path.read_bytes()
    except OSError as error:
        raise AttritionError(f"{path}: cannot be read: {error.strerror or error}.") from error
    file = str(path)
    lines = text_lines(data, file)
    if path.suffix == ".jsonl":
        yield from _jsonl_rows(lines, layout, file, language)
        return
    for number, block in _blocks(lines):
        try:
            row = _conll_row(block, layout, file, number, language)
        except AttritionError as error:
            raise _in_place(error, layout, file, number) from None
        yield row


def _in_place(error: AttritionError, layout: Layout, file: str, line: int) -> AttritionError:
    message = str(error) if layout.show_text else NOT_SHOWN
    return AttritionError(f"{file}, line {line}: {message[:1].lower()}{message[1:]}")


def _jsonl_rows(lines: Iterable[tuple[int, str]], layout: Layout, file: str, language: str) -> Iterator[Row]:
    alike: Alike | None = None
    first = True
    for number, line in lines:
        try:
            values = alike.read(line) if alike else None
            if values is None:
                row = json_object(line)
                named = _named(row, layout)
                if first and (named.gold or named.predicted):
                    alike = Alike.of(row, named, layout.fields)
                first = False
                values = _values(line, row, named, layout)
            words, gold, predicted, name, own_language, *slices = values
            if layout.has_gold:
                _check(gold, words, line, GOLD[0])
            if layout.has_predicted:
                _check(predicted, words, line, PREDICTED[0])
        except AttritionError as error:
            raise _in_place(error, layout, file, number) from None
        fields = dict(zip(layout.fields, map(str, slices), strict=True)) if slices else _NO_FIELDS
        name = "" if name is None else str(name)
        own = language if own_language is None else str(own_language)
        yield Row(file, number, name, own, words, gold, predicted, fields)


def _named(row: Mapping[str, Any], layout: Layout) -> Named:
    """Return the names of a row's fields of words, tags, id and language.

    Raises:
        AttritionError: the row lacks a requested field.
    """
    gold = predicted = None
    if layout.has_predicted:
        predicted = _asked(row, layout.predicted) if layout.predicted else _first(row, (*PREDICTED, *TAGS))
    if layout.has_gold:
        names = (*GOLD, *TAGS) if not layout.has_predicted or not row.keys().isdisjoint(PREDICTED) else GOLD
        gold = _asked(row, layout.gold) if layout.gold else _first(row, names)
    for name in layout.fields:
        if not isinstance(row.get(name), str | int | float):
            raise unknown(name, (key for key, value in row.items() if isinstance(value, str | int | float)), kind=_FIELD_OF_ROW)
    return Named(_first(row, WORDS), gold, predicted, _first(row, ("id",)), _first(row, LANGUAGE))


def _values(line: str, row: Mapping[str, Any], named: Named, layout: Layout) -> tuple[Any, ...]:
    """Return the values of a row like `Alike.read`, with a text for an id or a language that is null."""
    words, gold, predicted = (None if name is None else _texts(row, name) for name in named[:3])
    if predicted is None and gold is None and ("slots" in row or "annot_utt" in row):
        words, found = _annotated(line)
        gold, predicted = (found, None) if layout.has_gold else (None, found)
    said = (None if name is None else str(row[name]) for name in (named.id, named.language))
    return words, gold, predicted, *said, *(row[name] for name in layout.fields)


def _check(tags: Sequence[str] | None, words: Sequence[str] | None, line: str, name: str) -> None:
    if tags is None:
        raise AttritionError(
            f"no {name} tags: the row has {', '.join(json_object(line)) or 'nothing'}. Add the field {name!r}."
        )
    if words is not None and len(tags) != len(words):
        raise AttritionError(f"{len(words)} words but {len(tags)} {name} tags. Give each word one tag.")


def _annotated(line: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the words and tags of a row with a text and slots."""
    utterance = utterance_of(row_of_record(1, json_object(line), USUAL, {}), "row", "test", "bio")
    words = tuple(utterance.text[start:end] for start, end in utterance.words)
    return words, tuple(tags_of(utterance, utterance.words, "bio"))


def _first(row: Mapping[str, Any], names: Iterable[str]) -> str | None:
    """Return the first of these fields in the row, or None."""
    return next((name for name in names if name in row), None)


def _asked(row: Mapping[str, Any], name: str) -> str:
    if name not in row:
        raise unknown(name, row, kind=_FIELD_OF_ROW)
    return name


def _texts(row: Mapping[str, Any], name: str) -> tuple[str, ...]:
    value = row[name]
    if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
        raise AttritionError(f'field {name!r} must be a list of texts. Write ["...", "..."].')
    return tuple(value)


def _blocks(lines: Iterable[tuple[int, str]]) -> Iterator[tuple[int, list[str]]]:
    """Yield the lines of each utterance, including comments before it, with the line number of its first word."""
    block: list[str] = []
    first = 0
    for number, line in lines:
        if line.strip(BLANKS):
            first = first or (0 if _is_comment(line) else number)
            block.append(line)
        elif first:
            yield first, block
            block, first = [], 0
    if first:
        yield first, block


def _is_comment(line: str) -> bool:
    """Return True if the line is a comment; "#" with tags beside it is a word."""
    return line == "#" or line.startswith(("-DOCSTART-", "# "))


def _conll_row(block: Sequence[str], layout: Layout, file: str, line: int, language: str) -> Row:
    given: dict[str, str] = {}
    cells: list[list[str]] = []
    for text in block:
        if not cells and _is_comment(text):
            if field := _FIELD.match(text):
                given[field[1]] = field[2].strip(BLANKS)
            continue
        row = text.split("\t") if "\t" in text else _SEPARATOR.split(text.strip(BLANKS))
        cells.append([cell.strip(BLANKS) for cell in row])
    width = len(cells[0])
    if any(len(row) != width for row in cells):
        raise AttritionError(f"lines of the utterance have different numbers of columns; the first has {width}. Correct them.")
    both = layout.has_gold and layout.has_predicted
    needed = 3 if both else 2
    if width < needed:
        what = "word, gold tag, predicted tag" if both else "word, tag"
        raise AttritionError(f"{width} columns, but {needed} are needed: {what}. Add a column, or give --test.")
    gold = _column(cells, layout.gold, -2 if both else -1) if layout.has_gold else None
    predicted = _column(cells, layout.predicted, -1) if layout.has_predicted else None
    named = next((given[name] for name in LANGUAGE if name in given), language)
    for name in layout.fields:
        if name not in given:
            raise unknown(name, given, kind="comment field of the utterance")
    fields = {name: given[name] for name in layout.fields}
    return Row(file, line, given.get("id", ""), named, tuple(row[0] for row in cells), gold, predicted, fields)


def _column(cells: Sequence[Sequence[str]], asked: str, place: int) -> tuple[str, ...]:
    if asked:
        if not asked.isdecimal() or not 2 <= int(asked) <= len(cells[0]):
            raise AttritionError(f"{asked!r} is not a column of tags. Write a number from 2 to {len(cells[0])}.")
        place = int(asked) - 1
    return tuple(row[place] for row in cells)

"""All supported formats, and the conversion of their rows to utterances.

A new format is one module here with one function (`attrition.corpus.formats.row.Reader`) and one entry of `FORMATS`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

from attrition.corpus.annotation import BLANKS, Ranges, refuse_hidden, word_ranges
from attrition.corpus.base import Slot, Split, Utterance
from attrition.corpus.formats.arrow import read_arrow, read_parquet
from attrition.corpus.formats.conll import read_conll
from attrition.corpus.formats.conllu import read_conllu
from attrition.corpus.formats.jsonl import read_jsonl
from attrition.corpus.formats.row import USUAL, Format, Layout, Reader, Row
from attrition.corpus.rows import OnProblem, Problem, in_place, massive_utterance, refuse
from attrition.corpus.schemes import SchemeName, TagError, scheme_of, tag_spans
from attrition.names import AttritionError

__all__ = ["BY_ENDING", "FORMATS", "USUAL", "Format", "Found", "Layout", "Reader", "Row", "read_utterances", "utterance_of"]

_ALL = (
    Format(name="columns", endings=(".conll", ".tsv", ".txt", ".iob", ".iob2", ".bio", ""), read=read_conll),
    Format(name="CoNLL-U", endings=(".conllu", ".conllup"), read=read_conllu),
    Format(name="JSONL", endings=(".jsonl",), read=read_jsonl),
    Format(name="Parquet", endings=(".parquet",), read=read_parquet, unit="row"),
    Format(name="Arrow", endings=(".arrow",), read=read_arrow, unit="row"),
)
FORMATS: Mapping[str, Format] = MappingProxyType({each.name: each for each in _ALL})
"""Every format by its name."""

BY_ENDING: Mapping[str, Format] = MappingProxyType({ending: each for each in _ALL for ending in each.endings})
"""Every format by the endings of its files."""


class Found(NamedTuple):
    """An utterance and the line (in a table: the row) where it begins."""

    line: int
    utterance: Utterance


def read_utterances(
    path: Path,
    kind: Format,
    *,
    language: str,
    split: Split,
    layout: Layout = USUAL,
    file: str = "",
    warn: OnProblem = lambda problem: None,
    after: int = 0,
) -> Iterator[Found]:
    """Yield the utterances of a file, in its order.

    Utterances without an id get one from language, split and number, so that languages do not seem parallel.

    Args:
        path: the file.
        kind: its format.
        language, split: of the file.
        layout: the columns of words and tags, and the meaning of tags.
        file: name of the file in error messages; by default its path.
        warn: called with skipped lines, and if labels have no prefix.
        after: number of utterances in earlier files of the split.

    Raises:
        AttritionError: "file, line N: what is wrong, what to do".
    """
    file = file or str(path)
    rows = list(kind.read(path, file, layout, warn))
    scheme = layout.scheme
    if scheme == "auto":
        scheme = scheme_of(tag for row in rows for tag in row.tags)
        if scheme == "plain":
            warn(
                Problem(file, None, "no tag has a prefix such as 'B-': each is read as a label, equal neighbours as one slot.")
            )
    for number, row in enumerate(rows, start=1):
        try:
            utterance = utterance_of(row, f"{language}/{split}/{after + number}", split, scheme)
        except TagError as error:
            line = row.word_lines[error.place] if row.word_lines else row.line
            refuse(in_place(file, line, error, unit=kind.unit))
        except AttritionError as error:
            refuse(in_place(file, row.line, error, unit=kind.unit))
        yield Found(row.line, utterance)


def utterance_of(row: Row, name: str, split: Split, scheme: SchemeName) -> Utterance:
    """Return a row as an utterance, with `name` as its id if it has none.

    Raises:
        AttritionError: words and text do not match, or a tag is not in the scheme.

    >>> utterance_of(Row(1, words=("um", "fünf"), tags=("O", "B-time")), "de/train/1", "train", "bio").slots
    (Slot(start=3, end=7, name='time'),)
    """
    if row.annotated is not None:
        given = row.annotated
        if given.get("partition", split) != split:
            raise AttritionError(
                f"the row is of partition {given['partition']!r}, the file of {split!r}. "
                "Move the row, or take out its 'partition'."
            )
        return massive_utterance({"id": name, "intent": "", **given}, slots=None, intents=None, blanks_may_differ=True)
    if row.slots is not None:
        text, ranges, slots = row.text or "", word_ranges(row.text or ""), row.slots
    else:
        text = " ".join(row.words) if row.text is None else row.text
        ranges = _locate(row.words, text)
        slots = tuple(Slot(ranges[first][0], ranges[end - 1][1], name) for first, end, name in tag_spans(row.tags, scheme))
    refuse_hidden(text, slots)
    return Utterance(row.id or name, row.intent, text, ranges, slots)


def _locate(words: tuple[str, ...], text: str) -> Ranges:
    """Return the words' ranges in the text, which must consist of these words, in order, and blanks."""
    ranges: list[tuple[int, int]] = []
    position = 0
    for word in words:
        while text[position : position + 1] in (" ", "\t"):
            position += 1
        if not text.startswith(word, position):
            raise AttritionError(
                f"the text {text!r} does not go on with the word {word!r} at character {position + 1}. Match them."
            )
        ranges.append((position, position + len(word)))
        position += len(word)
    if text[position:].strip(BLANKS):
        raise AttritionError(f"the text {text!r} goes on after the last word with {text[position:]!r}. Match them.")
    return tuple(ranges)

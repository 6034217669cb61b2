"""Reads CoNLL-U and CoNLL-U Plus: ten columns (or those in `# global.columns`), one word per line, tags in one column.

The layout names the tags' column or key of MISC. The default is the first of NER, NE and Entity in the header of CoNLL-U
Plus or in MISC: `SpaceAfter=No|NER=B-LOC`. An empty tag ("_") is O. A multiword token (`2-3 du`) is one word, with the first
tag of its parts that is not O. Empty nodes (`8.1`) are skipped. A form with a blank ("200 000") becomes two words of one
slot.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from attrition.corpus.annotation import BLANKS
from attrition.corpus.formats.row import Layout, Row
from attrition.corpus.rows import OnProblem, in_place, refuse, text_lines
from attrition.corpus.schemes import has_prefix
from attrition.names import AttritionError, unknown

COLUMNS = ("ID", "FORM", "LEMMA", "UPOS", "XPOS", "FEATS", "HEAD", "DEPREL", "DEPS", "MISC")
_USUAL_TAGS = ("NER", "NE", "Entity")
_COMMENT = re.compile(r"#[ \t]*(sent_id|text|intent|global\.columns)[ \t]*=[ \t]?(.*)")
_ID = re.compile(r"\d+(?:([-.])(\d+))?", re.ASCII)
_EMPTY = "_"


def read_conllu(path: Path, file: str, layout: Layout, _warn: OnProblem) -> Iterator[Row]:
    """Yield the sentences of a CoNLL-U file; see `attrition.corpus.formats.row.Reader`."""
    columns: list[str] = list(COLUMNS)
    lines = [(number, line) for number, line in text_lines(path.read_bytes(), file)]
    sentence: list[tuple[int, dict[str, str]]] = []
    given: dict[str, str] = {}
    tag = _tag_named(layout, lines)
    for number, line in [*lines, (len(lines) + 1, "")]:
        try:
            if line.startswith("#"):
                if comment := _COMMENT.fullmatch(line):
                    if comment[1] == "global.columns":
                        columns = comment[2].split()
                    given[comment[1]] = comment[2]
            elif line.strip(BLANKS):
                sentence.append((number, _cells(line, columns)))
            elif sentence:
                yield _row(sentence, given, tag, columns)
                sentence, given = [], {}
        except AttritionError as error:
            refuse(in_place(file, sentence[0][0] if sentence and not line.strip(BLANKS) else number, error))


def _tag_named(layout: Layout, lines: list[tuple[int, str]]) -> str:
    """Return the name of the tags' column or key of MISC."""
    if isinstance(layout.tag, int) or layout.token is not None:
        raise AttritionError(
            "CoNLL-U has named columns, and its words are in FORM: set corpus.tag to the name of a column or of a key of MISC, "
            "such as 'NER', and leave corpus.token out."
        )
    if layout.tag is not None:
        return layout.tag
    for name in _USUAL_TAGS:
        key = re.compile(rf"(?:[\t|]{name}=)|(?:^# *global\.columns *=.*\b{name}\b)")
        if any(key.search(line) for _, line in lines):
            return name
    return _USUAL_TAGS[0]


def _cells(line: str, columns: list[str]) -> dict[str, str]:
    cells = line.split("\t")
    if len(cells) != len(columns):
        raise AttritionError(
            f"{len(cells)} columns separated by tabs, but a line has {len(columns)}: {', '.join(columns)}. "
            "Correct it, or call the file .conll if it has columns of another kind."
        )
    return dict(zip(columns, cells, strict=True))


def _misc(cells: dict[str, str]) -> dict[str, str]:
    pairs = (part.partition("=") for part in cells.get("MISC", _EMPTY).split("|"))
    return {key: value for key, equals, value in pairs if equals}


def _tag_of(cells: dict[str, str], tag: str, columns: list[str]) -> str:
    found = cells[tag] if tag in columns else _misc(cells).get(tag, _EMPTY)
    return "O" if found == _EMPTY else found


def _row(sentence: list[tuple[int, dict[str, str]]], given: dict[str, str], tag: str, columns: list[str]) -> Row:
    if tag not in columns and "MISC" not in columns:
        raise unknown(tag, columns, kind="column", where="corpus.tag")
    words: list[str] = []
    tags: list[str] = []
    lines: list[int] = []
    text = ""
    covered, whole_is_tagged = 0, False  # last number in the latest multiword token
    for number, cells in sentence:
        found = _ID.fullmatch(cells.get("ID", str(len(words) + 1)))
        if not found:
            raise AttritionError(f"the ID {cells['ID']!r} is no number, range (2-3) or empty node (8.1). Correct it.")
        if found[1] == ".":
            continue
        first = int(found[0].partition("-")[0])
        own = _tag_of(cells, tag, columns)
        if found[1] == "-":
            covered, whole_is_tagged = int(found[2]), own != "O"
        elif first <= covered:
            if not whole_is_tagged and tags and tags[-1] == "O":
                tags[-1] = own
            continue
        form = cells.get("FORM", "")
        parts = form.split()
        if not parts:
            raise AttritionError(f"the form {form!r} is empty. Write the word.")
        words += parts
        tags += _shared(own, len(parts))
        lines += [number] * len(parts)
        text += form + ("" if _misc(cells).get("SpaceAfter") == "No" else " ")
    return Row(
        sentence[0][0],
        given.get("sent_id", ""),
        given.get("intent", ""),
        given.get("text", text.strip(BLANKS)),
        tuple(words),
        tuple(tags),
        tuple(lines),
    )


def _shared(tag: str, num_words: int) -> list[str]:
    """Return the tags of a word's parts, as one slot: S-x for two parts is B-x and E-x."""
    if num_words == 1 or not has_prefix(tag) or tag == "O":
        return [tag] * num_words
    first = {"S": "B", "U": "B", "E": "I", "L": "I"}.get(tag[0], tag[0])
    last = {"S": "E", "U": "L", "E": "E", "L": "L"}.get(tag[0], "I")
    return [f"{prefix}{tag[1:]}" for prefix in (first, *"I" * (num_words - 2), last)]

"""Reads rows, one JSON object a line, and reports each malformed row with its file and line."""

from __future__ import annotations

import codecs
import json
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, NamedTuple, NoReturn

from attrition.corpus.annotation import annotate, refuse_hidden
from attrition.corpus.base import SPLITS, Split, Utterance
from attrition.names import AttritionError, unknown
from attrition.reading import JSON, is_text

_MARK = codecs.BOM_UTF8  # some editors write it before UTF-8
_UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


@dataclass(frozen=True)
class Problem:
    """A problem in a file: the file, the line (from 1; None for the whole file), and a message.

    A table has rows instead of lines: `unit` says which.
    """

    file: str
    line: int | None
    message: str
    unit: str = "line"

    def __str__(self) -> str:
        place = self.file if self.line is None else f"{self.file}, {self.unit} {self.line}"
        return f"{place}: {self.message}"


OnProblem = Callable[[Problem], None]
"""Called with each malformed row: `refuse` raises; another function may collect the row, and reading continues."""


def refuse(problem: Problem) -> NoReturn:
    """Raise the problem as the user's error.

    >>> refuse(Problem("de-DE.jsonl", 4, "not JSON."))
    Traceback (most recent call last):
    attrition.names.AttritionError: de-DE.jsonl, line 4: not JSON.
    """
    raise AttritionError(str(problem))


def in_place(file: str, line: int | None, error: AttritionError, *, unit: str = "line") -> Problem:
    """Return an error about a row as a problem with its file and line."""
    message = str(error)
    return Problem(file, line, message[:1].lower() + message[1:], unit)


class Row(NamedTuple):
    """A row that could be read, with its line number from 1."""

    line: int
    split: Split
    utterance: Utterance


def text_lines(data: bytes, file: str, on_problem: OnProblem = refuse) -> Iterator[tuple[int, str]]:
    """Yield the lines of a UTF-8 file, numbered from 1. A line that is not UTF-8 or has U+0000 is a problem.

    Only U+000A ends a line (U+000D before it is removed): an utterance may contain Unicode's other line separators.
    A byte-order mark at the start is skipped.

    >>> list(text_lines(b"eins\\r\\nzwei", "mine.conll"))
    [(1, 'eins'), (2, 'zwei')]
    """
    if data.startswith(_UTF16):
        on_problem(Problem(file, 1, "the file is UTF-16, not UTF-8. Save it as UTF-8."))
        return
    with suppress(UnicodeDecodeError):
        text = data.removeprefix(_MARK).decode("utf-8")
        if not any(each in text for each in "\0\r\ufeff"):  # faster: no line needs a check
            yield from enumerate(text.removesuffix("\n").split("\n") if text else (), start=1)
            return
    lines = data.removeprefix(_MARK).split(b"\n")
    if lines and not lines[-1]:
        lines.pop()
    for number, line in enumerate(lines, start=1):
        try:
            text = line.removesuffix(b"\r").decode("utf-8")
        except UnicodeDecodeError as error:
            byte = f"byte 0x{line[error.start]:02x} at {error.start + 1}"
            on_problem(Problem(file, number, f"the line is not UTF-8 ({byte}). Save the file as UTF-8."))
            continue
        if "\0" in text:
            on_problem(Problem(file, number, "the line holds U+0000. Is the file UTF-16, or no text? Save it as UTF-8."))
        elif text.startswith("\ufeff"):
            message = "the line begins with a byte-order mark, as where files were joined. Take the mark out."
            on_problem(Problem(file, number, message))
        else:
            yield number, text


def json_object(line: str) -> dict[str, Any]:
    """Return the JSON object in a line.

    Raises:
        AttritionError: the line is not an object, or has a key twice, NaN, or text that UTF-8 cannot encode.
    """
    try:
        row = _decoded(line)
        if ("\\ud" in line or "\\uD" in line) and not is_text(json.dumps(row, ensure_ascii=False)):
            raise ValueError("half a surrogate pair is no text")
        if "\\u0000" in line:
            raise ValueError("U+0000 is no text")
    except (ValueError, RecursionError) as error:
        reason = "it is empty" if not line.strip() else str(error)
        raise AttritionError(f"the row is not a JSON object in UTF-8 ({reason}). Correct the row, or take it out.") from error
    if not isinstance(row, dict):
        raise AttritionError(f"the row is not a JSON object but {_kind(row)}. Write one {{...}} a line.")
    return row


def _decoded(line: str) -> Any:
    """Return the value of a line. Faster than `decode`, which is called only if there are blanks around the value."""
    try:
        row, end = JSON.raw_decode(line)
    except ValueError:
        end = -1
    return row if end == len(line) else JSON.decode(line)


def text_field(row: Mapping[str, Any], name: str) -> str:
    """Return a required text field.

    Raises:
        AttritionError: the field is missing, or is not text.

    >>> text_field({"utt": "wake me"}, "utt")
    'wake me'
    """
    if name not in row:
        given = ", ".join(row) or "none"
        raise AttritionError(f"field {name!r} is missing (the row has: {given}). Add it, or take the row out.")
    value = row[name]
    if not isinstance(value, str):
        raise AttritionError(f"field {name!r} must be text, but is {_kind(value)}. Put it in quotation marks.")
    return value


def massive_rows(
    data: bytes,
    locale: str,
    file: str,
    *,
    slots: Collection[str],
    intents: Collection[str],
    blanks_may_differ: bool,
    on_problem: OnProblem = refuse,
) -> Iterator[Row]:
    """Yield the rows of one locale file of MASSIVE, in order.

    Args:
        data: the file's bytes.
        locale: the locale that every row must name.
        file: name of the file in error messages.
        slots, intents: the names allowed.
        blanks_may_differ: True if the annotation may have blanks that are not in the text.
        on_problem: called with each malformed row; the default raises at the first.

    Raises:
        AttritionError: with the default `on_problem`: "file, line N: what is wrong, what to do".
    """
    line_of_id: dict[str, int] = {}
    for number, line in text_lines(data, file, on_problem):
        try:
            row = json_object(line)
            split = _split(row)
            given = text_field(row, "locale")
            if given != locale:
                raise AttritionError(f"the row is of locale {given!r}, the file of {locale!r}. Move it to its own file.")
            utterance = massive_utterance(row, slots=slots, intents=intents, blanks_may_differ=blanks_may_differ)
            first = line_of_id.setdefault(utterance.id, number)
            if first != number:
                raise AttritionError(f"id {utterance.id!r} was used in line {first} already. Give each row an id of its own.")
        except AttritionError as error:
            on_problem(in_place(file, number, error))
        else:
            yield Row(number, split, utterance)


def massive_utterance(
    row: Mapping[str, Any], *, slots: Collection[str] | None, intents: Collection[str] | None, blanks_may_differ: bool
) -> Utterance:
    """Return a row in MASSIVE's schema as an utterance; None for `slots` or `intents` allows every name.

    Raises:
        AttritionError: a field is missing or of another type, a name is unknown, or the annotation does not match the text.

    >>> row = {"id": "0", "intent": "alarm_set", "utt": "wake me", "annot_utt": "wake [person : me]"}
    >>> massive_utterance(row, slots=["person"], intents=None, blanks_may_differ=False).slots
    (Slot(start=5, end=7, name='person'),)
    """
    text = text_field(row, "utt")
    words, spans = annotate(text, text_field(row, "annot_utt"), blanks_may_differ=blanks_may_differ)
    if not words:
        raise AttritionError("the utterance is empty. Give it its text, or take the row out.")
    refuse_hidden(text, spans)
    intent = text_field(row, "intent")
    if intents is not None and intent not in intents:
        raise unknown(intent, intents, kind="intent")
    if slots is not None:
        for span in spans:
            if span.name not in slots:
                raise unknown(span.name, slots, kind="slot")
    return Utterance(text_field(row, "id"), intent, text, words, spans)


def _split(row: Mapping[str, Any]) -> Split:
    given = text_field(row, "partition")
    for split in SPLITS:
        if given == split:
            return split
    raise unknown(given, SPLITS, kind="partition")


def _kind(value: object) -> str:
    """Return the type of a JSON value in words, with the value itself if it is short."""
    if isinstance(value, list | dict):
        return "a list" if isinstance(value, list) else "an object"
    return f"{value!r}" if value is None or isinstance(value, bool) else f"the value {value!r}"[:60]

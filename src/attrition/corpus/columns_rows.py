"""The formats of a user's own files.

*Columns*: one word a line, first column the word, last column its tag, separated by a tab or by blanks; an empty line ends
the utterance. Before its first word, comments may give what the columns cannot:

    # id = 17
    # intent = alarm_set
    # text = weck mich um fünf
    weck    O
    mich    O
    um      O
    fünf    B-time

Without `# text` the text is the words joined by blanks; with it, the words must be found in it one after another. Other
comments ("# " and anything) and `-DOCSTART-` lines are skipped.

*JSONL*: one object a line, in any of three forms, `id` and `intent` optional:

    {"words": ["um", "fünf"], "tags": ["O", "B-time"]}                          (and "text", where blanks do not join words)
    {"text": "um fünf", "slots": [{"start": 3, "end": 7, "name": "time"}]}      (in characters, the end not included)
    {"id": "17", "intent": "alarm_set", "utt": "um fünf", "annot_utt": "um [time : fünf]"}                (a row of MASSIVE)

Tags are "O", "B-name" and "I-name". A slot begins at every B, and at an I that continues no slot of its name (so IOB1 and IO
are read too, and every sequence means what seqeval's default mode takes it to mean).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

from attrition.corpus.annotation import BLANKS, Ranges, refuse_hidden, word_ranges
from attrition.corpus.base import Slot, Split, Utterance
from attrition.corpus.rows import in_place, json_object, massive_utterance, refuse, text_field, text_lines
from attrition.names import AttritionError

_COMMENT = re.compile(r"#[ \t]*(id|text|intent)[ \t]*=[ \t]?(.*)")
_TAG = re.compile(r"O|[BI]-\S.*")
_SEPARATOR = re.compile(r"[ \t]+")


class Found(NamedTuple):
    """An utterance and the line it begins in."""

    line: int
    utterance: Utterance


def tag_spans(tags: Sequence[str]) -> list[tuple[int, int, str]]:
    """The slots that a tag sequence marks: first word, last word + 1, name.

    Raises:
        AttritionError: something is no tag of BIO or IO.

    >>> tag_spans(["B-time", "I-time", "O", "I-date", "B-date"])
    [(0, 2, 'time'), (3, 4, 'date'), (4, 5, 'date')]
    """
    spans: list[tuple[int, int, str]] = []
    start, open_name = 0, ""
    for index, tag in enumerate((*tags, "O")):
        if not _TAG.fullmatch(tag):
            raise AttritionError(f"{tag!r} is not a tag. Tags are 'O', 'B-name' and 'I-name' (BIO, IO or IOB1; not BILOU).")
        name = tag[2:]
        if open_name and (tag[0] != "I" or name != open_name):
            spans.append((start, index, open_name))
            open_name = ""
        if name and not open_name:
            start, open_name = index, name
    return spans


def conll_utterances(data: bytes, file: str, *, language: str, split: Split) -> Iterator[Found]:
    """The utterances of a file of columns.

    Utterances without an id are named after their language, split and number, so that no two languages seem parallel.

    Raises:
        AttritionError: "file, line N: what is wrong, what to do".
    """
    block = _Block()
    number = 0
    for line_number, line in text_lines(data, file):
        try:
            if line.strip(BLANKS):
                block.add(line_number, line)
                continue
        except AttritionError as error:
            refuse(in_place(file, line_number, error))
        if block.words:
            number += 1
            yield _finish(block, file, f"{language}/{split}/{number}")
            block = _Block()
    if block.words:
        yield _finish(block, file, f"{language}/{split}/{number + 1}")


def jsonl_utterances(data: bytes, file: str, *, language: str, split: Split) -> Iterator[Found]:
    """The utterances of a JSONL file, each row in any of the three forms.

    Raises:
        AttritionError: "file, line N: what is wrong, what to do".
    """
    for number, line in text_lines(data, file):
        try:
            row = json_object(line)
            name = f"{language}/{split}/{number}"
            utterance = _of_massive(row, name, split) if "annot_utt" in row else _of_row(row, name)
        except AttritionError as error:
            refuse(in_place(file, number, error))
        yield Found(number, utterance)


class _Block:
    """The lines of one utterance so far."""

    def __init__(self) -> None:
        self.given: dict[str, str] = {}
        self.line = 0
        self.words: list[str] = []
        self.tags: list[str] = []

    def add(self, number: int, line: str) -> None:
        comment = _COMMENT.fullmatch(line)
        if comment:
            if self.words:
                raise AttritionError(f"{line!r} stands between words. Put an empty line before the next utterance.")
            self.given[comment[1]] = comment[2]
            return
        line = line.rstrip(BLANKS)
        columns = line.split("\t") if "\t" in line else _SEPARATOR.split(line.lstrip(BLANKS))
        word, tag = columns[0].strip(BLANKS), columns[-1].strip(BLANKS)
        is_row = len(columns) > 1 and _TAG.fullmatch(tag)
        if word == "-DOCSTART-" or (not is_row and (line == "#" or line.startswith("# "))):
            return
        if len(columns) == 1:
            raise AttritionError(f"{line!r} has one column. Write the word, a tab, and its tag.")
        tag_spans([tag])
        if not word or " " in word:
            raise AttritionError(f"the word {word!r} is empty or holds a blank. Write one word a line.")
        self.line = self.line or number
        self.words.append(word)
        self.tags.append(tag)


def _finish(block: _Block, file: str, name: str) -> Found:
    given = block.given
    try:
        utterance = _of_words(given.get("id", name), given.get("intent", ""), given.get("text"), block.words, block.tags)
    except AttritionError as error:
        refuse(in_place(file, block.line, error))
    return Found(block.line, utterance)


def _of_words(name: str, intent: str, text: str | None, words: Sequence[str], tags: Sequence[str]) -> Utterance:
    if text is None:
        text = " ".join(words)
    ranges = _locate(words, text)
    slots = tuple(Slot(ranges[first][0], ranges[end - 1][1], slot) for first, end, slot in tag_spans(tags))
    refuse_hidden(text, slots)
    return Utterance(name, intent, text, ranges, slots)


def _locate(words: Sequence[str], text: str) -> Ranges:
    """Where the words are in the text, which must hold them in order and nothing else but blanks."""
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


def _of_massive(row: Mapping[str, Any], name: str, split: Split) -> Utterance:
    if row.get("partition", split) != split:
        raise AttritionError(
            f"the row is of partition {row['partition']!r}, the file of {split!r}. Move the row, or take out its 'partition'."
        )
    return massive_utterance({"id": name, "intent": "", **row}, slots=None, intents=None, blanks_may_differ=True)


def _of_row(row: Mapping[str, Any], name: str) -> Utterance:
    name = text_field(row, "id") if "id" in row else name
    intent = text_field(row, "intent") if "intent" in row else ""
    if "words" in row or "tags" in row:
        words, tags = _texts(row, "words"), _texts(row, "tags")
        if len(words) != len(tags) or not words:
            raise AttritionError(f"there are {len(words)} words and {len(tags)} tags. Give each word one tag.")
        for word in words:
            if not word or word_ranges(word) != ((0, len(word)),):
                raise AttritionError(f"the word {word!r} is empty or holds a blank. Write each word by itself.")
        return _of_words(name, intent, text_field(row, "text") if "text" in row else None, words, tags)
    if "slots" not in row:
        raise AttritionError(
            f"the row has the fields {', '.join(row) or '(none)'}. "
            "Give it 'words' and 'tags', or 'text' and 'slots', or 'utt' and 'annot_utt'."
        )
    text = text_field(row, "text")
    words_in_text = word_ranges(text)
    if not words_in_text:
        raise AttritionError("the text is empty. Give the row its text, or take it out.")
    slots = _slots(row["slots"], text)
    refuse_hidden(text, slots)
    return Utterance(name, intent, text, words_in_text, slots)


def _texts(row: Mapping[str, Any], name: str) -> list[str]:
    value = row.get(name)
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise AttritionError(f'field {name!r} must be a list of texts. Write ["...", "..."].')
    return value


def _is_span(start: int, end: int, text: str) -> bool:
    """Whether these are whole numbers (JSON's true is none) that bound a part of the text."""
    return not isinstance(start, bool) and not isinstance(end, bool) and 0 <= start < end <= len(text)


def _slots(given: object, text: str) -> tuple[Slot, ...]:
    """Slots given as objects: sorted, without the blanks at their edges."""
    if not isinstance(given, list):
        raise AttritionError("field 'slots' must be a list. Write [] for an utterance without slots.")
    slots: list[Slot] = []
    for item in given:
        match item:
            case {"start": int(start), "end": int(end), "name": str(name)} if _is_span(start, end, text) and name:
                value = text[start:end]
                inside = Slot(start + len(value) - len(value.lstrip(BLANKS)), start + len(value.rstrip(BLANKS)), name)
            case _:
                raise AttritionError(
                    f"{item!r} is not a slot of {text!r}. A slot has a 'name' and whole numbers 'start' and 'end', "
                    f"0 <= start < end <= {len(text)}."
                )
        if inside.start >= inside.end:
            raise AttritionError(f"slot {item!r} holds blanks only. Give it its words, or take it out.")
        slots.append(inside)
    slots.sort()
    for before, after in pairwise(slots):
        if after.start < before.end:
            raise AttritionError(f"slots {before.name!r} and {after.name!r} overlap in {text!r}. Keep one of them.")
    return tuple(slots)

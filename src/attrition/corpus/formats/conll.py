"""Reads CoNLL columns: one word and its tag per line, separated by tabs or blanks. An empty line ends the utterance.

    # id = 17
    # intent = alarm_set
    # text = weck mich um fünf
    weck    O
    mich    O
    um      O
    fünf    B-time

By default the word is the first column and the tag the last. Comments before the first word may give an id, an intent and
the text. Without `# text` the text is the words joined by blanks; with it, the text must contain the words in order. Other
comments ("# " and anything) and `-DOCSTART-` lines are skipped. A line without a word is skipped and reported.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from attrition.corpus.annotation import BLANKS
from attrition.corpus.formats.row import Layout, Row
from attrition.corpus.rows import OnProblem, Problem, in_place, refuse, text_lines
from attrition.corpus.schemes import has_prefix
from attrition.names import AttritionError, unknown

_COMMENT = re.compile(r"#[ \t]*(id|text|intent)[ \t]*=[ \t]?(.*)")


def read_conll(path: Path, file: str, layout: Layout, warn: OnProblem) -> Iterator[Row]:
    """Yield the utterances of a file of columns; see `attrition.corpus.formats.row.Reader`."""
    block = _Block(layout, file, warn)
    for number, line in text_lines(path.read_bytes(), file):
        try:
            if line.strip(BLANKS):
                block.add(number, line)
                continue
        except AttritionError as error:
            refuse(in_place(file, number, error))
        if block.words:
            yield block.take()
    if block.words:
        yield block.take()


class _Block:
    """The lines of the current utterance, and the file's columns of words and tags."""

    def __init__(self, layout: Layout, file: str, warn: OnProblem) -> None:
        self.layout, self.file, self.warn = layout, file, warn
        self.awaits_header = isinstance(layout.tag, str) or isinstance(layout.token, str)
        self.token = 0 if layout.token is None else layout.token
        self.tag = -1 if layout.tag is None else layout.tag
        self.num_columns = 0
        self._clear()

    def _clear(self) -> None:
        self.given: dict[str, str] = {}
        self.words: list[str] = []
        self.tags: list[str] = []
        self.lines: list[int] = []

    def take(self) -> Row:
        """Return the current utterance, and begin the next one."""
        given = self.given
        row = Row(
            self.lines[0],
            given.get("id", ""),
            given.get("intent", ""),
            given.get("text"),
            tuple(self.words),
            tuple(self.tags),
            tuple(self.lines),
        )
        self._clear()
        return row

    def add(self, number: int, line: str) -> None:
        """Add a line that is not empty."""
        if line[0] == "#" and (comment := _COMMENT.fullmatch(line)):
            if self.words:
                raise AttritionError(f"{line!r} stands between words. Put an empty line before the next utterance.")
            self.given[comment[1]] = comment[2]
            return
        line = line.rstrip(BLANKS)
        columns = (
            [each.strip(BLANKS) for each in line.split("\t")] if "\t" in line else [each for each in line.split(" ") if each]
        )
        if columns[0] == "-DOCSTART-" or ((line == "#" or line.startswith("# ")) and not self._is_row(columns)):
            return
        if self.awaits_header:
            self._read_header(columns)
            return
        if len(columns) == 1:
            if line[0] in BLANKS:
                self._warn_of_no_word(number, columns[0])
                return
            raise AttritionError(f"{line!r} has one column. Write the word, a tab, and its tag.")
        self.num_columns = self.num_columns or len(columns)
        word, tag = self._at(columns, self.token, "token"), self._at(columns, self.tag, "tag")
        if not word:
            self._warn_of_no_word(number, tag)
            return
        if " " in word:
            raise AttritionError(f"the word {word!r} holds a blank. Write one word a line.")
        self.words.append(word)
        self.tags.append(tag)
        self.lines.append(number)

    def _is_row(self, columns: list[str]) -> bool:
        """Return True if a line that begins with "#" is the word "#" with its tag."""
        return len(columns) in (2, self.num_columns) and has_prefix(columns[-1])

    def _warn_of_no_word(self, number: int, tag: str) -> None:
        self.warn(Problem(self.file, number, f"a tag {tag!r} without a word. The line is skipped."))

    def _read_header(self, columns: list[str]) -> None:
        for key in ("token", "tag"):
            name = getattr(self, key)
            if isinstance(name, str):
                if name not in columns:
                    raise unknown(name, columns, kind="column", where=f"the header, for {key!r}")
                setattr(self, key, columns.index(name))
        self.awaits_header = False

    @staticmethod
    def _at(columns: list[str], place: int | str, key: str) -> str:
        assert isinstance(place, int), place
        try:
            return columns[place]
        except IndexError:
            raise AttritionError(
                f"the line has {len(columns)} columns, but {key!r} asks for number {place} (counted from 0; -1 is the last). "
                "Correct the line, or the number."
            ) from None

"""What every format gives: rows, as they stand in the file, with their places; and how a user says where the tags are."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from attrition.corpus.base import Slot
from attrition.corpus.rows import OnProblem
from attrition.corpus.schemes import SCHEMES, SchemeName
from attrition.names import AttritionError, unknown


@dataclass(frozen=True)
class Layout:
    """Where words and tags are, and what tags mean. The defaults read most files.

    Args:
        token: the column or field of words: a number from 0 (-1 is the last), or a name. None: the format's usual one.
        tag: the column or field of tags, likewise; a name in columns means that the first line is a header.
        scheme: of the tags; "auto" finds it in each file.
        labels: what tags mean that are numbers, where the files do not say it.
    """

    token: int | str | None = None
    tag: int | str | None = None
    scheme: SchemeName = "auto"
    labels: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.scheme not in SCHEMES:
            raise unknown(self.scheme, SCHEMES, kind="tagging scheme")
        for name, given in (("token", self.token), ("tag", self.tag)):
            if given == "":
                raise AttritionError(f"{name} is empty. Give the number or the name of a column, or leave it out.")


USUAL = Layout()
"""The layout of most files."""


class Row(NamedTuple):
    """One utterance as its file has it: words and tags, or a text with slots, or a text with MASSIVE's brackets.

    `line` is the line (of a table: the row) in which it begins, from 1. `word_lines` are those of its words, where each word
    has a line of its own.
    """

    line: int
    id: str = ""
    intent: str = ""
    text: str | None = None
    words: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    word_lines: tuple[int, ...] = ()
    slots: tuple[Slot, ...] | None = None
    annotated: dict[str, Any] | None = None
    """A row in MASSIVE's own schema, not yet checked."""


Reader = Callable[[Path, str, Layout, OnProblem], Iterator[Row]]
"""From a file, what errors call it, the layout and whom to tell of what was skipped, to its rows in order.

Raises `AttritionError`, "file, line N: what is wrong, what to do".
"""


@dataclass(frozen=True, kw_only=True)
class Format:
    """A format of files: its endings, its reader, and what its rows are counted in ("line" or "row")."""

    name: str
    endings: tuple[str, ...]
    read: Reader
    unit: str = "line"

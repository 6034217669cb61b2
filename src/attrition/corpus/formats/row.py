"""The rows that every format returns, and the layout in which a user names the columns of words and tags."""

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
    """The columns of words and tags, and the meaning of tags. The defaults read most files.

    Args:
        token: the column or field of words: a number from 0 (-1 is the last), or a name. None: the format's default.
        tag: the column or field of tags, likewise; with a name, the first line of a file of columns is a header.
        scheme: of the tags; "auto" finds it in each file.
        labels: the labels of numeric tags, if the files do not have them.
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
    """One utterance as in its file: words and tags, or a text with slots, or a text with MASSIVE's brackets.

    `line` is the line (in a table: the row) where it begins, from 1. `word_lines` are the lines of its words, if each word
    has its own line.
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
"""Returns the rows of a file in order. Arguments: path, name in error messages, layout, function called with skipped lines.

Raises `AttritionError`, "file, line N: what is wrong, what to do".
"""


@dataclass(frozen=True, kw_only=True)
class Format:
    """A file format: its endings, its reader, and the unit of its rows ("line" or "row")."""

    name: str
    endings: tuple[str, ...]
    read: Reader
    unit: str = "line"

"""Reads JSONL rows that have the fields of their file's first row, about three times as fast as a general reader.

Most files have the same fields in all rows. So only the first row is asked which field holds what, and a decoder made for
exactly these fields reads the others. A row that this decoder does not take goes the usual way, which knows all forms and
words all errors.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Any, NamedTuple

import msgspec


class Named(NamedTuple):
    """The fields of a row that hold what the gate needs; None where the row has no such field."""

    words: str | None
    gold: str | None
    predicted: str | None
    id: str | None
    language: str | None


@dataclass(frozen=True)
class Alike:
    """Reads rows with the same fields; make it with `of`."""

    decode: Callable[[str], Any]
    take: Callable[[Any], tuple[Any, ...]]
    number: int

    @staticmethod
    def of(row: Mapping[str, Any], named: Named, slices: Sequence[str]) -> Alike | None:
        """Return a reader of rows that have the fields of `row`; None if a field's name has characters that JSON escapes.

        Args:
            row: the first one of a file.
            named: which of its fields hold what.
            slices: other fields that are wanted; the row has them all.
        """
        if any('"' in name or "\\" in name or not name.isprintable() for name in row):
            return None
        attribute = {name: f"f{number}" for number, name in enumerate(row)}
        lists, values = {named.words, named.gold, named.predicted}, {named.id, named.language, *slices}
        form = msgspec.defstruct(
            "Form",
            [
                (each, tuple[str, ...] if name in lists else str | int if name in values else Any)
                for name, each in attribute.items()
            ],
            rename={each: name for name, each in attribute.items()},
            namespace={"none": None},
            forbid_unknown_fields=True,
            gc=False,
        )
        wanted = [attribute[name] if name is not None else "none" for name in (*named, *slices)]
        return Alike(msgspec.json.Decoder(form).decode, attrgetter(*wanted), len(row))

    def read(self, line: str) -> tuple[Any, ...] | None:
        """Return the values of a row: words, gold and predicted tags as tuples, id, language, slices; None if it is not alike.

        A key that is there twice is an error, which the decoder does not see. Every key ends in a quotation mark, blanks if any
        and a colon. So a row without a blank before a colon and with as many `":` as fields has each key once, and no object
        inside.
        """
        if line.count('":') != self.number or " :" in line or "\t:" in line or "\r:" in line:
            return None
        if "\\u0000" in line or "\\ud" in line or "\\uD" in line:  # what may be no text
            return None
        try:
            return self.take(self.decode(line))
        except (msgspec.MsgspecError, RecursionError):
            return None

"""Reads JSONL: one object per line; `attrition.corpus.formats.records` lists the fields."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from attrition.corpus.formats.records import row_of_record
from attrition.corpus.formats.row import Layout, Row
from attrition.corpus.rows import OnProblem, in_place, json_object, refuse, text_lines
from attrition.names import AttritionError


def read_jsonl(path: Path, file: str, layout: Layout, _warn: OnProblem) -> Iterator[Row]:
    """Yield the rows of a JSONL file; see `attrition.corpus.formats.row.Reader`."""
    for number, line in text_lines(path.read_bytes(), file):
        try:
            yield row_of_record(number, json_object(line), layout, {})
        except AttritionError as error:
            refuse(in_place(file, number, error))

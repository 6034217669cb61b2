"""Reads a run's history: one line for each epoch of each stage."""

from __future__ import annotations

import csv
import io
import math
from pathlib import Path

import pandas as pd

from attrition.names import AttritionError
from attrition.reading import read_text

HISTORY_COLUMNS = ("stage", "trained", "epoch", "train_loss", "dev_f1", "seconds", "best")

_WHOLE = ("stage", "epoch")
_FRACTIONS = ("train_loss", "dev_f1", "seconds")
_MOST_DIGITS = 9


def read_history(path: Path) -> pd.DataFrame:
    """Return the epochs of a run in the order of training, with HISTORY_COLUMNS; without a file, no rows.

    A number that was not measured is NaN, and so is an infinite loss.

    Raises:
        AttritionError: a column or cell is missing, or a cell has a wrong type; the message names the line.
    """
    if not path.is_file():
        return pd.DataFrame(columns=list(HISTORY_COLUMNS))
    reader = csv.reader(io.StringIO(read_text(path), newline=""), strict=True)
    try:
        lines = [(reader.line_num, cells) for cells in reader if cells]
    except csv.Error as error:
        raise AttritionError(f"{path}, line {reader.line_num}: not a table of epochs: {error}.") from error
    header = lines[0][1] if lines else []
    missing = [name for name in HISTORY_COLUMNS if name not in header]
    if missing:
        raise AttritionError(f"{path}: the column {missing[0]!r} is missing; expected: {', '.join(HISTORY_COLUMNS)}.")
    rows = []
    for number, cells in lines[1:]:
        if len(cells) != len(header):
            raise AttritionError(f"{path}, line {number}: {len(cells)} cells, but the header has {len(header)}.")
        given = dict(zip(header, cells, strict=True))
        rows.append([_cell(name, given[name].strip(), f"{path}, line {number}") for name in HISTORY_COLUMNS])
    return pd.DataFrame(rows, columns=list(HISTORY_COLUMNS))


def _cell(name: str, text: str, where: str) -> str | int | float | bool:
    if name in _WHOLE:
        if text.isascii() and text.isdigit() and len(text) <= _MOST_DIGITS:
            return int(text)
    elif name in _FRACTIONS:
        try:
            value = float(text or "nan")
        except ValueError:
            value = None
        if value is not None and (name == "train_loss" or not math.isinf(value)):
            return value if math.isfinite(value) else math.nan
    elif name == "best":
        if text.lower() in ("true", "false"):
            return text.lower() == "true"
    elif text.isprintable():
        return text
    kind = "a whole number" if name in _WHOLE else "a number" if name in _FRACTIONS else "true or false"
    kind = "the name of a language" if name == "trained" else kind
    raise AttritionError(f"{where}: {name!r} is {text[:80]!r}, but should be {kind}.")

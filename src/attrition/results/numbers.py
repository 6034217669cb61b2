"""Reads the numbers of a run's JSON files."""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping
from pathlib import Path

from attrition.metrics import summary
from attrition.metrics.matrix import RMatrix
from attrition.names import AttritionError
from attrition.reading import parse_json, read_text


def metrics_in(path: Path, matrix: RMatrix) -> Mapping[str, float]:
    """Return the recorded metrics, or metrics computed from R if a run has none."""
    if not path.is_file():
        return summary(matrix)
    return {name: math.nan if value is None else value for name, value in numbers_in(path, allow_null=True).items()}


def numbers_in(path: Path, *, allow_null: bool) -> dict[str, float | None]:
    """Return the numbers of a JSON object in a file, without nested values.

    Raises:
        AttritionError: the file cannot be read, or a value is not a finite number.
    """
    numbers: dict[str, float | None] = {}
    for name, value in parse_json(read_text(path), str(path)).items():
        if isinstance(value, dict | list):
            continue
        if isinstance(value, int | float) and not isinstance(value, bool):
            numbers[name] = _finite(value, f"{path}: {name!r}")
        elif value is None and allow_null:
            numbers[name] = None
        else:
            raise AttritionError(f"{path}: {name!r} is {value!r}, but should be a number{' or null' if allow_null else ''}.")
    return numbers


def _finite(value: float, where: str) -> float:
    """Return the number, or raise if it is infinite as a float."""
    if abs(value) > sys.float_info.max:
        raise AttritionError(f"{where} is {str(value)[:40]}, but should be a finite number.")
    return float(value)

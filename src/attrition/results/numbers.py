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
    """Return the metrics as recorded, or computed from R where a run has recorded none."""
    if not path.is_file():
        return summary(matrix)
    return {name: math.nan if value is None else value for name, value in numbers_in(path, allow_null=True).items()}


def numbers_in(path: Path, *, allow_null: bool) -> dict[str, float | None]:
    """Return the numbers of a JSON object in a file; anything nested is left out.

    Raises:
        AttritionError: the file cannot be read, or a value is no finite number.
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
    """Return the number, unless it is beyond what a float holds."""
    if abs(value) > sys.float_info.max:
        raise AttritionError(f"{where} is {str(value)[:40]}, but should be a finite number.")
    return float(value)

"""Which matrices may be averaged: those of runs that differ in order and seed only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path

from attrition.names import AttritionError
from attrition.results.read import read_spec, series_of


def refuse_different_series(files: Sequence[Path]) -> None:
    """Do nothing if all matrices are of one series, as far as the `spec.json` beside each tells; else raise.

    A file without a `spec.json` beside it may be of any series.

    Args:
        files: matrices, such as `runs/*/matrix.csv`.

    Raises:
        AttritionError: two files are of different methods, ranks, models or corpora; or a `spec.json` is malformed.
    """
    found = [(file, series_of(read_spec(spec))) for file in files if (spec := file.parent / "spec.json").is_file()]
    for file, series in found[1:]:
        first_file, first = found[0]
        if series == first:
            continue
        differing = [
            f"{field.name} {getattr(first, field.name) or 'none'} and {getattr(series, field.name) or 'none'}"
            for field in fields(series)
            if field.name != "kind" and getattr(first, field.name) != getattr(series, field.name)
        ]
        raise AttritionError(
            f"{first_file} and {file} are of different series ({'; '.join(differing or ['kind of method'])}), and their means "
            "would be of neither. Call `attrition metrics` once for each series, as `attrition metrics "
            "RUNS/runs/vanilla--*/matrix.csv`. `attrition report RUNS` shows all series side by side."
        )

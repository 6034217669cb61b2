"""Checks that matrices may be averaged: their runs may differ only in order and seed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path

from attrition.names import AttritionError
from attrition.results.read import read_spec, series_of


def refuse_different_series(files: Sequence[Path]) -> None:
    """Raise unless all matrices belong to one series, according to the `spec.json` beside each.

    A file without a `spec.json` is accepted.

    Args:
        files: matrices, such as `runs/*/matrix.csv`.

    Raises:
        AttritionError: a path is a folder; two files have different methods, ranks, models or corpora; or a `spec.json`
            is malformed.
    """
    for file in files:
        if file.is_dir():
            raise AttritionError(
                f"{file} is a folder. Name the matrices of one series in it, for example {file}/runs/vanilla--*/matrix.csv. "
                f"`attrition report {file}` and `attrition analyse --runs {file}` read the folder itself."
            )
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
            f"{first_file} and {file} belong to different series ({'; '.join(differing or ['kind of method'])}). They cannot "
            "be averaged. Run `attrition metrics` once for each series, for example `attrition metrics "
            "RUNS/runs/vanilla--*/matrix.csv`. `attrition report RUNS` shows all series side by side."
        )

"""Checks that matrices may be averaged: their runs may differ only in order and seed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from attrition.names import AttritionError
from attrition.results.labels import short_value
from attrition.results.spec import read_spec, series_of


def refuse_different_series(files: Sequence[Path]) -> None:
    """Raise unless all matrices belong to one series, according to the `spec.json` beside each.

    A file without a `spec.json` is accepted.

    Args:
        files: matrices, such as `runs/*/matrix.csv`.

    Raises:
        AttritionError: a path is a folder; two files differ in their method, rank, model, corpus or settings; or a `spec.json`
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
        one, other = first.settings, series.settings
        names = [name for name in one | other if one.get(name) != other.get(name)]
        differing = [
            f"{name} {short_value(one.get(name, 'none'))} and {short_value(other.get(name, 'none'))}" for name in names
        ]
        raise AttritionError(
            f"{first_file} and {file} belong to different series ({'; '.join(differing)}). They cannot "
            "be averaged. Run `attrition metrics` once for each series, for example `attrition metrics "
            "RUNS/runs/vanilla--*/matrix.csv`. `attrition report RUNS` shows all series side by side."
        )

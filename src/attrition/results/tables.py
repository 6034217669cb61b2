"""Reads the Parquet tables that a run wrote."""

from __future__ import annotations

import pandas as pd

from attrition.names import AttritionError
from attrition.results.read import Run


def table_of(run: Run, name: str) -> pd.DataFrame | None:
    """Return a table of a run, such as scores.parquet, or None if the run does not have it.

    Raises:
        AttritionError: the file cannot be read.
    """
    path = run.folder / name
    if not path.is_file():
        return None
    try:
        return pd.read_parquet(path)
    except (OSError, ValueError) as error:
        raise AttritionError(f"{path} cannot be read ({error}). The same `attrition run` writes it again.") from error

"""Computes the numbers of a run again from stored counts and compares them with its files, to the last digit."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from pyarrow.lib import ArrowException

from attrition.engine.write_results import RunTables, steps_of
from attrition.methods import Train
from attrition.metrics import summary
from attrition.metrics.matrix import RMatrix
from attrition.names import AttritionError
from attrition.problem.slots import TagTable
from attrition.results.packed_counts import without_variant
from attrition.store.stages import Kind, Store
from attrition.study.keys import run_key

_UNREADABLE = (OSError, ValueError, KeyError, TypeError, NotImplementedError, ArrowException)
"""Exceptions from reading a damaged table."""


@dataclass(frozen=True)
class Difference:
    """A file of a run that differs from the counts."""

    file: Path
    what: str


@dataclass(frozen=True)
class Recount:
    """The differences in a run's files, and metrics that its older `metrics.json` lacks."""

    differences: tuple[Difference, ...] = ()
    new_metrics: tuple[str, ...] = ()


KINDS_COUNTED: tuple[Kind, ...] = ("stages", "evaluations")


def has_counts(store: Store) -> bool:
    """Return whether a results folder or archive holds stages or evaluations, or a folder for them.

    Published results often hold the tables only.
    """
    return any((store.folder / kind).is_dir() or store.keys(kind) for kind in KINDS_COUNTED)


def recount_from_matrix(folder: Path) -> Recount:
    """Return the differences between a run's `metrics.json` and `matrix.csv`; without counts nothing else can be compared."""
    try:
        R = RMatrix.from_csv(folder / "matrix.csv")
    except AttritionError as error:
        return Recount((Difference(folder / "matrix.csv", f"is damaged ({str(error).rstrip('.')})"),))
    path, expected = folder / "metrics.json", _nulls(summary(R))
    what = _in_metrics(expected, path, source="matrix.csv gives")
    return Recount((Difference(path, what),) if what else (), _new_metrics(expected, path))


def recount(store: Store, folder: Path) -> Recount:
    """Return the differences between a run's files and the stored counts and histories.

    Args:
        store: of the results folder.
        folder: of the run.

    Raises:
        DamagedError: a stage or an evaluation that the run needs is missing or damaged.
        AttritionError: one is of a newer format.
    """
    try:
        spec = json.loads((folder / "spec.json").read_text(encoding="utf-8"))
        steps, order = steps_of(spec), spec["order"]
        keys = [str(step["key"]) for step in spec["steps"]]
        decides = run_key(spec["name"], order["name"], order["languages"], spec["seed"], list(map(without_variant, keys)))
        named = [str(step["evaluation"]) for step in spec["steps"]]
        before, languages = spec["before"], (*spec["languages"], *spec.get("watch", ()))
        macro = bool(spec.get("problem", {}).get("macro_f1"))
        counted = [str(each) for each in spec["counted"]] if "counted" in spec else None
    except (*_UNREADABLE, AssertionError) as error:
        return Recount((Difference(folder / "spec.json", f"is missing or damaged ({type(error).__name__}: {error})"),))
    if decides != folder.name:
        return Recount((Difference(folder / "spec.json", f"describes the run {decides}, not that of its folder"),))
    trained = [key for key, step in zip(keys, steps.steps, strict=True) if isinstance(step, Train)]
    # The run stores the class names, because a check must not run a user's code.
    slots = TagTable.of(store.about("stages", trained[0])["labels"]).slot_names if counted is None else counted
    tables = RunTables.of(
        steps,
        languages,
        slots,
        [store.load_history(key) for key in trained],
        [store.load_evaluation(key) for key in named],
        None if before is None else store.load_evaluation(before),
        macro=macro,
    )
    return Recount(tuple(_differences(tables, folder)), _new_metrics(tables.metrics, folder / "metrics.json"))


def _differences(tables: RunTables, folder: Path) -> list[Difference]:
    found = [
        ("matrix.csv", _in_matrix(tables.matrix, folder / "matrix.csv")),
        ("transfer.csv", _in_matrix(tables.transfer, folder / "transfer.csv")),
        ("scores.parquet", _in_frame(tables.scores, folder / "scores.parquet")),
        ("slots.parquet", _in_frame(tables.slots, folder / "slots.parquet")),
        ("metrics.json", _in_metrics(tables.metrics, folder / "metrics.json")),
        ("times.json", _in_numbers(tables.times, folder / "times.json")),
        ("history.csv", _in_text(tables.history, folder / "history.csv")),
    ]
    return [Difference(folder / name, what) for name, what in found if what]


def _in_text(expected: str, path: Path) -> str | None:
    try:
        there = path.read_bytes()
    except OSError as error:
        return _missing(error)
    if there == expected.encode():
        return None
    lines = zip(expected.splitlines(), there.decode(errors="replace").splitlines(), strict=False)
    differing = next((number for number, (left, right) in enumerate(lines, start=1) if left != right), None)
    return f"line {differing} differs from what is stored" if differing else "has more or fewer lines than what is stored"


def _in_matrix(expected: RMatrix | None, path: Path) -> str | None:
    if expected is None:
        return "is there, but the run has none" if path.exists() else None
    if not (what := _in_text(expected.to_csv(), path)) or not path.is_file():
        return what
    try:
        found = RMatrix.from_csv(path)
    except AttritionError as error:
        return f"is damaged ({str(error).removeprefix(f'{path}, ').removeprefix(f'{path}: ').rstrip('.')})"
    if (found.languages, found.trained) == (expected.languages, expected.trained):
        same_SL = (found.scores_SL == expected.scores_SL) | (np.isnan(found.scores_SL) & np.isnan(expected.scores_SL))
        for stage, language in np.argwhere(~same_SL):
            there, counted = found.scores_SL[stage, language], expected.scores_SL[stage, language]
            place = f"after {expected.order[stage]} on {expected.languages[language]}"
            return f"says {there!s} {place}, the counts give {counted!s}"
    return what


def _nulls(metrics: Mapping[str, float]) -> dict[str, float | None]:
    return {name: None if np.isnan(value) else value for name, value in metrics.items()}


def _in_metrics(expected: Mapping[str, float | None], path: Path, source: str = "the counts give") -> str | None:
    """Return the first difference in the metrics that a file has; older runs lack newer metrics."""
    new = _new_metrics(expected, path)
    known = expected if len(new) == len(expected) else {name: each for name, each in expected.items() if name not in new}
    return _in_numbers(known, path, source)


def _new_metrics(expected: Mapping[str, float | None], path: Path) -> tuple[str, ...]:
    """Return the metrics that a file lacks; none if it cannot be read."""
    try:
        there = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return ()
    return tuple(name for name in expected if name not in there) if isinstance(there, dict) else ()


def _in_numbers(expected: Mapping[str, float | None], path: Path, source: str = "the counts give") -> str | None:
    try:
        there = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        return _missing(error)
    except (OSError, ValueError):
        return "is damaged"
    if not isinstance(there, dict) or set(there) != set(expected):
        return "has other metrics than the counts give"
    for name, value in expected.items():
        if there[name] != value or isinstance(there[name], bool):
            return f"says {name} = {there[name]!r}, {source} {value!r}"
    return None


def _in_frame(expected: pd.DataFrame, path: Path) -> str | None:
    try:
        there = path.read_bytes()
    except OSError as error:
        return _missing(error)
    buffer = io.BytesIO()
    expected.to_parquet(buffer, index=False)
    if there == buffer.getvalue():
        return None
    try:  # other versions of pyarrow write other bytes
        found = pd.read_parquet(io.BytesIO(there))
    except _UNREADABLE:
        return "is damaged"
    if list(found.columns) != list(expected.columns) or len(found) != len(expected):
        return "has other rows or columns than the counts give"
    for name in expected.columns:
        same = (found[name] == expected[name]) | (found[name].isna() & expected[name].isna())
        differing = np.flatnonzero(~same.to_numpy())
        if differing.size:
            row = int(differing[0])
            values = f"says {found[name].iloc[row]!s}, the counts give {expected[name].iloc[row]!s}"
            return f"row {row + 1}, column {name}: {values}"
    return None


def _missing(error: OSError) -> str:
    return f"cannot be read ({error.strerror or error})"

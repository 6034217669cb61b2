"""Reads a results folder: every run's specification, matrix, metrics, history and times, without the model."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from attrition.languages import OwnLanguages
from attrition.metrics.matrix import RMatrix
from attrition.names import AttritionError
from attrition.reading import is_text, parse_json, read_text
from attrition.results.at_work import PLAN
from attrition.results.history import read_history
from attrition.results.labels import series_parts, short_models, telling_labels
from attrition.results.numbers import metrics_in, numbers_in
from attrition.results.packed_counts import without_variant
from attrition.results.replicates import replicate_of, unrepeated
from attrition.results.spec import Series, Spec, flat, parse_spec, series_of

FRAME_COLUMNS = ("run", "method", "order", "seed", "stage", "language", "score")
"""The columns of `Results.to_frame`."""

_NOT_SETTINGS = ("format", "scored", "warnings", "own_languages", "steps", "rows", "counted")

PARTS = ("data", "training", "evaluation", "other")
"""The parts of a run's time, in the order of display."""


@dataclass(frozen=True, kw_only=True)
class Run:
    """A finished run.

    `metrics` are in the units of R (0-1), NaN where undefined; `times` are seconds by part; `history` has one row for each
    epoch of each stage (columns: HISTORY_COLUMNS). `key` names its files;
    `label` is as short as possible to distinguish the runs.
    """

    folder: Path
    key: str
    spec: Spec
    settings: Mapping[str, str]
    matrix: RMatrix
    metrics: Mapping[str, float]
    history: pd.DataFrame
    times: Mapping[str, float]
    transfer: RMatrix | None = None
    label: str = ""

    @cached_property
    def series(self) -> Series:
        """What this run has in common with runs of other orders and seeds."""
        return series_of(self.spec)

    @cached_property
    def stages(self) -> frozenset[str]:
        """The keys of the run's trained stages; empty if they are not known."""
        return frozenset(without_variant(each.key) for each in self.spec.steps)

    @property
    def replicate(self) -> Hashable:
        """The key of this run's replicate among the runs of its series."""
        return replicate_of(self.matrix, self.spec.seed, order_matters=self.spec.method.order_matters)

    @property
    def score(self) -> str:
        """The name of the run's score: "F1" for slots."""
        return "F1" if self.spec.problem.name == "slots" else self.spec.problem.score

    def to_frame(self) -> pd.DataFrame:
        """Return R as a table with one row for each cell, columns as FRAME_COLUMNS; see `Results.to_frame`."""
        wide = self.matrix.to_frame()
        first = 1 if self.matrix.before_L is None else 0
        spec, (num_rows, num_languages) = self.spec, wide.shape
        of_cells = (np.repeat(np.arange(first, first + num_rows), num_languages), list(wide.columns) * num_rows)
        values = (self.label, spec.method.name, spec.order.name, spec.seed, *of_cells, wide.to_numpy().ravel())
        return pd.DataFrame(dict(zip(FRAME_COLUMNS, values, strict=True)))


@dataclass(frozen=True, kw_only=True, repr=False)
class Results:
    """A study's finished runs, and the names of those that are not."""

    folder: Path
    name: str
    runs: tuple[Run, ...]
    unfinished: tuple[str, ...]
    study_toml: str
    environment: Mapping[str, str]

    @cached_property
    def series(self) -> Mapping[Series, tuple[Run, ...]]:
        """The runs by series, in the order of display, without copies (one order under two names)."""
        grouped: dict[Series, list[Run]] = {}
        for run in self.runs:
            grouped.setdefault(run.series, []).append(run)
        return {series: unrepeated(runs) for series, runs in grouped.items()}

    @cached_property
    def series_labels(self) -> Mapping[Series, str]:
        """A label for each series, as short as possible to distinguish them."""
        return dict(zip(self.series, telling_labels(series_parts(list(self.series))), strict=True))

    @cached_property
    def models(self) -> Mapping[str, str]:
        """A short name for each model."""
        return short_models(run.spec.model.name for run in self.runs)

    @cached_property
    def own_languages(self) -> OwnLanguages:
        """The content of the user's file of languages when the runs were made."""
        return {label: language for run in self.runs for label, language in run.spec.own_languages.items()}

    @property
    def score(self) -> str:
        """The name of the score in titles and sentences: "F1" for slots; "score" if runs have different scores."""
        names = {run.score for run in self.runs}
        return names.pop() if len(names) == 1 else "score"

    @property
    def languages(self) -> tuple[str, ...]:
        """Every scored language, in the order of first appearance."""
        return tuple(dict.fromkeys(language for run in self.runs for language in run.matrix.languages))

    def to_frame(self) -> pd.DataFrame:
        """Return every R as one table, one row for each run, stage and language; columns as FRAME_COLUMNS.

        `stage` counts from 1; 0 is the score before training, where it was measured. `score` is 0 to 1, NaN where not measured.
        """
        return pd.concat([run.to_frame() for run in self.runs], ignore_index=True)

    def __repr__(self) -> str:
        return f"<Results of {self.name}: {len(self.runs)} runs>"

    def _repr_html_(self) -> str:
        from attrition.report.notebook import results_html

        return results_html(self)


def read_results(folder: str | Path, beside: Sequence[str | Path] = ()) -> Results:
    """Return every finished run of a results folder or archive, and of the folders `beside`.

    Raises:
        AttritionError: there is no finished run, or a file is malformed (the message names it).
    """
    folder = Path(folder)
    found: dict[str, Path] = {}
    unfinished: list[str] = []
    for study_folder in (folder, *map(Path, beside)):
        finished, others = _run_folders(study_folder)
        unfinished += others
        for path in finished:
            found[path.name if path.name not in found else f"{study_folder.resolve().name}-{path.name}"] = path
    runs = _labelled([_read_run(path, key) for key, path in found.items()])
    study = folder / "study.toml"
    return Results(
        folder=folder,
        name=runs[0].spec.study or folder.resolve().name,
        runs=runs,
        unfinished=tuple(unfinished),
        study_toml=read_text(study) if study.is_file() else "",
        environment=flat(_json(folder / "environment.json")) if (folder / "environment.json").is_file() else {},
    )


def _run_folders(folder: Path) -> tuple[list[Path], list[str]]:
    """Return the folders of finished runs, and the names of the others."""
    if not (folder / "runs").is_dir() and not (folder / PLAN).is_file():
        raise AttritionError(
            f"{folder} is not a results folder: it has no folder 'runs'. Give a folder that `attrition run` wrote."
        )
    folders = sorted(path for path in (folder / "runs").glob("*") if path.is_dir() and not path.name.startswith("."))
    odd = next((path for path in folders if not (is_text(path.name) and path.name.isprintable())), None)
    if odd is not None:
        raise AttritionError(f"{str(odd)!r}: the name holds what cannot be printed. Rename the folder.")
    finished = [path for path in folders if (path / "matrix.csv").is_file()]
    unfinished = [path.name for path in folders if path not in finished]
    if not finished:
        raise AttritionError(f"{folder}: no run is finished yet. Resume the study with `attrition run` first.")
    return finished, unfinished


def _read_run(folder: Path, key: str) -> Run:
    raw = _json(folder / "spec.json")
    matrix = RMatrix.from_csv(folder / "matrix.csv")
    transfer = folder / "transfer.csv"
    return Run(
        folder=folder,
        key=key,
        spec=parse_spec(raw, str(folder / "spec.json")),
        settings=flat({name: value for name, value in raw.items() if name not in _NOT_SETTINGS}),
        matrix=matrix,
        metrics=metrics_in(folder / "metrics.json", matrix),
        history=read_history(folder / "history.csv"),
        times=_times(folder / "times.json"),
        transfer=RMatrix.from_csv(transfer) if transfer.is_file() else None,
    )


def _times(path: Path) -> Mapping[str, float]:
    recorded = {name: value or 0.0 for name, value in numbers_in(path, allow_null=False).items()} if path.is_file() else {}
    return {part: recorded.get(part, 0.0) for part in PARTS}


def _json(path: Path) -> dict[str, Any]:
    return parse_json(read_text(path), str(path))


# Labels of runs


def _labelled(runs: Sequence[Run]) -> tuple[Run, ...]:
    """Return the runs sorted (joint ones first, then by method, rank, model, order and seed), each with its label."""
    names = list(dict.fromkeys(run.spec.method.name for run in sorted(runs, key=_reading_order)))
    ordered = sorted(runs, key=lambda run: (names.index(run.spec.method.name), *_reading_order(run)))
    of_series = series_parts([run.series for run in ordered])
    parts = [(*same, run.spec.order.name, f"seed {run.spec.seed}") for run, same in zip(ordered, of_series, strict=True)]
    labels = telling_labels(parts)
    return tuple(
        replace(run, label=label if labels.count(label) == 1 else f"{label} · {run.key}")
        for run, label in zip(ordered, labels, strict=True)
    )


def _reading_order(run: Run) -> tuple[bool, bool, bool, str, int, str, str, int]:
    """Return a sort key: references first (joint, then one learner for each language), then methods that can forget."""
    spec = run.spec
    lora = spec.method.trains.kind == "lora"
    sharing = spec.method.shared_by != "all"
    method = (not run.matrix.joint, lora, sharing, spec.method.name, run.series.rank or 0)
    return (*method, spec.model.name, spec.order.name, spec.seed)

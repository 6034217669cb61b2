"""Joins the files of several results folders; what was trained twice must be the same."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from attrition.names import AttritionError
from attrition.reading import parse_json
from attrition.results.covariates import FILE as COVARIATES
from attrition.results.covariates import Covariates, joined, read_covariates
from attrition.results.packed_counts import without_variant
from attrition.store.archived import OF_KIND, ArchivedStore
from attrition.store.chosen import Chosen
from attrition.store.portable import portable_manifest, portable_spec
from attrition.store.stages import MANIFEST, Kind, Store, history_of, read_arrays
from attrition.store.times import history_csv, times
from attrition.study.standalone import COPIED
from attrition.study.watcher import Watcher

RUN_FILES = (
    "spec.json", "matrix.csv", "transfer.csv", "scores.parquet", "slots.parquet", "metrics.json", "history.csv", "times.json"
)  # fmt: skip
_OF_MACHINE = {"seconds", "made_with", "seal"}
"""What may differ between two trainings of one stage: the time it took, and where."""


class Union:
    """The files of several folders of one study.

    A stage, an evaluation or a run that occurs twice is taken from the first folder. Both must have the same results: weights
    and counts bit for bit. Only times and machines may differ.

    Kinds of processors, and versions of torch, round differently. So a stage or an evaluation that they made twice may have
    other results: the second one gets the key "KEY.2", and the runs of its folder refer to that. `variants` holds these keys.
    """

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.texts: dict[Kind, dict[str, dict[str, str]]] = {kind: {} for kind in OF_KIND}
        self.counts: dict[str, Mapping[str, NDArray[Any]]] = {}
        self.covariates: Covariates | None = None
        self._from: dict[str, Path] = {}
        self.runs: set[str] = set()
        self.variants: set[str] = set()
        self._made_twice: set[str] = set()
        self._renamed: dict[Path, dict[str, str]] = {}

    def add_runs(self, folder: Path, chosen: Chosen) -> None:
        """Add the chosen finished runs of a folder, after its stages and evaluations."""
        for matrix in chosen.matrices(folder):
            there = {name: (matrix.parent / name).read_bytes() for name in RUN_FILES if (matrix.parent / name).is_file()}
            if "spec.json" in there:
                there["spec.json"] = _referring(portable_spec(there["spec.json"]), self._renamed.get(folder, {}))
            run = f"runs/{matrix.parent.name}"
            if run in self.runs:
                for name in RUN_FILES:
                    known = self.files.get(f"{run}/{name}")
                    differs = known != there.get(name) and _results(name, known) != _results(name, there.get(name))
                    self._refuse(differs, matrix.parent / name, f"{run}/{name}")
                continue
            self.runs.add(run)
            self._from[run] = folder
            self.files |= {f"{run}/{name}": content for name, content in there.items()}

    def add_copies(self, folder: Path) -> None:
        """Add the user's files that the study names: groups, languages, methods. Their names hold a hash of their content."""
        for path in sorted(path for prefix in COPIED for path in folder.glob(f"{prefix}*")):
            self.files[path.name] = path.read_bytes()

    def add_covariates(self, folder: Path) -> None:
        """Add the covariates of a folder, if it has any."""
        found = read_covariates(folder)
        if found is not None:
            together = found if self.covariates is None else joined(self.covariates, found)
            self._refuse(together is None, folder / COVARIATES, COVARIATES)
            self._from.setdefault(COVARIATES, folder)
            self.covariates = together

    def add_stored(self, store: Store, kind: Kind, watcher: Watcher) -> None:
        """Add stages or evaluations."""
        keys = store.keys(kind)
        for done, key in enumerate(keys):
            watcher.reading(f"Reading {kind} of {store.folder}", done, len(keys))
            if problem := store.problem(kind, key):
                raise AttritionError(f"{problem} Nothing was archived: `attrition verify {store.folder}` says what to do.")
            text, arrays = _contents(store, kind, key)
            there, equal = self._variants(kind, key, text)
            name = equal or (f"{without_variant(key)}.{len(there) + 1}" if there else without_variant(key))
            if name != key:
                self._renamed.setdefault(store.folder, {})[key] = name
            if equal:
                self._made_twice.add(equal)
                continue
            for other in there:
                same_kind = _machine(self.texts[kind][other]) == _machine(text)
                self._refuse(same_kind, store.folder / kind / key / MANIFEST, f"{kind}/{other}/{MANIFEST}")
            if there:
                self.variants.add(name)
            self._from[f"{kind}/{name}"] = store.folder
            self.texts[kind][name] = text
            if arrays is not None:
                self.counts[name] = arrays

    def _variants(self, kind: Kind, key: str, text: Mapping[str, str]) -> tuple[list[str], str | None]:
        """Return the keys under which a stage or an evaluation is there, and the one with equal results."""
        first, known = without_variant(key), self.texts[kind]
        there = [first] if first in known else []
        while there and (following := f"{first}.{len(there) + 1}") in known:
            there.append(following)
        equal = (
            each for each in there if known[each] == text or _stored_results(kind, known[each]) == _stored_results(kind, text)
        )
        return there, next(equal, None)

    def leave_out_unused(self) -> None:
        """Remove stages and evaluations of no run that is here."""
        used = set[str]()
        for run in self.runs:
            spec = json.loads(self.files[f"{run}/spec.json"])
            used |= {step[name] for step in spec["steps"] for name in ("key", "evaluation")} | {spec["before"]}
        for kind, texts in self.texts.items():
            self.texts[kind] = {key: text for key, text in texts.items() if key in used}
        self.counts = {key: arrays for key, arrays in self.counts.items() if key in used}
        self.variants = {key for key in self.variants & used if without_variant(key) in used}

    def agree_on_times(self) -> None:
        """Make history.csv and times.json again for each run of which a stage or an evaluation was made twice.

        The run may come from one folder and the stage from another, where it took another time.

        Raises:
            AttritionError: spec.json of such a run is missing or damaged.
        """
        for run in sorted(self.runs) if self._made_twice else ():
            place = self._from[run] / run / "spec.json"
            spec = parse_json(self.files.get(f"{run}/spec.json", b"").decode("utf-8", errors="replace"), str(place))
            try:
                steps = [(each["key"], each["evaluation"], each.get("languages")) for each in spec["steps"]]
                if any({stage, evaluation} & self._made_twice for stage, evaluation, _ in steps):
                    texts = [self.texts["stages"][stage]["text"] for stage, _, trained in steps if trained]
                    stages = [history_of(text.encode(), place) for text in texts]
                    scored = [json.loads(self.texts["evaluations"][evaluation]["text"]) for _, evaluation, _ in steps]
                    history = history_csv([trained for _, _, trained in steps if trained], stages)
                    taken = times(stages, [each["seconds"] for each in scored])
                    self.files[f"{run}/history.csv"] = history.encode()
                    self.files[f"{run}/times.json"] = (json.dumps(taken, indent=1) + "\n").encode()
            except (KeyError, TypeError, AttributeError):
                folder = self._from[run]
                raise AttritionError(
                    f"{place} is damaged, or a stage of this run is missing. Nothing was archived: `attrition verify {folder}` "
                    "says what to do."
                ) from None

    def _refuse(self, contradicts: bool, file: Path, name: str) -> None:
        if contradicts:
            other = self._from[name.rpartition("/")[0] or name]
            raise AttritionError(
                f"{file} contradicts {other / name}: same name, different results. Archive these folders separately."
            )


def _referring(spec: bytes, renamed: Mapping[str, str]) -> bytes:
    """Return a run's spec.json that refers to other keys of stages and evaluations."""
    if not renamed:
        return spec
    try:
        table = json.loads(spec)
        for step in table["steps"]:
            step |= {name: renamed.get(step[name], step[name]) for name in ("key", "evaluation")}
        table["before"] = renamed.get(table["before"], table["before"])
    except (KeyError, TypeError, ValueError):
        return spec  # damaged; the check of the archive says so
    return (json.dumps(table, indent=1, ensure_ascii=False) + "\n").encode()


def _machine(text: Mapping[str, str]) -> Any:
    """Return what rounding depends on: the kind of machine, versions and threads."""
    made_with = json.loads(text["manifest"])["about"].get("made_with", {})
    return {name: made_with.get(name) for name in ("versions", "platform", "instructions", "device", "cuda", "threads")}


def _results(name: str, content: bytes | None) -> Any:
    """Return a file of a run without what depends on the machine."""
    if content is None or name == "times.json":
        return content is None
    try:
        if name == "history.csv":
            rows = csv.DictReader(content.decode().splitlines())
            return [{column: text for column, text in row.items() if column not in _OF_MACHINE} for row in rows]
        return _without_machine(json.loads(content)) if name == "spec.json" else content
    except ValueError:
        return content


def _stored_results(kind: Kind, text: Mapping[str, str]) -> Any:
    """Return the manifest and the text of a stage or an evaluation without what depends on the machine."""
    manifest = _without_machine(json.loads(text["manifest"]))
    manifest["files"] = {name: about for name, about in manifest["files"].items() if name != OF_KIND[kind][0]}
    return manifest, _without_machine(json.loads(text["text"]))


def _without_machine(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without_machine(each) for name, each in value.items() if name not in _OF_MACHINE}
    return [_without_machine(each) for each in value] if isinstance(value, list) else value


def _contents(store: Store, kind: Kind, key: str) -> tuple[dict[str, str], Mapping[str, NDArray[Any]] | None]:
    if isinstance(store, ArchivedStore):
        return store.texts[kind][key], store.counts[key] if kind == "evaluations" else None
    folder, (kept, left_out) = store.folder / kind / key, OF_KIND[kind]
    text = {
        "manifest": portable_manifest((folder / MANIFEST).read_bytes().decode("utf-8")),
        "text": (folder / kept).read_bytes().decode("utf-8"),
    }
    return text, read_arrays(folder / left_out) if kind == "evaluations" else None

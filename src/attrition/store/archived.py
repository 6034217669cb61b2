"""Reads an archive: a results folder without weights, its counts and histories packed.

archive.json            format, study, and the SHA-256 of every other file
stages.json.xz          of every stage and evaluation: its manifest, history or details, as text
counts.safetensors.xz   counts of all evaluations; see `attrition.results.packed_counts`
study.toml, environment.json, runs/<run>/...    as in a results folder
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from numpy.typing import NDArray
from safetensors.numpy import save

from attrition.corpus.bounded import BoundedReader
from attrition.files import sha256_of
from attrition.names import AttritionError
from attrition.reading import parse_json, read_text
from attrition.results.packed_counts import BOUNDS, COUNTS, REMEDY, STAGES, unpack_counts, without_variant
from attrition.store.stages import DamagedError, Kind, Store, StoredEvaluation, StoredHistory, evaluation_of, history_of, seal

FORMAT = 1
INDEX = "archive.json"
OF_KIND: Mapping[Kind, tuple[str, str]] = {
    "stages": ("history.json", "weights.safetensors"),
    "evaluations": ("details.json", "counts.safetensors"),
}
"""By kind: the file kept as text, and the other one (weights are left out, counts are packed)."""


def is_archive(folder: Path) -> bool:
    """Return whether the folder is an archive, perhaps a damaged one."""
    return (folder / INDEX).is_file() or (folder / STAGES).is_file()


@dataclass(frozen=True)
class ArchivedStore(Store):
    """Reads the stages and evaluations of an archive like those of a results folder; there are no weights."""

    @cached_property
    def index(self) -> Mapping[str, Any]:
        """Return the content of archive.json.

        Raises:
            DamagedError: it is missing or damaged.
            AttritionError: it is of a newer format.
        """
        path = self.folder / INDEX
        try:
            index = parse_json(read_text(path), str(path))
        except AttritionError as error:
            raise DamagedError(f"{path} is missing or damaged. Copy the archive or make it again. ({error})") from None
        if not isinstance(index, dict) or not isinstance(index.get("files"), dict) or not isinstance(index.get("format"), int):
            raise DamagedError(f"{path} is damaged. Copy the archive or make it again.")
        if index["format"] > FORMAT:
            raise AttritionError(
                f"{self.folder} was written by a newer version of attrition (format {index['format']}; this one reads up to "
                f"{FORMAT}). Install the newer version."
            )
        return index

    @cached_property
    def texts(self) -> Mapping[str, Any]:
        """Return the content of stages.json.xz."""
        _ = self.index
        path = self.folder / STAGES
        with BoundedReader(path, BOUNDS, REMEDY) as file:
            texts = parse_json(file.read().decode("utf-8", errors="replace"), str(path))
        parts = [*((kind, dict) for kind in OF_KIND), ("groups", list)]
        if not isinstance(texts, dict) or not all(isinstance(texts.get(part), shape) for part, shape in parts):
            raise DamagedError(f"{path} is damaged. Make the archive again.")
        return texts

    @cached_property
    def counts(self) -> Mapping[str, Mapping[str, NDArray[Any]]]:
        """Return the arrays of all evaluations."""
        return unpack_counts(self.folder / COUNTS, self.texts["groups"])

    def damaged_files(self) -> list[str]:
        """Return the names of files that do not match archive.json."""
        wrong = []
        for name, expected in self.index["files"].items():
            path = self.folder / name
            inside = not Path(name).is_absolute() and ".." not in Path(name).parts
            if not inside or not path.is_file() or sha256_of(path) != expected:
                wrong.append(name)
        return wrong

    def has(self, kind: Kind, key: str) -> bool:
        """Return whether the archive holds it."""
        return key in self.texts.get(kind, {})

    def keys(self, kind: Kind) -> tuple[str, ...]:
        """Return the keys of all archived folders of this kind."""
        return tuple(sorted(self.texts.get(kind, {})))

    def about(self, kind: Kind, key: str) -> Mapping[str, Any]:
        """Return the metadata of an archived folder."""
        about: Mapping[str, Any] = self._read(kind, key)[0]["about"]
        return about

    def problem(self, kind: Kind, key: str) -> str | None:
        """Return what is wrong with an archived folder, in words, or None if it is intact (without weights)."""
        try:
            manifest, text = self._read(kind, key)
        except DamagedError as error:
            return str(error)
        kept, left_out = OF_KIND[kind]
        there = {kept: text.encode()}
        if kind == "evaluations":
            there[left_out] = save(dict(self.counts.get(key, {})))
        for name, content in there.items():
            if hashlib.sha256(content).hexdigest() != manifest["files"][name]["sha256"]:
                return f"{self._place(kind, key)}/{name} does not match its manifest."
        return None

    def load_history(self, key: str) -> StoredHistory:
        """Return the history of a stage."""
        return history_of(self._read("stages", key)[1].encode(), self._place("stages", key))

    def load_evaluation(self, key: str) -> StoredEvaluation:
        """Return the counts of one model."""
        _, details = self._read("evaluations", key)
        return evaluation_of(self.counts.get(key, {}), details.encode(), self._place("evaluations", key))

    def _place(self, kind: Kind, key: str) -> Path:
        return self.folder / STAGES / kind / key

    def _read(self, kind: Kind, key: str) -> tuple[dict[str, Any], str]:
        """Return the manifest, and the file that is kept as text."""
        try:
            found = self.texts[kind][key]
            manifest = json.loads(found["manifest"])
            unchanged = manifest["key"] == without_variant(key) and manifest.get("seal", "") in ("", seal(manifest))
            whole = unchanged and isinstance(manifest["about"], dict)
            if whole and set(OF_KIND[kind]) <= set(manifest["files"]):
                return manifest, str(found["text"])
        except (ValueError, KeyError, TypeError) as error:
            raise DamagedError(f"{self._place(kind, key)} is missing or damaged.") from error
        raise DamagedError(f"{self._place(kind, key)} is damaged.")


def store_of(folder: Path) -> Store:
    """Return the store of a results folder or an archive."""
    return ArchivedStore(folder) if is_archive(folder) else Store(folder)

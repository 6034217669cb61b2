"""Finished stages on disk: weights, history and counts, each in a folder that is whole or not there.

    stages/<key>/             what a training left: weights.safetensors, history.json
    evaluations/<key>/        what a model scored: counts.safetensors

A folder is written under a temporary name; its `manifest.json`, written last, lists every file with its SHA-256; then the
folder takes its name in one step. What has no manifest, or does not match it, does not count.
"""

from __future__ import annotations

import dataclasses
import json
import math
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file
from torch import Tensor

from attrition.files import sha256_of
from attrition.names import AttritionError
from attrition.training.score import Counts
from attrition.training.train import Epoch

FORMAT = 1
MANIFEST = "manifest.json"
KEPT = "vocabulary.kept"
"""Beside the weights of full training: the sub-token of each row of the word embeddings."""
Kind = Literal["stages", "evaluations"]
KINDS: tuple[Kind, ...] = get_args(Kind)


@dataclass(frozen=True, eq=False)
class StoredHistory:
    """How a stage was trained: its epochs, the one kept, seconds by purpose.

    `decay` is what decoupled weight decay has left of a word embedding that was never looked up, since before the first stage.
    """

    history: tuple[Epoch, ...]
    kept_epoch: int
    seconds: Mapping[str, float]
    decay: float = 1.0


Tensors = Mapping[str, NDArray[Any]]


@dataclass(frozen=True, eq=False)
class StoredEvaluation:
    """Counts by language, and the seconds that scoring took."""

    counts: Mapping[str, Counts]
    seconds: float


@dataclass(frozen=True)
class Store:
    """The stages and evaluations of a results folder."""

    folder: Path

    def has(self, kind: Kind, key: str) -> bool:
        """Whether the folder is there; whether it is whole, `problem` says."""
        return (self.folder / kind / key).is_dir()

    def problem(self, kind: Kind, key: str) -> str | None:
        """What is wrong with a stored folder, in words, or None when it is whole.

        Raises:
            AttritionError: it was written by a newer version.
        """
        try:
            self._checked(kind, key)
        except DamagedError as error:
            return str(error)
        return None

    def about(self, kind: Kind, key: str) -> Mapping[str, Any]:
        """What a folder says of itself; see `load_tensors` for errors."""
        about: Mapping[str, Any] = self._manifest(kind, key)["about"]
        return about

    def keys(self, kind: Kind) -> tuple[str, ...]:
        """All that is stored."""
        folder = self.folder / kind
        return tuple(sorted(path.parent.name for path in folder.glob(f"[!.]*/{MANIFEST}")))

    def clean(self) -> None:
        """Remove what an interrupted writing left; nobody else may be writing."""
        for kind in KINDS:
            for path in (self.folder / kind).glob(".*.tmp"):
                shutil.rmtree(path, ignore_errors=True)
        for path in (self.folder / "runs").glob("[!.]*/.*"):
            if path.is_file():
                path.unlink()

    def save_stage(self, key: str, about: Mapping[str, Any], tensors: Tensors, history: StoredHistory) -> None:
        """Write a finished stage."""
        details = {**dataclasses.asdict(history), "history": [epoch._asdict() for epoch in history.history]}
        self._save("stages", key, about, {"weights.safetensors": tensors}, {"history.json": details})

    def load_tensors(self, key: str) -> Tensors:
        """The weights of a finished stage by name; every file is checked.

        Raises:
            AttritionError: it is missing, damaged (`DamagedError`), or of a newer format.
        """
        return _read_arrays(self._checked("stages", key) / "weights.safetensors")

    def load_history(self, key: str) -> StoredHistory:
        """How a stage was trained; its weights are neither read nor checked. See `load_tensors` for errors."""
        details = json.loads((self._checked("stages", key, "history.json") / "history.json").read_text(encoding="utf-8"))
        epochs = (
            Epoch(each["epoch"], *(float(each[name]) for name in ("train_loss", "dev_f1", "seconds")))
            for each in details["history"]
        )
        return StoredHistory(tuple(epochs), details["kept_epoch"], details["seconds"], details["decay"])

    def save_evaluation(self, key: str, about: Mapping[str, Any], evaluation: StoredEvaluation) -> None:
        """Write the counts of one model on several test sets."""
        arrays: dict[str, NDArray[Any]] = {}
        for language, counts in evaluation.counts.items():
            arrays[f"{language}.utterances"] = np.stack([counts.tp, counts.fp, counts.fn], axis=1)
            arrays[f"{language}.slots"] = counts.by_slot
        self._save("evaluations", key, about, {"counts.safetensors": arrays}, {"details.json": {"seconds": evaluation.seconds}})

    def load_evaluation(self, key: str) -> StoredEvaluation:
        """Read the counts of one model; see `load_tensors` for errors."""
        folder = self._checked("evaluations", key)
        arrays = _read_arrays(folder / "counts.safetensors")
        counts = {}
        for name in arrays:
            language, _, part = name.rpartition(".")
            if part == "utterances":
                tp, fp, fn = arrays[name].T
                counts[language] = Counts(tp, fp, fn, arrays[f"{language}.slots"])
        details = json.loads((folder / "details.json").read_text(encoding="utf-8"))
        return StoredEvaluation(counts, details["seconds"])

    def discard(self, kind: Kind, key: str) -> None:
        """Remove a damaged folder, so that it is made again."""
        shutil.rmtree(self.folder / kind / key, ignore_errors=True)

    def _save(
        self,
        kind: Kind,
        key: str,
        about: Mapping[str, Any],
        arrays: Mapping[str, Mapping[str, NDArray[Any]]],
        details: Mapping[str, Mapping[str, Any]],
    ) -> None:
        target = self.folder / kind / key
        temporary = target.with_name(f".{key}.{os.getpid()}.tmp")
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir(parents=True)
        for name, tensors in arrays.items():
            try:
                save_file({each: np.ascontiguousarray(array) for each, array in tensors.items()}, temporary / name)
            except SafetensorError as error:  # also a full disk
                raise AttritionError(f"{temporary / name} cannot be written ({error}). Is there room?") from error
        for name, table in details.items():
            (temporary / name).write_text(json.dumps(_plain(table), indent=1, allow_nan=False), encoding="utf-8")
        files = {
            name: {"sha256": sha256_of(temporary / name), "bytes": (temporary / name).stat().st_size}
            for name in [*arrays, *details]
        }
        manifest = {"format": FORMAT, "key": key, "about": _plain(about), "files": files}
        (temporary / MANIFEST).write_text(json.dumps(manifest, indent=1, allow_nan=False), encoding="utf-8")
        for path in temporary.iterdir():
            flush(path)
        shutil.rmtree(target, ignore_errors=True)
        temporary.replace(target)
        flush(target.parent)

    def _manifest(self, kind: Kind, key: str) -> dict[str, Any]:
        folder = self.folder / kind / key
        try:
            manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
            newer, whole = manifest["format"] > FORMAT, manifest["key"] == key and isinstance(manifest["about"], dict)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise DamagedError(f"{folder / MANIFEST} is missing or damaged.") from error
        if newer:
            raise AttritionError(
                f"{folder} was written by a newer version of attrition (format {manifest['format']}; this one "
                f"reads up to {FORMAT}). Install the newer one, or choose another folder for results."
            )
        if not whole:
            raise DamagedError(f"{folder / MANIFEST} does not belong to this folder.")
        return dict(manifest)

    def _checked(self, kind: Kind, key: str, only: str | None = None) -> Path:
        folder = self.folder / kind / key
        files = self._manifest(kind, key).get("files", {})
        if not isinstance(files, dict) or not files:
            raise DamagedError(f"{folder / MANIFEST} is missing or damaged.")
        for name, expected in files.items():
            path = folder / name
            if only in (None, name) and not _is_as(path, expected):
                raise DamagedError(f"{path} is missing or damaged.")
        return folder


class DamagedError(AttritionError):
    """A stored file that is not what its manifest says."""


def numpy_tensors(tensors: Mapping[str, Tensor]) -> dict[str, NDArray[Any]]:
    """Tensors as arrays, for storing."""
    return {name: tensor.detach().cpu().numpy() for name, tensor in tensors.items()}


def _read_arrays(path: Path) -> dict[str, NDArray[Any]]:
    with safe_open(path, framework="numpy") as file:
        return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a dict


def _is_as(path: Path, expected: Any) -> bool:
    try:
        return bool(path.stat().st_size == expected["bytes"] and sha256_of(path) == expected["sha256"])
    except (OSError, KeyError, TypeError):
        return False


def _plain(value: Any) -> Any:
    """Values that JSON can hold; what is not a finite number becomes its name."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return repr(value) if isinstance(value, float) and not math.isfinite(value) else value


def flush(path: Path) -> None:
    """Have a file's bytes, or a folder's names, reach the disk."""
    if path.is_dir() and os.name == "nt":
        return  # Windows flushes no folders
    descriptor = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

"""Finished stages on disk: weights, history and counts, each in a folder that is whole or not there.

    stages/<key>/             what a training left: weights.safetensors, history.json
    evaluations/<key>/        what a model scored: counts.safetensors

A folder is written under a temporary name; its `manifest.json`, written last, lists every file with its SHA-256; then the
folder takes its name in one step. What has no manifest, or does not match it, does not count.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from safetensors import safe_open
from safetensors.numpy import save_file
from torch import Tensor

from attrition.names import AttritionError
from attrition.training.score import Counts
from attrition.training.train import Epoch

FORMAT = 1
MANIFEST = "manifest.json"
Kind = Literal["stages", "evaluations"]


@dataclass(frozen=True, eq=False)
class StoredStage:
    """A finished stage: its tensors by name, its history, the epoch kept, seconds by purpose."""

    tensors: Mapping[str, NDArray[Any]]
    history: tuple[Epoch, ...]
    kept_epoch: int
    seconds: Mapping[str, float]


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
        """Whether the folder is there with its manifest."""
        return (self.folder / kind / key / MANIFEST).is_file()

    def save_stage(self, key: str, about: Mapping[str, Any], stage: StoredStage) -> None:
        """Write a finished stage."""
        details = {
            "kept_epoch": stage.kept_epoch,
            "seconds": dict(stage.seconds),
            "history": [epoch._asdict() for epoch in stage.history],
        }
        self._save("stages", key, about, {"weights.safetensors": stage.tensors}, {"history.json": details})

    def load_stage(self, key: str) -> StoredStage:
        """Read a finished stage; every file is checked.

        Raises:
            AttritionError: it is missing, damaged, or of a newer format.
        """
        folder = self._checked("stages", key)
        details = json.loads((folder / "history.json").read_text(encoding="utf-8"))
        return StoredStage(
            tensors=_read_arrays(folder / "weights.safetensors"),
            history=tuple(Epoch(**{**epoch, "dev_f1": _number(epoch["dev_f1"])}) for epoch in details["history"]),
            kept_epoch=details["kept_epoch"],
            seconds=details["seconds"],
        )

    def save_evaluation(self, key: str, about: Mapping[str, Any], evaluation: StoredEvaluation) -> None:
        """Write the counts of one model on several test sets."""
        arrays: dict[str, NDArray[Any]] = {}
        for language, counts in evaluation.counts.items():
            arrays[f"{language}.utterances"] = np.stack([counts.tp, counts.fp, counts.fn], axis=1)
            arrays[f"{language}.slots"] = counts.by_slot
        self._save("evaluations", key, about, {"counts.safetensors": arrays}, {"details.json": {"seconds": evaluation.seconds}})

    def load_evaluation(self, key: str) -> StoredEvaluation:
        """Read the counts of one model; see `load_stage`."""
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
            save_file({each: np.ascontiguousarray(array) for each, array in tensors.items()}, temporary / name)
        for name, table in details.items():
            (temporary / name).write_text(json.dumps(_plain(table), indent=1, allow_nan=False), encoding="utf-8")
        files = {
            name: {"sha256": _sha256(temporary / name), "bytes": (temporary / name).stat().st_size}
            for name in [*arrays, *details]
        }
        manifest = {"format": FORMAT, "key": key, "about": _plain(about), "files": files}
        (temporary / MANIFEST).write_text(json.dumps(manifest, indent=1, allow_nan=False), encoding="utf-8")
        for path in temporary.iterdir():
            _flush(path)
        shutil.rmtree(target, ignore_errors=True)
        temporary.replace(target)
        _flush(target.parent)

    def _checked(self, kind: Kind, key: str) -> Path:
        folder = self.folder / kind / key
        try:
            manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise AttritionError(
                f"{folder}: its manifest cannot be read ({error}). Remove the folder; it is then made again."
            ) from error
        if manifest.get("format", 0) > FORMAT:
            raise AttritionError(
                f"{folder} was written by a newer version of attrition (format {manifest['format']}; this one "
                f"reads up to {FORMAT}). Install the newer one."
            )
        for name, expected in manifest["files"].items():
            path = folder / name
            if not path.is_file() or path.stat().st_size != expected["bytes"] or _sha256(path) != expected["sha256"]:
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


def _plain(value: Any) -> Any:
    """Values that JSON can hold; NaN becomes null."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return None if isinstance(value, float) and value != value else value


def _number(value: float | None) -> float:
    return float("nan") if value is None else value


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

"""Stores stages, evaluations and checkpoints on disk, each as a folder that is written atomically.

    stages/<key>/             weights.safetensors, history.json
    evaluations/<key>/        counts.safetensors
    checkpoints/<key>/        learners between two steps; see `attrition.store.checkpoints`

A folder is written under a temporary name and then renamed. Its `manifest.json` is written last. It lists the SHA-256 of
every file and ends with its own hash (the seal). A folder without a matching manifest is ignored. Format 1, which has no
seal, can be read.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
import os
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file
from torch import Tensor

from attrition.files import is_left_behind, naming, sha256_of, writer, writing
from attrition.names import AttritionError
from attrition.problem.counts import Counts
from attrition.problem.spans import ERROR_TYPES
from attrition.training.train import Epoch

FORMAT = 2
MANIFEST = "manifest.json"
KEPT = "vocabulary.kept"
"""Beside the weights of full training: the sub-token of each row of the word embeddings."""
Kind = Literal["stages", "evaluations", "checkpoints"]
KINDS: tuple[Kind, ...] = get_args(Kind)


@dataclass(frozen=True, eq=False)
class StoredHistory:
    """The training history of a stage: its epochs, the epoch kept, seconds by purpose.

    `decay` is the factor by which weight decay has scaled unused word embeddings since the first stage. `diverged` says what
    became infinite or NaN, and when. `shortage` says what was reduced when memory ran out. Both are usually empty.
    """

    history: tuple[Epoch, ...]
    kept_epoch: int
    seconds: Mapping[str, float]
    decay: float = 1.0
    diverged: str = ""
    shortage: str = ""


Tensors = Mapping[str, NDArray[Any]]


@dataclass(frozen=True, eq=False)
class StoredEvaluation:
    """Counts by language, and the seconds that scoring took.

    `drawn_from` is the number of all test utterances, for languages scored on a random sample.
    """

    counts: Mapping[str, Counts]
    seconds: float
    drawn_from: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """Learners in training: their tensors by name, and the rest as JSON values."""

    tensors: Tensors
    details: Mapping[str, Any]

    @property
    def seconds(self) -> Mapping[str, float]:
        """Return the seconds by purpose that no stored stage includes yet."""
        return dict(self.details["seconds"])


@dataclass(frozen=True)
class Store:
    """The stages, evaluations and checkpoints of a results folder."""

    folder: Path

    def has(self, kind: Kind, key: str) -> bool:
        """Return whether the folder exists; `problem` says whether it is intact."""
        return (self.folder / kind / key).is_dir()

    def problem(self, kind: Kind, key: str) -> str | None:
        """Return what is wrong with a stored folder, in words, or None if it is intact.

        Raises:
            AttritionError: it was written by a newer version.
        """
        try:
            self._checked(kind, key)
        except DamagedError as error:
            return str(error)
        return None

    def about(self, kind: Kind, key: str) -> Mapping[str, Any]:
        """Return the metadata of a folder; see `load_tensors` for errors."""
        return dict(self._manifest(kind, key)["about"])

    def keys(self, kind: Kind) -> tuple[str, ...]:
        """Return the keys of all stored folders of this kind."""
        return tuple(sorted(path.parent.name for path in (self.folder / kind).glob(f"[!.]*/{MANIFEST}")))

    def clean(self) -> None:
        """Remove temporary files of interrupted writes, except those of processes that may still run."""
        for path in (path for kind in KINDS for path in (self.folder / kind).glob(".*.tmp") if is_left_behind(path)):
            shutil.rmtree(path, ignore_errors=True)
        with suppress(OSError):  # there are checkpoints
            (self.folder / "checkpoints").rmdir()
        own = (".study.toml.*", ".environment.json.*", ".covariates.json.*", ".plan.json.*", "..holder.json.*")
        paths = (*(self.folder / "runs").glob("[!.]*/.*"), *(path for name in own for path in self.folder.glob(name)))
        for path in filter(Path.is_file, paths):
            path.unlink()

    def save_stage(self, key: str, about: Mapping[str, Any], tensors: Tensors, history: StoredHistory) -> None:
        """Write a finished stage."""
        details = {**dataclasses.asdict(history), "history": [epoch._asdict() for epoch in history.history]}
        self._save("stages", key, about, {"weights.safetensors": tensors}, {"history.json": details})

    def load_tensors(self, key: str) -> Tensors:
        """Return the weights of a finished stage by name; every file is checked.

        Raises:
            AttritionError: it is missing, damaged (`DamagedError`), or of a newer format.
        """
        return read_arrays(self._checked("stages", key) / "weights.safetensors")

    def load_history(self, key: str) -> StoredHistory:
        """Return the history of a stage without reading its weights; see `load_tensors` for errors."""
        path = self._checked("stages", key, "history.json") / "history.json"
        return history_of(path.read_bytes(), path)

    def save_evaluation(self, key: str, about: Mapping[str, Any], evaluation: StoredEvaluation) -> None:
        """Write the counts of one model on several test sets."""
        arrays: dict[str, NDArray[Any]] = {}
        for language, counts in evaluation.counts.items():
            arrays[f"{language}.utterances"] = np.stack([counts.tp, counts.fp, counts.fn], axis=1)
            arrays[f"{language}.slots"] = counts.by_slot
            if counts.errors is not None:
                arrays[f"{language}.errors"] = counts.errors
        details = {"seconds": evaluation.seconds, "drawn_from": evaluation.drawn_from}
        self._save("evaluations", key, about, {"counts.safetensors": arrays}, {"details.json": details})

    def load_evaluation(self, key: str) -> StoredEvaluation:
        """Return the counts of one model; see `load_tensors` for errors."""
        folder = self._checked("evaluations", key)
        arrays = read_arrays(folder / "counts.safetensors")
        return evaluation_of(arrays, (folder / "details.json").read_bytes(), folder)

    def save_checkpoint(self, key: str, about: Mapping[str, Any], tensors: Tensors, details: Mapping[str, Any]) -> None:
        """Write a checkpoint."""
        self._save("checkpoints", key, about, {"state.safetensors": tensors}, {"state.json": details})

    def load_checkpoint(self, key: str) -> Checkpoint:
        """Return a checkpoint; see `load_tensors` for errors."""
        tensors = read_arrays(self._checked("checkpoints", key) / "state.safetensors")
        return Checkpoint(tensors, self.checkpoint_details(key))

    def checkpoint_details(self, key: str) -> Mapping[str, Any]:
        """Return a checkpoint without reading its tensors; see `load_tensors` for errors."""
        folder = self._checked("checkpoints", key, "state.json")
        details: Mapping[str, Any] = json.loads((folder / "state.json").read_text(encoding="utf-8"))
        return details

    def checkpoints(self) -> tuple[str, ...]:
        """Return the names of all checkpoints, intact or not, sorted."""
        folder = self.folder / "checkpoints"
        return tuple(sorted(path.name for path in folder.glob("[!.]*"))) if folder.is_dir() else ()

    def discard(self, kind: Kind, key: str) -> None:
        """Remove a folder atomically."""
        target = self.folder / kind / key
        if target.exists():
            aside = target.with_name(f".{key}.{writer()}.old.tmp")
            with suppress(FileNotFoundError):  # another process has removed it
                target.replace(aside)
            shutil.rmtree(aside, ignore_errors=True)
        if kind == "checkpoints":
            with suppress(OSError):  # others are left
                target.parent.rmdir()

    def _save(
        self,
        kind: Kind,
        key: str,
        about: Mapping[str, Any],
        arrays: Mapping[str, Mapping[str, NDArray[Any]]],
        details: Mapping[str, Mapping[str, Any]],
    ) -> None:
        target = self.folder / kind / key
        temporary = target.with_name(f".{key}.{writer()}.tmp")
        shutil.rmtree(temporary, ignore_errors=True)
        try:
            with writing(target):
                _write(temporary, key, about, arrays, details)
                self.discard(kind, key)
                temporary.replace(target)
                flush(target.parent)
        except AttritionError:
            shutil.rmtree(temporary, ignore_errors=True)  # a full disk needs the room
            raise

    def _manifest(self, kind: Kind, key: str) -> dict[str, Any]:
        folder = self.folder / kind / key
        try:
            manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
            newer, whole = manifest["format"] > FORMAT, manifest["key"] == key and isinstance(manifest["about"], dict)
            if newer:  # a matching seal means that a disk fault changed the digit
                newer = manifest.get("seal") != seal({**manifest, "format": FORMAT})
                whole = whole and newer
            elif manifest["format"] > 1 or "seal" in manifest:
                whole = whole and manifest["seal"] == seal(manifest)
        except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
            raise DamagedError(f"{folder / MANIFEST} is missing or damaged.") from error
        if newer:
            raise AttritionError(
                f"{folder} was written by a newer version of attrition (format {manifest['format']}; this one "
                f"reads up to {FORMAT}). Install the newer version, or choose another folder for results."
            )
        if not whole:
            raise DamagedError(f"{folder / MANIFEST} is damaged, or does not belong to this folder.")
        return dict(manifest)

    def _checked(self, kind: Kind, key: str, only: str | None = None) -> Path:
        folder = self.folder / kind / key
        files = self._manifest(kind, key).get("files", {})
        if not isinstance(files, dict) or not files:
            raise DamagedError(f"{folder / MANIFEST} is missing or damaged.")
        for name, expected in files.items():
            if only in (None, name) and not _is_as(folder / name, expected):
                raise DamagedError(f"{folder / name} is missing or damaged.")
        return folder


class DamagedError(AttritionError):
    """Raised for a stored file that does not match its manifest."""


def history_of(content: bytes, path: Path) -> StoredHistory:
    """Return the history in the bytes of a history.json; errors name `path`.

    Raises:
        DamagedError: the content is not a history.
    """
    with _fitting(path):
        details = json.loads(content.decode())
        epochs, seconds = epochs_of(details["history"]), {name: float(each) for name, each in details["seconds"].items()}
        said = {name: str(details.get(name, "")) for name in ("diverged", "shortage")}
        return StoredHistory(epochs, int(details["kept_epoch"]), seconds, float(details["decay"]), **said)


def evaluation_of(arrays: Tensors, content: bytes, path: Path) -> StoredEvaluation:
    """Return the evaluation in stored arrays and the bytes of a details.json; errors name `path`.

    Raises:
        DamagedError: the content is not an evaluation.
    """
    counts = {}
    with _fitting(path):
        for name in arrays:
            language, _, part = name.rpartition(".")
            if part == "utterances":
                tp, fp, fn = _whole_numbers(arrays[name]).T
                if (errors := arrays.get(f"{language}.errors")) is not None:
                    _whole_numbers(errors, len(ERROR_TYPES))
                counts[language] = Counts(tp, fp, fn, _whole_numbers(arrays[f"{language}.slots"]), errors)
        details = json.loads(content.decode())
        drawn_from = {str(language): int(size) for language, size in details.get("drawn_from", {}).items()}
        return StoredEvaluation(counts, float(details["seconds"]), drawn_from)


def epochs_of(stored: Sequence[Mapping[str, Any]]) -> tuple[Epoch, ...]:
    """Return a history read from JSON, where NaN and infinity are strings."""
    return tuple(
        Epoch(each["epoch"], float(each["train_loss"]), float(each["dev_f1"]), float(each["seconds"])) for each in stored
    )


def numpy_tensors(tensors: Mapping[str, Tensor]) -> dict[str, NDArray[Any]]:
    """Return tensors as numpy arrays."""
    return {name: tensor.detach().cpu().numpy() for name, tensor in tensors.items()}


def _write(
    folder: Path,
    key: str,
    about: Mapping[str, Any],
    arrays: Mapping[str, Mapping[str, NDArray[Any]]],
    details: Mapping[str, Mapping[str, Any]],
) -> None:
    """Write a new folder with its manifest and flush it to disk.

    Raises:
        OSError: the disk refuses it.
    """
    folder.mkdir(parents=True)
    for name, tensors in arrays.items():
        try:
            save_file({each: np.ascontiguousarray(array) for each, array in tensors.items()}, folder / name)
        except SafetensorError as error:  # holds the error number only in its text
            said = re.search(r"os error (\d+)", str(error))
            number = int(said[1]) if said else 0
            raise OSError(number, os.strerror(number) if said else str(error), str(folder / name)) from error
    for name, table in details.items():
        _write_json(folder / name, table)
    files = {
        name: {"sha256": sha256_of(folder / name), "bytes": (folder / name).stat().st_size} for name in [*arrays, *details]
    }
    manifest = _plain({"format": FORMAT, "key": key, "about": about, "files": files})
    _write_json(folder / MANIFEST, {**manifest, "seal": seal(manifest)})
    for path in (*folder.iterdir(), folder):
        flush(path)


def _write_json(path: Path, table: Mapping[str, Any]) -> None:
    with naming(path):
        path.write_text(json.dumps(_plain(table), indent=1, allow_nan=False), encoding="utf-8")


def seal(manifest: Mapping[str, Any]) -> str:
    """Return the SHA-256 of a manifest without its seal; key order does not matter."""
    said = {name: value for name, value in manifest.items() if name != "seal"}
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()


def read_arrays(path: Path) -> dict[str, NDArray[Any]]:
    """Return the arrays of a safetensors file by name.

    Raises:
        DamagedError: the file is not a safetensors file.
    """
    with _fitting(path), safe_open(path, framework="numpy") as file:
        return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a dict


def _whole_numbers(counts: NDArray[Any], columns: int = 3) -> NDArray[Any]:
    """Return `counts` if it is a valid array [number, columns] of counts, by default TP, FP and FN, else raise."""
    if counts.ndim != 2 or counts.shape[1] != columns or counts.dtype.kind not in "iu" or counts.min(initial=0) < 0:
        raise ValueError(f"{counts.dtype} {list(counts.shape)} are not counts")
    return counts


@contextmanager
def _fitting(path: Path) -> Iterator[None]:
    """Turn parsing errors into `DamagedError`: a file with a valid checksum may come from a stranger and still be malformed.

    Raises:
        DamagedError: the code inside fails.
    """
    try:
        yield
    except AttritionError:
        raise
    except (ArithmeticError, AttributeError, LookupError, RecursionError, SafetensorError, TypeError, ValueError) as error:
        raise DamagedError(f"{path} does not have the expected content ({error}).") from error


def _is_as(path: Path, expected: Any) -> bool:
    try:
        return bool(path.stat().st_size == expected["bytes"] and sha256_of(path) == expected["sha256"])
    except (OSError, KeyError, TypeError):
        return False


def _plain(value: Any) -> Any:
    """Return values that JSON can hold; NaN and infinity become strings."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return repr(value) if isinstance(value, float) and not math.isfinite(value) else value


def flush(path: Path) -> None:
    """Flush a file's bytes, or a folder's entries, to disk."""
    if path.is_dir() and os.name == "nt":
        return  # Windows cannot flush a folder
    descriptor = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        with naming(path):
            os.fsync(descriptor)
    finally:
        os.close(descriptor)

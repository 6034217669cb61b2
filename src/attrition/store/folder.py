"""Locks a results folder, checks which study it belongs to, and moves outdated runs aside."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import socket
import tomllib
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from attrition.encoder.precision import DTYPES
from attrition.files import write_whole
from attrition.names import AttritionError
from attrition.reading import parse_toml, read_text
from attrition.registry import is_file_of_a_user
from attrition.results.at_work import HOLDER, PLAN, SLURM, WORKING
from attrition.study.spec import Study, read_study
from attrition.study.standalone import COPIED

EARLIER = "earlier"
"""Folder for finished runs that are no longer part of the study."""

_OURS = (
    "runs", EARLIER, "stages", "evaluations", "checkpoints", "report", WORKING, PLAN, SLURM,
    "environment.json", "study.toml", "covariates.json", ".lock",
)  # fmt: skip


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Lock a results folder; create it if missing.

    The system releases the lock when the process ends, so a dead process leaves no lock. A file beside the lock names the
    process that holds it.

    Raises:
        AttritionError: it is not a writable folder that supports locks, or another process is running a study in it.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError) as error:
        raise AttritionError(f"{folder} cannot hold results: a file is in the way. Choose another --out.") from error
    except OSError as error:
        raise AttritionError(f"{folder} cannot be made ({error.strerror or error}). Choose another --out.") from error
    lock = FileLock(folder / ".lock")
    try:
        lock.acquire(timeout=0.2)
    except Timeout as error:
        raise AttritionError(
            f"Another process is running a study in {folder}{_holder(folder)}. Wait for it, or choose another --out."
        ) from error
    except NotImplementedError as error:
        raise AttritionError(f"The file system of {folder} does not support locks. Choose an --out on a local disk.") from error
    except OSError as error:
        raise AttritionError(f"{folder} cannot be written to ({error.strerror or error}). Choose another --out.") from error
    holder = folder / HOLDER
    try:
        with suppress(OSError):  # used only in a message; a full disk is reported elsewhere
            since = datetime.now(UTC).isoformat(timespec="seconds")
            write_whole(holder, json.dumps({"pid": os.getpid(), "host": socket.gethostname(), "since": since}) + "\n")
        yield
    finally:
        with suppress(OSError):
            holder.unlink(missing_ok=True)
        lock.release()


def _holder(folder: Path) -> str:
    """Return which process holds the lock, in parentheses; empty if unknown."""
    try:
        told = json.loads((folder / HOLDER).read_text(encoding="utf-8"))
        return f" (process {told['pid']} on {told['host']}, since {told['since']})"
    except (OSError, ValueError, KeyError, TypeError):
        return ""


def is_results(folder: Path) -> bool:
    """Return whether a study has started in the folder."""
    return (folder / "study.toml").is_file() and (folder / "environment.json").is_file()


def refuse_other_study(folder: Path, name: str) -> None:
    """Refuse to overwrite the results of another study or a user's own `study.toml`.

    Raises:
        AttritionError: the folder holds another study's results, or a `study.toml` that is not from a run.
    """
    path = folder / "study.toml"
    if not path.is_file():
        return
    if not is_results(folder):
        raise AttritionError(f"{path} would be overwritten, but no study has run in that folder. Choose another --out.")
    there = name
    with suppress(tomllib.TOMLDecodeError, UnicodeDecodeError):  # a damaged file is written again
        there = tomllib.loads(path.read_text(encoding="utf-8")).get("name", name)
    if there != name:
        raise AttritionError(f"{folder} holds the results of the study {there!r}, not of {name!r}. Choose another --out.")


def in_precision_of(folder: Path, study: Study) -> Study:
    """Return the study with `model.precision` = "auto" replaced by the precision of the stages in `folder`, if any."""
    if study.model.precision != "auto" or not is_results(folder):
        return study
    try:
        model = _raw_study(folder).get("model", {})
    except AttritionError:  # damaged: it is written again
        return study
    precision = model.get("precision") if isinstance(model, dict) else None
    if precision not in DTYPES:
        return study
    return dataclasses.replace(study, model=dataclasses.replace(study.model, precision=precision))


def read_results_study(folder: Path) -> Study:
    """Return the study of a results folder. Python files that it names are not run: the folder may be a stranger's.

    Raises:
        AttritionError: its `study.toml` is missing or damaged, or names Python files.
    """
    if code := code_of(folder):
        raise AttritionError(
            f"The study in {folder} has Python code of its own ({', '.join(code)}), which is not run here. Read the code. To "
            "run it, use `attrition run` with this study.toml."
        )
    return read_study(folder / "study.toml")


def code_of(folder: Path) -> tuple[str, ...]:
    """Return the Python files that a results folder's `study.toml` names.

    Raises:
        AttritionError: it is missing or not TOML.
    """
    raw = _raw_study(folder)
    methods = raw.get("methods", [])
    entries = methods if isinstance(methods, list) else []
    named = [each.get("method") if isinstance(each, dict) else each for each in entries]
    corpus = raw.get("corpus", {})
    named += [raw.get("problem"), corpus.get("name") if isinstance(corpus, dict) else None]
    return tuple(dict.fromkeys(each for each in named if isinstance(each, str) and is_file_of_a_user(each)))


def name_of(folder: Path) -> str:
    """Return the name of a results folder's study.

    Raises:
        AttritionError: its `study.toml` is missing, not TOML, or has no name.
    """
    name = _raw_study(folder).get("name")
    if not isinstance(name, str):
        raise AttritionError(f"{folder / 'study.toml'}: 'name' is missing. The same `attrition run` writes this file again.")
    return name


def _raw_study(folder: Path) -> dict[str, Any]:
    path = folder / "study.toml"
    return parse_toml(read_text(path), str(path))


def put_aside(folder: Path, current: Collection[str]) -> list[str]:
    """Move runs that are not in `current` to `EARLIER`, so that the report omits them; return their names."""
    runs = folder / "runs"
    found = sorted(path.name for path in runs.iterdir() if path.is_dir()) if runs.is_dir() else []
    moved = [name for name in found if name not in current]
    for name in moved:
        target = folder / EARLIER / name
        shutil.rmtree(target, ignore_errors=True)
        target.parent.mkdir(exist_ok=True)
        (runs / name).replace(target)
    return moved


def forget(folder: Path) -> None:
    """Remove the results of a study; keep all other files in the folder.

    Raises:
        AttritionError: there are files, but no results; or a study is running there.
    """
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return
    if not is_results(folder):
        raise AttritionError(f"{folder} is not a results folder, so nothing in it is removed. Choose another --out.")
    with locked(folder):
        for name in (*_OURS, *(path.name for kind in COPIED for path in folder.glob(f"{kind}*"))):
            path = folder / name
            if path.is_dir():
                shutil.rmtree(path)
            elif name != ".lock":
                path.unlink(missing_ok=True)

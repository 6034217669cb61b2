"""Writes archives: the results folders of a study in a few small files, without weights."""

from __future__ import annotations

import json
import lzma
import os
import shutil
import tomllib
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from attrition.files import sha256_of, write_whole, writing
from attrition.names import AttritionError, counted
from attrition.results.covariates import FILE as COVARIATES
from attrition.results.covariates import covariates_json, languages_of_covariates
from attrition.results.packed_counts import COUNTS, STAGES, pack_counts
from attrition.store.archived import FORMAT, INDEX, OF_KIND, ArchivedStore, is_archive, store_of
from attrition.store.chosen import Chosen
from attrition.store.folder import EARLIER, is_results, name_of
from attrition.store.portable import portable_study
from attrition.store.stages import flush
from attrition.store.union import Union
from attrition.study.watcher import Watcher

_FIXED = ("languages", "watch", "problem", "corpus", "encoding", "model", "training", "evaluate", "evaluate_on")
"""Settings that all folders of an archive must share. Methods of one name must be the same too."""


def write_archive(
    folders: Sequence[Path],
    out: Path,
    watcher: Watcher | None = None,
    check: Callable[[Path], None] | None = None,
    only: Sequence[str] = (),
) -> dict[str, int]:
    """Write everything but weights and encoded data of results folders or archives into a new folder; return bytes by file.

    Several folders of one study are joined. Runs and stages that occur twice must have the same results; a stage may differ if
    another kind of machine trained it. See `Union`.
    study.toml and environment.json come from the first folder.

    Args:
        folders: results folders or archives of one study.
        out: the new folder; if it exists, it must be empty. It is written atomically.
        watcher: receives progress.
        check: called with the complete archive before it gets its name; raises what is wrong with it.
        only: patterns of the runs to archive, as in `attrition.study.select`; empty for all. Stages and evaluations of other
            runs are left out, and methods without a run are removed from study.toml.

    Raises:
        AttritionError: a folder holds no results, is damaged, is of another study or of other settings, or contradicts another.
        UnwrittenError: the disk refuses it.
    """
    watcher = watcher or Watcher()
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise AttritionError(f"{out} exists already. Choose another folder for the archive.")
    names: dict[str, Path] = {}
    for folder in folders:
        if not is_results(folder):
            raise AttritionError(
                f"{folder} is not a results folder. Give the folder that `attrition run` wrote, or an archive."
            )
        if out.resolve().is_relative_to(folder.resolve()):
            raise AttritionError(f"{out} lies in {folder}, which is to be archived. Choose a folder outside it.")
        names.setdefault(name_of(folder), folder)
    if len(names) > 1:
        (one, first), (other, second) = list(names.items())[:2]
        raise AttritionError(f"{second} holds the study {other!r}, and {first} {one!r}. Archive them separately.")
    chosen = Chosen.of(folders, only)
    studies = [portable_study((folder / "study.toml").read_bytes(), chosen.methods) for folder in folders]
    for folder, study in zip(folders[1:], studies[1:], strict=True):
        if name := _difference(tomllib.loads(studies[0].decode()), tomllib.loads(study.decode())):
            raise AttritionError(f"{folder} and {folders[0]} differ in {name} of study.toml. Archive them separately.")
    union = Union()
    for folder in folders:
        store = store_of(folder)
        if isinstance(store, ArchivedStore) and (wrong := store.damaged_files()):
            raise AttritionError(f"{folder / wrong[0]} is missing or damaged. Nothing was archived.")
        union.add_covariates(folder)
        union.add_copies(folder)
        for kind in OF_KIND:
            union.add_stored(store, kind, watcher)
        union.add_runs(folder, chosen)
        if aside := [*(folder / EARLIER).glob("[!.]*/matrix.csv")]:
            watcher.warned(
                f"Not archived: {counted(len(aside), 'run')} in {folder / EARLIER}, no longer in the study. Their stages are."
            )
    if not union.runs:
        here = " and ".join(map(str, folders))
        raise AttritionError(f"No run is finished in {here}. Nothing was archived: finish a run with `attrition run` first.")
    if only:
        union.leave_out_unused()
    if union.variants:
        watcher.warned(
            f"{counted(len(union.variants), 'result')} of other machines differ, as kinds of processors round differently. "
            "Both are kept, each with its own runs."
        )
    union.agree_on_times()
    union.files["environment.json"] = (folders[0] / "environment.json").read_bytes()
    union.files["study.toml"] = studies[0]
    if union.covariates is not None:
        union.files[COVARIATES] = covariates_json(languages_of_covariates(union.covariates), union.covariates).encode()
    union.files[COUNTS], groups = pack_counts(union.counts)
    union.files[STAGES] = lzma.compress(json.dumps({**union.texts, "groups": groups}, sort_keys=True).encode())
    _write(out, union.files, next(iter(names)), check)
    return {str(path.relative_to(out)): path.stat().st_size for path in sorted(out.rglob("*")) if path.is_file()}


def _difference(one: Mapping[str, Any], other: Mapping[str, Any]) -> str | None:
    """Return the first setting that decides numbers and differs between two study files; None if there is none."""
    settings = [
        {name: study.get(name) for name in _FIXED} | {f"method {each.get('name')!r}": each for each in study.get("methods", ())}
        for study in (one, other)
    ]
    common = [name for name in settings[0] if name in settings[1]]
    return next(filter(None, (_first_difference(settings[0][name], settings[1][name], name) for name in common)), None)


def _first_difference(one: Any, other: Any, name: str) -> str | None:
    if isinstance(one, dict) and isinstance(other, dict):
        parts = (_first_difference(one.get(key), other.get(key), f"{name}.{key}") for key in (one | other))
        return next(filter(None, parts), None)
    return None if one == other else name


def _write(out: Path, files: Mapping[str, bytes], study: str, check: Callable[[Path], None] | None) -> None:
    temporary = out.with_name(f".{out.name}.{os.getpid()}.tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    try:
        with writing(out, kept="Nothing was archived."):
            for name, content in files.items():
                write_whole(temporary / name, content)
            sums = {name: sha256_of(temporary / name) for name in sorted(files)}
            index = {"format": FORMAT, "study": study, "attrition": version("attrition"), "files": sums}
            write_whole(temporary / INDEX, json.dumps(index, indent=1, ensure_ascii=False) + "\n")
            if check is not None:
                check(temporary)
            if out.exists():
                out.rmdir()  # empty; some systems cannot replace a folder
            temporary.replace(out)
            flush(out.parent)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def refuse_archive(folder: Path) -> None:
    """Refuse an archive as a results folder for training.

    Raises:
        AttritionError: the folder is an archive.
    """
    if is_archive(folder):
        raise AttritionError(f"{folder} is an archive without weights, so training cannot resume. Choose another --out.")

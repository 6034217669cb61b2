"""Writes archives: the results folders of a study in a few small files, without weights."""

from __future__ import annotations

import json
import lzma
import os
import shutil
import tomllib
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path

import tomli_w

from attrition.files import sha256_of, write_whole, writing
from attrition.names import AttritionError
from attrition.results.covariates import FILE as COVARIATES
from attrition.results.covariates import covariates_json, languages_of_covariates
from attrition.results.packed_counts import COUNTS, STAGES, pack_counts
from attrition.store.archived import FORMAT, INDEX, OF_KIND, ArchivedStore, is_archive, store_of
from attrition.store.folder import is_results, name_of
from attrition.store.stages import flush
from attrition.store.union import Union
from attrition.study.watcher import Watcher


def write_archive(folders: Sequence[Path], out: Path, watcher: Watcher | None = None) -> dict[str, int]:
    """Write everything but weights and encoded data of results folders or archives into a new folder; return bytes by file.

    Several folders of one study are joined. Runs and stages that occur twice must have the same results; see `Union`.
    study.toml and environment.json come from the first folder.

    Args:
        folders: results folders or archives of one study.
        out: the new folder; if it exists, it must be empty. It is written atomically.
        watcher: receives progress.

    Raises:
        AttritionError: a folder holds no results, is damaged, is of another study, or contradicts another.
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
        names.setdefault(name_of(folder), folder)
    if len(names) > 1:
        (one, first), (other, second) = list(names.items())[:2]
        raise AttritionError(f"{second} holds the study {other!r}, and {first} {one!r}. Archive them separately.")
    union = Union()
    for folder in folders:
        store = store_of(folder)
        if isinstance(store, ArchivedStore) and (wrong := store.damaged_files()):
            raise AttritionError(f"{folder / wrong[0]} is missing or damaged. Nothing was archived.")
        union.add_runs(folder)
        union.add_covariates(folder)
        for kind in OF_KIND:
            union.add_stored(store, kind, watcher)
    if not union.texts["stages"]:
        raise AttritionError(f"{folders[0]} has no finished stage. Nothing was archived.")
    union.agree_on_times()
    union.files["environment.json"] = (folders[0] / "environment.json").read_bytes()
    union.files["study.toml"] = _without_path((folders[0] / "study.toml").read_bytes())
    if union.covariates is not None:
        union.files[COVARIATES] = covariates_json(languages_of_covariates(union.covariates), union.covariates).encode()
    union.files[COUNTS], groups = pack_counts(union.counts)
    union.files[STAGES] = lzma.compress(json.dumps({**union.texts, "groups": groups}, sort_keys=True).encode())
    _write(out, union.files, next(iter(names)))
    return {str(path.relative_to(out)): path.stat().st_size for path in sorted(out.rglob("*")) if path.is_file()}


def _without_path(study: bytes) -> bytes:
    """Return the study file without the paths of data, which are valid on this machine only; names of files stay."""
    table = tomllib.loads(study.decode("utf-8"))
    corpus = table.get("corpus", {}).pop("path", None)
    stages = [stage for order in table.get("orders", ()) for stage in order.get("stages", ())]
    portions = [each for stage in stages for each in (stage if isinstance(stage, list) else [stage]) if isinstance(each, dict)]
    for portion in portions:
        portion["data"] = Path(portion["data"]).name
    return study if corpus is None and not portions else tomli_w.dumps(table).encode()


def _write(out: Path, files: Mapping[str, bytes], study: str) -> None:
    temporary = out.with_name(f".{out.name}.{os.getpid()}.tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    try:
        with writing(out):
            for name, content in files.items():
                write_whole(temporary / name, content)
            sums = {name: sha256_of(temporary / name) for name in sorted(files)}
            index = {"format": FORMAT, "study": study, "attrition": version("attrition"), "files": sums}
            write_whole(temporary / INDEX, json.dumps(index, indent=1, ensure_ascii=False) + "\n")
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

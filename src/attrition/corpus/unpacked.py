"""Unpacks each archive once, completely, into the cache."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path, PurePosixPath
from typing import Any

from filelock import FileLock

from attrition.corpus.archive import Limits, unpack
from attrition.corpus.cache import Progress
from attrition.files import write_whole
from attrition.names import AttritionError
from attrition.reading import parse_json, read_text

_MANIFEST = "manifest.json"


def unpack_once(
    archive: Path,
    cache: Path,
    sha256: str,
    *,
    choose: Callable[[PurePosixPath], str | None],
    check: Callable[[Path], None],
    needs: str = "several times the archive's size",
    limits: Limits | None = None,
    progress: Progress | None = None,
) -> Path:
    """Return the folder of an archive's files in `cache`; unpack the archive if needed.

    The folder's name is the archive's SHA-256. The folder appears in one step, complete. If the size of a file has
    changed, the archive is unpacked again. If several processes call this at once, one unpacks and the others wait.

    Args:
        archive: the tar.
        cache: parent of the folder.
        sha256: of the archive.
        choose: from a path in the archive to the file name to write, or None to skip it, as for `archive.unpack`.
        check: raises if the unpacked files are wrong.
        needs: disk space of the files, for an error message.
        limits, progress: as for `archive.unpack`.

    Raises:
        AttritionError: the archive is damaged, unsafe or refused by `check`; or the cache is not writable.
    """
    folder = cache / sha256[:16]
    if _is_whole(folder):
        return folder
    try:
        cache.mkdir(parents=True, exist_ok=True)
        with FileLock(cache / f"{folder.name}.lock"):
            if not _is_whole(folder):
                partial = cache / f"{folder.name}.partial"
                for leftover in (folder, partial):
                    if leftover.exists():
                        shutil.rmtree(leftover)
                partial.mkdir()
                written = unpack(archive, partial, choose=choose, limits=limits, progress=progress)
                check(partial)
                manifest = {name: asdict(unpacked) for name, unpacked in written.items()}
                write_whole(partial / _MANIFEST, json.dumps(manifest, indent=1) + "\n")
                partial.replace(folder)
    except OSError as error:
        raise AttritionError(
            f"{archive} could not be unpacked into {cache} ({error}). Free some space (about {needs}), set ATTRITION_CACHE to "
            "another folder, or unpack the archive yourself and give the folder."
        ) from error
    return folder


def remembered(path: Path) -> dict[str, Any]:
    """Return the content of a JSON file of the cache; {} if the file is missing or damaged, so that it is made again."""
    try:
        return parse_json(read_text(path), str(path))
    except AttritionError:
        return {}


def _is_whole(folder: Path) -> bool:
    """Return True if a folder is an unpacked archive and every file has its original size."""
    manifest = remembered(folder / _MANIFEST)
    return bool(manifest) and all(
        isinstance(entry, dict) and (folder / name).is_file() and (folder / name).stat().st_size == entry.get("size")
        for name, entry in manifest.items()
    )

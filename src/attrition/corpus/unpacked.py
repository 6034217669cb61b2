"""Archives that are unpacked into the cache once, whole, and found there the next time."""

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
    """Return the folder of an archive's files, unpacked into `cache` now or earlier.

    The folder is named by the archive's SHA-256 and appears in one step, whole. A folder whose files have lost or gained
    bytes since is made anew. Several processes may ask at once: one unpacks, the others wait.

    Args:
        archive: the tar.
        cache: where the folder is, or is made.
        sha256: of the archive.
        choose: the name to write a member under, or None to skip it, as for `archive.unpack`.
        check: raises if the unpacked files are not what they should be.
        needs: how much room the files take, for an error.
        limits, progress: as for `archive.unpack`.

    Raises:
        AttritionError: the archive is damaged or refused, by `check` too, or the cache cannot be written.
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
    """Return what a JSON file of the cache holds; nothing when it is missing or damaged, so that it is made again."""
    try:
        return parse_json(read_text(path), str(path))
    except AttritionError:
        return {}


def _is_whole(folder: Path) -> bool:
    """Whether a folder is an unpacked archive with every file as long as it was."""
    manifest = remembered(folder / _MANIFEST)
    return bool(manifest) and all(
        isinstance(entry, dict) and (folder / name).is_file() and (folder / name).stat().st_size == entry.get("size")
        for name, entry in manifest.items()
    )

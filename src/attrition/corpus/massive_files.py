"""Finds, downloads and unpacks the files of MASSIVE 1.1, and caches their checksums."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import tarfile
from collections.abc import Callable, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from attrition.corpus import release
from attrition.corpus.archive import Limits
from attrition.corpus.cache import Progress, cache_folder
from attrition.corpus.unpacked import remembered, unpack_once
from attrition.files import sha256_of, write_whole
from attrition.names import AttritionError
from attrition.reading import is_there

_ROWS_FILE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*\.jsonl")
_LEGAL_FILES = frozenset({"LICENSE", "NOTICE.md", "CITATION.md", "CHANGELOG.md"})

THREE_WAYS = (
    "Do one of three things: run `attrition data fetch`; set corpus.path to the archive or the unpacked folder; or set "
    f"ATTRITION_MASSIVE to that path. Address of the archive: {release.ADDRESS}"
)


def find_massive(path: Path | str | None = None) -> Path:
    """Return the path of MASSIVE: `path` (a study's corpus.path), ATTRITION_MASSIVE, the cache or `../shared/massive`.

    Raises:
        AttritionError: MASSIVE is not there. The message gives three ways to provide it.
    """
    for what, given in (("corpus.path", path), ("ATTRITION_MASSIVE", os.environ.get("ATTRITION_MASSIVE"))):
        if given:
            named = Path(given).expanduser()
            if not is_there(named):
                raise AttritionError(f"MASSIVE 1.1 is not at {str(named)!r}, the path in {what}. {THREE_WAYS}")
            return named
    fetched = _fetched_archive(cache_folder())
    if fetched.is_file():
        return fetched
    neighbour = Path("../shared/massive")  # a developer's default
    if _archive_in(neighbour) or _rows_folder_at(neighbour):
        return neighbour
    raise AttritionError(f"MASSIVE 1.1 was not found. {THREE_WAYS}")


def fetch(
    progress: bool = True, *, cache: Path | None = None, downloader: Callable[[str, str, Any], None] | None = None
) -> Path:
    """Download the archive into the cache unless it is there, and return its path.

    The archive's SHA-256 is stored beside it and checked each time the archive is opened.

    Args:
        progress: whether to show a progress bar.
        cache: the cache's root; by default `cache_folder()`.
        downloader: called as `downloader(address, file, pooch)`; by default over HTTPS.

    Raises:
        AttritionError: the network failed, or the file is not a tar. The message gives the address and other ways.
    """
    archive = _fetched_archive(cache or cache_folder())
    if archive.is_file():
        verify_download(archive)
        return archive
    import pooch  # slow to import and rarely needed

    pooch.get_logger().setLevel("WARNING")  # pooch would ask the user to put the checksum into the code
    try:
        archive.parent.mkdir(parents=True, exist_ok=True)
        pooch.retrieve(
            release.ADDRESS,
            known_hash=None,
            fname=archive.name,
            path=archive.parent,
            downloader=downloader or pooch.HTTPDownloader(progressbar=progress),
        )
    except OSError as error:  # the errors of requests are OSErrors too
        raise AttritionError(f"MASSIVE 1.1 could not be downloaded ({error}). Try again later. {THREE_WAYS}") from error
    if not tarfile.is_tarfile(archive):
        archive.unlink()
        raise AttritionError(f"The file from {release.ADDRESS} is not a tar. It was deleted. Try again later. {THREE_WAYS}")
    record = {"address": release.ADDRESS, "bytes": archive.stat().st_size, "sha256": sha256_of(archive)}
    write_whole(_record_of(archive), json.dumps(record, indent=1) + "\n")
    return archive


def verify_download(archive: Path) -> str:
    """Return the archive's SHA-256, after a comparison with the value stored at download, if there is one.

    Raises:
        AttritionError: the archive has changed since the download.
    """
    checksum = sha256_of(archive)
    record = _record_of(archive)
    if record.is_file() and (recorded := remembered(record).get("sha256")) != checksum:
        raise AttritionError(
            f"{archive} has changed since it was downloaded: its SHA-256 is {checksum}, {record.name} says {recorded}. "
            "Delete both files and run `attrition data fetch`."
        )
    return checksum


def source_of(path: Path) -> Path:
    """Return the archive at or in `path`, or the folder of locale files at or below `path`.

    Raises:
        AttritionError: `path` does not exist, or has neither an archive nor locale files.
    """
    if not is_there(path):
        raise AttritionError(f"MASSIVE 1.1 is not at {str(path)!r}. {THREE_WAYS}")
    if path.is_file():
        return path
    found = _rows_folder_at(path) or _archive_in(path)
    if found is None:
        raise AttritionError(f"{path} has no <locale>.jsonl, and neither has its data or 1.1/data. {THREE_WAYS}")
    return found


def unpack_release(archive: Path, cache: Path, *, limits: Limits | None = None, progress: Progress | None = None) -> Path:
    """Return the folder of the archive's locale files in `cache`; unpack the archive if needed.

    The folder's name is the archive's SHA-256. The folder appears in one step, complete. If the size of a file has
    changed, the archive is unpacked again. If several processes call this at once, one unpacks and the others wait.

    Raises:
        AttritionError: the archive is damaged, too large, or not MASSIVE; or the cache is not writable.
    """

    def check(folder: Path) -> None:
        if not _is_rows_folder(folder):
            raise AttritionError(f"{archive} has no data/<locale>.jsonl: it is not an archive of MASSIVE. {THREE_WAYS}")

    return unpack_once(
        archive, cache, verify_download(archive), choose=_wanted, check=check, needs="650 MB", limits=limits, progress=progress
    )


def rows_files(folder: Path) -> dict[str, Path]:
    """Return the `.jsonl` files of a folder by stem, sorted."""
    return {file.stem: file for file in sorted(folder.glob("*.jsonl")) if _ROWS_FILE.fullmatch(file.name)}


def checksums(files: Sequence[Path], store: Path) -> list[str]:
    """Return the SHA-256 of each file of one folder.

    `store` caches checksums. A file is read again only if its size or modification time has changed.
    """
    if not files:
        return []
    folder = hashlib.sha256(str(files[0].parent.resolve()).encode()).hexdigest()[:16]
    record = store / f"{folder}.json"
    known = remembered(record)
    fresh: dict[str, dict[str, Any]] = {}
    for file in files:
        state = file.stat()
        entry = {"size": state.st_size, "changed_ns": state.st_mtime_ns}
        before = known.get(file.name)
        if isinstance(before, dict) and "sha256" in before and {**before, **entry} == before:
            fresh[file.name] = before
        else:
            fresh[file.name] = {**entry, "sha256": sha256_of(file)}
    if fresh != known:
        with contextlib.suppress(OSError):  # the cache only saves time
            write_whole(record, json.dumps(fresh, indent=1) + "\n")
    return [str(entry["sha256"]) for entry in fresh.values()]


def _wanted(path: PurePosixPath) -> str | None:
    if path.parent.name == "data" and _ROWS_FILE.fullmatch(path.name):
        return path.name
    return path.name if path.name in _LEGAL_FILES and len(path.parts) <= 2 else None


def _is_rows_folder(folder: Path) -> bool:
    return folder.is_dir() and not rows_files(folder).keys().isdisjoint(release.LOCALES)


def _rows_folder_at(path: Path) -> Path | None:
    folders = (path, path / "data", path / release.REVISION / "data")
    return next((folder for folder in folders if _is_rows_folder(folder)), None)


def _archive_in(folder: Path) -> Path | None:
    stem = release.ARCHIVE.removesuffix(".gz")
    return min((file for file in folder.glob(f"{stem}*") if file.suffix in {".tar", ".gz", ".bz2", ".xz"}), default=None)


def _fetched_archive(cache: Path) -> Path:
    return cache / "massive" / release.ARCHIVE


def _record_of(archive: Path) -> Path:
    return archive.with_name(f"{archive.name}.json")

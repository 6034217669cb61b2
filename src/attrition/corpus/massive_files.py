"""Where the files of MASSIVE 1.1 are: finds them, fetches the archive, unpacks it, and remembers checksums."""

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
    "There are three ways to provide it: download it with `attrition data fetch`; set corpus.path to the archive or the "
    f"unpacked folder; or set ATTRITION_MASSIVE to it. Its address is {release.ADDRESS}"
)


def find_massive(path: Path | str | None = None) -> Path:
    """Where MASSIVE is: `path` (a study's corpus.path), else ATTRITION_MASSIVE, else the cache, else `../shared/massive`.

    Raises:
        AttritionError: nothing is there; the sentence says the three ways to provide it.
    """
    for what, given in (("corpus.path", path), ("ATTRITION_MASSIVE", os.environ.get("ATTRITION_MASSIVE"))):
        if given:
            named = Path(given).expanduser()
            if not is_there(named):
                raise AttritionError(f"MASSIVE 1.1 is not at {str(named)!r}, which {what} names. {THREE_WAYS}")
            return named
    fetched = _fetched_archive(cache_folder())
    if fetched.is_file():
        return fetched
    neighbour = Path("../shared/massive")  # where a developer may keep one beside the checkout
    if _archive_in(neighbour) or _rows_folder_at(neighbour):
        return neighbour
    raise AttritionError(f"MASSIVE 1.1 was not found. {THREE_WAYS}")


def fetch(
    progress: bool = True, *, cache: Path | None = None, downloader: Callable[[str, str, Any], None] | None = None
) -> Path:
    """Download the release into the cache unless it is there, and return the archive's path.

    The SHA-256 of what was downloaded is recorded beside it and verified whenever the archive is opened.

    Args:
        progress: whether to show a progress bar.
        cache: the cache's root; by default `cache_folder()`.
        downloader: how to get `(address, file, pooch)`; by default over HTTPS.

    Raises:
        AttritionError: the network failed, or what came is not a tar; the sentence names the address and the other ways.
    """
    archive = _fetched_archive(cache or cache_folder())
    if archive.is_file():
        verify_download(archive)
        return archive
    import pooch  # here, since it is slow to import and rarely needed

    pooch.get_logger().setLevel("WARNING")  # it would tell the user to paste the checksum into the program
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
        raise AttritionError(f"What came from {release.ADDRESS} is not a tar; it was deleted. Try again later. {THREE_WAYS}")
    record = {"address": release.ADDRESS, "bytes": archive.stat().st_size, "sha256": sha256_of(archive)}
    write_whole(_record_of(archive), json.dumps(record, indent=1) + "\n")
    return archive


def verify_download(archive: Path) -> str:
    """The archive's SHA-256, after comparing it with what was recorded when it was downloaded, if it was.

    Raises:
        AttritionError: the archive is not what was downloaded.
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
    """The archive that `path` is or holds, or the folder at or below it that holds the locale files.

    Raises:
        AttritionError: `path` does not exist, or holds neither.
    """
    if not is_there(path):
        raise AttritionError(f"MASSIVE 1.1 is not at {str(path)!r}. {THREE_WAYS}")
    if path.is_file():
        return path
    found = _rows_folder_at(path) or _archive_in(path)
    if found is None:
        raise AttritionError(f"{path} holds no <locale>.jsonl, neither itself nor in data or 1.1/data. {THREE_WAYS}")
    return found


def unpack_release(archive: Path, cache: Path, *, limits: Limits | None = None, progress: Progress | None = None) -> Path:
    """The folder of the archive's locale files, unpacked into `cache` now or earlier.

    The folder is named by the archive's SHA-256 and appears in one step, whole. A folder whose files have lost or gained
    bytes since is made anew. Several processes may ask at once: one unpacks, the others wait.

    Raises:
        AttritionError: the archive is damaged, refused, or not of MASSIVE, or the cache cannot be written.
    """

    def check(folder: Path) -> None:
        if not _is_rows_folder(folder):
            raise AttritionError(f"{archive} holds no data/<locale>.jsonl: it is no archive of MASSIVE. {THREE_WAYS}")

    return unpack_once(
        archive, cache, verify_download(archive), choose=_wanted, check=check, needs="650 MB", limits=limits, progress=progress
    )


def rows_files(folder: Path) -> dict[str, Path]:
    """The `.jsonl` files of a folder by stem, sorted."""
    return {file.stem: file for file in sorted(folder.glob("*.jsonl")) if _ROWS_FILE.fullmatch(file.name)}


def checksums(files: Sequence[Path], store: Path) -> list[str]:
    """The SHA-256 of each file of one folder, computed only where size or time of change differ from what `store` remembers."""
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
        with contextlib.suppress(OSError):  # a cache that cannot be written costs time, nothing else
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

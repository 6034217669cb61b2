"""Where things that can be made again are kept, and how a file is written so that nobody ever reads half of it."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Callable
from pathlib import Path

Progress = Callable[[str, int, int], None]
"""Called as `progress(what, done, total)` while something long goes on; `total` may be an estimate."""


def cache_folder() -> Path:
    """The folder for downloads and unpacked corpora: `ATTRITION_CACHE`, else the platform's own cache folder.

    The folder need not exist yet.

    >>> cache_folder().is_absolute()
    True
    """
    named = os.environ.get("ATTRITION_CACHE")
    if named:
        return Path(named).expanduser().absolute()
    import pooch  # here, since it is slow to import and most commands never need it

    return Path(pooch.os_cache("attrition"))


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file's bytes, in hexadecimal; the file is streamed, never held in memory."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_whole(path: Path, text: str) -> None:
    """Write `text` as UTF-8 so that `path` holds either its old content or all of the new.

    Missing folders are made. The bytes go to a temporary neighbour, reach the disk, and then take the name.

    Raises:
        OSError: the folder cannot be written to; the old content is then untouched.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="\n") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).replace(path)
    except OSError:
        Path(temporary).unlink(missing_ok=True)
        raise

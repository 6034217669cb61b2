"""Writes files atomically, hashes them, and turns disk errors into advice."""

from __future__ import annotations

import errno
import hashlib
import os
import secrets
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from attrition.names import AttritionError

_ADVICE = {
    errno.ENOSPC: "Free space on this disk",
    errno.EDQUOT: "Delete files to stay within your quota",
    errno.EFBIG: "Use a file system that allows larger files",
    errno.EROFS: "Choose a writable folder",
    errno.EACCES: "Choose a writable folder",
    errno.EPERM: "Choose a writable folder",
    errno.EIO: "Check this disk",
}


FORGOTTEN_SECONDS = 3600.0
"""A file of another machine counts as left behind after this time: its process cannot be checked from here."""


class UnwrittenError(AttritionError):
    """A file could not be written."""


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file's bytes, in hexadecimal; the file is streamed, not loaded into memory."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_whole(path: Path, content: str | bytes) -> None:
    """Write bytes, or text as UTF-8, so that `path` always has either its old content or the complete new content.

    Creates missing folders. The bytes are written to a temporary file in the same folder, which is synced and renamed.

    Raises:
        OSError: the folder is not writable, or the disk is full; the error names the file, whose old content is unchanged.
    """
    with naming(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        # Not `tempfile`: only the owner may read its files. Results get the permissions of any new file.
        temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
        try:
            with temporary.open("xb") as file:
                file.write(content.encode() if isinstance(content, str) else content)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        except OSError:
            with suppress(OSError):
                temporary.unlink()
            raise


def refuse_full(folder: Path, what: str) -> None:
    """Refuse a folder that is not empty.

    Raises:
        AttritionError: the path is a file, or a folder that is not empty.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise AttritionError(f"{folder} exists already. Choose another folder for the {what}.")


def writer() -> str:
    """Return a name of this process for temporary files: host and number, as other machines may share the disk."""
    return f"{socket.gethostname()}.{os.getpid()}"


def is_left_behind(path: Path) -> bool:
    """Return True if no process is writing a temporary file or folder `.<name>.<writer>.tmp` any more.

    Its process has ended, or it is on another machine and has not written for an hour.
    """
    parts = path.name.removesuffix(".tmp").removesuffix(".old").split(".")
    host, pid = ".".join(parts[2:-1]), parts[-1]
    if not host or not pid.isdecimal():
        return True  # no process uses such names now
    if host == socket.gethostname():
        return not is_running(int(pid))
    return is_forgotten(path)


def is_forgotten(path: Path) -> bool:
    """Return True if a file or folder of another machine has not changed for an hour; False if it is gone."""
    with suppress(OSError):
        return time.time() - path.stat().st_mtime > FORGOTTEN_SECONDS
    return False


def is_running(pid: int) -> bool:
    """Return True if a process of this machine is running.

    >>> is_running(os.getpid())
    True
    """
    if os.name == "nt":
        return True  # on Windows signal 0 would end the process
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:  # another user's process
        return True
    return True


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Add the file's name to an OSError that has none.

    Raises:
        OSError: with `filename`.
    """
    try:
        yield
    except OSError as error:
        if error.filename is None and error.errno is not None:
            raise OSError(error.errno, error.strerror or str(error), str(path)) from error
        raise


@contextmanager
def writing(folder: Path, kept: str = "Finished stages are kept.") -> Iterator[None]:
    """Turn an OSError while results are written into a message with advice; `kept` says what is not lost.

    Raises:
        UnwrittenError: a file could not be written; its old content is unchanged.

    >>> with writing(Path("results")):
    ...     raise OSError(errno.ENOSPC, "No space left on device", "results/runs/a/matrix.csv")
    Traceback (most recent call last):
    attrition.files.UnwrittenError: results/runs/a/matrix.csv cannot be written: No space left on device. Free space on this
    disk, then run the same command again. Finished stages are kept.
    """
    try:
        yield
    except OSError as error:
        named = error.filename if error.filename is not None else folder
        advice = _ADVICE.get(error.errno or 0, "Correct this")
        raise UnwrittenError(
            f"{named} cannot be written: {error.strerror or error}. {advice}, then run the same command again. {kept}"
        ) from error

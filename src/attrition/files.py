"""How a file is written so that nobody ever reads half of it, and how its content is named."""

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
    errno.ENOSPC: "Make room on that disk",
    errno.EDQUOT: "Make room within your quota",
    errno.EFBIG: "Write to a file system that takes larger files",
    errno.EROFS: "Choose a folder that you may write to (--out)",
    errno.EACCES: "Choose a folder that you may write to (--out)",
    errno.EPERM: "Choose a folder that you may write to (--out)",
    errno.EIO: "Check that disk",
}


FORGOTTEN_SECONDS = 3600.0
"""What another machine has not touched for so long is left behind: whether its process runs cannot be asked from here."""


class UnwrittenError(AttritionError):
    """A file that the disk did not take."""


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file's bytes, in hexadecimal; the file is streamed, never held in memory."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_whole(path: Path, content: str | bytes) -> None:
    """Write bytes, or text as UTF-8, so that `path` holds either its old content or all of the new.

    Missing folders are made. The bytes go to a temporary neighbour, reach the disk, and then take the name.

    Raises:
        OSError: the folder cannot be written to, or is full; the error names the file, whose old content is untouched.
    """
    with naming(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        # A temporary file of the system is for its owner's eyes only; results have the permissions of any new file.
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
    """Refuse a folder that already holds something.

    Raises:
        AttritionError: it is a file, or not empty.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise AttritionError(f"{folder} exists already. Choose another folder for the {what}.")


def writer() -> str:
    """Return the name of this process in names of temporary files; on a shared disk another machine may have its number."""
    return f"{socket.gethostname()}.{os.getpid()}"


def is_left_behind(path: Path) -> bool:
    """Return whether nobody is writing a temporary file or folder `.<name>.<writer>.tmp` any more.

    Its process has ended; or is on another machine, and has not written for an hour.
    """
    parts = path.name.removesuffix(".tmp").removesuffix(".old").split(".")
    host, pid = ".".join(parts[2:-1]), parts[-1]
    if not host or not pid.isdecimal():
        return True  # as no process names it now
    if host == socket.gethostname():
        return not is_running(int(pid))
    with suppress(OSError):
        return time.time() - path.stat().st_mtime > FORGOTTEN_SECONDS
    return False


def is_running(pid: int) -> bool:
    """Return whether a process of this machine is running.

    >>> is_running(os.getpid())
    True
    """
    if os.name == "nt":
        return True  # signal 0 would not ask there, but end the process
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:  # somebody else's
        return True
    return True


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Have a system's error say which file it is about, where the system itself only knows a descriptor.

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
def writing(folder: Path) -> Iterator[None]:
    """Results are written inside: what the disk does not take becomes a sentence that says how to go on.

    Raises:
        UnwrittenError: a file could not be written; what lay there before is as it was.

    >>> with writing(Path("results")):
    ...     raise OSError(errno.ENOSPC, "No space left on device", "results/runs/a/matrix.csv")
    Traceback (most recent call last):
    attrition.files.UnwrittenError: results/runs/a/matrix.csv cannot be written: No space left on device. Make room on that
    disk, then give the same command again: finished stages are kept.
    """
    try:
        yield
    except OSError as error:
        named = error.filename if error.filename is not None else folder
        advice = _ADVICE.get(error.errno or 0, "See to it")
        raise UnwrittenError(
            f"{named} cannot be written: {error.strerror or error}. {advice}, then give the same command again: "
            "finished stages are kept."
        ) from error

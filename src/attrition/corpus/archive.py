"""Unpacks chosen files of an untrusted tar in one pass: size limits, and no path outside the target folder."""

from __future__ import annotations

import hashlib
import tarfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, cast

from attrition.corpus.bounded import BoundedReader, Bounds
from attrition.corpus.cache import Progress
from attrition.names import AttritionError

_CHUNK_BYTES = 1 << 20


@dataclass(frozen=True)
class Limits:
    """Size limits of an archive.

    Bytes per file, bytes in total, compression ratio (applied beyond 64 MB), number of files, bytes of one file's headers.
    For MASSIVE the ratio is 16 (gzip) to 22 (xz), and headers have 512 bytes.
    """

    file_bytes: int = 100_000_000
    total_bytes: int = 4_000_000_000
    ratio: int = 100
    members: int = 10_000
    header_bytes: int = 65_536


@dataclass(frozen=True)
class Unpacked:
    """A file that was written: its size in bytes and its SHA-256."""

    size: int
    sha256: str


def unpack(
    archive: Path,
    target: Path,
    *,
    choose: Callable[[PurePosixPath], str | None],
    limits: Limits | None = None,
    progress: Progress | None = None,
) -> dict[str, Unpacked]:
    """Write the chosen files of an archive into the folder `target`, without subfolders, and return them by name.

    The archive (plain, gzip, bzip2 or xz) is read once from start to end, a megabyte at a time.
    Skipped files are checked for unsafe paths too.

    Args:
        archive: the tar.
        target: an existing folder; nothing is written outside it.
        choose: from a path in the archive to the file name to write, or None to skip it.
        limits: the largest sizes allowed.
        progress: called with the compressed bytes read so far and the archive's size.

    Raises:
        AttritionError: the file is not a tar or is damaged; a path is absolute or has ".."; a file is a link or a
            device; two files have one name; a limit is exceeded.
    """
    limits = limits or Limits()
    written: dict[str, Unpacked] = {}
    archive_bytes = archive.stat().st_size
    number = total_bytes = 0
    with BoundedReader(archive, Bounds(limits.total_bytes, limits.ratio)) as reader:
        reader.allow(limits.header_bytes)
        try:
            # Not "r|": it reads a header of any size into memory before a limit can apply.
            with tarfile.TarFile(fileobj=cast(IO[bytes], reader)) as tar:
                while member := tar.next():
                    number, total_bytes = number + 1, total_bytes + member.size
                    _refuse_too_much(archive, member, number, total_bytes, limits)
                    _refuse_unsafe(archive, member)
                    name = choose(PurePosixPath(member.name)) if member.isreg() else None
                    if name is not None:
                        if name in written:
                            raise AttritionError(
                                f"{archive}: two members are {name!r}, the second is {member.name!r}. "
                                "Pack one release only, each file once."
                            )
                        assert Path(name).name == name, name
                        content = tar.extractfile(member)
                        assert content is not None, member.name
                        reader.allow(None)
                        written[name] = _write(content, target / name, archive, member)
                    if progress is not None:
                        progress(f"unpacking {archive.name}", min(reader.compressed_position, archive_bytes), archive_bytes)
                    reader.allow(limits.header_bytes)
            _refuse_more(archive, reader)
        except AttritionError:
            raise
        except (tarfile.TarError, EOFError, ValueError) as error:  # ValueError: from some malformed headers
            raise AttritionError(
                f"{archive} is not a tar this program can read, or it is damaged ({error}). "
                "It reads plain tars and those compressed with gzip, bzip2 or xz: download or pack it again."
            ) from error
    return written


def _write(content: IO[bytes], path: Path, archive: Path, member: tarfile.TarInfo) -> Unpacked:
    digest, size = hashlib.sha256(), 0
    with path.open("wb") as out:
        while chunk := content.read(_CHUNK_BYTES):
            digest.update(chunk)
            out.write(chunk)
            size += len(chunk)
    if size != member.size:
        raise AttritionError(
            f"{archive} is damaged: {member.name!r} ends after {size:,} of {member.size:,} bytes. Download or pack it again."
        )
    return Unpacked(size, digest.hexdigest())


def _refuse_more(archive: Path, reader: BoundedReader) -> None:
    """Refuse an archive that does not end with zeros: at a damaged header `tarfile` stops without an error."""
    reader.allow(None)
    rest = reader.last_read
    whole = len(rest) == tarfile.BLOCKSIZE
    while whole and rest:
        whole, rest = not rest.strip(b"\0"), reader.read(_CHUNK_BYTES)
    if not whole:
        raise AttritionError(f"{archive} is damaged: it ends without its end mark, or goes on after it. Download it again.")


def _refuse_too_much(archive: Path, member: tarfile.TarInfo, number: int, total_bytes: int, limits: Limits) -> None:
    too_much = None
    if member.size < 0:
        raise AttritionError(f"{archive} is damaged: {member.name!r} has {member.size:,} bytes. Download or pack it again.")
    if member.size > limits.file_bytes:
        too_much = f"{member.name!r} unpacks to {member.size:,} bytes; at most {limits.file_bytes:,} are read from one file"
    elif total_bytes > limits.total_bytes:
        too_much = f"it unpacks to more than {limits.total_bytes:,} bytes"
    elif number > limits.members:
        too_much = f"it has more than {limits.members:,} members"
    if too_much:
        raise AttritionError(f"{archive} is refused as too large: {too_much}. Is this the right archive?")


def _refuse_unsafe(archive: Path, member: tarfile.TarInfo) -> None:
    path = PurePosixPath(member.name)
    reason = None
    if path.is_absolute() or "\\" in member.name or ":" in member.name.split("/", 1)[0]:
        reason = "has an absolute or foreign path"
    elif ".." in path.parts:
        reason = "climbs out of the archive with '..'"
    elif member.issym() or member.islnk():
        reason = f"is a link to {member.linkname!r}"
    elif not (member.isreg() or member.isdir()) or member.issparse():
        reason = "is neither a plain file nor a folder"
    if reason:
        raise AttritionError(f"{archive} is refused: its member {member.name!r} {reason}. Use the archive as it was released.")

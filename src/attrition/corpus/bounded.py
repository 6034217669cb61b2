"""A compressed file as a forward-only stream with a size limit, safe against decompression bombs."""

from __future__ import annotations

import bz2
import lzma
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol

from attrition.names import AttritionError

_PIECE_BYTES = 1 << 18
_WINDOW_BYTES = 256 << 20  # xz may ask for 4 GB; `xz -9` needs 65 MB


@dataclass(frozen=True)
class Bounds:
    """Size limits of a decompressed file: bytes in total, and a ratio to the compressed size.

    The ratio applies only beyond `always_bytes`: small repetitive files have a very high ratio.
    """

    total_bytes: int = 4_000_000_000
    ratio: int = 100
    always_bytes: int = 64_000_000

    def of(self, compressed_bytes: int) -> int:
        """Return the largest decompressed size in bytes of a file of this compressed size.

        >>> Bounds(total_bytes=1000, ratio=10, always_bytes=50).of(20)
        200
        """
        return min(self.total_bytes, max(self.always_bytes, self.ratio * compressed_bytes))


class _Decompressor(Protocol):
    """The common interface of the gzip (wrapped), bzip2 and xz decompressors."""

    @property
    def eof(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    @property
    def needs_input(self) -> bool: ...
    def decompress(self, data: bytes, max_length: int) -> bytes: ...


class _Gzip:
    """zlib's decompressor with the interface of the other two."""

    def __init__(self) -> None:
        self._inner = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)

    @property
    def eof(self) -> bool:
        return self._inner.eof

    @property
    def unused_data(self) -> bytes:
        return self._inner.unused_data

    @property
    def needs_input(self) -> bool:
        return not self._inner.unconsumed_tail

    def decompress(self, data: bytes, max_length: int) -> bytes:
        return self._inner.decompress(self._inner.unconsumed_tail + data, max_length)


def _xz() -> Any:
    return lzma.LZMADecompressor(memlimit=_WINDOW_BYTES)


_KINDS: tuple[tuple[bytes, Callable[[], _Decompressor]], ...] = (
    (b"\x1f\x8b", _Gzip),
    (b"BZh", bz2.BZ2Decompressor),
    (b"\xfd7zXZ\x00", _xz),
)


class BoundedReader:
    """Reads a file from start to end, decompressed if it is gzip, bzip2 or xz (one stream or several).

    At most `bounds.of(size of the file)` bytes are decompressed. `allow` limits the bytes read until the next `allow`, so
    a huge header is refused before it is in memory. `seek` only moves forward. `last_read` is the result of the last
    `read`. `remedy` says what to do with a damaged file.

    Raises, from `read` and `seek`:
        AttritionError: a limit is exceeded, or the file is damaged.
    """

    def __init__(self, path: Path, bounds: Bounds | None = None, remedy: str = "Download or pack it again.") -> None:
        self._path, self._remedy = path, remedy
        self._file = path.open("rb")
        self._most = (bounds or Bounds()).of(path.stat().st_size)
        start = self._file.read(6)
        self._file.seek(0)
        self._new = next((kind for magic, kind in _KINDS if start.startswith(magic)), None)
        self._decompressor = self._new() if self._new else None
        self._buffer = b""
        self._input = b""
        self._position = 0
        self._unpacked = 0
        self._allowed: int | None = None
        self._left = 0
        self.last_read = b""

    def __enter__(self) -> BoundedReader:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def allow(self, num_bytes: int | None) -> None:
        """Limit the bytes that may be read from now on; None removes the limit."""
        self._allowed, self._left = num_bytes, num_bytes or 0

    @property
    def compressed_position(self) -> int:
        """Bytes read of the compressed file."""
        return self._file.tell()

    def tell(self) -> int:
        """Return the number of decompressed bytes read or skipped so far."""
        return self._position

    def seek(self, position: int, whence: int = 0) -> int:
        """Skip content up to `position`, which may be beyond the end."""
        if whence != 0 or position < self._position:
            raise AttritionError(f"{self._path} is damaged: it refers to an earlier position. {self._remedy}")
        while self._position < position and (piece := self._take(min(_PIECE_BYTES, position - self._position))):
            self._position += len(piece)
        return self._position

    def read(self, num_bytes: int = -1) -> bytes:
        """Return the next `num_bytes` bytes, fewer only at the end; -1 returns the rest."""
        wanted = self._most + 1 if num_bytes < 0 else num_bytes
        if self._allowed is not None:
            self._left -= wanted
            if self._left < 0:
                raise AttritionError(
                    f"{self._path} is refused as too large: a header in it has more than {self._allowed:,} bytes. "
                    "Is this the right archive?"
                )
        pieces: list[bytes] = []
        while wanted > 0 and (piece := self._take(min(_PIECE_BYTES, wanted))):
            pieces.append(piece)
            wanted -= len(piece)
        self.last_read = content = b"".join(pieces)
        self._position += len(content)
        return content

    def _take(self, num_bytes: int) -> bytes:
        """Return at most `num_bytes` of the next bytes, none only at the end."""
        if not self._buffer:
            self._buffer = self._unpack()
            self._unpacked += len(self._buffer)
            if self._unpacked > self._most:
                raise AttritionError(
                    f"{self._path} is refused as too large: it unpacks to more than {self._most:,} bytes. "
                    "Is this the right archive?"
                )
        taken, self._buffer = self._buffer[:num_bytes], self._buffer[num_bytes:]
        return taken

    def _unpack(self) -> bytes:
        """Return the next piece of content, none only at the end."""
        if self._decompressor is None or self._new is None:
            return self._file.read(_PIECE_BYTES)
        try:
            while True:
                if self._decompressor.eof:  # another stream or padding may follow
                    self._input = (self._decompressor.unused_data + self._file.read(_PIECE_BYTES)).lstrip(b"\0")
                    if not self._input:
                        return b""
                    self._decompressor = self._new()
                elif self._decompressor.needs_input and not self._input:
                    self._input = self._file.read(_PIECE_BYTES)
                    if not self._input:
                        raise EOFError("it ends in the middle")
                given, self._input = self._input, b""
                content = self._decompressor.decompress(given, _PIECE_BYTES)
                if content:
                    return content
        except (zlib.error, lzma.LZMAError, EOFError, OSError, MemoryError) as error:
            raise AttritionError(f"{self._path} is damaged ({error}). {self._remedy}") from error

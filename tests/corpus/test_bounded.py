"""Compressed files and tars that are bombs, damaged, or of several pieces."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import struct
import tarfile
import tracemalloc
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

from attrition.corpus.archive import Limits, unpack
from attrition.corpus.bounded import BoundedReader, Bounds
from attrition.names import AttritionError

COMPRESS: list[Callable[[bytes], bytes]] = [gzip.compress, bz2.compress, lzma.compress]
TIGHT = Bounds(total_bytes=10**9, ratio=10, always_bytes=1_000_000)
MEGABYTE = 1 << 20


def reader(path: Path, content: bytes, bounds: Bounds | None = None) -> BoundedReader:
    path.write_bytes(content)
    return BoundedReader(path, bounds)


# -- Streams ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("compress", [bytes, *COMPRESS])
def test_content_comes_back_in_whatever_portions(compress: Callable[[bytes], bytes], tmp_path: Path) -> None:
    content = bytes(range(256)) * 5_000
    with reader(tmp_path / "x", compress(content)) as file:
        assert file.read(10) == content[:10]
        assert file.seek(700_000) == file.tell() == 700_000
        assert file.read(300_000) == content[700_000:1_000_000]
        assert file.read() == content[1_000_000:]
        assert file.read(5) == b""


@pytest.mark.parametrize("compress", COMPRESS)
def test_pieces_one_after_another_are_one_file(compress: Callable[[bytes], bytes], tmp_path: Path) -> None:
    with reader(tmp_path / "x", compress(b"one ") + compress(b"two ") + bytes(16)) as file:
        assert file.read() == b"one two "


@pytest.mark.parametrize("compress", COMPRESS)
def test_a_bomb_is_refused_before_it_is_in_memory(compress: Callable[[bytes], bytes], tmp_path: Path) -> None:
    bomb = compress(bytes(30 * MEGABYTE))
    with reader(tmp_path / "bomb", bomb, TIGHT) as file:
        tracemalloc.start()
        try:
            with pytest.raises(AttritionError, match="bomb is refused as too large: it unpacks to more than 1,000,000 bytes"):
                file.read()
            assert tracemalloc.get_traced_memory()[1] < 12 * MEGABYTE  # 8 of them are what xz looks back at
        finally:
            tracemalloc.stop()
    with reader(tmp_path / "bomb", bomb) as file:
        assert len(file.read()) == 30 * MEGABYTE


@pytest.mark.parametrize("compress", COMPRESS)
def test_what_is_cut_off_or_followed_by_noise_is_damaged(compress: Callable[[bytes], bytes], tmp_path: Path) -> None:
    whole = compress(bytes(range(256)) * 50)
    for content in (whole[:-9], whole + b"noise"):
        with reader(tmp_path / "x", content) as file, pytest.raises(AttritionError, match="x is damaged"):
            file.read()


def test_an_xz_file_that_wants_four_gigabytes_is_refused(tmp_path: Path) -> None:
    data = bytearray(lzma.compress(b"x"))
    header = (data[12] + 1) * 4  # of the first block; its fifth byte is the size of the dictionary
    data[16] = 40
    data[12 + header - 4 : 12 + header] = struct.pack("<I", zlib.crc32(data[12 : 12 + header - 4]))
    with reader(tmp_path / "x", bytes(data)) as file, pytest.raises(AttritionError, match=r"damaged \(Memory usage limit"):
        file.read()


def test_it_goes_forward_only_and_reads_what_is_allowed(tmp_path: Path) -> None:
    with reader(tmp_path / "x", b"0123456789") as file:
        file.allow(4)
        assert file.read(4) == b"0123"
        with pytest.raises(AttritionError, match="a header in it has more than 4 bytes"):
            file.read(1)
        with pytest.raises(AttritionError, match="refers to an earlier"):
            file.seek(0)
        file.allow(None)
        assert (file.read(), file.last_read) == (b"456789", b"456789")


# -- Tars ---------------------------------------------------------------------------------------------------------------


def tar_of(contents: dict[str, bytes], kind: int = tarfile.USTAR_FORMAT, **headers: str) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", format=kind) as tar:
        for name, content in contents.items():
            member = tarfile.TarInfo(name)
            member.size, member.pax_headers = len(content), headers
            tar.addfile(member, io.BytesIO(content))
    return file.getvalue()


def unpacked(tmp_path: Path, data: bytes, limits: Limits | None = None) -> set[str]:
    archive, target = tmp_path / "a.tar", tmp_path / "target"
    archive.write_bytes(data)
    target.mkdir()
    return set(unpack(archive, target, choose=lambda path: path.name, limits=limits))


TWO = {"one": b"1" * 700, "two": b"2" * 700}


def test_a_sound_tar(tmp_path: Path) -> None:
    assert unpacked(tmp_path, tar_of(TWO)) == {"one", "two"}


@pytest.mark.parametrize("kind", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT])
def test_an_enormous_header_is_refused(kind: int, tmp_path: Path) -> None:
    text = "x" * MEGABYTE
    data = tar_of({"one": b"1"}, kind, comment=text) if kind == tarfile.PAX_FORMAT else tar_of({text: b"1"}, kind)
    with pytest.raises(AttritionError, match="a header in it has more than 65,536 bytes"):
        unpacked(tmp_path, data)


def test_a_thousand_headers_for_one_member_are_refused(tmp_path: Path) -> None:
    link = tarfile.TarInfo("././@LongLink")
    link.type = tarfile.GNUTYPE_LONGNAME
    with pytest.raises(AttritionError, match="a header in it has more than 65,536 bytes"):
        unpacked(tmp_path, link.tobuf() * 1_000 + tar_of(TWO))


def test_a_sparse_file_of_a_million_holes_is_refused(tmp_path: Path) -> None:
    holes = b"500000\n" + b"0\n1\n" * 500_000
    data = tar_of({"one": holes}, tarfile.PAX_FORMAT, **{"GNU.sparse.major": "1", "GNU.sparse.minor": "0"})
    with pytest.raises(AttritionError, match="a header in it has more than 65,536 bytes"):
        unpacked(tmp_path, data)


@pytest.mark.parametrize("damage", ["a bit", "zeros", "cut", "no end mark"])
def test_a_member_behind_a_damaged_header_is_not_lost_in_silence(damage: str, tmp_path: Path) -> None:
    data = bytearray(tar_of(TWO))
    second = data.index(b"two")
    if damage == "a bit":
        data[second] ^= 1
    elif damage == "zeros":
        data[second : second + 512] = bytes(512)
    else:
        del data[second if damage == "cut" else second + 1536 :]
    with pytest.raises(AttritionError, match=r"a\.tar is damaged"):
        unpacked(tmp_path, bytes(data))


def test_a_size_below_zero_is_damage(tmp_path: Path) -> None:
    member = tarfile.TarInfo("one")
    header = bytearray(member.tobuf(tarfile.GNU_FORMAT))
    header[124:136] = b"\xff" * 11 + b"\x00"  # -256, in the base-256 form
    header[148:156] = b"%06o\0 " % tarfile.calc_chksums(bytes(header))[0]
    with pytest.raises(AttritionError, match="damaged"):
        unpacked(tmp_path, bytes(header) + bytes(1024))


def test_a_small_archive_may_not_unpack_to_much_more_than_it_is(tmp_path: Path) -> None:
    data = gzip.compress(tar_of({"one": bytes(70 * MEGABYTE)}))
    with pytest.raises(AttritionError, match="refused as too large"):
        unpacked(tmp_path, data)

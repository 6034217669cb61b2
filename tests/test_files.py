"""Files are written whole or not at all, and what a disk does not take is said with its path."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from attrition.files import UnwrittenError, naming, sha256_of, write_whole, writing


def test_text_and_bytes(tmp_path: Path) -> None:
    write_whole(tmp_path / "a" / "text", "ä\n")
    write_whole(tmp_path / "a" / "bytes", b"\x00\r\n")
    assert (tmp_path / "a" / "text").read_bytes() == "ä\n".encode()
    assert (tmp_path / "a" / "bytes").read_bytes() == b"\x00\r\n"
    # echo -n abc | sha256sum
    write_whole(tmp_path / "a" / "text", "abc")
    assert sha256_of(tmp_path / "a" / "text") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


@pytest.mark.parametrize(("mask", "mode"), [(0o022, 0o644), (0o077, 0o600), (0o002, 0o664)])
def test_a_file_has_the_permissions_of_any_new_file(mask: int, mode: int, tmp_path: Path) -> None:
    before = os.umask(mask)
    try:
        write_whole(tmp_path / "r.csv", "new")
    finally:
        os.umask(before)
    assert (tmp_path / "r.csv").stat().st_mode & 0o777 == mode


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_the_error_names_the_file(step: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    path = tmp_path / "r.csv"
    write_whole(path, "old")
    monkeypatch.setattr(os, step, full)
    with pytest.raises(OSError, match="No space left") as caught:
        write_whole(path, "new")
    assert caught.value.filename == str(path)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_that_the_system_named_keeps_its_name(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError) as caught, naming(tmp_path):
        (tmp_path / "nothing").read_bytes()
    assert caught.value.filename == str(tmp_path / "nothing")


@pytest.mark.parametrize(
    ("number", "advice"),
    [
        (errno.ENOSPC, "Free space on this disk"),
        (errno.EDQUOT, "Delete files to stay within your quota"),
        (errno.EROFS, "Choose a writable folder"),
        (errno.EIO, "Check this disk"),
        (errno.ENOTDIR, "Correct this"),
    ],
)
def test_what_to_do(number: int, advice: str) -> None:
    message = f"^/r cannot be written: {os.strerror(number)}. {advice}.*Finished stages are kept"
    with pytest.raises(UnwrittenError, match=message), writing(Path("/r")):
        raise OSError(number, os.strerror(number))


def test_other_errors_pass() -> None:
    with pytest.raises(KeyError), writing(Path("r")):
        raise KeyError("x")

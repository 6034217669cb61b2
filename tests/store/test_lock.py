"""One process at a time in a results folder, tested with real processes."""

from __future__ import annotations

import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from attrition.names import AttritionError
from attrition.store.folder import locked

HOLD = """
import sys
from pathlib import Path
from attrition.store.folder import locked
with locked(Path(sys.argv[1])):
    print("at work", flush=True)
    sys.stdin.read()
"""


@contextmanager
def at_work(folder: Path) -> Iterator[subprocess.Popen[str]]:
    """Start another process that locks the folder."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "at work\n"
        try:
            yield process
        finally:
            process.kill()


def test_the_second_is_told_who_the_first_is(tmp_path: Path) -> None:
    with at_work(tmp_path) as process:
        with pytest.raises(AttritionError, match="Another process is running a study in") as caught, locked(tmp_path):
            pass
        expected = rf"\(process {process.pid} on {re.escape(socket.gethostname())}, since \d{{4}}-\d\d-\d\dT[\d:]+\+00:00\)"
        assert re.search(expected, str(caught.value))
        process.communicate("")  # it ends in peace
    with locked(tmp_path):
        pass
    assert [path.name for path in tmp_path.iterdir()] == [".lock"]


def test_what_a_killed_process_left_is_taken_over(tmp_path: Path) -> None:
    with at_work(tmp_path) as process:
        process.kill()
        process.wait()
        assert f'"pid": {process.pid}' in (tmp_path / ".holder.json").read_text()
        with locked(tmp_path):
            assert f'"pid": {process.pid}' not in (tmp_path / ".holder.json").read_text()
            done = subprocess.run([sys.executable, "-c", HOLD, str(tmp_path)], capture_output=True, text=True, check=False)
            assert "Another process is running a study" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == [".lock"]


@pytest.mark.parametrize("content", [b"", b"\xff", b"[]", b'{"pid": 1}'])
def test_a_holder_that_cannot_be_told(content: bytes, tmp_path: Path) -> None:
    with at_work(tmp_path):
        (tmp_path / ".holder.json").write_bytes(content)
        with pytest.raises(AttritionError, match=re.escape(f"a study in {tmp_path}. Wait")), locked(tmp_path):
            pass


def test_the_folder_is_free_after_an_error(tmp_path: Path) -> None:
    for _ in range(2):
        with pytest.raises(KeyError), locked(tmp_path):
            raise KeyError
    assert [path.name for path in tmp_path.iterdir()] == [".lock"]

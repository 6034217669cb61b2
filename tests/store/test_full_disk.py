"""A disk that is full at any moment: a clear message, no incomplete file that counts, and the same result afterwards."""

from __future__ import annotations

import errno
import io
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import attrition.engine.run as engine
import attrition.store.stages as store_module
from attrition.engine.run import run_study
from attrition.files import UnwrittenError
from attrition.names import AttritionError
from attrition.prepare.prepare import Prepared
from attrition.store.folder import locked
from attrition.store.stages import KINDS, Store
from attrition.study.spec import Study

Make = Callable[..., Study]
Run = Callable[[Study, Path], Any]

FULL = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


class Disk:
    """Counts disk operations under a folder, and refuses from the n-th on: once, or permanently."""

    def __init__(self, folder: Path, n: int, *, for_ever: bool) -> None:
        self.folder, self.n, self.for_ever = folder, n, for_ever
        self.asked = 0
        self.refused: list[str] = []

    def ask(self, what: str) -> None:
        self.asked += 1
        if self.asked == self.n or (self.for_ever and self.asked > self.n):
            self.refused.append(what)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@contextmanager
def failing(disk: Disk) -> Iterator[None]:
    """Route all ways of creating, filling, flushing and renaming files through `disk`."""
    with pytest.MonkeyPatch.context() as patch:

        def guard(module: Any, name: str) -> None:
            real = getattr(module, name)

            def guarded(*arguments: Any, **named: Any) -> Any:
                disk.ask(name)
                return real(*arguments, **named)

            patch.setattr(module, name, guarded)

        for module, name in ((os, "fsync"), (os, "replace"), (os, "rename"), (os, "mkdir")):
            guard(module, name)
        guard(Path, "write_text")
        guard(Path, "write_bytes")

        class Guarded(io.BufferedWriter):
            """A file that asks `disk` before it writes, and then writes only half of the bytes, as on a full disk."""

            def write(self, data: Any) -> int:
                try:
                    disk.ask("write")
                except OSError:
                    super().write(bytes(data)[: len(data) // 2])
                    raise
                return super().write(data)

        real_open = Path.open

        def guarded_open(path: Path, mode: str = "r", *arguments: Any, **named: Any) -> Any:
            if mode != "xb":
                return real_open(path, mode, *arguments, **named)
            disk.ask("open")
            return Guarded(io.FileIO(path, "x"))

        patch.setattr(Path, "open", guarded_open)
        real_save = store_module.save_file

        def guarded_save(tensors: Any, path: Path) -> None:
            """Fail as safetensors does: with its own error, and a file that is too short."""
            real_save(tensors, path)
            try:
                disk.ask("save_file")
            except OSError as error:
                os.truncate(path, path.stat().st_size // 2)
                words = "Error while serializing: I/O error: No space left on device (os error 28)"
                raise store_module.SafetensorError(words) from error

        patch.setattr(store_module, "save_file", guarded_save)
        yield


def bits(folder: Path) -> dict[str, bytes]:
    """Return all result files without times, by path."""
    files = [path for part in ("stages", "evaluations") for path in folder.glob(f"{part}/*/*.safetensors")]
    files += [path for name in ("*matrix.csv", "metrics.json", "*.parquet") for path in folder.glob(f"runs/*/{name}")]
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


@pytest.fixture(scope="module")
def study(make_study: Make) -> Study:
    return make_study('languages=["en-US"]', 'methods=["SHARED LoRA"]', "training.epochs=1", "corpus.sizes.train=8")


@pytest.fixture
def quick(study: Study, prepared: Prepared, monkeypatch: pytest.MonkeyPatch) -> Study:
    """Return the study with its materials ready: this tests writing, without power failures."""
    monkeypatch.setattr(os, "fsync", lambda _: None)
    monkeypatch.setattr(engine, "prepare", lambda *_: prepared)
    return study


@pytest.fixture(scope="module")
def prepared(study: Study, prepared_of: Callable[[Study], Prepared]) -> Prepared:
    return prepared_of(study)


@pytest.fixture(scope="module")
def expected(study: Study, run_notes: Run, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("expected")
    run_notes(study, folder)
    return bits(folder)


def attempt(study: Study, folder: Path) -> str | None:
    """Return the message to the user, or None if the run completed."""
    try:
        run_study(study, folder)
    except AttritionError as error:
        return str(error)
    return None


def num_asked(study: Study, folder: Path) -> int:
    """Return the number of disk operations of a whole run."""
    disk = Disk(folder, 0, for_ever=False)
    with failing(disk):
        run_study(study, folder)
    return disk.asked


@pytest.mark.parametrize("for_ever", [False, True], ids=["once", "ever after"])
def test_full_at_any_moment(for_ever: bool, quick: Study, expected: dict[str, bytes], tmp_path: Path) -> None:
    total = num_asked(quick, tmp_path / "whole")
    assert total > 60  # fewer operations mean that some writing bypasses the guard
    kinds: set[str] = set()
    silent: list[list[str]] = []
    for n in range(1, total + 1):
        folder = tmp_path / str(n)
        disk = Disk(folder, n, for_ever=for_ever)
        with failing(disk):
            said = attempt(quick, folder)
        if said is None:  # only notes about the current work may fail silently
            silent.append(disk.refused)
        else:
            assert str(folder) in said, n
            assert "No space left on device" in said, n
            assert "Free space" in said or "Choose another --out" in said, n
        kinds |= set(disk.refused)
        # Valid files are complete, and no other file takes space, which a full disk needs.
        store = Store(folder)
        for kind in KINDS:
            for key in store.keys(kind):
                assert store.problem(kind, key) is None, (n, disk.refused)
        if not for_ever:
            assert not [path for path in folder.rglob(".*") if path.name not in (".lock", ".holder.json")], (n, disk.refused)
        there = bits(folder)
        assert there.items() <= expected.items(), (n, disk.refused)
        run_study(quick, folder)
        assert bits(folder) == expected, (n, disk.refused)
        shutil.rmtree(folder)
    # An existing folder is not created, and a worker's note (write_text) is only for people.
    assert [each[0] for each in silent if each[0] not in ("mkdir", "write_text")] in (
        [],
        ["open", "write", "fsync", "replace"],
    ), silent
    assert kinds == {"mkdir", "open", "write", "fsync", "replace", "save_file", "write_text"}


def test_a_stage_is_not_trained_again_for_a_table(quick: Study, run_notes: Run, tmp_path: Path) -> None:
    """The disk is full at the last file: the trained stages are kept."""
    total = num_asked(quick, tmp_path / "whole")
    with failing(Disk(tmp_path / "r", total, for_ever=True)), pytest.raises(UnwrittenError, match=r"matrix\.csv cannot be"):
        run_study(quick, tmp_path / "r")
    notes = run_notes(quick, tmp_path / "r")
    assert (notes.trained_stages, notes.scored) == ([], [])


def test_a_disk_that_is_really_full(small_disk: Callable[[int], Path], quick: Study, expected: dict[str, bytes]) -> None:
    said = set()
    for size in range(8, 2000, 12):
        folder = small_disk(size) / "r"
        message = attempt(quick, folder)
        if message is None:
            break
        assert str(folder) in message
        assert "No space left on device" in message
        said.add(Path(message.partition(" cannot be")[0]).name)
        assert bits(folder).items() <= expected.items()
    assert bits(folder) == expected
    assert len(said) > 2  # it was full in several places


def test_a_folder_that_cannot_be_made_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise FULL

    monkeypatch.setattr(os, "mkdir", full)
    with pytest.raises(AttritionError, match=r"cannot be made.*No space left"), locked(tmp_path / "new"):
        pass
    assert list(tmp_path.iterdir()) == []

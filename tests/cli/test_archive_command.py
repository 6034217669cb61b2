"""`attrition archive`."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

Say = Callable[..., Any]


def test_archive_then_verify_and_report(results: Path, say: Say, tmp_path: Path) -> None:
    said = say("archive", results, tmp_path / "small [1]")
    assert said.code == 0
    assert f"Archived: {tmp_path / 'small [1]'}, 2 runs in 20 files" in said.out
    said = say("verify", tmp_path / "small [1]")
    assert said.code == 0
    assert "an archive has no weights" in said.out
    assert "Nothing is wrong." in said.out
    assert say("report", tmp_path / "small [1]").code == 0


def test_what_is_refused(results: Path, say: Say, tmp_path: Path) -> None:
    assert "Give at least one results folder" in say("archive", results).words
    said = say("archive", results, results)
    assert (said.code, "exists already" in said.words) == (2, True)
    assert say("archive", tmp_path, tmp_path / "out").code == 2


def test_what_verify_would_refuse_is_not_archived(results: Path, say: Say, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(results, tmp_path / "copy"))
    path = next(copy.glob("runs/*/matrix.csv"))
    path.write_text(path.read_text().replace("0.", "0.9", 1))
    said = say("archive", copy, tmp_path / "out")
    assert said.code == 2
    assert f"runs/{path.parent.name}/matrix.csv" in said.words
    assert f"Nothing was archived: `attrition verify {copy}` says what to do" in said.words
    assert not (tmp_path / "out").exists()

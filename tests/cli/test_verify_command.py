"""`attrition verify` as a person meets it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Say = Callable[..., Any]


@pytest.fixture
def damaged(results: Path, tmp_path: Path) -> tuple[Path, Path]:
    """A results folder, and the file of it that is not as it was."""
    folder = Path(shutil.copytree(results, tmp_path / "r [bold]"))
    path = sorted(folder.glob("stages/*/weights.safetensors"))[0]
    path.write_bytes(path.read_bytes()[:-1])
    return folder, path


def test_nothing_wrong(results: Path, say: Say) -> None:
    said = say("verify", results)
    assert said.code == 0
    for words in ("Checksums of stages", "Numbers of runs", "Stages scored again", "Nothing is wrong."):
        assert words in said.out


def test_what_is_wrong_is_named_with_what_to_do(damaged: tuple[Path, Path], say: Say) -> None:
    folder, path = damaged
    said = say("verify", folder, "--sample", "0")
    assert said.code == 1
    assert f"Wrong: {path} is missing or damaged. The same `attrition run` trains this stage again" in said.out
    assert "skipped, not asked for (--sample 0)" in said.out
    assert "Nothing is wrong" not in said.out


def test_json(results: Path, damaged: tuple[Path, Path], say: Say) -> None:
    said = say("verify", results, "--json", "--sample", "2", "--seed", "4")
    whole = json.loads(said.out)
    assert (said.code, whole["whole"], whole["folder"]) == (0, True, str(results))
    assert whole["checks"][-1]["checked"] == 2
    said = say("verify", damaged[0], "--json", "--sample", "0")
    found = json.loads(said.out)
    assert (said.code, found["whole"]) == (1, False)
    (problem,) = found["checks"][1]["problems"]
    assert problem["file"] == str(damaged[1])
    assert set(problem) == {"file", "what", "remedy"}


def test_no_results_folder(say: Say, tmp_path: Path) -> None:
    said = say("verify", tmp_path)
    assert (said.code, "is not a results folder" in said.words) == (2, True)
    assert say("verify", tmp_path, "--sample", "-1").code == 2

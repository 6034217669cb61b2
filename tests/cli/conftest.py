"""The command line as a person meets it: arguments in; exit code, standard output and standard error out."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import tomli_w

from attrition.cli.app import main

STUDY: dict[str, Any] = {
    "name": "tiny [bold]",
    "languages": ["en-US", "zh-CN"],
    "methods": ["VANILLA", {"method": "SHARED LoRA", "name": "mine [red]"}],
    "corpus": {"name": "phrasebook", "sizes": {"train": 24, "dev": 6, "test": 10}},
    "model": {"name": "tiny:bert", "precision": "float32"},  # "auto" is measured, and may differ between two runs
    "machine": {"threads": 1, "device": "cpu"},
    "training": {"epochs": 1, "batch_size": 8, "learning_rate": 1e-2, "head_learning_rate": 3e-2},
}


class Said(NamedTuple):
    """What a command left."""

    code: int
    out: str
    err: str

    @property
    def words(self) -> str:
        """Standard error on one line, however it was broken."""
        return " ".join(self.err.split())


@pytest.fixture
def say(capsys: pytest.CaptureFixture[str]) -> Callable[..., Said]:
    """Run `attrition` with these arguments."""

    def run(*arguments: str | Path) -> Said:
        capsys.readouterr()
        with pytest.raises(SystemExit) as exited:
            main([str(each) for each in arguments])
        captured = capsys.readouterr()
        code = exited.value.code
        return Said(code if isinstance(code, int) else 0, captured.out, captured.err)

    return run


@pytest.fixture
def write_study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """A study file in the working folder; top-level keys may be given otherwise."""
    monkeypatch.chdir(tmp_path)

    def write(**parts: Any) -> Path:
        path = tmp_path / "study.toml"
        path.write_text(tomli_w.dumps({**copy.deepcopy(STUDY), **parts}), encoding="utf-8")
        return path

    return write


@pytest.fixture(scope="session")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished study, read only."""
    folder = tmp_path_factory.mktemp("cli")
    (folder / "study.toml").write_text(tomli_w.dumps(STUDY), encoding="utf-8")
    with pytest.raises(SystemExit) as exited:
        main(["run", str(folder / "study.toml"), "--out", str(folder / "results"), "--no-report"])
    assert exited.value.code == 0
    return folder / "results"


@pytest.fixture(scope="session")
def runs(results: Path) -> dict[str, str]:
    """The keys of its runs, by the methods' names."""
    return {json.loads(path.read_text())["name"]: path.parent.name for path in results.glob("runs/*/spec.json")}

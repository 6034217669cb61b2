"""The facts about the program and the machine in the results."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import attrition
from attrition.engine.environment import deterministic, environment, in_words, revision
from attrition.store.stages import Store
from attrition.study.spec import Study, resolved

needs_git = pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """Return the package of a repository with one commit."""
    package = tmp_path / "src" / "attrition"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-q", "-m", "first")
    return package


def git(folder: Path, *arguments: str) -> str:
    names = {"GIT_AUTHOR_NAME": "a", "GIT_AUTHOR_EMAIL": "a@b", "GIT_COMMITTER_NAME": "a", "GIT_COMMITTER_EMAIL": "a@b"}
    command = ["git", "-C", str(folder), *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True, env={**os.environ, **names}).stdout.strip()


@needs_git
def test_the_commit_of_a_checkout(checkout: Path) -> None:
    revision.cache_clear()
    assert revision(checkout) == git(checkout, "rev-parse", "HEAD")


@needs_git
@pytest.mark.parametrize("change", ["edited", "a new file"])
def test_changes_are_said(change: str, checkout: Path) -> None:
    (checkout / ("__init__.py" if change == "edited" else "new.py")).write_text("x = 1\n")
    revision.cache_clear()
    assert str(revision(checkout)) == git(checkout, "rev-parse", "HEAD") + "+changes"


@needs_git
def test_changes_outside_the_package_are_none(checkout: Path) -> None:
    (checkout.parent / "notes.txt").touch()
    revision.cache_clear()
    assert str(revision(checkout)) == git(checkout, "rev-parse", "HEAD")


@needs_git
def test_a_package_inside_somebody_elses_repository_has_none(checkout: Path) -> None:
    installed = checkout.parent / "site-packages" / "attrition"
    installed.mkdir(parents=True)
    (installed / "__init__.py").touch()
    revision.cache_clear()
    assert revision(installed) is None


def test_without_a_repository_or_without_git(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    revision.cache_clear()
    assert revision(tmp_path) is None
    monkeypatch.setenv("PATH", "")
    revision.cache_clear()
    assert revision(Path(str(attrition.__file__)).parent) is None
    revision.cache_clear()


def test_what_is_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_SECRET", "hunter2")
    found = environment(torch.device("cpu"))
    assert found["versions"]["torch"] == torch.__version__
    assert found["instructions"] == torch.backends.cpu.get_cpu_capability()
    assert (found["device"], found["cuda"], found["deterministic"]) == ("cpu", None, False)
    assert "hunter2" not in json.dumps(found)
    assert f"torch {torch.__version__}" in in_words(found)


def test_deterministic_comes_and_goes() -> None:
    assert not torch.are_deterministic_algorithms_enabled()
    with deterministic(False):
        assert not torch.are_deterministic_algorithms_enabled()
    with deterministic(True):
        assert torch.are_deterministic_algorithms_enabled()
    with pytest.raises(KeyError), deterministic(True):
        raise KeyError
    assert not torch.are_deterministic_algorithms_enabled()


def test_every_result_says_what_it_was_made_with(
    make_study: Callable[..., Study], run_notes: Callable[[Study, Path], Any], tmp_path: Path
) -> None:
    study = make_study("machine.deterministic=true", 'languages=["en-US"]')
    run_notes(study, tmp_path)
    assert not torch.are_deterministic_algorithms_enabled()
    store, made_with = Store(tmp_path), json.loads((tmp_path / "environment.json").read_text())
    assert made_with["deterministic"] is True
    for kind in ("stages", "evaluations"):
        for key in store.keys(kind):  # type: ignore[arg-type]
            assert store.about(kind, key)["made_with"] == made_with  # type: ignore[arg-type]
    (evaluation, before) = sorted(store.keys("evaluations"), key=lambda key: store.about("evaluations", key)["before"])
    assert list(store.about("evaluations", evaluation)["tests"]) == ["en-US"]
    (path,) = tmp_path.glob("runs/*/spec.json")
    spec = json.loads(path.read_text())
    assert spec["made_with"] == [in_words(made_with)]
    assert "deterministic: True" in spec["made_with"][0]
    (stage,) = spec["steps"]
    assert (stage["evaluation"], spec["before"]) == (evaluation, before)
    assert stage["learner"] == "all"
    assert spec["conventions"]["cbt"] == "last_row"
    assert any("eq. 9" in sentence for sentence in spec["conventions"]["statements"])
    for what in ("corpus", "model"):
        assert spec[what]["fingerprint"]
    assert spec["training"]["learning_rate"] == 1e-2
    assert tomllib.loads((tmp_path / "study.toml").read_text()) == resolved(study)


def test_what_was_made_before_environments_were_kept(
    make_study: Callable[..., Study], run_notes: Callable[[Study, Path], Any], tmp_path: Path
) -> None:
    study = make_study('languages=["en-US"]')
    run_notes(study, tmp_path)
    (manifest,) = tmp_path.glob("stages/*/manifest.json")
    old = json.loads(manifest.read_text())
    del old["about"]["made_with"], old["seal"]
    manifest.write_text(json.dumps({**old, "format": 1}))
    assert run_notes(study, tmp_path).trained_stages == []
    (path,) = tmp_path.glob("runs/*/spec.json")
    assert json.loads(path.read_text())["made_with"] == ["unknown"]

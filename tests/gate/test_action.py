"""The GitHub action: its script does what its inputs say."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
STUB = f'#!/bin/sh\nexec "{sys.executable}" -m attrition "$@"\n'


def test_the_example_gives_inputs_that_the_action_has() -> None:
    action = yaml.safe_load((ROOT / "action.yml").read_text(encoding="utf-8"))
    example = yaml.safe_load((ROOT / "docs" / "examples" / "gate-workflow.yml").read_text(encoding="utf-8"))
    given = next(step["with"] for step in example["jobs"]["gate"]["steps"] if "with" in step)
    assert set(given) <= set(action["inputs"])
    assert all(name in given for name, about in action["inputs"].items() if about.get("required"))


@pytest.mark.long
@pytest.mark.parametrize(("new", "code"), [("new", 1), ("old", 0)])
def test_its_script_posts_the_summary_and_keeps_the_exit_code(folders: Path, new: str, code: int) -> None:
    action = yaml.safe_load((ROOT / "action.yml").read_text(encoding="utf-8"))
    step = next(step for step in action["runs"]["steps"] if step.get("id") == "gate")
    (folders / "bin").mkdir()
    (folders / "bin" / "attrition").write_text(STUB, encoding="utf-8")
    (folders / "bin" / "attrition").chmod(0o755)
    inputs = {"OLD": "old", "NEW": new, "TEST": "gold", "MARGIN": "1.0", "SHOW_TEXT": "false", "ARGUMENTS": "--slice domain"}
    assert set(inputs) == set(step["env"])
    places = {"RUNNER_TEMP": ".", "GITHUB_STEP_SUMMARY": "summary", "GITHUB_OUTPUT": "output"}
    path = f"{folders / 'bin'}:{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-e", "-o", "pipefail", "-c", step["run"]],
        cwd=folders,
        env={**os.environ, **inputs, **places, "PATH": path, "PYTHONPATH": str(ROOT / "src")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == code, done.stderr
    assert (folders / "output").read_text(encoding="utf-8") == f"exit-code={code}\n"
    summary = (folders / "summary").read_text(encoding="utf-8")
    assert "domain=d0" in summary
    assert "Maija" not in summary + done.stdout + done.stderr

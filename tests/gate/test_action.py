"""The GitHub action: its script does what its inputs say."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
STUB = f'#!/bin/sh\nexec "{sys.executable}" -m attrition "$@"\n'


ACTION = yaml.safe_load((ROOT / "action.yml").read_text(encoding="utf-8"))
EXAMPLE = yaml.safe_load((ROOT / "docs" / "examples" / "gate-workflow.yml").read_text(encoding="utf-8"))


def test_the_example_gives_inputs_that_the_action_has() -> None:
    steps = EXAMPLE["jobs"]["gate"]["steps"]
    given = next(step["with"] for step in steps if step.get("id") == "gate")
    assert set(given) <= set(ACTION["inputs"])
    assert all(name in given for name, about in ACTION["inputs"].items() if about.get("required"))
    used = re.findall(r"steps\.gate\.outputs\.([\w-]+)", str(steps))
    assert used
    assert set(used) <= set(ACTION["outputs"])


def test_the_action_is_one() -> None:
    """What GitHub asks of a composite action (its metadata syntax), and that no input is run as a script."""
    assert set(ACTION) == {"name", "description", "branding", "inputs", "outputs", "runs"}
    assert ACTION["runs"]["using"] == "composite"
    assert ACTION["branding"]["color"] in {"white", "yellow", "blue", "green", "orange", "red", "purple", "gray-dark"}
    for name, about in ACTION["inputs"].items():
        assert about["description"], name
        assert about.get("required") or isinstance(about["default"], str), name
    ids = {step["id"] for step in ACTION["runs"]["steps"] if "id" in step}
    scripts = [step for step in ACTION["runs"]["steps"] if "run" in step]
    for name, about in ACTION["outputs"].items():
        step, output = re.fullmatch(r"\$\{\{ steps\.([\w-]+)\.outputs\.([\w-]+) \}\}", about["value"]).groups()  # type: ignore[union-attr]
        assert (step in ids, output) == (True, name)
    for step in scripts:
        assert step["shell"] == "bash"
        assert "${{" not in step["run"]
        assert subprocess.run(["bash", "-n", "-c", step["run"]], check=False).returncode == 0
        for value in step["env"].values():
            known = re.fullmatch(r"\$\{\{ (?:inputs\.([\w-]+)|github\.action_path) \}\}", value)
            assert known, value
            assert known[1] is None or known[1] in ACTION["inputs"]
    used = re.findall(r"inputs\.([\w-]+)", str(ACTION["runs"]))
    assert set(used) == set(ACTION["inputs"])
    assert all(re.fullmatch(r"[\w-]+/[\w-]+@v\d+", step["uses"]) for step in ACTION["runs"]["steps"] if "uses" in step)


@pytest.mark.long
@pytest.mark.parametrize(("new", "code"), [("new", 1), ("old", 0)])
def test_its_script_posts_the_summary_and_keeps_the_exit_code(folders: Path, new: str, code: int) -> None:
    step = next(step for step in ACTION["runs"]["steps"] if step.get("id") == "gate")
    (folders / "bin").mkdir()
    (folders / "bin" / "attrition").write_text(STUB, encoding="utf-8")
    (folders / "bin" / "attrition").chmod(0o755)
    inputs = {"OLD": "old", "NEW": new, "TEST": "gold", "MARGIN": "1.0", "SHOW_TEXT": "false", "CANNOT_TELL": "fail"}
    inputs["ARGUMENTS"] = "--slice domain"
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
    verdict = "fail" if code else "pass"
    page, junit = "./attrition-gate.html", "./attrition-gate.xml"
    said = f"exit-code={code}\nverdict={verdict}\npage={page}\njunit={junit}\n"
    assert (folders / "output").read_text(encoding="utf-8") == said
    assert "<html" in (folders / page).read_text(encoding="utf-8")
    assert ElementTree.parse(folders / junit).getroot().tag.startswith("testsuite")
    summary = (folders / "summary").read_text(encoding="utf-8")
    assert "domain=d0" in summary
    assert "Maija" not in summary + done.stdout + done.stderr

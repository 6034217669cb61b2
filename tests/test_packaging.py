"""What is built and how it is checked in public: workflows, extras, licences of data."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[1]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
TARGETS = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_a_workflow_parses_and_calls_targets_that_exist(path: Path) -> None:
    workflow = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert workflow[True].keys() >= {"push", "pull_request"}  # YAML reads the key `on` as true
    for job in workflow["jobs"].values():
        assert "runs-on" in job
        matrix = job.get("strategy", {}).get("matrix", {})
        for step in job["steps"]:
            assert ("uses" in step) != ("run" in step), step
            for called in re.findall(r"make ([^\s]+(?: }})?.*)", step.get("run", "")):
                named = matrix["target"] if "matrix.target" in called else called.split()
                assert set(named) <= TARGETS, called


def test_the_workflows_check_everything() -> None:
    text = "".join(path.read_text(encoding="utf-8") for path in WORKFLOWS)
    for word in ("lint", "types", "docs", "make test", "make wheel-demo"):
        assert word in text


def test_extras_name_packages_without_needless_upper_bounds() -> None:
    extras = PROJECT["optional-dependencies"]
    assert {"embedded", "docs"} <= extras.keys()
    for requirement in map(Requirement, [*PROJECT["dependencies"], *extras["docs"]]):
        assert all(bound.operator == ">=" for bound in requirement.specifier), requirement


def test_every_data_file_has_a_licence() -> None:
    licences = (ROOT / "DATA-LICENSES.md").read_text(encoding="utf-8")
    places = [place.rstrip("/") for place in re.findall(r"`((?:src|docs|benchmarks|tests)/[^`]*)`", licences)]
    own = {"py.typed", "studies", "gate", "report"}  # parts of the program: pages, and the demo's settings
    package = ROOT / "src" / "attrition"
    for path in package.rglob("*"):
        inside = path.relative_to(package)
        if path.is_file() and path.suffix not in {".py", ".pyc"} and inside.parts[0] not in own:
            assert any(str(path.relative_to(ROOT)).startswith(place) for place in places), path
    assert set(PROJECT["license-files"]) == {"LICENSE", "DATA-LICENSES.md"}


@pytest.mark.long
def test_the_wheel_holds_the_package_and_nothing_else(tmp_path: Path) -> None:
    pytest.importorskip("build")
    command = [
        sys.executable,
        "-m",
        "build",
        "--wheel",
        "--no-isolation",
        "--outdir",
        str(tmp_path / "dist"),
        str(_copy(tmp_path)),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (wheel,) = (tmp_path / "dist").glob("*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    package = ROOT / "src" / "attrition"
    expected = {str(p.relative_to(package.parent)) for p in package.rglob("*") if p.is_file() and "__pycache__" not in p.parts}
    assert expected - names <= {"attrition/corpus/phrasebook/patterns/README.md"}
    assert {name.split("/")[0] for name in names} == {"attrition", f"attrition-{PROJECT['version']}.dist-info"}
    assert any(name.endswith("licenses/DATA-LICENSES.md") for name in names)


def _copy(folder: Path) -> Path:
    """What a wheel is built from, so that nothing is written into the checkout."""
    import shutil

    copy = folder / "source"
    shutil.copytree(ROOT / "src", copy / "src", ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    for name in ("pyproject.toml", "README.md", "MANIFEST.in", *PROJECT["license-files"]):
        shutil.copy(ROOT / name, copy / name)
    return copy

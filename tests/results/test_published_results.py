"""The results in docs/results: they can be read, checked and reported like those of a run."""

from __future__ import annotations

import json
import math
import shutil
from pathlib import Path

import pytest

from attrition.report.export import write_tables
from attrition.report.page import standard_tables
from attrition.results.read import read_results
from attrition.verify.verify import verify

PUBLISHED = Path(__file__).parents[2] / "docs" / "results"
ARCHIVES = {path.parent.name for path in PUBLISHED.glob("*/archive.json")}
STUDIES = sorted(path.parent.name for path in PUBLISHED.glob("*/study.toml"))


def test_there_are_studies() -> None:
    assert len(STUDIES) >= 5


@pytest.mark.parametrize("study", STUDIES)
def test_every_study_is_read(study: str) -> None:
    results = read_results(PUBLISHED / study)
    assert results.name == study
    assert results.unfinished == ()
    for run in results.runs:
        assert run.spec.run == run.folder.name
        assert run.matrix.joint or run.matrix.order == run.spec.order.languages
        assert study in ARCHIVES or "Reconstructed" in run.settings["note"]


@pytest.mark.parametrize("study", STUDIES)
def test_every_study_is_verified_as_far_as_it_goes(study: str) -> None:
    verdict = verify(PUBLISHED / study)
    assert verdict.problems == ()
    assert verdict.has_counts == (study in ARCHIVES)
    (numbers,) = (check for check in verdict.checks if check.name == "Numbers of runs")
    assert numbers.num_checked == len(list((PUBLISHED / study).glob("runs/*")))
    if study not in ARCHIVES:
        assert "could not be checked" in numbers.notes[-1]
    assert "no weights" in verdict.checks[-1].skipped


def test_a_metric_that_is_not_that_of_the_matrix_is_found(tmp_path: Path) -> None:
    folder = Path(shutil.copytree(PUBLISHED / "massive-small", tmp_path / "r"))
    path = next(folder.glob("runs/vanilla*/metrics.json"))
    numbers = json.loads(path.read_text())
    path.write_text(json.dumps({**numbers, "cbt": math.nextafter(numbers["cbt"], 1)}))
    (problem,) = verify(folder).problems
    assert problem.file == path
    assert f"matrix.csv gives {numbers['cbt']!r}" in problem.what


def test_the_published_tables_come_out_again(tmp_path: Path) -> None:
    """They were written from the specifications of the runs, before those were rebuilt."""
    results = read_results(PUBLISHED / "eight-languages", [PUBLISHED / "eight-languages-minilm"])
    write_tables(standard_tables(results), tmp_path)
    for path in tmp_path.glob("*.csv"):
        assert path.read_bytes() == (PUBLISHED / "eight-languages" / "tables" / path.name).read_bytes(), path.name

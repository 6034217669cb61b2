"""Languages that MASSIVE lacks, from files to report: names, groups and covariates come from their tags and the user's file."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from attrition.analysis.analyse import analyse
from attrition.analysis.evidence import from_results
from attrition.report.language_tables import grouping_tables, language_tables
from attrition.results.read import read_results
from attrition.study.spec import Study

LANGUAGES = ["yor", "swa", "sr-Cyrl", "my-dialect"]


@pytest.fixture
def results(make_study: Callable[..., Study], run_notes: Callable[[Study, Path], Any], tmp_path: Path) -> Path:
    (tmp_path / "data").mkdir()
    for language in LANGUAGES:
        for split in ("train", "dev", "test"):
            lines = "\n\n".join(f"we O\nlive O\nin O\n{place} B-LOC\n O" for place in ("Lagos", "Paris", "Mbale"))
            (tmp_path / "data" / f"{language}.{split}.txt").write_text(lines)
    (tmp_path / "languages.csv").write_text("locale,name,family\nmy-dialect,Mine,Indo-European\nyor,,Atlantic-Congo\n")
    corpus = {"name": "columns", "path": str(tmp_path / "data"), "languages": str(tmp_path / "languages.csv")}
    orders = [LANGUAGES, LANGUAGES[::-1]]
    study = make_study("training.epochs=1", languages=LANGUAGES, orders=orders, corpus=corpus)
    notes = run_notes(study, tmp_path / "results")
    assert sum("a tag 'O' without a word" in each for each in notes.warnings) == 8
    assert "28 more of this kind." in notes.warnings
    return tmp_path / "results"


def test_any_language_from_files_to_report(results: Path) -> None:
    found = read_results(results)
    assert set(found.own_languages) == {"yor", "my-dialect"}
    (languages, groups), (every, _) = language_tables(found)
    assert {row[0] for row in languages.rows} == {
        "Yoruba (yor)",
        "Swahili (swa)",
        "Serbian (Cyrillic) (sr-Cyrl)",
        "Mine (my-dialect)",
    }
    assert {row[0] for row in groups.rows} == {"Latin", "non-Latin", "unknown", "vitality: Low", "vitality: unknown"}
    assert "the group 'unknown'" in groups.caption
    assert {row[0] for row in every.rows} >= {
        "family: Atlantic-Congo",
        "family: Indo-European",
        "family: unknown",
        "script: Cyrl",
    }
    (by_family,) = grouping_tables(found, ["family"])
    assert {row[1] for row in by_family.rows} == {"Atlantic-Congo", "Indo-European", "unknown"}
    spec = json.loads(next(results.glob("runs/*/spec.json")).read_text())
    assert spec["own_languages"]["yor"]["family"] == "Atlantic-Congo"
    assert "own_languages" not in " ".join(found.runs[0].settings)


def test_analysis_of_any_languages(results: Path) -> None:
    evidence = from_results(read_results(results))
    assert set(evidence.own) == {"yor", "my-dialect"}
    assert analyse(evidence, scopes=()).languages == tuple(LANGUAGES)

"""A report of a study that scored only what was learned: what was not measured is no 0, and the page says so."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from attrition.metrics.matrix import RMatrix
from attrition.paper.report import make_report

STATEMENT = "After a stage only the languages are scored that its learner has been trained on so far."


@pytest.fixture(scope="module")
def seen(simulate: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A simulated study, of which the lower triangle is left."""
    folder: Path = simulate.write_study(tmp_path_factory.mktemp("seen"), num_languages=5, num_orders=2)
    for number, run in enumerate(sorted(folder.glob("runs/*"))):
        spec: dict[str, Any] = json.loads((run / "spec.json").read_text())
        spec["evaluate"] = "seen"
        spec["scored"] = {"statement": STATEMENT, "f1_error": 0.01 + number / 1000, "stands_for": "more utterances like these"}
        (run / "spec.json").write_text(json.dumps(spec))
        R = RMatrix.from_csv(run / "matrix.csv")
        scores_SL = R.scores_SL.copy()
        scores_SL[~R.learned_SL] = float("nan")
        RMatrix(scores_SL, R.languages, R.trained).to_csv(run / "matrix.csv")
        for name in ("metrics.json", "transfer.csv"):
            (run / name).unlink(missing_ok=True)
    return folder


@pytest.fixture(scope="module")
def page(seen: Path) -> str:
    return make_report(seen).read_text(encoding="utf-8")


def test_the_page_says_what_was_scored_and_how_surely(page: str, seen: Path) -> None:
    largest = 100 * (0.01 + (len(list(seen.glob("runs/*"))) - 1) / 1000)
    error = (
        f"As an estimate for more utterances like these, each cell has a standard error of at most {largest:.2f} points of F1."
    )
    assert page.count(f'<p class="note">{STATEMENT} {error}</p>') == 1


def test_what_was_not_measured_is_no_number(page: str, seen: Path) -> None:
    assert "or was not measured" in page
    with (seen / "report" / "tables" / "metrics.csv").open(encoding="utf-8", newline="") as file:
        rows = {row["Method"]: row for row in csv.DictReader(file)}
    vanilla = rows["VANILLA"]
    assert (vanilla["CFT"], vanilla["FWT"]) == ("", "")
    assert vanilla["CBT"]
    with (seen / "report" / "tables" / "languages.csv").open(encoding="utf-8", newline="") as file:
        languages = list(csv.DictReader(file))
    assert {row["Donor, to come"] for row in languages} == {""}
    assert any(row["Donor, learned"] for row in languages)


def test_claims_on_it_are_not_decided(page: str) -> None:
    assert "NaN points" not in page
    assert "nan points" not in page

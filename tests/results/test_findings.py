"""The numbers of docs/findings.md that docs/results/findings.py prints, from the files of the archive."""

from __future__ import annotations

import csv
import importlib.util
from pathlib import Path

import numpy as np
import pytest

RESULTS = Path(__file__).parents[2] / "docs" / "results"


def test_the_way_of_a_language_is_read_from_r() -> None:
    """Computed again from one matrix.csv, cell by cell."""
    spec = importlib.util.spec_from_file_location("findings", RESULTS / "findings.py")
    assert spec is not None
    assert spec.loader is not None
    findings = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(findings)
    (path,) = (RESULTS / "fifty-two").glob("runs/vanilla--paper-1--s0--*/matrix.csv")
    header, _, *rows = csv.reader(path.read_text(encoding="utf-8").splitlines())
    column = {language: place for place, language in enumerate(header)}
    expected = []
    for stage in range(1, len(rows) - 1):
        at = column[rows[stage][0]]
        expected.append([100 * float(row[at]) for row in (rows[stage - 1], rows[stage], rows[stage + 1], rows[-1])])
    assert len(expected) == 50
    ways = findings.ways()
    assert ways.loc["VANILLA · paper-1"].tolist() == pytest.approx(np.mean(expected, axis=0))
    assert all(label.startswith(("VANILLA", "SHARED LoRA")) for label in ways.index)

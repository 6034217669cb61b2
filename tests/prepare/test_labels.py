"""Slots that are scored and never trained: named before training, and in the results."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from attrition.study.spec import Study

LINES = {"train": "wake\tO\nat\tO\nfive\tB-time\n", "dev": "at\tO\nten\tB-time\n", "test": "at\tO\nten\tB-tiem\n"}


@pytest.mark.parametrize("typo", [True, False])
def test_a_slot_that_only_test_utterances_have(
    typo: bool, make_study: Callable[..., Study], run_notes: Callable[[Study, Path], Any], tmp_path: Path
) -> None:
    (tmp_path / "data").mkdir()
    for split, text in LINES.items():
        (tmp_path / "data" / f"en-US.{split}.conll").write_text(text if typo else text.replace("tiem", "time"))
    study = make_study(languages=["en-US"], corpus={"name": "columns", "path": str(tmp_path / "data")})
    notes = run_notes(study, tmp_path / "results")
    (path,) = (tmp_path / "results").glob("runs/*/spec.json")
    told = [each for each in notes.warnings if "1 slot (tiem)" in each]
    kept = [each for each in json.loads(path.read_text())["warnings"] if "1 slot (tiem)" in each]
    assert len(told) == len(kept) == int(typo)

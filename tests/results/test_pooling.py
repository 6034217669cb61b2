from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from attrition.names import AttritionError
from attrition.results.pooling import refuse_different_series


def _matrices(study: Path, beginning: str) -> list[Path]:
    return sorted(study.glob(f"runs/{beginning}*/matrix.csv"))


def test_orders_of_one_series_are_averaged(study: Path) -> None:
    files = _matrices(study, "vanilla")
    assert len(files) == 2
    refuse_different_series(files)


def test_two_methods_are_refused_by_name(study: Path) -> None:
    vanilla, lora = _matrices(study, "vanilla")[0], _matrices(study, "shared")[0]
    with pytest.raises(AttritionError, match="different series") as error:
        refuse_different_series([vanilla, lora])
    said = str(error.value)
    assert str(vanilla) in said
    assert str(lora) in said
    assert "method VANILLA and SHARED LoRA; rank none and 32" in said


@pytest.mark.parametrize(
    ("other", "difference"),
    [
        ({"model": "tiny:other"}, "model tiny:fake and tiny:other"),
        ({"corpus": "massive"}, "corpus phrasebook 1 and massive 1"),
        ({"cuts": {"th-TH": "graphemes"}}, "cuts blanks and th-TH graphemes"),
        ({"train": 800}, "sizes.train 100 and 800"),
        ({"learning_rate": 1e-3}, "training.learning_rate 0.0001 and 0.001"),
    ],
)
def test_other_settings_are_refused(other: dict[str, object], difference: str, simulate: ModuleType, tmp_path: Path) -> None:
    order = ["en-US", "de-DE"]
    first = simulate.write_run(tmp_path / "a", simulate.METHODS["VANILLA"], "x", order)
    second = simulate.write_run(tmp_path / "b", simulate.METHODS["VANILLA"], "x", order, **other)
    with pytest.raises(AttritionError, match=difference):
        refuse_different_series([first / "matrix.csv", second / "matrix.csv"])


@pytest.mark.parametrize(
    ("changed", "difference"),
    [
        ({"evaluate_on": "dev"}, "evaluate_on test and dev"),
        ({"evaluate": "learned"}, "evaluate all and learned"),
        ({"watch": ["th-TH"]}, "watch - and th-TH"),
        ({"corpus": {"portions": {"en-US (2)": {"sha256": "1"}}}}, "corpus.portions.en-US (2).sha256 none and 1"),
        ({"method": {"hooks": {"mine": {}}}}, "hooks - and mine"),
        ({"languages": ["en-US", "th-TH"]}, "languages de-DE, en-US and en-US, th-TH"),
        ({"corpus": {"fingerprint": "f" * 64}}, "corpus.fingerprint - and fffffffffff… "),
        ({"model": {"fingerprint": "1"}}, "model.fingerprint - and 1"),
        ({"model": {"precision": "bfloat16"}}, "model.precision - and bfloat16"),
        ({"method": {"hooks": {"replay": {"share": 0.5}}}}, "replay.share none and 0.5"),
        ({"method": {"trains": {"kind": "full", "dropout": 0.5}}}, "lora.dropout none and 0.5"),
        ({"steps": [{"key": "1", "how": {"name": "ties", "density": 0.9}}]}, "merge.density none and 0.9"),
    ],
)
def test_whatever_else_changes_scores_is_refused(
    changed: dict[str, Any], difference: str, simulate: ModuleType, tmp_path: Path
) -> None:
    order = ["en-US", "de-DE"]
    files = []
    for name, changes in (("a", {"languages": order}), ("b", {"languages": order, **changed})):
        run = simulate.write_run(tmp_path / name, simulate.METHODS["VANILLA"], "x", order)
        spec = json.loads((run / "spec.json").read_text())
        for key, value in changes.items():
            spec[key] = {**spec[key], **value} if isinstance(value, dict) else value
        (run / "spec.json").write_text(json.dumps(spec))
        files.append(run / "matrix.csv")
    with pytest.raises(AttritionError, match=re.escape(difference)):
        refuse_different_series(files)


def test_a_file_by_itself_may_be_of_any_series(study: Path, tmp_path: Path) -> None:
    copy = shutil.copy(_matrices(study, "shared")[0], tmp_path / "R.csv")
    refuse_different_series([copy, *_matrices(study, "vanilla")])


def test_a_folder_is_no_matrix(tmp_path: Path) -> None:
    with pytest.raises(AttritionError, match=r"is a folder. Name the matrices .*runs/vanilla--\*/matrix.csv"):
        refuse_different_series([tmp_path])

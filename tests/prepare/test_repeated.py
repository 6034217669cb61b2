"""Test utterances that are also trained on: a warning before training, and in the results."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from attrition.study.spec import Study

LINES = [
    "wake\tO\nat\tO\nfive\tB-time\n",
    "call\tO\nnine\tB-time\n",
    "at\tO\nten\tB-time\n",
    "stop\tO\n",
    "at\tO\nsix\tB-time\n",
]


def write(folder: Path, train: list[int], test: list[int]) -> Path:
    folder.mkdir()
    for split, rows in {"train": train, "dev": [4], "test": test}.items():
        (folder / f"en-US.{split}.conll").write_text("\n".join(LINES[row] for row in rows))
    return folder


@pytest.mark.parametrize(
    ("train", "said"), [([0, 1, 2], "1 of 2 test utterances of en-US (50%) also occurs in the train utterances"), ([0, 1], "")]
)
def test_a_corpus(
    train: list[int], said: str, make_study: Callable[..., Study], run_notes: Callable[[Study, Path], Any], tmp_path: Path
) -> None:
    data = write(tmp_path / "data", train, [2, 3])
    study = make_study(languages=["en-US"], corpus={"name": "columns", "path": str(data)})
    notes = run_notes(study, tmp_path / "results")
    (path,) = (tmp_path / "results").glob("runs/*/spec.json")
    for found in (notes.warnings, json.loads(path.read_text())["warnings"]):
        assert [each for each in found if "also occur" in each and said in each and "memory" in each] == [
            each for each in found if "also occur" in each
        ]
        assert sum("also occur" in each for each in found) == bool(said)


def test_further_data(make_study: Callable[..., Study], run_notes: Callable[[Study, Path], Any], tmp_path: Path) -> None:
    """One repeated utterance of six is named in further data, and is not enough for a warning in the corpus itself."""
    data = write(tmp_path / "data", [0, 2], [2, 1, 3, 3, 1, 1])
    more = tmp_path / "more.conll"
    more.write_text("\n".join(LINES[row] for row in [3, 4]))
    stages = ["en-US", {"language": "en-US", "data": str(more)}]
    study = make_study(languages=["en-US"], stages=stages, corpus={"name": "columns", "path": str(data)}, methods=["VANILLA"])
    found = [each for each in run_notes(study, tmp_path / "results").warnings if "also occur" in each]
    assert len(found) == 1
    assert found[0].startswith("2 of 6 test utterances of en-US (33%) also occur in more.conll. ")

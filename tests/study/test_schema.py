"""The JSON Schema of a study file: it accepts the study files of this repository, and refuses what the reader refuses."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from attrition.study.schema import study_schema
from attrition.study.spec import _TOP_KEYS

ROOT = Path(__file__).parent.parent.parent
FILES = [*ROOT.glob("studies/**/*.toml"), *ROOT.glob("src/attrition/studies/*.toml")]
STUDY: dict[str, Any] = {"name": "x", "languages": ["en-US"], "methods": ["VANILLA"]}


def _valid(study: dict[str, Any]) -> bool:
    return jsonschema.Draft202012Validator(study_schema()).is_valid(study)


def test_it_is_a_schema_and_knows_every_key() -> None:
    jsonschema.Draft202012Validator.check_schema(study_schema())
    assert study_schema()["properties"].keys() == set(_TOP_KEYS)


@pytest.mark.parametrize("path", [each for each in FILES if not each.stem.endswith("claims")], ids=lambda path: path.name)
def test_study_files_are_valid(path: Path) -> None:
    study = tomllib.loads(path.read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator(study_schema()).validate(study)


@pytest.mark.parametrize(
    "part",
    [
        {},
        {"methods": [{"method": "VANILLA", "replay": {"share": 0.1, "select": "balanced"}}]},
        {"methods": [{"method": "MERGED LoRA", "rank": 4, "merge": {"name": "ties", "density": 0.3}}]},
        {"orders": ["paper-1", ["en-US"], {"name": "mine", "languages": ["en-US"]}], "evaluate": 20, "evaluate_on": "dev"},
        {"stages": [["en-US", "de-DE"], "th-TH", {"language": "en-US", "data": "more.jsonl"}]},
        {
            "orders": [
                [["en-US", "de-DE"], "th-TH"],
                {"name": "mine", "stages": [["en-US", {"language": "de-DE", "data": "x"}]]},
            ]
        },
        {"training": {"epochs": 2, "lora": {"learning_rate": 1e-3}}},
    ],
)
def test_what_it_accepts(part: dict[str, Any]) -> None:
    assert _valid({**STUDY, **part})


@pytest.mark.parametrize(
    "part",
    [
        {"langauges": ["en-US"]},
        {"methods": []},
        {"methods": [{"method": "VANILLA", "replay": {"share": 2.0}}]},
        {"methods": [{"method": "VANILLA", "replay": {"shares": 0.5}}]},
        {"methods": [{"method": "MERGED LoRA", "merge": {"density": 0.3}}]},
        {"evaluate_on": "tset"},
        {"training": {"epoch": 3}},
        {"corpus": {"sizes": {"train": "many"}}},
        {"machine": {"population": "all"}},
    ],
)
def test_what_it_refuses(part: dict[str, Any]) -> None:
    assert not _valid({**STUDY, **part})

"""Lists, metrics and parameters: numbers without a model."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from attrition.languages import LANGUAGES
from attrition.methods import METHODS
from attrition.metrics import METRICS

Say = Callable[..., Any]


@pytest.mark.parametrize(
    ("what", "names"),
    [
        ("methods", list(METHODS)),
        ("models", ["embedded:e5-small", "hub:NAME", "tiny:bert"]),
        ("corpora", ["massive", "phrasebook", "columns"]),
        ("languages", list(LANGUAGES)),
        ("orders", ["paper-1", "paper-5", "balanced:N:I[:SEED]", "file:PATH"]),
        ("metrics", list(METRICS)),
    ],
)
def test_every_list_names_all(what: str, names: list[str], say: Say) -> None:
    said = say("list", what)
    assert said.code == 0
    for name in names:
        assert name in said.out


def test_languages_as_json(say: Say) -> None:
    found = json.loads(say("languages", "--json").out)
    assert list(found["languages"]) == list(LANGUAGES)
    assert found["languages"]["th-TH"]["script"] == "Thai"
    assert "joshi_class" in found["sources"]


def test_languages_by_attributes(say: Say) -> None:
    found = json.loads(say("languages", "--json", "--where", "script=Arab", "--where", "vitality = mid").out)
    assert list(found["languages"]) == ["fa-IR", "ur-PK"]


def test_parameters_of_the_paper(say: Say) -> None:
    # MULTI and VANILLA of the paper's Table 1: XLM-R base with its pooler, 278.04M, is 278.59 with what the paper counts.
    assert "278.59" in say("params", "--model", "xlm-roberta-base").out or "278.04" in say("params").out
    found = json.loads(say("params", "--json", "--rank", "8", "--rank", "16").out)
    assert {row["rank"] for row in found["methods"]} == {None, 8, 16}
    assert (found["model"], found["languages"]) == ("xlm-roberta-base", 52)
    assert set(found["methods"][0]) == {"method", "rank", "trainable", "stored", "note"}


@pytest.fixture
def matrix(tmp_path: Path) -> Path:
    path = tmp_path / "R.csv"
    path.write_text("trained,en,de\n,0.0,0.1\nen,0.8,0.3\nde,0.6,0.7\n", encoding="utf-8")
    return path


def test_metrics_as_json(matrix: Path, say: Say) -> None:
    found = json.loads(say("metrics", matrix, matrix, "--json").out)
    assert {"matrices", "shift_growing", "shift_fixed", "mft", "mbt", "donor", "receiver"} <= found.keys()
    first = found["matrices"][0]
    assert (first["file"], first["final_mean"]) == (str(matrix), pytest.approx(0.65))
    assert first["cbt"] == pytest.approx(-0.2)


def test_metrics_as_a_table(matrix: Path, say: Say) -> None:
    said = say("metrics", matrix)
    assert said.code == 0
    assert "0.6500" in said.out
    assert "-0.2000" in said.out


@pytest.mark.parametrize(
    ("setting", "message"),
    [("cbt", "is not KEY=VALUE"), ("cbd=literal", "Did you mean 'cbt'"), ("cbt=litteral", "Did you mean 'literal'")],
)
def test_conventions_are_looked_up(setting: str, message: str, matrix: Path, say: Say) -> None:
    said = say("metrics", matrix, "--set", setting)
    assert said.code == 2
    assert message in said.err


def test_percent_are_noticed(tmp_path: Path, say: Say) -> None:
    path = tmp_path / "R.csv"
    path.write_text("trained,en\nen,80\n")
    assert "line 2, column 'en'" in say("metrics", path).err


def test_metrics_of_two_methods_are_refused(results: Path, say: Say) -> None:
    files = sorted(results.glob("runs/*/matrix.csv"))
    said = say("metrics", *files)
    assert said.code == 2
    assert all(str(file) in said.words for file in files)
    assert "once for each series" in said.words


def test_a_small_loss_is_no_negative_zero(tmp_path: Path, say: Say) -> None:
    path = tmp_path / "R.csv"
    path.write_text("trained,en,de\nen,0.5,0.25\nde,0.49999,0.5\n")
    said = say("metrics", path)
    assert said.code == 0
    assert "0.0000" in said.out
    assert "-0.0000" not in said.out

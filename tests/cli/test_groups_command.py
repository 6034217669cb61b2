"""`--group`: languages compared by what a user knows of them."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from attrition.analysis.groups import by_group
from attrition.analysis.quantities import QUANTITIES
from attrition.metrics import nulls_for_nan
from attrition.metrics.matrix import RMatrix

Say = Callable[..., Any]
Write = Callable[..., Path]

FIRST = "trained,en,de,th\nen,0.75,0.25,0.125\nde,0.5,0.875,0.25\nth,0.625,0.5,1.0\n"
SECOND = "trained,en,de,th\nth,0.25,0.25,0.75\nde,0.25,0.75,0.5\nen,0.875,0.5,0.25\n"
GROUPS = {"en": "west", "de": "west", "th": "east"}


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.csv").write_text("locale,group\nen,west\nde,west\nth,east\n", encoding="utf-8")
    (tmp_path / "mine.toml").write_text('en = "west"\nde = "west"\nth = "[red]east"\n', encoding="utf-8")
    paths = [tmp_path / "first.csv", tmp_path / "second.csv"]
    for path, text in zip(paths, (FIRST, SECOND), strict=True):
        path.write_text(text, encoding="utf-8")
    return paths


def test_groups_in_json(files: list[Path], say: Say) -> None:
    found = json.loads(say("metrics", *files, "--json", "--group", "mine.csv", "--group", "mine.toml").out)
    assert list(found["groups"]) == ["mine.csv", "mine.toml"]
    groups = found["groups"]["mine.csv"]
    # west: en (.625 + .875) / 2, de (.5 + .5) / 2; east: (1 + .25) / 2
    assert groups["west"]["final"]["mean"] == pytest.approx((0.75 + 0.5) / 2)
    assert (groups["east"]["final"]["mean"], groups["east"]["final"]["over_languages"]) == (0.625, [None, None])
    for each in by_group([RMatrix.from_csv(path) for path in files], GROUPS):
        entry = groups[each.group][each.quantity]
        assert (entry["mean"], entry["num_languages"]) == (nulls_for_nan(each.mean), each.num_languages)
        assert entry["over_orders"] == nulls_for_nan([each.over_orders.low, each.over_orders.high])
    assert list(groups["west"]) == list(QUANTITIES)
    assert found["conventions"]["statements"][-1].startswith("groups holds")
    assert "groups" not in json.loads(say("metrics", *files, "--json").out)


def test_groups_as_a_table(files: list[Path], say: Say) -> None:
    said = say("metrics", *files, "--group", "mine.toml")
    assert said.code == 0
    assert "By mine.toml: mean [95% over languages] [95% over orders]" in " ".join(said.out.split())
    assert "[red]east" in said.out
    assert "0.6250" in said.out


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "There is no grouping file 'other.csv'"),
        ("locale,group\nen,west\nde,west\n", "other.csv: no group for th"),
        ("locale,group\nen,west\nde,west\nth\n", "other.csv, line 4: 1 values"),
        ("locale,group\nen,west\nde,west\nth,\n", "other.csv, line 4: the group of 'th' is ''"),
        ("locale,group\nen,west\nde,west\nth,e\x1b[2Jast\n", "holds a control character"),
        ("locale,group\nen,west\nde,west\nth,east\nxx,east\n", "line 5: 'xx' is no language tag"),
        ("language;group\n", "the header is"),
    ],
)
def test_a_grouping_that_does_not_fit(content: str | None, message: str, files: list[Path], say: Say) -> None:
    if content is not None:
        files[0].with_name("other.csv").write_text(content, encoding="utf-8")
    said = say("metrics", *files, "--group", "other.csv")
    assert (said.code, message in said.words) == (2, True), said.err


def test_a_known_grouping_by_name(say: Say, results: Path) -> None:
    matrix = next(results.glob("runs/vanilla*/matrix.csv"))
    found = json.loads(say("metrics", matrix, "--json", "--group", "script").out)
    assert list(found["groups"]["script"]) == ["Hans", "Latn"]
    said = say("metrics", matrix, "--group", "scripts")
    assert (said.code, "Did you mean 'script'?" in said.words) == (2, True)


def test_groups_in_the_report(results: Path, say: Say, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my <b>types.csv").write_text("locale,group\nen-US,analytic\nzh-CN,<i>isolating\n", encoding="utf-8")
    said = say("report", results, "--group", "my <b>types.csv", "--group", "latin")
    assert said.code == 0, said.err
    page = (results / "report" / "index.html").read_text(encoding="utf-8")
    assert "By my &lt;b&gt;types.csv" in page
    assert "<i>isolating" not in page
    with (results / "report" / "tables" / "groups-1.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    vanilla = [RMatrix.from_csv(path) for path in results.glob("runs/vanilla*/matrix.csv")]
    (isolating,) = by_group(vanilla, {"en-US": "analytic", "zh-CN": "<i>isolating"}, quantities=["final"])[:1]
    (row,) = (
        row for row in rows if (row["Method"], row["Group"], row["Quantity"]) == ("VANILLA", "<i>isolating", "Final score")
    )
    assert float(row["Mean"]) == pytest.approx(isolating.mean)
    assert {row["Method"] for row in rows} == {"VANILLA", "mine [red]"}
    assert (results / "report" / "tables" / "groups-2.csv").exists()
    assert say("report", results, "--group", "nothing.toml").code == 2

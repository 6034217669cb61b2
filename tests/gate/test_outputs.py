"""JSON, JUnit, Markdown and the page; and that no word of the data is in them if it must not be."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import pytest

from attrition.gate.checks import Settings
from attrition.gate.outputs import as_json, to_junit, to_markdown
from attrition.gate.page import to_html
from attrition.gate.release import gate_files

SETTINGS = Settings(slices=("domain", "label"), critical={"PER": 0.5, "time": None}, metric="recall")


def test_json_holds_every_check(folders: Path) -> None:
    found = as_json(gate_files(folders / "old", folders / "new", folders / "gold", SETTINGS))
    json.dumps(found, allow_nan=False)
    verdicts = {each["name"]: each["verdict"] for each in found["checks"]}
    assert verdicts == {
        "de": "fail",
        "fi": "pass",
        "domain=d0": "pass",
        "domain=d1": "fail",
        "label=PER": "fail",
        "label=time": "pass",
        "PER in de": "fail",
        "PER in fi": "cannot tell",  # 400 utterances without a break: Clopper and Pearson's bound is 0.75, the margin 0.5
        "time in de": "pass",
        "time in fi": "pass",
    }
    assert (found["verdict"], found["exit_code"]) == ("fail", 1)
    assert found["overall"]["new"] == pytest.approx(87.5)
    assert found["utterances"]["listed"][0]["new"] == "ring Maija1 um [acht1 : time]"


def test_junit_counts_the_verdicts(folders: Path) -> None:
    suite = ElementTree.fromstring(to_junit(gate_files(folders / "old", folders / "new", folders / "gold", SETTINGS)))
    assert (suite.get("tests"), suite.get("failures"), suite.get("errors")) == ("10", "4", "1")
    failed = [case.get("name") for case in suite.iter("testcase") if case.find("failure") is not None]
    assert failed == ["de", "domain=d1", "label=PER", "PER in de"]


def test_junit_skips_what_counts_as_passed(folders: Path) -> None:
    settings = Settings(margin=0.1, cannot_tell="pass")
    release = gate_files(folders / "old", folders / "old", folders / "gold", settings)
    suite = ElementTree.fromstring(to_junit(release))
    assert (release.found, release.verdict, suite.get("skipped"), suite.get("errors")) == ("cannot tell", "pass", "2", "0")


def test_markdown_and_page_show_what_broke(folders: Path) -> None:
    release = gate_files(folders / "old", folders / "new", folders / "gold", Settings())
    assert "ring Maija1 um" in to_markdown(release)
    page = to_html(release)
    assert "ring [Maija1 : PER] um [acht1 : time]" in page
    assert "<script" not in page
    assert "http" not in page.replace("http-equiv", "")


def test_hostile_words_are_escaped(write_rows: Callable[..., Path]) -> None:
    row = {"words": ["<img/src=x>", "|"], "tags": ["B-<b>", "O"]}
    gold = write_rows("gold.jsonl", [row])
    release = gate_files(gold, write_rows("new.jsonl", [{**row, "tags": ["O", "O"]}]), gold, Settings())
    assert "<img" not in to_html(release)
    assert "<b>" not in to_html(release)
    assert "<img" not in to_markdown(release)
    ElementTree.fromstring(to_junit(release))


def test_without_text_no_word_is_written(folders: Path) -> None:
    release = gate_files(folders / "old", folders / "new", folders / "gold", Settings(show_text=False, slices=("domain",)))
    for text in (json.dumps(as_json(release)), to_junit(release), to_markdown(release), to_html(release)):
        assert "Maija" not in text
        assert "acht" not in text
    assert as_json(release)["utterances"]["listed"][0]["line"] == 2

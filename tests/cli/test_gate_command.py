"""`attrition gate` as a person meets it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Say = Callable[..., Any]


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """gold, old and new files: the new system loses every fourth time."""
    rows = [{"words": ["um", f"acht{n}"], "tags": ["O", "B-time"], "language": ("de", "fi")[n % 2]} for n in range(800)]
    worse = [{**row, "tags": ["O", "O"]} if n % 8 == 0 else row for n, row in enumerate(rows)]
    for name, lines in (("gold", rows), ("old", rows), ("new", worse)):
        text = "".join(json.dumps(row) + "\n" for row in lines)
        (tmp_path / f"{name}.jsonl").write_text(text, encoding="utf-8")
    return tmp_path


def test_a_loss_fails(say: Say, files: Path) -> None:
    said = say("gate", files / "old.jsonl", files / "new.jsonl", "--test", files / "gold.jsonl")
    assert said.code == 1
    assert "Fail: 1 of 2 checks lost more than the margin: de." in said.out
    assert "um [acht0 : time]" in said.out


def test_nothing_lost_passes(say: Say, files: Path) -> None:
    said = say("gate", files / "old.jsonl", files / "old.jsonl", "--test", files / "gold.jsonl")
    assert (said.code, "Pass: 2 checks" in said.out) == (0, True)


@pytest.mark.parametrize(("asked", "code"), [((), 3), (("--cannot-tell", "pass"), 0), (("--cannot-tell", "fail"), 1)])
def test_what_cannot_be_decided(say: Say, files: Path, asked: tuple[str, ...], code: int) -> None:
    both = files / "old.jsonl", files / "old.jsonl", "--test", files / "gold.jsonl"
    said = say("gate", *both, "--margin", "0.1", *asked)
    assert said.code == code
    assert "too little data to tell: 400 utterances can show" in " ".join(said.out.split())


def test_wrong_use_is_told_from_a_verdict(say: Say, files: Path) -> None:
    assert say("gate", files / "old.jsonl", files / "none.jsonl").code == 2
    assert say("gate", files / "old.jsonl", files / "new.jsonl").code == 2  # no gold tags
    said = say("gate", files / "old.jsonl", files / "new.jsonl", "--test", files / "gold.jsonl", "--metric", "f2")
    assert (said.code, "Known: f1" in said.words) == (2, True)


def test_files_are_written_and_hold_no_text(say: Say, files: Path) -> None:
    said = say(
        *("gate", files / "old.jsonl", files / "new.jsonl", "--test", files / "gold.jsonl", "--no-text", "--slice", "label"),
        *("--json", "--junit", files / "j.xml", "--markdown", files / "m.md", "--html", files / "p.html"),
    )
    assert json.loads(said.out)["verdict"] == "fail"
    for text in (said.out, said.err, *((files / name).read_text(encoding="utf-8") for name in ("j.xml", "m.md", "p.html"))):
        assert "acht" not in text

"""The decoder for rows with the fields of the first one reads what the general reader reads, and refuses what it refuses."""

from __future__ import annotations

import gc
import json
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from attrition.gate.alike import Alike
from attrition.gate.checks import Settings
from attrition.gate.release import gate_files
from attrition.gate.rows import Layout, Row, read_rows
from attrition.names import AttritionError

ROW = {
    "id": "17",
    "language": "de",
    "words": ["um", "fünf"],
    "gold": ["O", "B-time"],
    "mine": ["O", "O"],
    "domain": 3,
    "x": [1.5],
}
FIRST = json.dumps(ROW, ensure_ascii=False)
LAYOUT = Layout(has_gold=True, has_predicted=True, predicted="mine", fields=("domain", "id"))

VARIANTS = (
    {"id": 12}, {"id": 10**30}, {"id": None}, {"id": True}, {"id": 1.0}, {"language": None}, {"domain": 2.5}, {"domain": []},
    {"domain": True}, {"words": None}, {"words": "um fünf"}, {"words": ["um", 5]}, {"words": []}, {"gold": ["O"]},
    {"gold": {"a": "b"}}, {"x": {"id": 1}}, {"x": [[[{}]]]}, {"words": ['":', " :"]}, {"words": ["\ud83d\ude00", "\x7f"]},
    {"words": ["\x00", "a"]}, {"words": ["\ud800", "a"]}, {"y": 1}, {"predicted": ["B-time", "O"]}, {"tags": ["O", "O"]},
)  # fmt: skip
LINES = (
    *(json.dumps({**ROW, **each}) for each in VARIANTS),
    *(json.dumps({key: value for key, value in ROW.items() if key != gone}) for gone in ROW),
    FIRST.replace('"x"', '"id"'),
    FIRST.replace('"x":', '"id" :'),
    FIRST.replace('"x":', '"id"\t:'),
    FIRST.replace('"x":', '"id"\r:'),
    FIRST.replace('"x"', '"\\u0069d"'),
    FIRST.replace("[1.5]", "NaN"),
    FIRST.replace("[1.5]", "1e999"),
    FIRST.replace("[1.5]", "[" * 3000 + "]" * 3000),
    FIRST.replace("[1.5]", "9" * 5000),
    f"  {FIRST}\t",
    f"{FIRST},",
    "[]",
    "",
)


def read(path: Path, lines: Sequence[str]) -> list[Row] | str:
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    try:
        return list(read_rows(path, "fi", LAYOUT))
    except AttritionError as error:
        return str(error)


def mutated(rng: random.Random) -> str:
    """A row with one to three characters taken out, doubled or replaced."""
    line = list(FIRST)
    for _ in range(rng.randint(1, 3)):
        at = rng.randrange(len(line))
        line[at] = rng.choice(("", line[at] * 2, rng.choice('{}[]",:\\ 0-eu"d')))
    return "".join(line)


def test_both_readers_agree_on_every_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = random.Random(0)
    lines = (*LINES, *(mutated(rng) for _ in range(1500)))
    fast = [read(tmp_path / "a.jsonl", [FIRST, line]) for line in lines]
    taken = [isinstance(each, list) for each in fast]
    assert 40 < sum(taken) < len(lines) - 40  # both kinds are there
    monkeypatch.setattr(Alike, "of", lambda *_: None)
    for line, found in zip(lines, fast, strict=True):
        assert found == read(tmp_path / "a.jsonl", [FIRST, line]), line


def test_usual_rows_are_read_by_the_decoder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[Any] = []
    true_read = Alike.read

    def spied(self: Alike, line: str) -> tuple[Any, ...] | None:
        calls.append(found := true_read(self, line))
        return found

    monkeypatch.setattr(Alike, "read", spied)
    assert len(read(tmp_path / "a.jsonl", [FIRST] * 4)) == 4
    assert len(calls) == 3
    assert all(calls)


def test_a_field_whose_name_json_escapes(tmp_path: Path) -> None:
    line = json.dumps({**ROW, 'a"b\\': 1})
    (first, second) = read(tmp_path / "a.jsonl", [line, line])
    assert isinstance(first, Row)
    assert first[2:] == second[2:]


@pytest.mark.parametrize("is_on", [True, False])
def test_the_collector_is_left_as_it_was(folders: Path, monkeypatch: pytest.MonkeyPatch, is_on: bool) -> None:
    monkeypatch.chdir(folders)
    was_on = gc.isenabled()
    try:
        (gc.enable if is_on else gc.disable)()
        gate_files(Path("old"), Path("new"), Path("gold"), Settings())
        assert (gc.isenabled(), gc.get_freeze_count()) == (is_on, 0)
    finally:
        (gc.enable if was_on else gc.disable)()

"""docs/own-data.md: its files are written, its commands and code are run, and they say what the page says."""

from __future__ import annotations

import re
import shlex
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from attrition.corpus.columns_files import place_of
from attrition.corpus.formats import BY_ENDING
from attrition.corpus.schemes import SCHEMES
from attrition.languages import own
from attrition.study.spec import CorpusSettings
from attrition.study.tables import as_dataclass

PAGE = (Path(__file__).parents[2] / "docs" / "own-data.md").read_text(encoding="utf-8")
BLOCK = re.compile(r"(?:^`([^`\n]+)`:\n\n)?^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def test_what_the_page_says_is_so(
    say: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    blocks = BLOCK.findall(PAGE)
    for name, _, content in blocks:
        if name:
            Path(name).parent.mkdir(parents=True, exist_ok=True)
            Path(name).write_text(content, encoding="utf-8")
    commands = 0
    for (name, kind, content), (_, _, after) in zip(blocks, [*blocks[1:], ("", "", "")], strict=True):
        if kind == "console":
            command, *expected = content.splitlines()
            said = say(*shlex.split(command.removeprefix("$ attrition ")))
            assert said.code == 0, said.err
            words = " ".join((said.out + said.err).split())
            assert [line for line in expected if line not in words] == []
            commands += 1
        elif kind == "python":
            capsys.readouterr()
            exec(compile(content, "own-data.md", "exec"), {})
            assert capsys.readouterr().out == after
            commands += 1
        elif kind == "toml" and not name and "[corpus]" in content:
            assert as_dataclass(tomllib.loads(content)["corpus"], CorpusSettings, "corpus").tag == "NER"
            commands += 1
    assert commands == 4


def test_the_page_names_every_ending_scheme_and_attribute() -> None:
    for ending in filter(None, BY_ENDING):
        assert f"`{ending}`" in PAGE
    for scheme in SCHEMES:
        assert f"`{scheme}`" in PAGE
    attributes = re.sub(r"\s+", " ", PAGE)
    listed = re.search(r"The others are any of ([^.]*)\.", attributes)
    assert listed is not None
    assert set(listed[1].split(", ")) == set(own._VALUES)


@pytest.mark.parametrize("row", re.findall(r"^\| (`[^|]*) \| ([a-zA-Z, -]+) \| (train|dev)", PAGE, re.MULTILINE))
def test_files_are_what_the_page_says(row: tuple[str, str, str]) -> None:
    from pathlib import PurePosixPath

    names, languages = re.findall(r"`([^`]+)`", row[0]), row[1].split(", ")
    for name in names[:2]:
        found = place_of(PurePosixPath(name))
        assert found is not None
        assert found[0] in languages
        assert found[1] == row[2]

"""The documentation: every code block of the README and of the pages is run, or says why not.

A block may have one of these comments before it:

    <!-- not run: REASON -->            it is not executed
    <!-- run by: FILE -->               another test or page executes it
    <!-- run with: --set KEY=VALUE -->  `attrition run` gets these arguments too, to be small
    <!-- output -->                     it shows what a command prints
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from attrition.cli.app import main
from attrition.study.spec import build_study

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
NOTEBOOKS = sorted((DOCS / "notebooks").glob("*.ipynb"))
PAGES = [
    ROOT / "README.md",
    *sorted(DOCS.glob("*.md")),
    *(p for part in ("guides", "concepts", "reference") for p in sorted((DOCS / part).glob("*.md"))),
]
NO_CODE_OF_USERS = {"log.md"}
RUN_ELSEWHERE = {"own-model.md", "add-a-language.md"}
"""Pages that a test of their own runs: tests/cli/test_own_model_page.py and test_add_a_language_page.py."""
BLOCK = re.compile(
    r"(?:^<!-- ([a-z ]+?)(?:: ([^\n]*?))? -->\n)?"  # a mark
    r"(?:^[^`\n]*`([\w./-]+\.(?:toml|csv|txt|jsonl))`[^`\n]*:\n\n)?"  # a line that names a file
    r"^```(\S*)[^\n]*\n(.*?)^```$",
    re.MULTILINE | re.DOTALL,
)
MARKS = {"not run", "run by", "run with", "output"}
SMALL = {"name": "a study", "languages": ["en-US", "de-DE", "zh-CN", "th-TH"], "methods": ["VANILLA"]}
VERDICTS = {0, 1, 3}
"""Exit codes of `attrition gate` that are verdicts."""


class Block(NamedTuple):
    mark: str
    about: str
    file: str
    kind: str
    content: str


def blocks_of(page: Path) -> list[Block]:
    return [Block(*found) for found in BLOCK.findall(page.read_text(encoding="utf-8")) if not found[3].startswith("{")]


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


def commands(script: str) -> Iterator[list[str]]:
    """The commands of a block; in a console block lines without $ are output."""
    lines = script.replace("\\\n", " ").splitlines()
    prompts = any(line.startswith("$ ") for line in lines)
    for line in lines:
        words = shlex.split(line.removeprefix("$ "), comments=True)
        if words and (line.startswith("$ ") or not prompts):
            yield words


def run(words: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    assert words[0] == "attrition", f"mark the block as not run, or make the test know {words[0]!r}"
    capsys.readouterr()
    with pytest.raises(SystemExit) as exited:
        main(words[1:])
    said = capsys.readouterr()
    assert exited.value.code in (VERDICTS if words[1] == "gate" else {0}), f"{shlex.join(words)}\n{said.err}"
    return " ".join((said.out + said.err).split())


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with what a copy of the repository has, and the three folders of the gate's guide."""
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    shutil.copytree(
        DOCS / "results", tmp_path / "docs" / "results", ignore=shutil.ignore_patterns("figures", "tables", "cuts-*")
    )
    monkeypatch.chdir(tmp_path)
    guide = DOCS / "guides" / "ship-an-update.md"
    exec(next(each.content for each in blocks_of(guide) if each.kind == "python"), {})
    return tmp_path


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_block_can_be_run_or_says_why_not(page: Path) -> None:
    if page.name in NO_CODE_OF_USERS:
        return
    before = ""
    for block in blocks_of(page):
        assert not block.mark or block.mark in MARKS, block.mark
        assert bool(block.about) == (block.mark not in ("", "output")), f"say why: {block}"
        if block.mark == "run by":
            assert (ROOT / block.about).is_file()
        if block.kind == "text":
            assert block.mark == "output" or block.file or before == "python", f"what prints this?\n{block.content}"
        elif not block.mark:
            assert block.kind in {"python", "sh", "console", "toml", "json"}, f"{block.kind!r} is not run; mark it"
        before = block.kind


@pytest.mark.long
@pytest.mark.usefixtures("place")
@pytest.mark.parametrize(
    "page", [page for page in PAGES if page.name not in NO_CODE_OF_USERS | RUN_ELSEWHERE and blocks_of(page)], ids=name_of
)
def test_the_blocks_of_a_page_run(page: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names: dict[str, Any] = {}
    found = [block for block in blocks_of(page) if block.mark not in ("not run", "run by")]
    for block in found:
        if block.file:
            Path(block.file).parent.mkdir(parents=True, exist_ok=True)
            Path(block.file).write_text(block.content, encoding="utf-8")
    for block, after in zip(found, [*found[1:], None], strict=False):
        extra = shlex.split(block.about) if block.mark == "run with" else []
        if block.file:
            continue
        if block.kind == "python":
            capsys.readouterr()
            exec(compile(block.content, page.name, "exec"), names)
            if after is not None and after.kind == "text" and after.mark != "output":
                assert capsys.readouterr().out == after.content
        elif block.kind in ("sh", "console"):
            outputs = [line for line in block.content.splitlines() if block.kind == "console" and not line.startswith("$ ")]
            said = " ".join(run([*words, *(extra if words[1] == "run" else [])], capsys) for words in commands(block.content))
            assert [line for line in outputs if " ".join(line.split()) not in said] == []
        elif block.kind == "json":
            json.loads(block.content)
        elif block.kind == "toml":
            _check_toml(block.content)


def _check_toml(content: str) -> None:
    """A part of a study file must be allowed in one; other TOML must parse."""
    table = tomllib.loads(content)
    if not {"claims", "project"} & table.keys():
        build_study({**SMALL, **table}, where="the page", folder=Path())


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_a_notebook_holds_the_outputs_that_it_gives(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("myst_parser")
    monkeypatch.syspath_prepend(str(DOCS))
    from _ext.notebook import executed  # type: ignore[import-not-found]

    stored = json.loads(path.read_text(encoding="utf-8"))
    fresh = executed(stored, path.parent)
    for old, new in zip(stored["cells"], fresh["cells"], strict=True):
        assert _texts(old) == _texts(new)


def _texts(cell: dict[str, Any]) -> list[str]:
    outputs = cell.get("outputs", [])
    return [
        "".join(each.get("text") or each["data"]["text/plain"])
        for each in outputs
        if "image/svg+xml" not in each.get("data", {})
    ]


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_lead_somewhere(page: Path) -> None:
    for link in re.findall(r"\]\((?!https?:|#)([^)#\s]+)", page.read_text(encoding="utf-8")):
        assert os.path.exists(page.parent / link) or "_generated" in link, link  # noqa: PTH110


def test_reference_pages_name_every_command_setting_and_metric(monkeypatch: pytest.MonkeyPatch) -> None:
    from attrition.cli.app import app
    from attrition.metrics import METRICS
    from attrition.study.schema import study_schema

    monkeypatch.syspath_prepend(str(DOCS))
    from _ext import reference  # type: ignore[import-not-found]

    text = reference.command_pages()
    for command in app.registered_commands:
        assert f"## attrition {command.name}\n" in text
    assert "## attrition data fetch\n" in text
    assert "| `--out, -o FOLDER` |" in text
    text = reference.study_page()
    for name, table in study_schema()["properties"].items():
        assert f"`{name}`" in text or f"`[{name}]`" in text
        for key in table.get("properties", ()):
            assert f"| `{key}` |" in text
    assert all(f"`{name}`" in reference.metric_page() for name in METRICS)


def test_pictures_show_the_formula(monkeypatch: pytest.MonkeyPatch) -> None:
    """CBT is the mean of R[T, i] - R[i, i] over i < T."""
    monkeypatch.syspath_prepend(str(DOCS))
    from _ext.pictures import SHOWN, effects, picture  # type: ignore[import-not-found]

    found, value = effects("cbt")
    expected = [[0, 0, 0, 0], [-1, 0, 0, 0], [0, -1, 0, 0], [0, 0, -1, 0], [1, 1, 1, 0]]
    assert [[round(3 * cell) for cell in row] for row in found] == expected
    assert value == pytest.approx(-0.16)
    for name in SHOWN:
        assert picture(name).count("<rect") == 1 + 20

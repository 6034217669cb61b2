"""docs/guides/add-a-language.md: its files are written, its commands and code run, with less data and a tiny encoder."""

from __future__ import annotations

import io
import json
import re
import runpy
import shlex
import sys
import tarfile
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from attrition.study.spec import build_study

PAGE = (Path(__file__).parents[2] / "docs" / "guides" / "add-a-language.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"(?:^`([^`\n]+)`:\n\n)?^```(\w+)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
SMALLER = {
    "data.py massive - data 100 60 300 100": "data.py phrasebook - data 32 12 24 100",
    "data.py massive - crf 400 1 1000 100": "data.py phrasebook - crf 100 1 60 100",
    "masakhaner2.tar.xz ner 80 30 150 15": "masakhaner2.tar.xz ner 24 8 12 15",
    "de-DE en-US es-ES fi-FI fr-FR ja-JP sw-KE tr-TR": "de-DE en-US",
    '"embedded:e5-small"': '"tiny:xlm-roberta"',
    "swa hau ibo": "swa hau",
}
FAST = (
    "--set",
    "machine.threads=1",
    "--set",
    "machine.device=cpu",
    "--set",
    "training.epochs=1",
    "--set",
    "training.batch_size=16",
)


def smaller(text: str) -> str:
    for whole, part in SMALLER.items():
        text = text.replace(whole, part)
    return text


def write_entities(path: Path) -> None:
    """An archive in the form of MasakhaNER 2.0 (invented sentences): columns parted by a blank, a folder for each language."""
    names = ("Wanjiru", "Amina", "Chidi", "Yetunde")
    with tarfile.open(path, "w:xz") as archive:
        for language in ("swa", "hau", "yor"):
            for split in ("train", "dev", "test"):
                sentences = [
                    f"{language}{at % 7} O\n{names[at % 4]} B-PER\n{names[at % 3]} I-PER\nin O\nKano{at % 5} B-LOC\n"
                    + "long O\n" * (20 * (at % 4 == 0))
                    for at in range(40)
                ]
                data = "\n".join(sentences).encode()
                member = tarfile.TarInfo(f"data/{language}/{split}.txt")
                member.size = len(data)
                archive.addfile(member, io.BytesIO(data))


@pytest.mark.filterwarnings("ignore")  # of other people's programs, which the page runs
def test_every_command_of_the_page_runs(say: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("peft")
    pytest.importorskip("accelerate")
    pytest.importorskip("sklearn_crfsuite")
    monkeypatch.chdir(tmp_path)
    write_entities(Path("masakhaner2.tar.xz"))
    codes: dict[str, int] = {}
    for name, kind, content in BLOCKS:
        if name:
            Path(name).write_text(smaller(content), encoding="utf-8")
        elif kind == "python":
            exec(compile(content, "add-a-language.md", "exec"), {})
        for line in content.splitlines() if kind == "console" else ():
            program, *arguments = shlex.split(smaller(line.removeprefix("$ ")))
            if program == "python":
                with monkeypatch.context() as patch:
                    patch.setattr(sys, "argv", arguments)
                    runpy.run_path(arguments[0], run_name="__main__")
                continue
            said = say(*arguments, *(FAST if arguments[0] == "add" else ()))
            assert said.code in (0, 1, 3), said.err
            codes[line.removeprefix("$ attrition ")] = said.code
    assert len(codes) == 6
    assert {path.name for path in Path("crf-new").iterdir()} == {"de-DE.conll", "en-US.conll", "tr-TR.conll"}
    rows = [json.loads(line) for path in Path("ner").glob("*/*.jsonl") for line in path.read_text().splitlines()]
    assert max(len(row["words"]) for row in rows) <= 15
    assert {each["name"] for each in json.loads(Path("ner-update/gate.json").read_text())["checks"]} == {"swa", "hau", "yor"}
    routed = json.loads(Path("thai/gate.json").read_text())["checks"]
    assert {each["name"]: each["differing"] for each in routed if each["name"] != "th-TH"} == {"de-DE": 0, "en-US": 0}
    assert {path.suffix for path in Path("update").glob("trade.*")} >= {".svg", ".csv", ".png"}
    assert not torch.is_inference_mode_enabled()


def test_the_study_of_the_page_is_one(tmp_path: Path) -> None:
    (study,) = (tomllib.loads(content) for _, kind, content in BLOCKS if kind == "toml")
    read = build_study(study, where="add-a-language.md", folder=tmp_path)
    assert read.model.learned == read.watch

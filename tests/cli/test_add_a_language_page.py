"""docs/guides/add-a-language.md: its files are written, its commands and code run, with less data and a tiny encoder."""

from __future__ import annotations

import json
import re
import runpy
import shlex
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import PreTrainedTokenizerFast, XLMRobertaModel

from attrition.encoder.pretrained import WORD_EMBEDDINGS
from attrition.encoder.sources import load_pretrained
from attrition.study.spec import build_study

PAGE = (Path(__file__).parents[2] / "docs" / "guides" / "add-a-language.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"(?:^`([^`\n]+)`:\n\n)?^```(\w+)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
SMALLER = {
    '["de-DE", "en-US", "es-ES", "fi-FI", "fr-FR", "ja-JP", "sw-KE", "tr-TR", "th-TH"]': '["de-DE", "en-US", "th-TH"]',
    '{"train": 100, "dev": 60, "test": 300}': '{"train": 32, "dev": 12, "test": 24}',
    '"massive", Request()': '"phrasebook", Request()',
    "de-DE en-US es-ES fi-FI fr-FR ja-JP sw-KE tr-TR": "de-DE en-US",
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


def write_encoder(folder: Path) -> None:
    """A tiny encoder as transformers saves it, in place of the page's."""
    tiny = load_pretrained("tiny:xlm-roberta")
    module = XLMRobertaModel(tiny.config, add_pooling_layer=False)
    module.load_state_dict({**tiny.weights, WORD_EMBEDDINGS: tiny.rows(np.arange(tiny.vocabulary_size))})
    module.save_pretrained(folder)
    special = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "pad_token": "<pad>"}
    PreTrainedTokenizerFast(tokenizer_object=tiny.tokenizer, model_max_length=126, **special).save_pretrained(folder)


def write_conll() -> None:
    """The files of the page's last command: a stranger's system that loses every second value in German."""
    for system in ("gold", "old", "new"):
        Path(system).mkdir()
        for language in ("de-DE", "en-US"):
            rows = [json.loads(line) for line in (Path("data") / language / "test.jsonl").read_text().splitlines()]
            lost = system == "new" and language == "de-DE"
            tags = [["O"] * len(row["tags"]) if lost and at % 2 else row["tags"] for at, row in enumerate(rows)]
            blocks = (
                "\n".join(map("\t".join, zip(row["words"], each, strict=True))) for row, each in zip(rows, tags, strict=True)
            )
            (Path(system) / f"{language}.conll").write_text("\n\n".join(blocks) + "\n", encoding="utf-8")


@pytest.mark.filterwarnings("ignore")  # of other people's programs, which the page runs
def test_every_command_of_the_page_runs(say: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("peft")
    pytest.importorskip("accelerate")
    monkeypatch.chdir(tmp_path)
    write_encoder(Path("e5-small"))
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
            if "gold" in arguments:
                write_conll()
            said = say(*arguments, *(FAST if arguments[0] == "add" else ()))
            assert said.code in (0, 1, 3), said.err
            codes[line.removeprefix("$ attrition ")] = said.code
    assert len(codes) == 5
    assert codes["gate old new --test gold --margin 5"] == 1
    routed = json.loads(Path("thai/gate.json").read_text())["checks"]
    assert {each["name"]: each["differing"] for each in routed if each["name"] != "th-TH"} == {"de-DE": 0, "en-US": 0}
    assert {path.suffix for path in Path("update").glob("trade.*")} >= {".svg", ".csv", ".png"}
    assert not torch.is_inference_mode_enabled()


def test_the_study_of_the_page_is_one(tmp_path: Path) -> None:
    (study,) = (tomllib.loads(content) for _, kind, content in BLOCKS if kind == "toml")
    read = build_study(study, where="add-a-language.md", folder=tmp_path)
    assert read.model.learned == read.watch

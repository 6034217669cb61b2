"""docs/guides/own-model.md: its studies are run, its commands and code too, and they say what the page says."""

from __future__ import annotations

import re
import shlex
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from attrition.encoder.bert import FAMILY
from attrition.encoder.families import WRAPPED
from attrition.encoder.head import Head
from attrition.encoder.sources import load_pretrained
from attrition.encoder.vocabulary import whole_vocabulary
from attrition.export.formats import export_model
from attrition.methods import LoRA
from attrition.study.spec import ModelSettings
from attrition.study.tables import as_dataclass
from attrition.training.model import build_model

PAGE = (Path(__file__).parents[2] / "docs" / "guides" / "own-model.md").read_text(encoding="utf-8")
BLOCK = re.compile(r"(?:^`([^`\n]+)`:\n\n)?^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
BLOCKS = BLOCK.findall(PAGE)


@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")  # peft asks transformers for it
def test_what_the_page_says_is_so(say: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    pytest.importorskip("onnxruntime")
    commands = 0
    for name, kind, content in BLOCKS:
        if name:
            Path(name).write_text(content, encoding="utf-8")
        elif kind == "console":
            command, *expected = content.splitlines()
            run = next((path.name for path in Path("first/runs").glob("*")), "")
            said = say(*shlex.split(command.removeprefix("$ attrition ").replace("RUN", run)))
            assert said.code == 0, said.err
            words = " ".join((said.out + said.err).split())
            assert [line for line in expected if line not in words] == []
            commands += 1
    assert commands == 4
    merge_as_the_page_says()


def merge_as_the_page_says() -> None:
    """The adapter is of the checkpoint that the page exported, with a classifier of its own."""
    pytest.importorskip("peft")
    base = load_pretrained("hub:after-german")
    assert base.head is not None
    model = build_model(base, whole_vocabulary(base.vocabulary_size), base.head.labels)
    trains = LoRA(rank=2)
    flat = model.start(trains, 0) + 0.1
    export_model(Path("adapter"), model, trains, flat)
    (code,) = (content for _, kind, content in BLOCKS if kind == "python")
    exec(compile(code, "own-model.md", "exec"), {})
    merged, weights = load_pretrained("hub:merged"), model.weights(trains, flat)
    assert isinstance(merged.head, Head)
    assert merged.head.labels == base.head.labels
    torch.testing.assert_close(merged.head.weight_CH, weights.head_weight)
    query = "encoder.layer.0.attention.self.query.weight"
    ours = model.backbone.linears["encoder.layer.0.attention.self.query"]
    joined = weights.encoder["encoder.layer.0.attention.self.query+key+value.weight"]
    torch.testing.assert_close(merged.weights[query], joined[: ours[0]])
    assert merged.tokenizer.encode("wake me").ids == base.tokenizer.encode("wake me").ids


def test_the_tables_of_the_page_are_settings() -> None:
    tables = [tomllib.loads(content)["model"] for name, kind, content in BLOCKS if kind == "toml" and not name]
    read = [as_dataclass(each, ModelSettings, "model") for each in tables]
    assert [each.head for each in read] == ["checkpoint", "fresh"]
    assert read[0].labels["B-MISC"] == ""


def test_the_page_and_the_list_name_every_architecture(say: Callable[..., Any]) -> None:
    spoken = {"xlm-roberta": "XLM-R"}
    listed = "".join(say("list", "models").out.split())
    for name in (*FAMILY, *WRAPPED):
        assert spoken.get(name, name).casefold() in PAGE.casefold()
        assert name in listed

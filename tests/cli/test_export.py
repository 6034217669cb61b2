"""`attrition export`: the model card, the Hub and ONNX."""

from __future__ import annotations

import csv
import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import huggingface_hub
import numpy as np
import pytest
import tomli_w
from huggingface_hub import ModelCard

from attrition.cli.app import main
from attrition.export import onnx as onnx_module

Say = Callable[..., Any]
METHODS = ("VANILLA", "mine [red]")


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished study whose scores are not 0."""
    folder = tmp_path_factory.mktemp("export")
    study = {
        "name": "tiny",
        "languages": ["en-US", "zh-CN"],
        "methods": ["VANILLA", {"method": "SHARED LoRA", "name": "mine [red]"}],
        "corpus": {"name": "phrasebook", "sizes": {"train": 64, "dev": 6, "test": 20}},
        "model": {"name": "tiny:bert", "precision": "float32"},
        "machine": {"threads": 1, "device": "cpu"},
        "training": {"epochs": 12, "batch_size": 8, "learning_rate": 2e-2, "head_learning_rate": 5e-2},
    }
    (folder / "study.toml").write_text(tomli_w.dumps(study), encoding="utf-8")
    with pytest.raises(SystemExit) as exited:
        main(["run", str(folder / "study.toml"), "--out", str(folder / "results"), "--no-report"])
    assert exited.value.code == 0
    return folder / "results"


@pytest.fixture(scope="module")
def runs(results: Path) -> dict[str, str]:
    """The keys of its runs, by the methods' names."""
    return {json.loads(path.read_text())["name"]: path.parent.name for path in results.glob("runs/*/spec.json")}


def python_of(card: ModelCard) -> str:
    (code,) = re.findall(r"```python\n(.*?)```", card.text, re.DOTALL)
    assert len([line for line in code.splitlines() if line]) <= 5
    return str(code)


@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")  # peft asks transformers for it
@pytest.mark.parametrize("method", METHODS)
def test_the_card(
    method: str, results: Path, runs: dict[str, str], say: Say, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The Hub's own reader finds the last row of matrix.csv; the five lines give logits of every class."""
    monkeypatch.chdir(tmp_path)
    assert say("export", results, f"{runs[method]}:zh-CN", "model").code == 0
    card = ModelCard.load("model/README.md")
    run = results / "runs" / runs[method]
    last = list(csv.DictReader((run / "matrix.csv").read_text(encoding="utf-8").splitlines()))[-1]
    assert last["trained"] == "zh-CN"
    assert method != "VANILLA" or float(last["zh-CN"]) > 0.1  # so that equal zeros do not pass
    found = {each.dataset_config: each.metric_value for each in card.data.eval_results}
    assert found == {each: pytest.approx(float(last[each]), abs=1e-6) for each in ("en-US", "zh-CN")}
    assert {(each.task_type, each.metric_type, each.dataset_split) for each in card.data.eval_results} == {
        ("token-classification", "f1", "test")
    }
    assert (card.data.language, card.data.license, card.data.base_model) == (["en", "zh"], "unknown", None)
    spec = json.loads((run / "spec.json").read_text(encoding="utf-8"))
    assert spec["corpus"]["licence"] in card.text
    assert f"| zh-CN | {100 * float(last['zh-CN']):.2f} |" in card.text
    assert "en-US, zh-CN" in card.text
    names: dict[str, Any] = {}
    exec(compile(python_of(card), "README.md", "exec"), names)
    labels = json.loads(Path("model/labels.json").read_text()) if method != "VANILLA" else names["model"].config.id2label
    assert names["logits"].shape[0] == 1
    assert names["logits"].shape[2] == len(labels) > 10


def test_a_massive_card_names_the_data_set_of_the_hub(results: Path, runs: dict[str, str]) -> None:
    from attrition.export.card import eval_results
    from attrition.store.stages import Store

    spec = json.loads((results / "runs" / runs["VANILLA"] / "spec.json").read_text(encoding="utf-8"))
    evaluation = Store(results).load_evaluation(spec["steps"][0]["evaluation"])
    first = eval_results({**spec, "corpus": {**spec["corpus"], "name": "massive"}}, evaluation)[0]
    assert (first.dataset_type, first.dataset_config) == ("AmazonScience/massive", "en-US")


def test_the_base_of_an_adapter_is_there(results: Path, runs: dict[str, str], say: Say, tmp_path: Path) -> None:
    """A random encoder is nowhere else."""
    from transformers import AutoModel

    from attrition.encoder.sources import load_pretrained

    assert say("export", results, f"{runs['mine [red]']}:zh-CN", tmp_path / "model").code == 0
    said = json.loads((tmp_path / "model" / "adapter_config.json").read_text(encoding="utf-8"))
    base, ours = AutoModel.from_pretrained(said["base_model_name_or_path"]), load_pretrained("tiny:bert")
    table = base.get_input_embeddings().weight.detach().numpy()
    assert (table == ours.rows(np.arange(ours.vocabulary_size)).numpy()).all()
    name = "encoder.layer.0.attention.self.query.weight"
    assert (base.state_dict()[name] == ours.weights[name]).all()


# The Hub


class Hub:
    """The two calls of `HfApi` that a push makes."""

    def __init__(self, problem: Exception | None = None) -> None:
        self.problem, self.calls, self.files = problem, list[tuple[str, Any]](), set[str]()
        self.kinds = set[str]()

    def __call__(self, token: str) -> Hub:
        self.calls.append(("token", token))
        return self

    def create_repo(self, repo: str, **how: Any) -> Any:
        if self.problem:
            raise self.problem
        self.calls.append(("create", (repo, how["private"], how["exist_ok"])))
        self.kinds.add(how["repo_type"])
        return huggingface_hub.RepoUrl(f"https://huggingface.co/me/{repo.rpartition('/')[2]}")

    def upload_folder(self, *, repo_id: str, folder_path: Path, repo_type: str, **_: Any) -> None:
        self.kinds.add(repo_type)
        self.calls.append(("upload", repo_id))
        self.files = {path.name for path in folder_path.iterdir()}


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Hub:
    double = Hub()
    monkeypatch.setattr(huggingface_hub, "HfApi", double)
    monkeypatch.setattr(huggingface_hub, "get_token", lambda: "secret")
    return double


def test_push(results: Path, runs: dict[str, str], say: Say, tmp_path: Path, hub: Hub) -> None:
    said = say("export", results, f"{runs['VANILLA']}:zh-CN", tmp_path / "model", "--push", "tagger")
    assert said.code == 0
    assert "Pushed: https://huggingface.co/me/tagger" in said.out
    assert hub.calls == [("token", "secret"), ("create", ("tagger", True, True)), ("upload", "me/tagger")]
    assert {"README.md", "config.json", "model.safetensors", "tokenizer.json"} <= hub.files
    assert 'from_pretrained("tagger")' in (tmp_path / "model" / "README.md").read_text(encoding="utf-8")
    assert "secret" not in said.out + said.err


@pytest.mark.parametrize(
    ("repo", "token", "message"),
    [("me/tagger", None, "Run `hf auth login`, or set HF_TOKEN."), ("a/b/c", "secret", "Write NAME or OWNER/NAME.")],
)
def test_what_cannot_be_pushed_is_refused_before_anything_is_written(
    repo: str, token: str | None, message: str, results: Path, runs: dict[str, str], say: Say, tmp_path: Path, hub: Hub,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(huggingface_hub, "get_token", lambda: token)
    said = say("export", results, f"{runs['VANILLA']}:zh-CN", tmp_path / "model", "--push", repo)
    assert (said.code, message in said.words, hub.calls) == (2, True, [])
    assert not (tmp_path / "model").exists()


def test_the_hub_refuses(results: Path, runs: dict[str, str], say: Say, tmp_path: Path, hub: Hub) -> None:
    hub.problem = OSError("403 Forbidden\nmore")
    said = say("export", results, f"{runs['VANILLA']}:zh-CN", tmp_path / "model", "--push", "me/tagger")
    assert (said.code, "refused 'me/tagger' (403 Forbidden). The model is in" in said.words) == (2, True)


def test_an_adapter_without_a_base_for_others(results: Path, runs: dict[str, str], say: Say, tmp_path: Path, hub: Hub) -> None:
    said = say("export", results, f"{runs['mine [red]']}:zh-CN", tmp_path / "model", "--push", "me/tagger")
    assert (said.code, "Push the base first" in said.words, hub.calls) == (2, True, [])


def test_a_data_set_is_pushed_as_one(results: Path, say: Say, tmp_path: Path, hub: Hub) -> None:
    said = say("export", results, "--dataset", tmp_path / "numbers", "--push", "numbers")
    assert said.code == 0, said.err
    assert hub.calls == [("token", "secret"), ("create", ("numbers", True, True)), ("upload", "me/numbers")]
    assert hub.kinds == {"dataset"}
    assert {"README.md", "scores.parquet", "runs.parquet", "counts.parquet", "covariates.parquet"} <= hub.files
    assert "scores" in said.out
    assert 'load_dataset("numbers", "scores"' in (tmp_path / "numbers" / "README.md").read_text(encoding="utf-8")
    hub.problem = OSError("403 Forbidden")
    said = say("export", results, "--dataset", tmp_path / "again", "--push", "numbers")
    assert (said.code, "The dataset is in" in said.words) == (2, True)


@pytest.mark.parametrize(
    "arguments", [(), ("RUN:en-US",), ("RUN:en-US", "out", "--dataset", "numbers"), ("--dataset", "x", "--onnx")]
)
def test_a_model_or_a_data_set(arguments: tuple[str, ...], results: Path, say: Say) -> None:
    said = say("export", results, *arguments)
    assert (said.code, "--dataset" in said.words) == (2, True)


# ONNX


@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")  # peft asks transformers for it
@pytest.mark.parametrize("method", METHODS)
def test_onnx_gives_the_same_logits(method: str, results: Path, runs: dict[str, str], say: Say, tmp_path: Path) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    peft = pytest.importorskip("peft")
    import torch
    from transformers import AutoModelForTokenClassification

    folder = tmp_path / "model"
    said = say("export", results, f"{runs[method]}:zh-CN", folder, "--onnx")
    assert said.code == 0, said.err
    size = (folder / "model.onnx").stat().st_size
    assert f"model.onnx has {size / 1e6:.1f} MB." in said.out
    assert "ms with ONNX Runtime" in (folder / "README.md").read_text(encoding="utf-8")
    if method == "VANILLA":
        model = AutoModelForTokenClassification.from_pretrained(folder)
    else:
        labels = json.loads((folder / "labels.json").read_text())
        base = AutoModelForTokenClassification.from_pretrained(folder / "base", num_labels=len(labels))
        model = peft.PeftModel.from_pretrained(base, str(folder))
    ids = torch.randint(4, 300, (3, 17), generator=torch.Generator().manual_seed(0))
    mask = (torch.arange(17) < torch.tensor([[17], [9], [1]])).long()
    with torch.no_grad():
        ours = model.eval()(input_ids=ids, attention_mask=mask).logits.numpy()
    session = onnxruntime.InferenceSession(str(folder / "model.onnx"), providers=["CPUExecutionProvider"])
    (theirs,) = session.run(None, {"input_ids": ids.numpy(), "attention_mask": mask.numpy()})
    np.testing.assert_allclose(theirs[mask.bool()], ours[mask.bool()], atol=2e-5)
    assert np.abs(ours).max() > 0.1


def test_onnx_that_is_not_installed(
    results: Path, runs: dict[str, str], say: Say, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(onnx_module, "find_spec", lambda name: None if name == "onnx" else sys)
    said = say("export", results, f"{runs['VANILLA']}:zh-CN", tmp_path / "model", "--onnx")
    assert (said.code, "pip install 'attrition[onnx]'" in said.words) == (2, True)
    assert not (tmp_path / "model").exists()

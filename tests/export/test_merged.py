"""Merged models as transformers and PEFT load them, against the logits that the run was scored with."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tomli_w
import torch
from huggingface_hub import ModelCard
from torch import Tensor
from torch.nn import functional
from transformers import AutoModelForTokenClassification

from attrition.cli.app import main
from attrition.encoder.batch import assemble
from attrition.encoder.hub import quiet_transformers
from attrition.export.stage import export_stage
from attrition.names import AttritionError
from attrition.prepare.prepare import Prepared, prepare
from attrition.store.restore import made_model
from attrition.store.stages import Store
from attrition.study.plan import RunPlan
from attrition.study.spec import read_study
from attrition.study.watcher import Watcher
from attrition.training.batches import part

RATES = {"learning_rate": 2e-2, "head_learning_rate": 5e-2}
METHODS: list[Any] = [
    {"method": "MERGED LoRA", "name": "mean", "rank": 2, "merge": {"name": "mean", "weights": {"zh-CN": 3.0}, "scale": 1.5}},
    {"method": "MERGED LoRA", "name": "wide", "rank": 9},  # of two learners 18, and the encoder is 16 wide
    {"method": "TIES LoRA", "name": "ties", "rank": 2, "alpha": 4},
    {"method": "VANILLA", "name": "full mean", "merge": {"name": "mean"}, "training": {"weight_decay": 0.5}},
    {"method": "VANILLA", "name": "full ties", "merge": {"name": "ties", "density": 0.3}},
    "INTERPOLATION",
]
ADAPTERS = ("mean",)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("merged")
    study = {
        "name": "tiny",
        "languages": ["en-US", "zh-CN"],
        "methods": METHODS,
        "corpus": {"name": "phrasebook", "sizes": {"train": 24, "dev": 6, "test": 8}},
        "model": {"name": "tiny:bert", "precision": "float32"},
        "machine": {"threads": 1, "device": "cpu"},
        "training": {"epochs": 3, "batch_size": 8, **RATES},
    }
    (folder / "study.toml").write_text(tomli_w.dumps(study), encoding="utf-8")
    with pytest.raises(SystemExit) as exited:
        main(["run", str(folder / "study.toml"), "--out", str(folder / "results"), "--no-report"])
    assert exited.value.code == 0
    return folder


@pytest.fixture(scope="module")
def prepared(folder: Path) -> Prepared:
    return prepare(read_study(folder / "study.toml"), Watcher(), None)


def run_of(prepared: Prepared, name: str) -> RunPlan:
    return next(run for run in prepared.plan.runs if run.method.name == name)


def our_logits(prepared: Prepared, store: Store, run: RunPlan, row: int) -> tuple[list[list[int]], Tensor]:
    """Whole ids of some Chinese utterances, and the logits of the model that serves Chinese in a row of R."""
    model = prepared.model
    trains, flat_P = made_model(store, model, run.made[run.steps.rows[row].reads["zh-CN"]])
    weights = model.weights(trains, flat_P)
    encoded = prepared.encoded["zh-CN", "test"].select(np.arange(5))
    hidden = model.backbone.encode(assemble([part(encoded, np.arange(5))]), weights.encoder)[0]
    whole = prepared.vocabulary.kept[encoded.ids]
    ids = [whole[start:end].tolist() for start, end in zip(encoded.offsets, encoded.offsets[1:], strict=False)]
    return ids, functional.linear(hidden, weights.head_weight, weights.head_bias)


@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")  # peft asks transformers for it
@pytest.mark.parametrize("name", [each if isinstance(each, str) else each["name"] for each in METHODS])
def test_a_merged_model_gives_the_logits_that_were_scored(name: str, folder: Path, prepared: Prepared, tmp_path: Path) -> None:
    store, run, out = Store(folder / "results"), run_of(prepared, name), tmp_path / "model"
    export_stage(folder / "results", f"{run.key}:zh-CN", out)
    with quiet_transformers():
        if name in ADAPTERS:
            peft = pytest.importorskip("peft")
            base = AutoModelForTokenClassification.from_pretrained(out / "base", num_labels=len(prepared.labels))
            loaded = peft.PeftModel.from_pretrained(base, str(out))
            assert json.loads((out / "adapter_config.json").read_text(encoding="utf-8"))["r"] == 2 * 2
        else:
            loaded = AutoModelForTokenClassification.from_pretrained(out)
            assert not (out / "adapter_config.json").exists()
    ids, ours = our_logits(prepared, store, run, row=1)
    with torch.no_grad():
        logits = [loaded.eval()(input_ids=torch.tensor([each])).logits[0] for each in ids]
    scored = prepared.encoded["zh-CN", "test"].select(np.arange(5)).labels >= 0
    theirs = torch.cat(logits)[torch.from_numpy(scored)]
    torch.testing.assert_close(theirs, ours, atol=5e-5, rtol=1e-5)
    _, first = our_logits(prepared, store, run, row=0)
    assert (first - ours).abs().max() > 1e-2, "the model of another row would pass"


def test_the_key_of_a_merge_and_of_a_stage_in_it(folder: Path, prepared: Prepared, tmp_path: Path) -> None:
    """A key names the merged model or one learner alone; the card says which, with the scores of that model."""
    results, run = folder / "results", run_of(prepared, "ties")
    (merge, alone), key = (run.made[3], run.made[2]), "model-index"
    export_stage(results, merge.key, tmp_path / "merged")
    export_stage(results, alone.key, tmp_path / "alone")
    merged, single = (ModelCard.load(tmp_path / each / "README.md") for each in ("merged", "alone"))
    assert "2 models merged (ties, density = 0.2, scale = 1.0), of en-US; zh-CN." in merged.text
    assert "languages in this order: zh-CN." in single.text
    assert (merged.data.language, single.data.language) == (["en", "zh"], ["zh"])
    assert key in merged.content
    text = (results / "runs" / run.key / "matrix.csv").read_text(encoding="utf-8").splitlines()
    last = dict(zip(text[0].split(","), text[-1].split(","), strict=True))
    assert {each.dataset_config: each.metric_value for each in merged.data.eval_results} == {
        each: pytest.approx(float(last[each]), abs=1e-6) for each in ("en-US", "zh-CN")
    }
    assert (merged.data.library_name, single.data.library_name) == ("transformers", "peft")


def test_a_merge_of_a_users_own_is_refused(folder: Path, prepared: Prepared, tmp_path: Path) -> None:
    path = folder / "results" / "runs" / run_of(prepared, "mean").key / "spec.json"
    text = path.read_text(encoding="utf-8")
    try:
        path.write_text(text.replace('"name": "mean",\n    "scale"', '"name": "median",\n    "scale"'), encoding="utf-8")
        with pytest.raises(AttritionError, match=r"way to merge that can be exported 'median'.*Known: mean, ties"):
            export_stage(folder / "results", f"{path.parent.name}:zh-CN", tmp_path / "model")
    finally:
        path.write_text(text, encoding="utf-8")
    assert not (tmp_path / "model").exists()

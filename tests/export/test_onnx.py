"""ONNX files of every architecture, and the check that refuses a wrong one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import transformers

from attrition.encoder.hub import quiet_transformers
from attrition.export import onnx
from attrition.export.onnx import write_onnx
from attrition.names import AttritionError

pytest.importorskip("onnxruntime")
IDS = list(range(4, 24))
T5 = {"num_layers": 1, "d_model": 16, "d_kv": 8, "d_ff": 24, "num_heads": 2}
KINDS: dict[str, dict[str, Any]] = {
    "bert": {}, "xlm-roberta": {}, "camembert": {}, "electra": {"embedding_size": 16},
    "distilbert": {"dim": 16, "hidden_dim": 24},
    "deberta-v2": {"position_buckets": 16, "relative_attention": True, "pos_att_type": ["p2c", "c2p"]},
    "eurobert": {"bos_token_id": 0, "eos_token_id": 2, "mask_token_id": 3}, "mt5": T5,
    "modernbert": {"bos_token_id": 0, "eos_token_id": 2, "cls_token_id": 0, "sep_token_id": 2},
}  # fmt: skip


def made(kind: str) -> Any:
    """A random token classifier with weights large enough that logits differ."""
    config = transformers.AutoConfig.for_model(
        kind, **{"vocab_size": 60, "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 24,
        "max_position_embeddings": 80, "num_labels": 5, "initializer_range": 0.5, "pad_token_id": 1, **KINDS[kind]}
    )  # fmt: skip
    with torch.random.fork_rng(devices=[]), quiet_transformers():
        torch.manual_seed(0)
        return transformers.AutoModelForTokenClassification.from_config(config)


@pytest.mark.parametrize("kind", KINDS)
def test_every_architecture(kind: str, tmp_path: Path) -> None:
    module = made(kind)
    file = write_onnx(tmp_path / "model.onnx", module, IDS)
    assert file.difference < 1e-4
    assert file.num_bytes == (tmp_path / "model.onnx").stat().st_size
    assert min(file.milliseconds, file.torch_milliseconds) > 0
    assert not module.training


def test_a_wrong_file_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The model changes after it was traced: the check sees it, and the file is gone."""
    module, export = made("bert"), torch.onnx.export

    def then_change(*arguments: Any, **how: Any) -> None:
        export(*arguments, **how)
        with torch.no_grad():
            module.classifier.bias += 0.01

    monkeypatch.setattr(onnx.torch.onnx, "export", then_change)
    with pytest.raises(AttritionError, match=r"differ from the model's by 0\.01"):
        write_onnx(tmp_path / "model.onnx", module, IDS)
    assert list(tmp_path.iterdir()) == []


def test_what_the_exporter_cannot_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise RuntimeError("no such operator")

    monkeypatch.setattr(onnx.torch.onnx, "export", fail)
    with pytest.raises(AttritionError, match=r"cannot be written as ONNX \(no such operator\)"):
        write_onnx(tmp_path / "model.onnx", made("bert"), IDS)

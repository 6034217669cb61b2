"""Study files and stored stages of strangers."""

from __future__ import annotations

import hashlib
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save

from attrition.names import AttritionError
from attrition.problem.counts import Counts
from attrition.store.stages import MANIFEST, DamagedError, Store, StoredEvaluation, StoredHistory
from attrition.study.spec import apply_change, build_study
from attrition.training.train import Epoch

KEY = "0123456789abcdef"


def test_a_grouping_whose_name_no_file_can_have(tiny: dict[str, Any]) -> None:
    for name in ("x" * 5_000 + ".csv", "a\0b.toml"):
        raw = {**tiny, "methods": [{"method": "GROUPED LoRA", "shared_by": name}]}
        with pytest.raises(AttritionError, match=r"my\.toml: methods\[0\]\.shared_by"):
            build_study(raw, where="my.toml")


@pytest.mark.parametrize("change", ["training.epochs=" + "9" * 5_000, "training.epochs=" + "[" * 50_000, "a." * 5_000 + "b=1"])
def test_a_change_that_no_reader_takes(change: str, tiny: dict[str, Any]) -> None:
    def changed() -> None:
        raw = json.loads(json.dumps(tiny))
        apply_change(raw, change)
        build_study(raw, where="my.toml")

    with pytest.raises(AttritionError):
        changed()


def forge(folder: Path, name: str, data: bytes) -> None:
    (folder / name).write_bytes(data)
    manifest = json.loads((folder / MANIFEST).read_text())
    manifest.pop("seal", None)
    manifest["files"][name] = {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    (folder / MANIFEST).write_text(json.dumps({**manifest, "format": 1}))


@pytest.mark.parametrize("data", [b"[]", b"{}", b"nothing", b"\xff", b"[" * 100_000, b'{"history": [{}]}'])
def test_a_forged_history(data: bytes, tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.save_stage(KEY, {}, {"w": np.ones(2, np.float32)}, StoredHistory((Epoch(1, 0.5, math.nan, 0.25),), 1, {}, 1.0))
    forge(tmp_path / "stages" / KEY, "history.json", data)
    with pytest.raises(DamagedError, match=r"history\.json does not have the expected content"):
        store.load_history(KEY)


@pytest.mark.parametrize(
    "table",
    [np.array([[1, 2, -3]], np.int16), np.ones((2, 3), np.float32), np.ones((2, 2), np.int16), np.ones(3, np.int16)],
    ids=["negative", "fractions", "two columns", "flat"],
)
def test_forged_counts(table: Any, tmp_path: Path) -> None:
    store = Store(tmp_path)
    one = np.ones(2, np.int16)
    store.save_evaluation(KEY, {}, StoredEvaluation({"en-US": Counts(one, one, one, np.ones((1, 3), np.int64))}, 0.5))
    arrays = {"en-US.utterances": table, "en-US.slots": np.ones((1, 3), np.int64)}
    forge(tmp_path / "evaluations" / KEY, "counts.safetensors", save(arrays))
    with pytest.raises(DamagedError, match="does not have the expected content"):
        store.load_evaluation(KEY)

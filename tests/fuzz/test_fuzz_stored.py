"""Stored stages and packs, damaged as discs do it (checksums tell) and as strangers do it (who make checksums that fit)."""

from __future__ import annotations

import hashlib
import json
import lzma
import math
import shutil
from collections.abc import Callable
from pathlib import Path
from random import Random
from types import ModuleType

import numpy as np
import pytest

from attrition.prepare.pack import open_pack, read_pack, write_pack
from attrition.problem.counts import Counts
from attrition.store.stages import MANIFEST, Store, StoredEvaluation, StoredHistory
from attrition.study.spec import build_study
from attrition.study.watcher import Watcher
from attrition.training.train import Epoch

Hunt = Callable[[Callable[[Random], None], int, int], None]
KEY = "0123456789abcdef"
TINY = {
    "name": "tiny",
    "languages": ["en-US", "de-DE"],
    "methods": ["VANILLA"],
    "corpus": {"name": "phrasebook", "sizes": {"train": 6, "dev": 3, "test": 3}},
    "model": {"name": "tiny:bert"},
    "machine": {"threads": 1, "device": "cpu"},
    "training": {"epochs": 1},
}


def seal(folder: Path) -> None:
    """Make the manifest's checksums those of the files as they are, as a stranger can; format 1 has no seal of its own."""
    manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    manifest.pop("seal", None)
    manifest["format"] = 1
    for name, entry in manifest["files"].items():
        data = (folder / name).read_bytes()
        entry.update({"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()})
    (folder / MANIFEST).write_text(json.dumps(manifest), encoding="utf-8")


@pytest.mark.parametrize("sealed", [False, True], ids=["damaged", "forged"])
@pytest.mark.parametrize("name", ["history.json", "weights.safetensors", "counts.safetensors", "details.json", MANIFEST])
def test_stored_stages(
    name: str, sealed: bool, hunt: Hunt, mutate: ModuleType, refusal: Callable[..., None], tmp_path: Path
) -> None:
    store = Store(tmp_path)
    history = StoredHistory((Epoch(1, 0.5, math.nan, 0.25), Epoch(2, 0.25, 0.5, 0.25)), 2, {"data": 0.1}, 0.99)
    store.save_stage(KEY, {"languages": ["en-US"]}, {"w": np.ones((2, 3), np.float32)}, history)
    counts = Counts(*(np.array(each, np.int16) for each in ([1, 0], [0, 2], [3, 0])), np.array([[1, 2, 3], [0, 0, 0]]))
    store.save_evaluation(KEY, {}, StoredEvaluation({"en-US": counts}, 0.25))
    in_stage = (tmp_path / "stages" / KEY / name).is_file()
    folder = tmp_path / ("stages" if in_stage else "evaluations") / KEY
    whole = {path.name: path.read_bytes() for path in folder.iterdir()}

    def attempt(random: Random) -> None:
        kind = mutate.BINARY if name.endswith("safetensors") else mutate.TEXTUAL
        data = mutate.mutated(whole[name], random, kind)
        (folder / name).write_bytes(data)
        if sealed and name != MANIFEST:
            seal(folder)
        try:
            if in_stage:
                store.problem("stages", KEY)
                tensors = store.load_tensors(KEY)
                assert sealed or tensors["w"].shape == (2, 3)
                assert sealed or store.load_history(KEY).kept_epoch == 2
                store.load_history(KEY)
            else:
                found = store.load_evaluation(KEY)
                assert sealed or found.counts["en-US"].by_slot.tolist() == counts.by_slot.tolist()
                assert all(math.isfinite(each.f1) for each in found.counts.values())
        except ValueError as error:
            refusal(error, str(folder))
        else:
            assert sealed or name == MANIFEST or data == whole[name]
        for each, content in whole.items():
            (folder / each).write_bytes(content)

    hunt(attempt, 12, 150)


@pytest.fixture(scope="module")
def pack(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("fuzz") / "pack"
    write_pack(build_study(TINY, where="tiny.toml"), folder, Watcher(), None)
    return folder


@pytest.mark.parametrize("sealed", [False, True], ids=["damaged", "forged"])
def test_packs(sealed: bool, pack: Path, hunt: Hunt, mutate: ModuleType, refusal: Callable[..., None], tmp_path: Path) -> None:
    copy = tmp_path / "pack"
    shutil.copytree(pack, copy)
    whole = {path.name: path.read_bytes() for path in copy.iterdir()}

    def attempt(random: Random) -> None:
        name = random.choice(list(whole))
        data = whole[name]
        if name.endswith(".xz") and sealed:
            data = lzma.compress(mutate.mutated(lzma.decompress(data), random, mutate.BINARY), preset=0)
        else:
            data = mutate.mutated(data, random, mutate.BINARY if name.endswith(".xz") else mutate.TEXTUAL)
        (copy / name).write_bytes(data)
        if sealed and name != MANIFEST:
            seal(copy)
        try:
            open_pack(copy)
            read_pack(copy, Watcher())
        except ValueError as error:
            refusal(error)
            assert str(copy) in str(error) or "pack" in str(error)  # noqa: PT017
        else:
            assert sealed or name == MANIFEST or data == whole[name]
        for each, content in whole.items():
            (copy / each).write_bytes(content)

    hunt(attempt, 25, 500)

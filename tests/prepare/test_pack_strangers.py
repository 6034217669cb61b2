"""Packs that strangers made: checksums that fit, and contents that do not."""

from __future__ import annotations

import hashlib
import json
import lzma
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load, save

from attrition.corpus.bounded import Bounds
from attrition.names import AttritionError
from attrition.prepare import pack as pack_module
from attrition.prepare.pack import MANIFEST, read_pack, write_pack
from attrition.study.spec import Study
from attrition.study.watcher import Watcher


@pytest.fixture(scope="module")
def whole(make_study: Callable[..., Study], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("strangers") / "pack"
    write_pack(make_study(), folder, Watcher(), None)
    return folder


@pytest.fixture
def copy(whole: Path, tmp_path: Path) -> Path:
    return shutil.copytree(whole, tmp_path / "pack")


def forge(folder: Path, name: str, data: bytes) -> None:
    """Put a file into a pack with the checksum that it has."""
    (folder / name).write_bytes(data)
    manifest = json.loads((folder / MANIFEST).read_text())
    manifest["files"][name] = {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    (folder / MANIFEST).write_text(json.dumps(manifest))


def changed(folder: Path, **arrays: Any) -> bytes:
    path = folder / "utterances.safetensors.xz"
    return lzma.compress(save({**load(lzma.decompress(path.read_bytes())), **arrays}))


def refused(folder: Path, said: str) -> None:
    with pytest.raises(AttritionError, match=said):
        read_pack(folder, Watcher())


def test_a_forged_pack_that_fits_is_read(copy: Path) -> None:
    forge(copy, "utterances.safetensors.xz", changed(copy))
    assert read_pack(copy, Watcher()).encoded


def test_a_bomb(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pack_module, "_BOUNDS", Bounds(always_bytes=1_000_000, ratio=5))
    forge(copy, "layers.safetensors.xz", lzma.compress(bytes(10_000_000)))
    refused(copy, r"layers\.safetensors\.xz is refused as too large: it unpacks to more than 1,000,000 bytes")


@pytest.mark.parametrize("name", ["/dev/zero", "../secret", "/etc/passwd"])
def test_a_manifest_that_names_a_file_elsewhere(name: str, copy: Path) -> None:
    (copy.parent / "secret").write_text("secret")
    manifest = json.loads((copy / MANIFEST).read_text())
    manifest["files"][name] = {"bytes": 6, "sha256": hashlib.sha256(b"secret").hexdigest()}
    (copy / MANIFEST).write_text(json.dumps(manifest))
    refused(copy, "missing or damaged")


def test_a_link_out_of_the_pack(copy: Path) -> None:
    data = (copy / "facts.json").read_bytes()
    (copy.parent / "elsewhere.json").write_bytes(data)
    (copy / "facts.json").unlink()
    (copy / "facts.json").symlink_to(copy.parent / "elsewhere.json")
    refused(copy, r"facts\.json is missing or damaged")


@pytest.mark.parametrize("huge", [10**12, -1, 2**62])
def test_counts_that_the_arrays_do_not_bear_out(huge: int, copy: Path) -> None:
    counts = load(lzma.decompress((copy / "utterances.safetensors.xz").read_bytes()))["counts"].copy()
    for column in range(3):
        counts[0, column] = huge
        forge(copy, "utterances.safetensors.xz", changed(copy, counts=counts))
        refused(copy, "The pack does not hold the number of utterances that it states")


def test_places_beyond_the_arrays(copy: Path) -> None:
    forge(copy, "utterances.safetensors.xz", changed(copy, unscored=np.array([10**9])))
    refused(copy, "the parts of the pack do not match")


def test_a_vocabulary_of_another_size(copy: Path) -> None:
    config = json.loads((copy / "config.json").read_text())
    forge(copy, "config.json", json.dumps({**config, "vocab_size": 10**12}).encode())
    refused(copy, "The pack is not of a vocabulary of 1,000,000,000,000 sub-tokens")


def test_a_configuration_that_wants_code_to_be_run(copy: Path) -> None:
    (copy / "evil.py").write_text("raise SystemExit('code of the pack was run')\nclass Config: pass\n")
    config = {"model_type": "evil", "auto_map": {"AutoConfig": "evil.Config"}}
    forge(copy, "config.json", json.dumps(config).encode())
    refused(copy, "do not match|not read|trust_remote_code")


def test_facts_of_other_types(copy: Path) -> None:
    facts = json.loads((copy / "facts.json").read_text())
    facts["corpus"]["slots"] = 5
    forge(copy, "facts.json", json.dumps(facts).encode())
    refused(copy, r"facts\.json: corpus\.slots: 5 is not allowed")
    forge(copy, "facts.json", b'{"corpus": {}, "encoding": {}}')
    refused(copy, "do not match")

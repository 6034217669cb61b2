"""Writes and reads packs: one folder with all inputs of a study, for a machine without network, corpus or encoder.

    manifest.json                 format; size and SHA-256 of every other file
    study.toml                    every setting (with the user's files of groups beside it)
    facts.json                    sources of corpus and encoder, for the results
    config.json                   the encoder's configuration
    embeddings.safetensors.xz     its word embeddings of the sub-tokens in use
    layers.safetensors.xz         its other weights
    utterances.safetensors.xz     the utterances, sampled and encoded

A pack gives back everything bit for bit, so keys of stages and numbers of runs are the same with and without it. All 52
locales of MASSIVE 1.1 with the embedded encoder take 43.8 MB (measured 2026-11-23): 24.0 MB for word embeddings (119,330 of
250,037 sub-tokens), 11.4 MB for layers, 8.4 MB for 859,092 utterances.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import lzma
import os
import shutil
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from pathlib import Path
from typing import Any

from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load, save
from transformers import AutoConfig

from attrition.corpus.bounded import BoundedReader, Bounds
from attrition.corpus.encoded import EncodingSettings
from attrition.files import sha256_of
from attrition.names import AttritionError
from attrition.prepare.materials import CorpusFacts, Materials, gather, refuse_missing_dev, vocabulary_of
from attrition.prepare.pack_encoder import about_encoder, kept_vocabulary, pack_embeddings, pack_layers, unpack_encoder
from attrition.prepare.pack_utterances import pack_utterances, unpack_utterances
from attrition.reading import parse_json, read_text
from attrition.store.folder import is_results
from attrition.store.stages import flush
from attrition.study.spec import Study
from attrition.study.standalone import STUDY_FILE, read_packed_study, study_files
from attrition.study.tables import as_dataclass
from attrition.study.watcher import Watcher

FORMAT = 1
MANIFEST = "manifest.json"

_FACTS, _CONFIG = "facts.json", "config.json"
_COMPRESSED = ("embeddings", "layers", "utterances")
_BOUNDS = Bounds(total_bytes=16_000_000_000)
_AT_ONCE = 8 << 20
"""Bytes per compressed piece: the default window of xz. Pieces are compressed in parallel and lose little."""


def write_pack(study: Study, folder: Path, watcher: Watcher, cache: Path | None) -> dict[str, int]:
    """Write the inputs of a study into a new folder and return the size of each file in bytes.

    Args:
        study: as read.
        folder: the new folder; if it exists, it must be empty. It is written atomically.
        watcher: receives progress.
        cache: folder for encoded languages, or None.

    Raises:
        AttritionError: `folder` is not empty or cannot be written, or something that the study names is missing.
    """
    _refuse_existing(folder)
    files = study_files(study)  # the cheapest mistakes first
    materials = gather(study, watcher, cache)
    refuse_missing_dev(study, materials.encoded)
    vocabulary = vocabulary_of(study, materials)
    pretrained = materials.pretrained
    corpus = dataclasses.asdict(materials.corpus)
    facts = {
        "attrition": version("attrition"),
        "corpus": corpus if corpus["portions"] else {name: value for name, value in corpus.items() if name != "portions"},
        "encoding": dataclasses.asdict(materials.encoding),
        "encoder": about_encoder(pretrained),
    }
    files |= {_FACTS: _json(facts), _CONFIG: pretrained.config.to_json_string(use_diff=False).encode()}
    contents = {
        "embeddings": pack_embeddings(pretrained, vocabulary),
        "layers": pack_layers(pretrained),
        "utterances": pack_utterances(materials.encoded, (*study.scored, *study.portions), vocabulary),
    }
    files |= _compressed({name: save(arrays) for name, arrays in contents.items()}, watcher)
    listed = {name: {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()} for name, data in files.items()}
    files[MANIFEST] = _json({"format": FORMAT, "files": listed})
    _write(folder, files)
    return {name: len(data) for name, data in files.items()}


def open_pack(folder: Path, changes: Sequence[str] = ()) -> Study:
    """Return the study of a pack; every file of the pack is checked.

    Args:
        folder: a pack.
        changes: `key=value` of methods, training, orders, seeds, evaluate, evaluate_on and machine.

    Raises:
        AttritionError: it is not a pack, is damaged or from a newer version; or a change is not allowed.
    """
    _check(folder)
    return read_packed_study(folder, changes)


def read_pack(folder: Path, watcher: Watcher) -> Materials:
    """Return the packed inputs, equal to those of `gather`.

    Raises:
        AttritionError: the pack is damaged or from a newer version.
    """
    _check(folder)
    facts = parse_json(read_text(folder / _FACTS), str(folder / _FACTS))
    arrays: dict[str, dict[str, NDArray[Any]]] = {}
    for done, name in enumerate(_COMPRESSED):
        watcher.reading(f"Unpacking {name}", done, len(_COMPRESSED))
        arrays[name] = _arrays(folder / _file(name))
    try:
        return _materials(folder, facts, arrays)
    except AttritionError:
        raise
    # A stranger may have made the pack: checksums prove an intact copy, not that its parts match.
    except (ArithmeticError, AttributeError, LookupError, OSError, RuntimeError, TypeError, ValueError) as error:
        raise AttritionError(f"{folder}: the parts of the pack do not match ({error}). Pack the study again.") from error


def _materials(folder: Path, facts: Mapping[str, Any], arrays: Mapping[str, Mapping[str, NDArray[Any]]]) -> Materials:
    config = AutoConfig.from_pretrained(folder, trust_remote_code=False)
    corpus: CorpusFacts = as_dataclass(facts["corpus"], CorpusFacts, f"{folder / _FACTS}: corpus")
    encoding: EncodingSettings = as_dataclass(facts["encoding"], EncodingSettings, f"{folder / _FACTS}: encoding")
    pretrained = unpack_encoder(arrays["embeddings"], arrays["layers"], config, facts["encoder"])
    vocabulary = kept_vocabulary(arrays["embeddings"], pretrained.vocabulary_size)
    names = [*corpus.cuts, *corpus.portions]  # all languages of the study, in its order, then further data
    encoded = unpack_utterances(arrays["utterances"], names, vocabulary)
    return Materials(corpus, pretrained, encoding, encoded)


def _arrays(path: Path) -> dict[str, NDArray[Any]]:
    """Return the arrays of one compressed file; its unpacked size is limited."""
    with BoundedReader(path, _BOUNDS) as file:
        data = file.read()
    try:
        arrays: dict[str, NDArray[Any]] = load(data)
    except (SafetensorError, KeyError, TypeError, ValueError) as error:
        raise AttritionError(f"{path} holds no safetensors ({error}). Pack the study again.") from error
    return arrays


def _refuse_existing(folder: Path) -> None:
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise AttritionError(f"{folder} exists already. Choose another folder for the pack, or remove that one.")


def _file(name: str) -> str:
    return f"{name}.safetensors.xz"


def _json(value: Mapping[str, Any]) -> bytes:
    return (json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False) + "\n").encode()


def _compressed(contents: Mapping[str, bytes], watcher: Watcher) -> dict[str, bytes]:
    """Return compressed files by name; pieces are compressed in parallel and joined, as xz allows."""
    pieces = [
        (name, memoryview(data)[start : start + _AT_ONCE])
        for name, data in contents.items()
        for start in range(0, len(data), _AT_ONCE)
    ]
    compressed: dict[str, list[bytes]] = {name: [] for name in contents}
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        done = pool.map(lambda piece: lzma.compress(piece[1]), pieces)
        for number, ((name, _), data) in enumerate(zip(pieces, done, strict=True)):
            watcher.packing(f"Packing {name}", number, len(pieces))
            compressed[name].append(data)
    return {_file(name): b"".join(parts) for name, parts in compressed.items()}


def _write(folder: Path, files: Mapping[str, bytes]) -> None:
    """Write a folder with these files, atomically."""
    temporary = folder.with_name(f".{folder.name}.{os.getpid()}.tmp")
    try:
        shutil.rmtree(temporary, ignore_errors=True)
        for name, data in files.items():
            path = temporary / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
            flush(path)
        _refuse_existing(folder)
        if folder.exists():
            folder.rmdir()  # empty; some systems cannot replace a folder
        temporary.replace(folder)
        flush(folder.parent)
    except OSError as error:
        raise AttritionError(f"{folder} cannot be written ({error.strerror or error}). Check the free space.") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _check(folder: Path) -> None:
    """Refuse a folder that is not a pack, is of a newer format, or has a file that does not match the manifest."""
    path = folder / MANIFEST
    if not path.is_file():
        hint = "It holds results. Give the study file or the pack that made them." if is_results(folder) else ""
        raise AttritionError(
            f"{folder} is not a pack: it has no {MANIFEST}. " + (hint or "`attrition prepare STUDY.toml OUT` makes one.")
        )
    try:
        manifest = parse_json(read_text(path), str(path))
        newer, files = manifest["format"] > FORMAT, dict(manifest["files"])
    except (ValueError, KeyError, TypeError) as error:
        raise AttritionError(f"{path} is damaged. Copy the pack again.") from error
    if newer:
        raise AttritionError(
            f"{folder} was packed by a newer version of attrition (format {manifest['format']}; this one reads up to "
            f"{FORMAT}). Install the newer version here, or pack with this version."
        )
    needed = (STUDY_FILE, _FACTS, _CONFIG, *map(_file, _COMPRESSED))
    for name in [*files, *(name for name in needed if name not in files)]:
        try:
            whole = _lies_in(folder, name) and sha256_of(folder / name) == files[name]["sha256"]
        except (OSError, KeyError, TypeError, ValueError):
            whole = False
        if not whole:
            raise AttritionError(f"{folder / name} is missing or damaged. Copy the pack again.")


def _lies_in(folder: Path, name: str) -> bool:
    """Return whether `name` is a plain file inside the folder; a stranger's manifest could name any device."""
    inside = not Path(name).is_absolute() and ".." not in Path(name).parts
    return inside and (folder / name).is_file() and (folder / name).resolve().is_relative_to(folder.resolve())

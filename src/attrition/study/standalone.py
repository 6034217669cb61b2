"""Writes a study as self-contained files, and reads a packed study with changed settings."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import tomli_w

from attrition.names import AttritionError
from attrition.registry import is_file_of_a_user
from attrition.study.spec import Study, read_study, resolved
from attrition.study.tables import fields_of

STUDY_FILE = "study.toml"
GROUPS = "groups-"
"""Prefix of copied files of groups."""
LANGUAGES = "languages-"
"""Prefix of the copied file of languages."""
OWN_METHODS = "method-"
"""Prefix of copied files of a user's methods."""
COPIED = (GROUPS, LANGUAGES, OWN_METHODS)

_FIXED = ("problem", "languages", "watch", "corpus", "encoding", "model")


def study_files(study: Study) -> dict[str, bytes]:
    """Return the study file and the files of groups, languages and methods that it names, by file name.

    The study file holds all other settings, with orders written out. It reads back as the same study in any folder.
    """
    table = resolved(study)
    files: dict[str, bytes] = {}
    methods, corpus = table["methods"], table["corpus"]
    named = [(entry, "shared_by", GROUPS) for entry in methods if Path(entry["shared_by"]).suffix in (".toml", ".csv")]
    named += [(entry, "method", OWN_METHODS) for entry in methods if is_file_of_a_user(entry["method"])]
    named += [(corpus, "languages", LANGUAGES)] if "languages" in corpus else []
    for entry, key, prefix in named:
        path = Path(entry[key])
        content = path.read_bytes()
        # The name holds a hash: a different file in the working folder cannot take its place.
        entry[key] = f"{prefix}{hashlib.sha256(content).hexdigest()[:12]}{path.suffix}"
        files[entry[key]] = content
    return {**files, STUDY_FILE: tomli_w.dumps(table).encode()}


def read_packed_study(folder: Path, changes: Sequence[str] = ()) -> Study:
    """Return the study of a pack, with `key=value` changes applied.

    Raises:
        AttritionError: a change is not allowed, or the pack fixes this setting.
    """
    study, packed = (read_study(folder / STUDY_FILE, each) for each in (changes, ()))
    for part in _FIXED:
        if (name := _first_difference(getattr(packed, part), getattr(study, part), part)) is not None:
            raise AttritionError(
                f"{name} was fixed when {folder} was packed. To change it, pack again: `attrition prepare STUDY.toml OUT "
                f"--set {name}=...`. Here you may change methods, training, orders, seeds, evaluate, evaluate_on and machine."
            )
    for name, portion in study.portions.items():
        if packed.portions.get(name) != portion:
            raise AttritionError(f"{portion.data} is not in {folder}. Pack the study again with an order that has these data.")
    return study


def _first_difference(packed: Any, given: Any, name: str) -> str | None:
    """Return the dotted name of the first setting that differs, or None."""
    if packed == given:
        return None
    if not hasattr(packed, "__dataclass_fields__"):
        return name
    inner = fields_of(given)
    return next(
        found
        for field, value in fields_of(packed).items()
        if (found := _first_difference(value, inner[field], f"{name}.{field}")) is not None
    )

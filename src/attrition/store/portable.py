"""Removes the folders of this machine from what goes into an archive; the names of files and models stay."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Collection
from pathlib import Path
from typing import Any

import tomli_w

from attrition.store.stages import seal

_LOCAL = "hub:"


def portable_study(study: bytes, methods: Collection[str] | None = None) -> bytes:
    """Return a study file without the paths of data, and with the model's name instead of its folder.

    With `methods`, only these stay, and `only` goes.
    """
    table = tomllib.loads(study.decode("utf-8"))
    fewer = methods is not None
    if methods is not None:
        table["methods"] = [each for each in table.get("methods", ()) if each.get("name") in methods]
        table["only"] = []
    corpus = table.get("corpus", {}).pop("path", None)
    stages = [stage for order in table.get("orders", ()) for stage in order.get("stages", ())]
    portions = [each for stage in stages for each in (stage if isinstance(stage, list) else [stage]) if isinstance(each, dict)]
    for portion in portions:
        portion["data"] = Path(portion["data"]).name
    renamed = _rename(table.get("model"))
    return study if corpus is None and not portions and not renamed and not fewer else tomli_w.dumps(table).encode()


def portable_spec(spec: bytes) -> bytes:
    """Return a run's spec.json with the model's name instead of its folder."""
    try:
        table = json.loads(spec)
    except ValueError:
        return spec  # damaged; the check of the archive says so
    return (json.dumps(table, indent=1, ensure_ascii=False) + "\n").encode() if _rename(_model_of(table)) else spec


def portable_manifest(manifest: str) -> str:
    """Return a stage's manifest with the model's name instead of its folder, sealed again."""
    table = json.loads(manifest)
    if not _rename(_model_of(table.get("about"))):
        return manifest
    if "seal" in table:
        table["seal"] = seal(table)
    return json.dumps(table, indent=1, ensure_ascii=False) + "\n"


def _model_of(table: Any) -> Any:
    return table.get("model") if isinstance(table, dict) else None


def _rename(model: Any) -> bool:
    """Shorten "hub:/a/folder/name" to "hub:name" in a table; return whether there was something to shorten."""
    name = model.get("name") if isinstance(model, dict) else None
    if not isinstance(name, str) or not name.startswith(_LOCAL):
        return False
    place = Path(name.removeprefix(_LOCAL))
    if not (place.is_absolute() or place.parts[:1] in ((".",), ("..",), ("~",)) or len(place.parts) > 2):
        return False
    model["name"] = f"{_LOCAL}{place.name}"
    return True

"""A study's settings as a file that stands alone, and what of them may be changed when it is run from a pack."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import tomli_w

from attrition.names import AttritionError
from attrition.run.spec import Study, read_study, resolved
from attrition.run.tables import fields_of

STUDY_FILE = "study.toml"

_FIXED = ("languages", "corpus", "encoding", "model")


def pack_study(study: Study) -> dict[str, bytes]:
    """The study file, and the files that it names: orders and groups of the user's own, by their name in the pack.

    An order file keeps its relative name, which names runs.

    Raises:
        AttritionError: an order file does not lie in or under the study's folder.
    """
    table = resolved(study)
    files: dict[str, bytes] = {}
    for each in study.orders:
        if isinstance(each, str) and (name := _file_of_order(each)):
            if Path(name).is_absolute() or ".." in Path(name).parts:
                raise AttritionError(
                    f"The order {each!r} is a file outside the study's folder, which a pack cannot hold. Move it beside "
                    "the study file."
                )
            files[name] = (study.folder / name).read_bytes()
    for entry in table["methods"]:
        if Path(entry["shared_by"]).suffix in (".toml", ".csv"):
            content = Path(entry["shared_by"]).read_bytes()
            # Named by its content: a file of the same name in the working folder cannot be another.
            entry["shared_by"] = f"groups-{hashlib.sha256(content).hexdigest()[:12]}{Path(entry['shared_by']).suffix}"
            files[entry["shared_by"]] = content
    return {STUDY_FILE: tomli_w.dumps(table).encode(), **files}


def read_packed_study(folder: Path, changes: Sequence[str] = ()) -> Study:
    """The study of a pack, with `key=value` changes applied.

    Raises:
        AttritionError: a change is not allowed, or is of something that was fixed when the pack was made.
    """
    study, packed = (read_study(folder / STUDY_FILE, each) for each in (changes, ()))
    for part in _FIXED:
        if (name := _first_difference(getattr(packed, part), getattr(study, part), part)) is not None:
            raise AttritionError(
                f"{name} was fixed when {folder} was packed: `attrition prepare STUDY.toml OUT --set {name}=...` packs it "
                "otherwise. Methods, training, orders, seeds, evaluate, evaluate_on and machine may be changed here."
            )
    return study


def _file_of_order(order: str) -> str | None:
    """The file that an order's name holds, as `file:mine.txt` and `blocks:mine.csv`."""
    form, _, rest = order.partition(":")
    is_file = form == "file" or (form == "blocks" and Path(rest).suffix in (".toml", ".csv"))
    return rest if is_file else None


def _first_difference(packed: Any, given: Any, name: str) -> str | None:
    """The dotted name of the first setting that differs."""
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

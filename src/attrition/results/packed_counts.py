"""Compresses the counts of many evaluations without loss.

Letters: E evaluations, N utterances or slots, K columns.

All evaluations of one language are stored in planes [E, N], one for each column. The columns of counts are true positives,
false positives, and gold spans (true positives and false negatives). The last plane is the same in every row, and the
others have small numbers, so xz compresses them well. 12 million synthetic triples take 1.9 MB; rows of triples take 2.3 MB,
planes with zstd or as Parquet 2.0 MB.
"""

from __future__ import annotations

import lzma
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load, save

from attrition.corpus.bounded import BoundedReader, Bounds
from attrition.names import AttritionError

Arrays = Mapping[str, NDArray[Any]]
"""The integer arrays of one evaluation by name, each [N, K]: counts [N, 3], and types of errors [N, 5]."""

BOUNDS = Bounds(ratio=10_000)
REMEDY = "Copy the archive or make it again."
"""What to do with a damaged file of an archive."""

ERROR_COLUMNS = ("type", "boundary", "boundary_and_type", "missed", "spurious")
"""The types of errors in slots.parquet, in the order of `attrition.problem.spans.ERROR_TYPES`."""

COUNTED = 3
"""Columns of counts: true positives, false positives, false negatives."""

STAGES = "stages.json.xz"
COUNTS = "counts.safetensors.xz"
"""The files of an archive with the list of evaluations and the counts."""


def without_variant(key: str) -> str:
    """Return the key of a stage or an evaluation without the number of its variant.

    Kinds of processors round differently. An archive keeps both results of a stage that two of them trained: "1a2b", "1a2b.2".

    >>> without_variant("1a2b.2"), without_variant("1a2b")
    ('1a2b', '1a2b')
    """
    return key.partition(".")[0]


def pack_counts(evaluations: Mapping[str, Arrays]) -> tuple[bytes, list[dict[str, Any]]]:
    """Return the compressed planes, and for each group array name, type and keys of the evaluations."""
    grouped: dict[tuple[str, str, tuple[int, ...]], list[str]] = {}
    for key in sorted(evaluations):
        for name, array in sorted(evaluations[key].items()):
            grouped.setdefault((name, str(array.dtype), array.shape), []).append(key)
    planes: dict[str, NDArray[Any]] = {}
    groups: list[dict[str, Any]] = []
    for number, ((name, dtype, _), keys) in enumerate(grouped.items()):
        columns_KEN = np.moveaxis(np.stack([evaluations[key][name] for key in keys]).astype(np.int64), 2, 0)
        if len(columns_KEN) == COUNTED:
            columns_KEN[2] += columns_KEN[0]
        for column, values_EN in enumerate(columns_KEN):
            planes[f"{number}.{column}"] = np.ascontiguousarray(_smallest(values_EN))
        groups.append({"name": name, "dtype": dtype, "columns": len(columns_KEN), "evaluations": keys})
    return lzma.compress(save(planes)), groups


def unpack_counts(path: Path, groups: list[dict[str, Any]]) -> dict[str, dict[str, NDArray[Any]]]:
    """Return the arrays of every evaluation in a packed file.

    Raises:
        AttritionError: the file was not written by `pack_counts`.
    """
    with BoundedReader(path, BOUNDS, REMEDY) as file:
        data = file.read()
    found: dict[str, dict[str, NDArray[Any]]] = {}
    try:
        planes = load(data)
        for number, group in enumerate(groups):
            columns_KEN = [planes[f"{number}.{column}"].astype(np.int64) for column in range(group["columns"])]
            if len(columns_KEN) == COUNTED:
                columns_KEN[2] -= columns_KEN[0]
            arrays_ENK = np.stack(columns_KEN, axis=2).astype(np.dtype(group["dtype"]))
            for key, array_NK in zip(group["evaluations"], arrays_ENK, strict=True):
                found.setdefault(key, {})[group["name"]] = array_NK
    except (SafetensorError, KeyError, TypeError, ValueError) as error:
        raise AttritionError(f"{path} holds no counts ({error}). {REMEDY}") from error
    return found


def _smallest(values: NDArray[np.int64]) -> NDArray[Any]:
    most = int(values.max(initial=0))
    return values.astype(np.uint8 if most < 1 << 8 else np.uint16 if most < 1 << 16 else np.int64)

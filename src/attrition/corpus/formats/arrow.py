"""Reads Parquet and Arrow files of the library `datasets`, with pyarrow only.

The class names (`ClassLabel`) come from the schema's metadata under "huggingface", or from a `dataset_info.json` beside the
file. `attrition.corpus.formats.records` lists the columns.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from attrition.corpus.formats.records import row_of_record
from attrition.corpus.formats.row import Layout, Row
from attrition.corpus.rows import OnProblem, in_place, refuse
from attrition.names import AttritionError
from attrition.reading import is_text, parse_json, read_text

MOST_BYTES = 1_000_000_000
"""The largest table that is read, in bytes: it is loaded into memory."""


def read_parquet(path: Path, file: str, layout: Layout, _warn: OnProblem) -> Iterator[Row]:
    """Yield the rows of a Parquet file; see `attrition.corpus.formats.row.Reader`."""
    import pyarrow.parquet as pq

    yield from _rows(lambda: pq.ParquetFile(path).read(), path, file, layout)


def read_arrow(path: Path, file: str, layout: Layout, _warn: OnProblem) -> Iterator[Row]:
    """Yield the rows of an Arrow file, in the stream format (as `save_to_disk` writes) or the file format."""
    import pyarrow as pa

    def table() -> Any:
        try:
            with pa.memory_map(str(path)) as source:
                return pa.ipc.open_stream(source).read_all()
        except pa.ArrowInvalid:
            with pa.memory_map(str(path)) as source:
                return pa.ipc.open_file(source).read_all()

    yield from _rows(table, path, file, layout)


def _rows(load: Any, path: Path, file: str, layout: Layout) -> Iterator[Row]:
    import pyarrow as pa

    if (size := path.stat().st_size) > MOST_BYTES:
        raise AttritionError(f"{file}: {size:,} bytes; at most {MOST_BYTES:,} are read from one file. Split it.")
    try:
        table = load()
        table.validate(full=True)
        records: list[dict[str, Any]] = table.to_pylist()
        metadata = (table.schema.metadata or {}).get(b"huggingface", b"")
    except (pa.ArrowException, OSError, ValueError, MemoryError) as error:
        reason = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
        raise AttritionError(f"{file} is damaged, or no file of a table ({reason}). Save it again.") from error
    names = _class_names(metadata, path)
    if _only_counts([record.get("id") for record in records]):
        records = [{key: value for key, value in record.items() if key != "id"} for record in records]
    for number, record in enumerate(records, start=1):
        try:
            # A row has every column, also those without a value.
            given = {key: value for key, value in record.items() if value is not None}
            text = json.dumps(given, ensure_ascii=False, default=str)
            if not is_text(text) or "\\u0000" in text:
                raise AttritionError("half a surrogate pair or U+0000, which is no text. Take it out.")
            yield row_of_record(number, given, layout, names)
        except AttritionError as error:
            refuse(in_place(file, number, error, unit="row"))


def _only_counts(ids: Sequence[object]) -> bool:
    """Return True if ids are just 0, 1, 2, ...: such ids would make utterances of two languages look like translations."""
    return all(str(found) == str(number) for number, found in enumerate(ids))


def _class_names(metadata: bytes, path: Path) -> dict[str, list[str]]:
    """Return the class names of each column, from the schema's metadata or `dataset_info.json`."""
    beside = path.with_name("dataset_info.json")
    info: Mapping[str, Any] = {}
    if metadata:
        info = parse_json(metadata.decode("utf-8", "replace"), f"{path}, metadata").get("info", {})
    if not (isinstance(info, dict) and info.get("features")) and beside.is_file():
        info = parse_json(read_text(beside), str(beside))
    features = info.get("features") if isinstance(info, dict) else None
    if not isinstance(features, dict):
        return {}
    return {column: found for column, feature in features.items() if (found := _names_in(feature))}


def _names_in(feature: Any) -> list[str]:
    """Return the first list of names at any depth of a feature: a list is [x], {"feature": x} or "Sequence"."""
    if isinstance(feature, list):
        return next(filter(None, map(_names_in, feature)), [])
    if not isinstance(feature, dict):
        return []
    names = feature.get("names")
    if isinstance(names, list) and all(isinstance(name, str) for name in names):
        return names
    return next(filter(None, map(_names_in, feature.values())), [])

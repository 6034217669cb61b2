"""Parquet and Arrow files, as the library `datasets` writes them; pyarrow reads them, and `datasets` is not needed.

The names of classes (`ClassLabel`) come from the schema's metadata under "huggingface", or from a `dataset_info.json` beside
the file. `attrition.corpus.formats.records` says which columns are read.
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
"""The largest file of a table that is read: it is held in memory whole."""


def read_parquet(path: Path, file: str, layout: Layout, _warn: OnProblem) -> Iterator[Row]:
    """Yield the rows of a Parquet file; `attrition.corpus.formats.row.Reader` says what is given and raised."""
    import pyarrow.parquet as pq

    yield from _rows(lambda: pq.ParquetFile(path).read(), path, file, layout)


def read_arrow(path: Path, file: str, layout: Layout, _warn: OnProblem) -> Iterator[Row]:
    """Yield the rows of an Arrow file, a stream (as `save_to_disk` writes it) or not."""
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
            # Columns that a row has no value in are there all the same.
            given = {key: value for key, value in record.items() if value is not None}
            text = json.dumps(given, ensure_ascii=False, default=str)
            if not is_text(text) or "\\u0000" in text:
                raise AttritionError("half a surrogate pair or U+0000, which is no text. Take it out.")
            yield row_of_record(number, given, layout, names)
        except AttritionError as error:
            refuse(in_place(file, number, error, unit="row"))


def _only_counts(ids: Sequence[object]) -> bool:
    """Return True if ids are nothing but 0, 1, 2, ...: such ids would make utterances of two languages seem translations."""
    return all(str(found) == str(number) for number, found in enumerate(ids))


def _class_names(metadata: bytes, path: Path) -> dict[str, list[str]]:
    """Return the names of the classes of each column, from the schema's metadata or the file beside."""
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
    """Return the first list of names inside a feature, however deep: lists are written as [x], {"feature": x} or "Sequence"."""
    if isinstance(feature, list):
        return next(filter(None, map(_names_in, feature)), [])
    if not isinstance(feature, dict):
        return []
    names = feature.get("names")
    if isinstance(names, list) and all(isinstance(name, str) for name in names):
        return names
    return next(filter(None, map(_names_in, feature.values())), [])

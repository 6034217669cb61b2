"""Turns tables of a TOML file into frozen dataclasses; refuses unknown keys, wrong types and values out of range."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypeVar, get_args, get_origin, get_type_hints

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from attrition.names import AttritionError, look_up, unknown

M = TypeVar("M", bound=BaseModel)

# No conversion: "5" is not a number, true is not 1, and nan and inf are refused.
_STRICT = ConfigDict(strict=True, allow_inf_nan=False)


def as_dataclass(raw: Any, kind: type[Any], where: str) -> Any:
    """Return a dataclass made from a table; nested tables become dataclasses too.

    >>> from attrition.corpus.dataset import Sizes
    >>> as_dataclass({"train": 10}, Sizes, "study.toml: corpus.sizes").train
    10
    """
    table = as_table(raw, where)
    known_keys(table, names_of(kind), where)
    hints = get_type_hints(kind)
    values = {}
    for key, value in table.items():
        inner = f"{where}.{key}"
        if isinstance(hints[key], type) and dataclasses.is_dataclass(hints[key]):
            values[key] = as_dataclass(value, hints[key], inner)
        else:
            values[key] = as_value(value, hints[key], inner)
    try:
        return kind(**values)
    except AttritionError as error:
        raise AttritionError(f"{where}: {error}") from error


def as_value(value: Any, hint: Any, where: str) -> Any:
    """Return `value` as the hinted type.

    >>> as_value([1, 2], tuple[int, ...], "study.toml: seeds")
    (1, 2)
    >>> as_value("3", int, "study.toml: training.epochs")
    Traceback (most recent call last):
    attrition.names.AttritionError: study.toml: training.epochs: '3' is not allowed: input should be a valid integer.
    """
    if get_origin(hint) is Literal and isinstance(value, str):
        return look_up(value, {choice: choice for choice in get_args(hint)}, kind="value", where=where)
    try:
        return TypeAdapter(hint, config=_STRICT).validate_python(_tuples(value))
    except ValidationError as error:
        first = error.errors()[0]
        at = "".join(
            f"[{part}]" for part in first["loc"] if isinstance(part, int | str) and part not in ("int", "float", "str")
        )
        message = first["msg"].lower().replace("tuple", "list").replace("dictionary", "table")
        raise AttritionError(f"{where}{at}: {_toml(first['input'])} is not allowed: {message}.") from error


def as_model(raw: Mapping[str, Any], kind: type[M], where: str) -> M:
    """Return a pydantic model made from a table; errors read as those of `as_dataclass`."""
    known_keys(raw, list(kind.model_fields), where)
    try:
        return kind.model_validate(_tuples(dict(raw)), strict=True)
    except ValidationError as error:
        first = error.errors()[0]
        at = ".".join([where, *(str(part) for part in first["loc"])])
        if first["type"] == "literal_error":
            hint = get_type_hints(kind)[str(first["loc"][0])]
            raise unknown(str(first["input"]), [str(each) for each in get_args(hint)], kind="value", where=at) from error
        raise AttritionError(f"{at}: {_toml(first['input'])} is not allowed: {first['msg'].lower()}.") from error


def known_keys(table: Mapping[str, Any], known: Sequence[str], where: str) -> None:
    """Refuse a key that is not one of `known`."""
    for key in table:
        if key not in known:
            raise unknown(key, known, kind="setting", where=where)


def as_table(raw: Any, where: str) -> Mapping[str, Any]:
    """Return `raw` if it is a table, else raise."""
    if not isinstance(raw, Mapping):
        raise AttritionError(f"{where}: a table is expected, not {_toml(raw)}.")
    return raw


def as_list(raw: Any, where: str) -> list[Any]:
    """Return `raw` if it is a list, else raise."""
    if not isinstance(raw, list):
        raise AttritionError(f"{where}: a list is expected, not {_toml(raw)}. Put it in brackets.")
    return raw


def names_of(kind: type[Any]) -> list[str]:
    """Return the names of the fields of a dataclass."""
    return [each.name for each in dataclasses.fields(kind)]


def fields_of(value: Any) -> dict[str, Any]:
    """Return the fields of a dataclass and their values, uncopied."""
    return {name: getattr(value, name) for name in names_of(type(value))}


def plain(value: Any) -> Any:
    """Return tables, lists and values that TOML can hold (the inverse of `as_dataclass`); None is left out."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {key: plain(item) for key, item in fields_of(value).items() if item is not None}
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    return [plain(item) for item in value] if isinstance(value, list | tuple) else value


def _tuples(value: Any) -> Any:
    return tuple(_tuples(item) for item in value) if isinstance(value, list | tuple) else value


def _toml(value: Any) -> str:
    """Return a value as a study file writes it, shortened to 80 characters."""
    text = str(value).lower() if isinstance(value, bool) else repr(list(value) if isinstance(value, tuple) else value)
    return text if len(text) <= 80 else f"{text[:77]}..."

"""A user's own file of languages: attributes that our table does not have, or other values for them."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from attrition.languages.table import VITALITIES, Language
from attrition.languages.tags import OwnLanguages, language_of
from attrition.names import AttritionError, unknown
from attrition.reading import read_text

_FIRST = "locale"


def read_languages(path: Path, *, source: str = "") -> OwnLanguages:
    """Return the attributes of languages in a CSV file, by tag. Empty cells are filled from the table, or from the tag.

    The first column is `locale`. The others are attributes of a language: name, family, script, vitality and so on. A label may
    be any text: a dialect with its own name may also have a script and a family.

    Args:
        path: the file.
        source: name of the file in errors; by default its path.

    Raises:
        AttritionError: the file cannot be read, a column is unknown, a value is not allowed, or a language is there twice.
    """
    source = source or str(path)
    try:
        rows = csv.reader(io.StringIO(read_text(path)), strict=True)
        header = [name.strip() for name in next(rows, [])]
        if header[:1] != [_FIRST]:
            raise AttritionError(f"{source}, line 1: the first column is {header[:1]}, but it must be '{_FIRST}'.")
        for number, name in enumerate(header):
            if name not in (_FIRST, *_VALUES):
                raise unknown(name, (_FIRST, *_VALUES), kind="column", where=f"{source}, line 1")
            if name in header[:number]:
                raise AttritionError(f"{source}, line 1: the column {name!r} is there twice. Keep one of them.")
        found: dict[str, Language] = {}
        for row in rows:
            if row:
                language = _language(dict(zip(header, row, strict=False)), len(row), header, f"{source}, line {rows.line_num}")
                if language.locale in found:
                    raise AttritionError(f"{source}, line {rows.line_num}: {language.locale!r} is there twice. Keep one row.")
                found[language.locale] = language
    except csv.Error as error:
        raise AttritionError(f"{source} is not valid CSV: {error}. The first line is like: locale,family,script") from error
    return MappingProxyType(found)


def _language(row: Mapping[str, str], length: int, header: list[str], where: str) -> Language:
    if length != len(header):
        raise AttritionError(f"{where}: {length} values, but the header has {len(header)}. Leave unknown values empty.")
    values = {name: value.strip() for name, value in row.items() if value.strip()}
    label = values.pop(_FIRST, "")
    if not label or not label.isprintable():
        raise AttritionError(f"{where}: {label!r} cannot name a language. Write its tag, such as 'yor'.")
    given: dict[str, Any] = {}
    for name, value in values.items():
        try:
            given["stated_vitality" if name == "vitality" else name] = _VALUES[name](value)
        except ValueError:
            raise AttritionError(f"{where}: {name} {value!r} is not allowed. {_ALLOWED.get(name, 'Write a number.')}") from None
    base = language_of(label)
    if "script" in given and given["script"] != base.script:  # other attributes depend on the old script
        base = replace(base, script_type=None)
    if "joshi_class" in given:
        base = replace(base, stated_vitality=None)
    return replace(base, **given)


def _printable(text: str) -> str:
    if not text.isprintable():
        raise ValueError(text)
    return text


def _vitality(text: str) -> str:
    if text not in VITALITIES:
        raise ValueError(text)
    return text


def _script(text: str) -> str:
    if not (len(text) == 4 and text.isascii() and text.isalpha() and text == text.title()):
        raise ValueError(text)
    return text


def _joshi(text: str) -> int:
    if text not in ("0", "1", "2", "3", "4", "5"):
        raise ValueError(text)
    return int(text)


def _size(text: str) -> float:
    value = float(text)
    if not 0 < value < float("inf"):
        raise ValueError(text)
    return value


_TEXTS = ("name", "iso639_3", "glottocode", "script_type", "family", "branch", "note")
_VALUES: Mapping[str, Callable[[str], Any]] = {
    **dict.fromkeys(_TEXTS, _printable),
    "script": _script,
    "vitality": _vitality,
    "joshi_class": _joshi,
    "cc100_gib": _size,
    "cc100_tokens_m": _size,
}
_ALLOWED = {
    **dict.fromkeys(_TEXTS, "It holds a control character: take it out."),
    "script": "Write a code of ISO 15924, such as 'Latn'.",
    "vitality": f"Write one of {', '.join(VITALITIES)}.",
    "joshi_class": "Write a whole number from 0 to 5.",
    "cc100_gib": "Write a number greater than 0.",
    "cc100_tokens_m": "Write a number greater than 0.",
}

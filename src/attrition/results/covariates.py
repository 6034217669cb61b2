"""Covariates of a study's languages and pairs, from `covariates.json` of a results folder or a user's CSV.

Shape letters: L languages. Rows of a pair's table are the trained language, columns the changed one.
"""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from attrition.languages import LANGUAGES, not_a_locale
from attrition.names import AttritionError
from attrition.reading import parse_json, read_text

FILE = "covariates.json"
FORMAT = 1
DIGITS = 6

ByLanguage = Mapping[str, Mapping[str, float]]
ByPair = Mapping[str, Mapping[tuple[str, str], float]]

_REMEDY = "Remove the file: the same `attrition run` writes it again."


@dataclass(frozen=True, eq=False)
class Covariates:
    """Numbers by name: `language[name][locale]`, `pair[name][trained, changed]`. Unknown numbers are NaN or missing."""

    language: ByLanguage = field(default_factory=dict)
    pair: ByPair = field(default_factory=dict)

    def updated(self, other: Covariates) -> Covariates:
        """Return these covariates with those of `other`. For a name in both, `other` replaces all numbers.

        >>> Covariates({"fertility": {"de-DE": 1.4}}).updated(Covariates({"vowels": {"de-DE": 15.0}})).language
        {'fertility': {'de-DE': 1.4}, 'vowels': {'de-DE': 15.0}}
        """
        return Covariates({**self.language, **other.language}, {**self.pair, **other.pair})


def covariates_json(languages: Sequence[str], of: Covariates) -> str:
    """Return the text of `covariates.json`: numbers rounded to six digits, null for unknown numbers.

    >>> text = covariates_json(["de-DE", "th-TH"], Covariates({"fertility": {"de-DE": 1.4, "th-TH": 2.1}}))
    >>> text.splitlines()[3]
    '"language": {"fertility": [1.4, 2.1]},'
    """

    def number(value: float) -> float | None:
        return round(float(value), DIGITS) if math.isfinite(value) else None

    by_language = {name: [number(given.get(each, math.nan)) for each in languages] for name, given in of.language.items()}
    by_pair = {
        name: [[number(given.get((trained, changed), math.nan)) for changed in languages] for trained in languages]
        for name, given in of.pair.items()
    }
    parts = {"format": FORMAT, "languages": list(languages), "language": by_language, "pair": by_pair}
    lines = [f"{json.dumps(name)}: {json.dumps(part, ensure_ascii=False)}" for name, part in parts.items()]
    return "{\n" + ",\n".join(lines) + "\n}\n"


def read_covariates(folder: Path) -> Covariates | None:
    """Return the covariates in the `covariates.json` of a results folder or archive; None without this file.

    Raises:
        AttritionError: the file cannot be read, is malformed, or has another format.
    """
    path = folder / FILE
    return parse_covariates(read_text(path), str(path)) if path.is_file() else None


def parse_covariates(text: str, where: str) -> Covariates:
    """Return the covariates in the text of a `covariates.json`.

    Raises:
        AttritionError: it is malformed, or has another format.

    >>> text = covariates_json(["a", "b"], Covariates(pair={"overlap": {("a", "b"): 0.25}}))
    >>> found = parse_covariates(text, "covariates.json")
    >>> found.pair["overlap"]["a", "b"], found.pair["overlap"]["b", "a"]
    (0.25, nan)
    """
    raw = parse_json(text, where)
    if raw.get("format") != FORMAT:
        raise AttritionError(
            f"{where}: format {raw.get('format')!r} is not known; this version of attrition reads format {FORMAT}. {_REMEDY}"
        )
    languages = raw.get("languages")
    if not isinstance(languages, list) or not all(isinstance(each, str) and each for each in languages):
        raise AttritionError(f"{where}: 'languages' must be a list of names. {_REMEDY}")
    if len(set(languages)) < len(languages):
        raise AttritionError(f"{where}: 'languages' names a language twice. {_REMEDY}")
    by_language = {
        name: dict(zip(languages, _numbers(row, len(languages), f"{where}: language: {name!r}"), strict=True))
        for name, row in _table(raw, "language", where).items()
    }
    by_pair = {}
    for name, rows in _table(raw, "pair", where).items():
        place = f"{where}: pair: {name!r}"
        if not isinstance(rows, list) or len(rows) != len(languages):
            raise AttritionError(f"{place} must be a list of {len(languages)} rows, one a language. {_REMEDY}")
        by_pair[name] = {
            (trained, changed): value
            for trained, row in zip(languages, rows, strict=True)
            for changed, value in zip(languages, _numbers(row, len(languages), f"{place}, {trained}"), strict=True)
        }
    return Covariates(by_language, by_pair)


def joined(one: Covariates, other: Covariates) -> Covariates | None:
    """Return the covariates of both; None if they have different numbers for a language or pair.

    An unknown number is not a difference.

    >>> joined(Covariates({"fertility": {"a": 1.0}}), Covariates({"fertility": {"b": 2.0}})).language
    {'fertility': {'a': 1.0, 'b': 2.0}}
    >>> joined(Covariates({"fertility": {"a": 1.0}}), Covariates({"fertility": {"a": 1.5}})) is None
    True
    """
    by_language, by_pair = _joined(one.language, other.language), _joined(one.pair, other.pair)
    return None if by_language is None or by_pair is None else Covariates(by_language, by_pair)


def languages_of_covariates(of: Covariates) -> tuple[str, ...]:
    """Return every language that has a number, in the order of first appearance."""
    by_language = (locale for given in of.language.values() for locale in given)
    by_pair = (locale for given in of.pair.values() for pair in given for locale in pair)
    return tuple(dict.fromkeys([*by_language, *by_pair]))


def read_covariates_csv(path: Path, languages: Collection[str] = ()) -> Covariates:
    """Return the covariates of a user's CSV file.

    With a column `locale`, every other column of numbers is a covariate of languages; with columns `trained` and `changed`, of
    pairs. A column without any number (a remark, a name) is skipped. An empty cell is unknown.

    Args:
        path: the file; UTF-8, commas, names of columns in the first line.
        languages: names that are allowed besides the locales of MASSIVE.

    Raises:
        AttritionError: the file cannot be read, or is malformed; the message names file and line.
    """
    return parse_covariates_csv(read_text(path), str(path), languages)


def parse_covariates_csv(text: str, where: str, languages: Collection[str] = ()) -> Covariates:
    """Return the covariates in the text of a CSV file; see `read_covariates_csv`.

    Raises:
        AttritionError: it is malformed; the message names `where` and the line.

    >>> parse_covariates_csv("locale,vowels,remark\\nde-DE,15,umlauts\\nth-TH,,tones\\n", "mine.csv").language
    {'vowels': {'de-DE': 15.0}}
    >>> parse_covariates_csv("trained,changed,distance\\nde-DE,nl-NL,0.2\\n", "mine.csv").pair
    {'distance': {('de-DE', 'nl-NL'): 0.2}}
    >>> parse_covariates_csv("locale,vowels\\nde-DD,15\\n", "mine.csv")
    Traceback (most recent call last):
    attrition.names.UnknownNameError: mine.csv, line 2: 'de-DD' is not a locale of MASSIVE 1.1. Did you mean 'de-DE'?
    """
    rows = _rows(text, where)
    header = [name.strip() for name in rows[0][1]] if rows else []
    keys = ["trained", "changed"] if "locale" not in header else ["locale"]
    if not set(keys) <= set(header) or ("locale" in header and {"trained", "changed"} & set(header)):
        raise AttritionError(
            f"{where}, line 1: the header is {','.join(header)!r}. It needs a column 'locale' (one row a language), "
            "or the columns 'trained' and 'changed' (one row a pair)."
        )
    _refuse_names(header, f"{where}, line 1")
    known = {*LANGUAGES, *languages}
    places = [header.index(name) for name in keys]
    cells: dict[tuple[str, ...], tuple[int, list[str]]] = {}
    for line, row in rows[1:]:
        if len(row) != len(header):
            raise AttritionError(f"{where}, line {line}: {len(row)} values, but the header names {len(header)} columns.")
        stripped = [cell.strip() for cell in row]
        key = tuple(stripped[place] for place in places)
        for locale in key:
            if locale not in known:
                raise not_a_locale(locale, known, where=f"{where}, line {line}")
        if key in cells:
            raise AttritionError(f"{where}, line {line}: the same as line {cells[key][0]} ({', '.join(key)}). Keep one row.")
        cells[key] = (line, stripped)
    found: dict[str, dict[Any, float]] = {}
    for place, name in enumerate(header):
        if place in places or not any(_number(row[place]) is not None for _, row in cells.values()):
            continue
        found[name] = {}
        for key, (line, row) in cells.items():
            value = _number(row[place])
            if value is not None and math.isfinite(value):
                found[name][key if len(key) > 1 else key[0]] = value
            elif row[place]:
                raise AttritionError(
                    f"{where}, line {line}: {name} is {row[place]!r}, but should be a finite number. "
                    "Leave the cell empty where it is unknown."
                )
    if not found:
        raise AttritionError(f"{where}: no column of numbers besides {' and '.join(keys)}. Add one, with its name in line 1.")
    return Covariates(language=found) if keys == ["locale"] else Covariates(pair=found)


def _rows(text: str, where: str) -> list[tuple[int, list[str]]]:
    """Return the rows that are not empty, each with the number of its last line."""
    reader = csv.reader(io.StringIO(text), strict=True)
    try:
        return [(reader.line_num, row) for row in reader if any(cell.strip() for cell in row)]
    except csv.Error as error:
        raise AttritionError(f"{where}, line {reader.line_num}: not CSV: {error}.") from error


def _refuse_names(header: Sequence[str], where: str) -> None:
    for name in header:
        if not name or not name.isprintable():
            raise AttritionError(f"{where}: {name!r} cannot name a column. Give every column a name that can be printed.")
        if header.count(name) > 1:
            raise AttritionError(f"{where}: two columns are called {name!r}. Rename one.")


def _number(cell: str) -> float | None:
    try:
        return float(cell)
    except ValueError:
        return None


def _table(raw: Mapping[str, Any], part: str, where: str) -> Mapping[str, Any]:
    found = raw.get(part)
    if not isinstance(found, dict) or not all(name and name.isprintable() for name in found):
        raise AttritionError(f"{where}: {part!r} must be an object, from names to numbers. {_REMEDY}")
    return found


def _numbers(row: object, count: int, where: str) -> list[float]:
    if not isinstance(row, list) or len(row) != count:
        raise AttritionError(f"{where} must be a list of {count} numbers, one a language. {_REMEDY}")
    for value in row:
        # An integer in JSON may be larger than any float.
        if value is not None and (isinstance(value, bool) or not isinstance(value, int | float) or abs(value) > 1e300):
            raise AttritionError(f"{where}: {str(value)[:40]!r} is there, but should be a finite number or null. {_REMEDY}")
    return [math.nan if value is None else float(value) for value in row]


def _joined(one: Mapping[str, Mapping[Any, float]], other: Mapping[str, Mapping[Any, float]]) -> dict[str, Any] | None:
    together: dict[str, dict[Any, float]] = {name: dict(given) for name, given in one.items()}
    for name, given in other.items():
        mine = together.setdefault(name, {})
        for key, value in given.items():
            if math.isnan(mine.get(key, math.nan)):
                mine[key] = value
            elif not math.isnan(value) and value != mine[key]:
                return None
    return together

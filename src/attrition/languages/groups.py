"""Groups of languages: by script, family and other attributes, or by a user's own file."""

from __future__ import annotations

import csv
import io
import re
import tomllib
import unicodedata
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

from attrition.languages.table import LANGUAGES, as_text
from attrition.languages.tags import NONE_OF_ONES_OWN, OwnLanguages, is_tag, language_of, no_language
from attrition.names import AttritionError, look_up
from attrition.reading import read_text

GROUPINGS = ("all", "language", "script", "script_type", "latin", "family", "branch", "vitality", "joshi_class", "iso639_3")
"""The names that `grouping` knows; any other name is a user's own grouping."""

UNKNOWN_GROUP = "unknown"
"""The group of languages whose script, family and so on are unknown."""


def grouping(
    by: str | Path | Mapping[str, str],
    languages: Sequence[str] | None = None,
    *,
    folder: Path | None = None,
    own: OwnLanguages = NONE_OF_ONES_OWN,
) -> Mapping[str, str]:
    """Return the group of each language. Languages without a known attribute form the group "unknown".

    Args:
        by: a name of `GROUPINGS` ("all" puts every language in one group, "language" each in its own); or a user's own
            grouping, as a mapping from locale to group or as a file: TOML lines `de-DE = "west"`, or CSV with the header
            `locale,group`.
        languages: the tags to group, in the order of the result. By default MASSIVE's 52, or those in the user's own grouping.
        folder: the base of a relative file name.
        own: the user's file of languages, see `read_languages`.

    Raises:
        AttritionError: an unknown grouping or language; an unreadable file; a language that the user's own grouping
            names twice or leaves out; an empty group name.

    >>> dict(grouping("latin", ["de-DE", "th-TH"]))
    {'de-DE': 'Latin', 'th-TH': 'non-Latin'}
    >>> dict(grouping("family", ["de-DE", "yor", "my-dialect"]))
    {'de-DE': 'Indo-European', 'yor': 'unknown', 'my-dialect': 'unknown'}
    >>> dict(grouping({"de-DE": "west", "th-TH": "east"}))
    {'de-DE': 'west', 'th-TH': 'east'}
    """
    if isinstance(by, str) and Path(by).suffix not in (".toml", ".csv"):
        look_up(by, dict.fromkeys(GROUPINGS), kind="grouping")
        locales = tuple(LANGUAGES) if languages is None else languages
        return MappingProxyType({locale: _group_of(locale, by, own) for locale in locales})
    source, text, groups = _own_groups(by, folder or Path())
    known = {*LANGUAGES, *own, *(languages or ())}
    for locale, group in groups.items():
        place = _place_in(source, text, locale)
        if locale not in known and not is_tag(locale):
            raise no_language(locale, known, where=place)
        if not isinstance(group, str) or not group.strip():
            raise AttritionError(f"{place}: the group of {locale!r} is {group!r}, but it must be a text that is not empty.")
        if any(unicodedata.category(character) == "Cc" for character in group):
            raise AttritionError(f"{place}: the group of {locale!r}, {group!r}, holds a control character. Take it out.")
    missing = [locale for locale in languages or () if locale not in groups]
    if missing:
        raise AttritionError(f"{source}: no group for {', '.join(missing)}. Give every language of the study one.")
    return MappingProxyType({locale: groups[locale] for locale in (groups if languages is None else languages)})


def _group_of(locale: str, by: str, own: OwnLanguages) -> str:
    if by == "all":
        return "all"
    if by == "language":
        return locale
    value = language_of(locale, own).value(by)
    if value is None:
        return UNKNOWN_GROUP
    if by == "latin":
        return "Latin" if value else "non-Latin"
    return as_text(value)


def _own_groups(by: str | Path | Mapping[str, str], folder: Path) -> tuple[str, str, dict[str, str]]:
    """Return a user's own grouping: its name in errors, its text ("" for a mapping), and its unchecked groups."""
    if isinstance(by, Mapping):
        return "the grouping", "", dict(by)
    path, source = folder / by, str(by)
    text = _read_text(path)
    return source, text, _groups_of_toml(text, source) if path.suffix == ".toml" else _groups_of_csv(text, source)


def _read_text(path: Path) -> str:
    try:
        return read_text(path)
    except AttritionError as error:
        if isinstance(error.__cause__, FileNotFoundError):
            raise AttritionError(
                f"There is no grouping file {str(path)!r}. Give a file that exists, or one of: {', '.join(GROUPINGS)}."
            ) from None
        raise AttritionError(f"The grouping file {error}") from error


def _place_in(source: str, text: str, locale: str) -> str:
    """Return `source, line 4` for the line that starts with the locale, or `source` without such a line."""
    beginning = re.compile(rf"\s*[\"']?{re.escape(locale)}[\"']?\s*[=,]")
    for number, line in enumerate(text.splitlines(), start=1):
        if beginning.match(line):
            return f"{source}, line {number}"
    return source


def _groups_of_toml(text: str, source: str) -> dict[str, str]:
    try:
        return tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # also raised for a number with more digits than Python reads
        raise AttritionError(f'{source} is not valid TOML: {error}. Each line should read like: de-DE = "west".') from error


def _groups_of_csv(text: str, source: str) -> dict[str, str]:
    try:
        return _groups_of_rows(text, source)
    except csv.Error as error:
        raise AttritionError(f"{source} is not valid CSV: {error}. Each line should read like: de-DE,west") from error


def _groups_of_rows(text: str, source: str) -> dict[str, str]:
    rows = csv.reader(io.StringIO(text))
    header = [name.strip() for name in next(rows, [])]
    if header != ["locale", "group"]:
        raise AttritionError(f"{source}, line 1: the header is {','.join(header)!r}, but it must be 'locale,group'.")
    groups: dict[str, str] = {}
    for row in rows:
        if not row:
            continue
        where = f"{source}, line {rows.line_num}"
        if len(row) != 2:
            raise AttritionError(f"{where}: {len(row)} values, but a row has two, a locale and its group.")
        locale, group = row[0].strip(), row[1].strip()
        if locale in groups:
            raise AttritionError(f"{where}: {locale!r} already has the group {groups[locale]!r}. Keep one of the two rows.")
        groups[locale] = group
    return groups

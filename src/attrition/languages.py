"""The 52 locales of MASSIVE 1.1: what is known of each language, from which source, with which doubts; and their groupings."""

from __future__ import annotations

import csv
import io
import re
import tomllib
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from importlib import resources
from pathlib import Path
from types import MappingProxyType
from typing import Literal, get_args

from attrition.names import AttritionError, UnknownNameError, look_up, nearest
from attrition.reading import read_text

Vitality = Literal["Low", "Mid", "High"]
VITALITIES: tuple[Vitality, ...] = get_args(Vitality)

Value = str | int | float | bool
"""What an attribute of a language may be."""

SOURCES: Mapping[str, str] = MappingProxyType(
    {
        "locale": "FitzGerald et al. 2023, MASSIVE 1.1",
        "name": "English name, mostly that of Glottolog",
        "iso639_3": "ISO 639-3, the code of the individual language (not of the macrolanguage)",
        "glottocode": "Glottolog",
        "script": "ISO 15924",
        "script_type": "our classification of the script",
        "latin": "script is Latn",
        "family": "Glottolog",
        "branch": "Glottolog, a short name for a node on the path",
        "joshi_class": "Joshi et al. 2020, class list lang2tax",
        "vitality": "Low, Mid, High: Joshi classes 0-2, 3-4, 5",
        "cc100_gib": "Conneau et al. 2020, Table 6 (GiB)",
        "cc100_tokens_m": "Conneau et al. 2020, Table 6 (millions of tokens)",
        "note": "our doubts about the values of this row",
    }
)
"""Where each attribute comes from; its keys are all attributes of a `Language`."""

GROUPINGS = ("all", "language", "script", "script_type", "latin", "family", "branch", "vitality", "joshi_class", "iso639_3")
"""The names that `grouping` knows; everything else is a user's own."""


@dataclass(frozen=True, slots=True)
class Language:
    """One locale of MASSIVE and what is known of its language.

    `cc100_gib` (GiB) and `cc100_tokens_m` (millions) are the sizes of its CC-100 text, on which XLM-R was trained;
    `note` holds the doubts about the row and is empty where there are none.

    >>> LANGUAGES["zh-TW"].script, LANGUAGES["zh-TW"].iso639_3, LANGUAGES["zh-TW"].vitality
    ('Hant', 'cmn', 'High')
    """

    locale: str
    name: str
    iso639_3: str
    glottocode: str
    script: str
    script_type: str
    family: str
    branch: str
    joshi_class: int
    cc100_gib: float
    cc100_tokens_m: float
    note: str = ""

    @property
    def latin(self) -> bool:
        """Whether the language is written in Latin script."""
        return self.script == "Latn"

    @property
    def vitality(self) -> Vitality:
        """Low for Joshi's classes 0-2, Mid for 3-4, High for 5 (the paper does not say where it cuts)."""
        if self.joshi_class <= 2:
            return "Low"
        return "Mid" if self.joshi_class <= 4 else "High"

    def value(self, attribute: str) -> Value:
        """The value of a named attribute, such as "script".

        Raises:
            UnknownNameError: there is no such attribute.

        >>> LANGUAGES["sw-KE"].value("latin")
        True
        """
        look_up(attribute, SOURCES, kind="attribute of a language")
        value: Value = getattr(self, attribute)
        return value

    def record(self) -> dict[str, Value]:
        """All attributes by name, the derived ones included, ready for JSON."""
        return {attribute: self.value(attribute) for attribute in SOURCES}


def _read_table() -> Mapping[str, Language]:
    text = resources.files("attrition").joinpath("languages.csv").read_text(encoding="utf-8")
    header, *rows = csv.reader(io.StringIO(text))
    assert header == [field.name for field in fields(Language)], header
    languages = {}
    for locale, name, iso639_3, glottocode, script, script_type, family, branch, joshi, gib, tokens, note in sorted(rows):
        names = (locale, name, iso639_3, glottocode, script, script_type, family, branch)
        languages[locale] = Language(*names, int(joshi), float(gib), float(tokens), note)
    return MappingProxyType(languages)


LANGUAGES: Mapping[str, Language] = _read_table()
"""All 52 locales, in alphabetical order; read-only."""


def by_locale(locale: str, where: str = "") -> Language:
    """The language of a locale such as "de-DE".

    Args:
        locale: a locale of MASSIVE 1.1.
        where: where it was given ("study.toml, orders"), put first in the error.

    Raises:
        UnknownNameError: MASSIVE has no such locale; the message names the nearest.

    >>> by_locale("km-KH").name
    'Central Khmer'
    """
    return look_up(locale, LANGUAGES, kind="locale", where=where)


def not_a_locale(given: str, known: Iterable[str] = LANGUAGES, *, where: str = "") -> UnknownNameError:
    """The error that says that `given` is no locale, without listing all 52.

    >>> print(not_a_locale("ml-NL", where="orders/mine.txt, line 4"))
    orders/mine.txt, line 4: 'ml-NL' is not a locale of MASSIVE 1.1. Did you mean 'nl-NL'?
    """
    guess = nearest(given, known)
    hint = f"Did you mean {guess!r}?" if guess else "`attrition languages` lists them all."
    prefix = f"{where}: " if where else ""
    return UnknownNameError(f"{prefix}{given!r} is not a locale of MASSIVE 1.1. {hint}")


def doubts() -> dict[str, str]:
    """The notes on doubtful values, by locale.

    >>> sorted(doubts())
    ['ja-JP', 'my-MM', 'nb-NO', 'sl-SL', 'sv-SE', 'th-TH', 'tl-PH', 'zh-CN', 'zh-TW']
    """
    return {locale: language.note for locale, language in LANGUAGES.items() if language.note}


def _as_text(value: Value) -> str:
    """A value as a user writes it in a filter: `true`, `5`, `46.9`, `Latn`."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return format(value, "g") if isinstance(value, float) else str(value)


def select(where: Mapping[str, str]) -> tuple[Language, ...]:
    """The languages whose attributes have all the given values, in locale order.

    Args:
        where: values as text, compared without case: {"script": "Latn", "joshi_class": "5", "latin": "true"}.

    Returns:
        Possibly no language, if each value occurs but no language has all of them.

    Raises:
        UnknownNameError: there is no such attribute, or no language has the value.

    >>> [language.locale for language in select({"script": "Arab", "vitality": "mid"})]
    ['fa-IR', 'ur-PK']
    """
    chosen = tuple(LANGUAGES.values())
    for attribute, wanted in where.items():
        locales_by_value: dict[str, set[str]] = {}
        for language in LANGUAGES.values():
            locales_by_value.setdefault(_as_text(language.value(attribute)).casefold(), set()).add(language.locale)
        matching = locales_by_value.get(wanted.strip().casefold())
        if matching is None:
            values = list(dict.fromkeys(_as_text(language.value(attribute)) for language in LANGUAGES.values()))
            guess = nearest(wanted, values)
            hint = f" Did you mean {guess!r}?" if guess else ""
            listed = f" Known: {', '.join(sorted(values))}." if len(values) <= 30 else ""
            raise UnknownNameError(f"No language has {attribute} {wanted!r}.{hint}{listed}")
        chosen = tuple(language for language in chosen if language.locale in matching)
    return chosen


def grouping(
    by: str | Path | Mapping[str, str], languages: Sequence[str] | None = None, *, folder: Path | None = None
) -> Mapping[str, str]:
    """Which group each language belongs to.

    Args:
        by: a name of `GROUPINGS` ("all" puts every language in one group, "language" each in its own); or a user's own
            grouping, as a mapping from locale to group or as a file: TOML lines `de-DE = "west"`, or CSV with the header
            `locale,group`.
        languages: the locales to group, in the order of the result. By default all 52, or those that the user's own names.
        folder: where a relative file name starts.

    Raises:
        AttritionError: an unknown grouping, attribute or locale; an unreadable file; a locale that the user's own grouping
            names twice or leaves out; an empty group name.

    >>> dict(grouping("latin", ["de-DE", "th-TH"]))
    {'de-DE': 'Latin', 'th-TH': 'non-Latin'}
    >>> dict(grouping({"de-DE": "west", "th-TH": "east"}))
    {'de-DE': 'west', 'th-TH': 'east'}
    """
    if isinstance(by, str) and Path(by).suffix not in (".toml", ".csv"):
        look_up(by, dict.fromkeys(GROUPINGS), kind="grouping")
        locales = tuple(LANGUAGES) if languages is None else languages
        return MappingProxyType({locale: _group_of(locale, by) for locale in locales})
    source, text, groups = _own_groups(by, folder or Path())
    known = {*LANGUAGES, *(languages or ())}
    for locale, group in groups.items():
        place = _place_in(source, text, locale)
        if locale not in known:
            raise not_a_locale(locale, known, where=place)
        if not isinstance(group, str) or not group.strip():
            raise AttritionError(f"{place}: the group of {locale!r} is {group!r}, but it must be a text that is not empty.")
        if any(unicodedata.category(character) == "Cc" for character in group):
            raise AttritionError(f"{place}: the group of {locale!r}, {group!r}, holds a control character. Take it out.")
    missing = [locale for locale in languages or () if locale not in groups]
    if missing:
        raise AttritionError(f"{source}: no group for {', '.join(missing)}. Give every language of the study one.")
    return MappingProxyType({locale: groups[locale] for locale in (groups if languages is None else languages)})


def _group_of(locale: str, by: str) -> str:
    if by == "all":
        return "all"
    if by == "language":
        return locale
    if by == "latin":
        return "Latin" if by_locale(locale).latin else "non-Latin"
    return _as_text(by_locale(locale).value(by))


def _own_groups(by: str | Path | Mapping[str, str], folder: Path) -> tuple[str, str, dict[str, str]]:
    """A user's own grouping as what to call it in an error, its text ("" for a mapping), and its groups, not yet checked."""
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
    """`source, line 4` for the line that begins with the locale, or `source` when none does."""
    beginning = re.compile(rf"\s*[\"']?{re.escape(locale)}[\"']?\s*[=,]")
    for number, line in enumerate(text.splitlines(), start=1):
        if beginning.match(line):
            return f"{source}, line {number}"
    return source


def _groups_of_toml(text: str, source: str) -> dict[str, str]:
    try:
        return tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # also a number of more digits than Python reads
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

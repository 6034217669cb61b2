"""The 52 locales of MASSIVE 1.1: the attributes of each language, with sources and doubts."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from importlib import resources
from types import MappingProxyType
from typing import Literal, get_args

from attrition.names import UnknownNameError, look_up, nearest

Vitality = Literal["Low", "Mid", "High"]
VITALITIES: tuple[Vitality, ...] = get_args(Vitality)

Value = str | int | float | bool | None
"""The value of an attribute of a language; None is unknown."""

SOURCES: Mapping[str, str] = MappingProxyType(
    {
        "locale": "FitzGerald et al. 2023, MASSIVE 1.1",
        "name": "English name, mostly from Glottolog",
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
"""The source of each attribute; its keys are all attributes of a `Language`."""


@dataclass(frozen=True, slots=True)
class Language:
    """One language, by its tag, and its attributes. None is unknown; no locale of MASSIVE has an unknown attribute.

    `locale` is the tag in the data: "de-DE", "yor". `cc100_gib` (GiB) and `cc100_tokens_m` (millions) are the sizes of its
    CC-100 text, on which XLM-R was trained. `note` has the doubts about the row, or is empty. `stated_vitality` is a vitality
    that a user gave instead of a Joshi class.

    >>> LANGUAGES["zh-TW"].script, LANGUAGES["zh-TW"].iso639_3, LANGUAGES["zh-TW"].vitality
    ('Hant', 'cmn', 'High')
    """

    locale: str
    name: str
    iso639_3: str | None = None
    glottocode: str | None = None
    script: str | None = None
    script_type: str | None = None
    family: str | None = None
    branch: str | None = None
    joshi_class: int | None = None
    cc100_gib: float | None = None
    cc100_tokens_m: float | None = None
    note: str = ""
    stated_vitality: Vitality | None = None

    @property
    def latin(self) -> bool | None:
        """True if the language is written in Latin script; None if unknown."""
        return None if self.script is None else self.script == "Latn"

    @property
    def vitality(self) -> Vitality | None:
        """Return Low for Joshi's classes 0-2, Mid for 3-4, High for 5 (the paper does not give its limits)."""
        if self.stated_vitality is not None or self.joshi_class is None:
            return self.stated_vitality
        if self.joshi_class <= 2:
            return "Low"
        return "Mid" if self.joshi_class <= 4 else "High"

    def value(self, attribute: str) -> Value:
        """Return the value of a named attribute, such as "script".

        Raises:
            UnknownNameError: there is no such attribute.

        >>> LANGUAGES["sw-KE"].value("latin")
        True
        """
        look_up(attribute, SOURCES, kind="attribute of a language")
        value: Value = getattr(self, attribute)
        return value

    def record(self) -> dict[str, Value]:
        """Return all attributes by name, including derived ones, ready for JSON."""
        return {attribute: self.value(attribute) for attribute in SOURCES}


def _read_table() -> Mapping[str, Language]:
    text = resources.files("attrition.languages").joinpath("languages.csv").read_text(encoding="utf-8")
    header, *rows = csv.reader(io.StringIO(text))
    assert header == [field.name for field in fields(Language)][:-1], header  # the table has no stated vitality
    languages = {}
    for locale, name, iso639_3, glottocode, script, script_type, family, branch, joshi, gib, tokens, note in sorted(rows):
        names = (locale, name, iso639_3, glottocode, script, script_type, family, branch)
        languages[locale] = Language(*names, int(joshi), float(gib), float(tokens), note)
    return MappingProxyType(languages)


LANGUAGES: Mapping[str, Language] = _read_table()
"""All 52 locales, in alphabetical order; read-only."""


def not_a_locale(given: str, known: Iterable[str] = LANGUAGES, *, where: str = "") -> UnknownNameError:
    """Return the error for a `given` that is not a locale of MASSIVE, without a list of all 52.

    >>> print(not_a_locale("ml-NL", where="orders/mine.txt, line 4"))
    orders/mine.txt, line 4: 'ml-NL' is not a locale of MASSIVE 1.1. Did you mean 'nl-NL'?
    """
    guess = nearest(given, known)
    hint = f"Did you mean {guess!r}?" if guess else "`attrition languages` lists them all."
    prefix = f"{where}: " if where else ""
    return UnknownNameError(f"{prefix}{given!r} is not a locale of MASSIVE 1.1. {hint}")


def doubts() -> dict[str, str]:
    """Return the notes on doubtful values, by locale.

    >>> sorted(doubts())
    ['ja-JP', 'my-MM', 'nb-NO', 'sl-SL', 'sv-SE', 'th-TH', 'tl-PH', 'zh-CN', 'zh-TW']
    """
    return {locale: language.note for locale, language in LANGUAGES.items() if language.note}


def as_text(value: Value) -> str:
    """Return a value as a user writes it in a filter: `true`, `5`, `46.9`, `Latn`."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return format(value, "g") if isinstance(value, float) else str(value)


def select(where: Mapping[str, str]) -> tuple[Language, ...]:
    """Return the languages whose attributes have all the given values, in locale order.

    Args:
        where: values as text, compared without case: {"script": "Latn", "joshi_class": "5", "latin": "true"}.

    Returns:
        Possibly empty, if each value occurs but no language has all of them.

    Raises:
        UnknownNameError: there is no such attribute, or no language has the value.

    >>> [language.locale for language in select({"script": "Arab", "vitality": "mid"})]
    ['fa-IR', 'ur-PK']
    """
    chosen = tuple(LANGUAGES.values())
    for attribute, wanted in where.items():
        locales_by_value: dict[str, set[str]] = {}
        for language in LANGUAGES.values():
            locales_by_value.setdefault(as_text(language.value(attribute)).casefold(), set()).add(language.locale)
        matching = locales_by_value.get(wanted.strip().casefold())
        if matching is None:
            values = list(dict.fromkeys(as_text(language.value(attribute)) for language in LANGUAGES.values()))
            guess = nearest(wanted, values)
            hint = f" Did you mean {guess!r}?" if guess else ""
            listed = f" Known: {', '.join(sorted(values))}." if len(values) <= 30 else ""
            raise UnknownNameError(f"No language has {attribute} {wanted!r}.{hint}{listed}")
        chosen = tuple(language for language in chosen if language.locale in matching)
    return chosen

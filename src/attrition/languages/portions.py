"""The names of portions of data: the first has the name of its language, a later one has a number, as in "en-US (2)"."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable

_LATER = re.compile(r"(.+) \(([2-9]|[1-9][0-9]+)\)", re.DOTALL)


def portion(language: str, number: int) -> str:
    """Return the name of a language's portion of data, counted from 1.

    >>> portion("en-US", 1), portion("en-US", 2)
    ('en-US', 'en-US (2)')
    """
    return language if number == 1 else f"{language} ({number})"


def language_of_portion(name: str, languages: Collection[str]) -> str:
    """Return the language of a portion, or the name itself if it is not a later portion of one of `languages`.

    >>> language_of_portion("en-US (2)", ["en-US", "th-TH"]), language_of_portion("en (2)", ["en (2)", "en"])
    ('en-US', 'en (2)')
    """
    if name not in languages and (found := _LATER.fullmatch(name)) and found[1] in languages:
        return found[1]
    return name


def languages_of_portions(names: Iterable[str]) -> tuple[str, ...]:
    """Return the languages among portions, in order: the names that are not a later portion of another.

    >>> languages_of_portions(["en-US", "th-TH", "en-US (2)"])
    ('en-US', 'th-TH')
    """
    given = tuple(names)
    return tuple(name for name in given if not ((found := _LATER.fullmatch(name)) and found[1] in given))

"""The order in which languages are learned: the paper's five orders, generated orders and a user's own, all by name.

A name as in a study file:

    paper-1 ... paper-5        Table 3 of the paper
    sorted:ATTRIBUTE[:desc]    by an attribute of the language, as `sorted:cc100_gib:desc`
    blocks:GROUPING            group after group, as `blocks:script`
    random:SEED                shuffled; the same seed and set of languages always give the same order
    balanced:N:I[:SEED]        order I of N in which every language has the same mean position
    file:PATH                  tags separated by blanks, commas or lines; `#` starts a comment
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from attrition.languages import (
    LANGUAGES,
    NONE_OF_ONES_OWN,
    SOURCES,
    VITALITIES,
    OwnLanguages,
    Value,
    grouping,
    is_tag,
    language_of,
    no_language,
)
from attrition.languages.designs import balanced_design
from attrition.names import AttritionError, look_up, unknown
from attrition.reading import read_text

Order = tuple[str, ...]
"""Locales in the order of learning, each once."""

MOST_ORDERS = 10_000
"""The largest balanced set; one order needs the computation of the whole set."""

_MOST_DIGITS = 40  # more than any seed needs, fewer than Python refuses to read


@dataclass(frozen=True, slots=True)
class PaperOrder:
    """One row of the paper's Table 3.

    `printed` is the row as printed. `corrections` maps each wrong locale to the intended one. `note` is a warning for readers
    of results, or empty.

    >>> PAPER_ORDERS["paper-4"].corrections["ml-NL"]
    'nl-NL'
    """

    name: str
    description: str
    note: str
    corrections: Mapping[str, str]
    printed: tuple[str, ...]

    @property
    def locales(self) -> Order:
        """Return the row with its errors corrected: 52 locales, each once."""
        return tuple(self.corrections.get(locale, locale) for locale in self.printed)


def _read_paper_orders() -> Mapping[str, PaperOrder]:
    rows = json.loads(resources.files("attrition.languages").joinpath("orders.json").read_text(encoding="utf-8"))
    return MappingProxyType(
        {
            name: PaperOrder(name, row["description"], row["note"], MappingProxyType(row["corrections"]), tuple(row["printed"]))
            for name, row in rows.items()
        }
    )


PAPER_ORDERS: Mapping[str, PaperOrder] = _read_paper_orders()


@dataclass(frozen=True, slots=True)
class OrderInfo:
    """An order in a list of orders: its syntax, its description, and the start of an example."""

    name: str
    description: str
    example: str
    first: tuple[str, ...]


def list_orders() -> tuple[OrderInfo, ...]:
    """Return every order, the paper's first.

    >>> list_orders()[0].first
    ('en-US', 'ru-RU', 'id-ID', 'vi-VN', 'fa-IR')
    """
    described = [(paper.name, paper.description, paper.name) for paper in PAPER_ORDERS.values()]
    described += [(form.syntax, form.description, form.example) for form in _FORMS.values()]
    named = tuple(OrderInfo(name, description, example, order(example)[:5]) for name, description, example in described)
    return (*named, OrderInfo("file:PATH", "the locales that a file lists", "file:orders/mine.txt", ()))


def order(
    name: str,
    languages: Sequence[str] | None = None,
    *,
    folder: Path | None = None,
    own: OwnLanguages = NONE_OF_ONES_OWN,
) -> Order:
    """Return the order called `name`, over the given languages.

    Args:
        name: as listed at the top of this module.
        languages: the locales to order, by default all 52 (for an order file: all its locales). The paper's orders and order
            files are restricted to these languages, in the same sequence. Generated orders use exactly these languages, and
            do not depend on their sequence here.
        folder: the base of a relative file name.
        own: the user's file of languages, for orders by an attribute.

    Raises:
        AttritionError: an unknown order, attribute or language; a number out of range; an order file that cannot be read,
            repeats a locale or leaves one out.

    >>> order("paper-1", ["th-TH", "en-US", "ru-RU"])
    ('en-US', 'ru-RU', 'th-TH')
    >>> order("sorted:cc100_gib", ["th-TH", "en-US", "jv-ID"])
    ('jv-ID', 'th-TH', 'en-US')
    """
    folder = folder or Path()
    head, colon, rest = name.partition(":")
    if head == "file" and colon:
        return read_order(folder / rest, languages, source=rest)
    chosen = validate(tuple(LANGUAGES) if languages is None else languages)
    if name in PAPER_ORDERS:
        return restrict(PAPER_ORDERS[name].locales, chosen, source=name)
    if head not in _FORMS:
        raise unknown(head if colon else name, [*PAPER_ORDERS, *_FORMS, "file"], kind="order")
    form = _FORMS[head]
    arguments = rest.split(":") if rest else []
    if len(arguments) not in form.num_arguments or "" in arguments:
        raise AttritionError(f"Order {name!r} is not complete: write {form.syntax}, such as {form.example!r}.")
    return form.generate(name, arguments, chosen, folder, own)


def validate(locales: Sequence[str], languages: Sequence[str] | None = None, *, where: str = "The order") -> Order:
    """Return the locales as an order, if each occurs once and, with `languages`, they are exactly those.

    Raises:
        AttritionError: no locale, a repeated locale, one not in `languages`, or one missing.

    >>> validate(["en-US", "de-DE"], ["de-DE", "en-US"])
    ('en-US', 'de-DE')
    >>> validate(["en-US", "en-US"])
    Traceback (most recent call last):
    attrition.names.AttritionError: The order: 'en-US' is at positions 1 and 2. Keep one of them.
    """
    if not locales:
        raise AttritionError(f"{where}: no languages. Give at least one locale.")
    position: dict[str, int] = {}
    for number, locale in enumerate(locales, start=1):
        if locale in position:
            raise AttritionError(f"{where}: {locale!r} is at positions {position[locale]} and {number}. Keep one of them.")
        if languages is not None and locale not in languages:
            raise unknown(locale, languages, kind="language", where=where)
        position[locale] = number
    _refuse_missing(position, languages or (), where)
    return tuple(locales)


def restrict(whole: Sequence[str], languages: Sequence[str], *, source: str) -> Order:
    """Return the part of an order with the given languages, in the same sequence.

    Raises:
        AttritionError: the order lacks one of the languages; `source` names it in the message.

    >>> restrict(["en-US", "ru-RU", "id-ID"], ["id-ID", "en-US"], source="mine")
    ('en-US', 'id-ID')
    """
    _refuse_missing(whole, languages, source)
    return tuple(locale for locale in whole if locale in languages)


def _refuse_missing(present: Mapping[str, int] | Sequence[str], languages: Sequence[str], where: str) -> None:
    missing = [locale for locale in languages if locale not in present]
    if missing:
        raise AttritionError(f"{where}: {', '.join(missing)} missing. Add what is missing, or take it out of the languages.")


# Generators: pure functions of the set of languages.


def sorted_by(
    attribute: str, languages: Sequence[str], *, descending: bool = False, own: OwnLanguages = NONE_OF_ONES_OWN
) -> Order:
    """Return languages by an attribute (vitality as Low, Mid, High); ties in the order of their tags, either way.

    Languages without a known attribute come last, either way.

    >>> sorted_by("joshi_class", ["cy-GB", "en-US", "am-ET", "de-DE"], descending=True)
    ('de-DE', 'en-US', 'am-ET', 'cy-GB')
    """

    values: dict[str, Value] = {label: language_of(label, own).value(attribute) for label in sorted(languages)}

    def key(label: str) -> Any:
        value = values[label]
        return VITALITIES.index(value) if attribute == "vitality" else value

    # Python's sort is stable even when it is reversed.
    known = sorted((label for label in values if values[label] is not None), key=key, reverse=descending)
    return (*known, *(label for label in values if values[label] is None))


def in_blocks(by: str, languages: Sequence[str], *, folder: Path | None = None, own: OwnLanguages = NONE_OF_ONES_OWN) -> Order:
    """Return one group after another, groups by their names, languages within a group by their locales.

    >>> in_blocks("script", ["ru-RU", "th-TH", "mn-MN", "el-GR"])
    ('mn-MN', 'ru-RU', 'el-GR', 'th-TH')
    """
    groups = grouping(by, languages, folder=folder, own=own)
    return tuple(sorted(languages, key=lambda locale: (groups[locale], locale)))


def shuffled(seed: int, languages: Sequence[str]) -> Order:
    """Return a random order: languages sorted by one 64-bit draw each.

    The draws are PCG64's raw output. NumPy guarantees its stream (NEP 19), but not the result of its shuffles.

    >>> shuffled(1, ["de-DE", "en-US", "fr-FR"]) == shuffled(1, ["fr-FR", "de-DE", "en-US"])
    True
    """
    locales = sorted(languages)
    draws = np.random.PCG64(seed).random_raw(len(locales))
    return tuple(locales[index] for index in np.argsort(draws, kind="stable"))


def balanced_set(size: int, languages: Sequence[str], *, seed: int | None = None) -> tuple[Order, ...]:
    """Return `size` orders in which the mean positions of the languages are as equal as possible.

    With n languages and N orders:

    - N even: pairs of an order and its reverse, so all mean positions are equal. With N = n they form a Williams square:
      each language is at each position once and directly follows each other language once. For odd n, N = 2n has each of
      them twice.
    - N odd: with odd n all mean positions are equal too (N = n is a cyclic Latin square); with even n they cannot be, and
      the sums of positions differ by at most 1. N = 1 balances nothing.

    Source: E. J. Williams (1949), Experimental designs balanced for the estimation of residual effects of treatments.

    Args:
        size: N, from 1 to MOST_ORDERS.
        languages: in any sequence.
        seed: of the random assignment of languages to the design; by default they are assigned in locale order.

    >>> for each in balanced_set(4, ["a", "b", "c", "d"]):
    ...     print(*each)
    a b d c
    c d b a
    b c a d
    d a c b
    """
    if not 1 <= size <= MOST_ORDERS:
        raise AttritionError(f"A balanced set has at least 1 order and at most {MOST_ORDERS:,}, not {size:,}.")
    locales = validate(sorted(languages) if seed is None else shuffled(seed, languages))
    return tuple(tuple(locales[index] for index in row) for row in balanced_design(len(locales), size))


# Order files.


def read_order(path: Path, languages: Sequence[str] | None = None, *, source: str = "") -> Order:
    """Return the order in a text file: locales separated by blanks, commas or lines; `#` starts a comment.

    Args:
        path: the file.
        languages: the languages to order; the file must list them all, and its other locales are left out.
        source: name of the file in errors, by default its path.

    Raises:
        AttritionError: the file cannot be read, or lists no locale, an unknown locale, or a locale twice.
    """
    source = source or str(path)
    try:
        text = read_text(path)
    except AttritionError as error:
        if isinstance(error.__cause__, FileNotFoundError):
            raise AttritionError(f"There is no order file {str(path)!r}. Give one that exists.") from None
        raise AttritionError(f"The order file {error}") from error
    known = {*LANGUAGES, *(languages or ())}
    line_of: dict[str, int] = {}
    for number, locale in _words(text):
        where = f"{source}, line {number}"
        if locale not in known and not is_tag(locale):
            raise no_language(locale, known, where=where)
        if locale in line_of:
            raise AttritionError(f"{where}: {locale!r} is already in line {line_of[locale]}. Keep one of the two.")
        line_of[locale] = number
    whole = validate(tuple(line_of), where=source)
    return whole if languages is None else restrict(whole, validate(languages), source=source)


def _words(text: str) -> Iterator[tuple[int, str]]:
    """Yield every word of an order file with the number of its line."""
    for number, line in enumerate(text.split("\n"), start=1):  # only the line breaks that every editor counts
        for word in line.partition("#")[0].replace(",", " ").split():
            yield number, word


# The part after `order` in a study file: one entry per form of name.


@dataclass(frozen=True, slots=True)
class _Form:
    syntax: str
    description: str
    example: str
    num_arguments: tuple[int, ...]
    generate: Callable[[str, list[str], Order, Path, OwnLanguages], Order]


def _generate_sorted(name: str, arguments: list[str], languages: Order, _folder: Path, own: OwnLanguages) -> Order:
    attribute, direction = arguments[0], arguments[1] if len(arguments) == 2 else "asc"
    look_up(attribute, SOURCES, kind="attribute of a language", where=f"order {name!r}")
    descending = look_up(direction, {"asc": False, "desc": True}, kind="direction", where=f"order {name!r}")
    return sorted_by(attribute, languages, descending=descending, own=own)


def _generate_blocks(_name: str, arguments: list[str], languages: Order, folder: Path, own: OwnLanguages) -> Order:
    return in_blocks(arguments[0], languages, folder=folder, own=own)


def _generate_random(name: str, arguments: list[str], languages: Order, _folder: Path, _own: OwnLanguages) -> Order:
    return shuffled(_number(arguments[0], name, "SEED"), languages)


def _generate_balanced(name: str, arguments: list[str], languages: Order, _folder: Path, _own: OwnLanguages) -> Order:
    size, row = _number(arguments[0], name, "N"), _number(arguments[1], name, "I")
    seed = _number(arguments[2], name, "SEED") if len(arguments) == 3 else None
    if not 1 <= row <= size:
        raise AttritionError(f"Order {name!r}: there is no order {row} in a set of {size}; I runs from 1 to N.")
    return balanced_set(size, languages, seed=seed)[row - 1]


def _number(text: str, name: str, what: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= _MOST_DIGITS):
        raise AttritionError(
            f"Order {name[:80]!r}: {what} is {text[:80]!r}, but it must be a whole number that is not negative, of at most "
            f"{_MOST_DIGITS} digits."
        )
    return int(text)


_FORMS: Mapping[str, _Form] = MappingProxyType(
    {
        "sorted": _Form(
            "sorted:ATTRIBUTE[:desc]", "by an attribute of the language", "sorted:cc100_gib:desc", (1, 2), _generate_sorted
        ),
        "blocks": _Form("blocks:GROUPING", "group after group", "blocks:script", (1,), _generate_blocks),
        "random": _Form("random:SEED", "shuffled; a seed always gives the same order", "random:1", (1,), _generate_random),
        "balanced": _Form(
            "balanced:N:I[:SEED]", "order I of N with equal mean positions", "balanced:52:1", (2, 3), _generate_balanced
        ),
    }
)

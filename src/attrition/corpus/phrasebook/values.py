"""The values of slots: dates, times, places, currencies, percentages and words, from CLDR through Babel.

Values look like MASSIVE's: lower case, no commas between words, plain blanks. CLDR has no-break blanks in times and
percentages ("7:05\\u202fam"); they become plain blanks here, because words are cut at blanks. Marks for line breaks and
writing direction are removed; joiners that the orthography needs (Persian, Kannada, ...) stay. Digits belong to the
locale's default numbering system. All dates are Gregorian.

A value is kept only if all its letters are in the locale's script: CLDR uses Latin names where a translation is missing.
In Latin scripts this default is right: CLDR lists a city only if its name differs from the time zone's, so "Berlin" is
read from "Europe/Berlin".

Only Babel's `format` names of months and weekdays are used, inflected as in a date ("14. maaliskuuta"). Babel's stand-alone
names have a bug: they come from the locale that was used first (Japanese months in German dates).
"""

from __future__ import annotations

import datetime
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from types import MappingProxyType

import regex
from babel import Locale
from babel.core import get_global
from babel.dates import parse_pattern
from babel.numbers import format_percent, get_territory_currencies

SLOTS = ("change_amount", "currency_name", "date", "definition_word", "place_name", "time", "time_zone")
"""The slot names, all of them MASSIVE's, in sorted order."""

MOST_WORDS = 5
"""Users do not say longer names to a voice assistant."""

# Locales that CLDR names differently: MASSIVE's sl-SL is Slovenian.
_IN_CLDR = {"sl-SL": "sl_SI", "tl-PH": "fil_PH", "zh-CN": "zh_Hans_CN", "zh-TW": "zh_Hant_TW"}
# ISO 15924 codes of several Unicode scripts; every other code is one Unicode script.
_SCRIPTS = {"Hans": ("Hani",), "Hant": ("Hani",), "Jpan": ("Hani", "Hira", "Kana"), "Kore": ("Hang",)}
_DIGITS = {"arab": "٠١٢٣٤٥٦٧٨٩", "arabext": "۰۱۲۳۴۵۶۷۸۹", "beng": "০১২৩৪৫৬৭৮৯", "mymr": "၀၁၂၃၄၅၆၇၈၉"}

_YEAR = 2023  # Any year of 365 days: it only determines the weekday of a date.
_NOT_COUNTRIES = {"EU", "EZ", "QO", "UN", "XA", "XB", "ZZ"}
_NOT_LANGUAGES = {"mis", "mul", "und", "zxx"}
_MEASURES = (
    *("area", "digital", "duration", "electric", "energy", "frequency"),
    *("length", "mass", "power", "pressure", "speed", "volume"),
)

_INVISIBLE = regex.compile(r"[\u00ad\u200b\u2060\ufeff\p{Bidi_Control}]")
_STRAY_JOINER = regex.compile(r"(?<=[\u200c\u200d])[\u200c\u200d]+|[\u200c\u200d]+(?= |$)|(?<=^| )[\u200c\u200d]+")
_NAME = regex.compile(r"(?:[\p{L}\p{M}][ .'’‘ʻʼ′׳״\-‑–·・\u200c\u200d]{0,2})+")


def cldr_locale(language: str) -> Locale:
    """Return CLDR's locale for a locale of MASSIVE.

    >>> str(cldr_locale("sl-SL")), str(cldr_locale("tl-PH"))
    ('sl_SI', 'fil_PH')
    """
    return Locale.parse(_IN_CLDR.get(language, language.replace("-", "_")))


@cache
def _letters(language: str) -> regex.Pattern[str]:
    locale = cldr_locale(language)
    script: str = locale.script or get_global("likely_subtags")[locale.language].split("_")[1]
    names = "".join(rf"\p{{scx={name}}}" for name in _SCRIPTS.get(script, (script,)))
    return regex.compile(rf"(?:[^\p{{L}}]|[{names}])*")


def in_script(text: str, language: str) -> bool:
    """Return True if every letter of `text` is in the script of `language`; other characters do not count.

    >>> in_script("14 марта", "ru-RU"), in_script("7:30 AM", "hi-IN"), in_script("3月14日", "ja-JP")
    (True, False, True)
    """
    return _letters(language).fullmatch(text) is not None


def lower(text: str, language: str) -> str:
    """Return `text` in lower case, with the right dots in Turkish and Azerbaijani.

    >>> lower("Irak İran", "tr-TR"), lower("ΑΘΗΝΑΣ", "el-GR")
    ('ırak iran', 'αθηνας')
    """
    if language in ("az-AZ", "tr-TR"):
        text = text.replace("I", "ı")
    # Python lowers a dotted capital to "i" and a combining dot, which is not a letter in these languages.
    return text.replace("İ", "i").lower()


def clean(text: str, language: str) -> str:
    """Return `text` as in an utterance: lower case, single plain blanks, no comma at a word's end,
    and no invisible characters except joiners within a word.

    >>> clean("Mittwoch,\\u00a014. März", "de-DE"), clean("2,5\\u00a0%", "de-DE")
    ('mittwoch 14. märz', '2,5 %')
    >>> clean("សាំង\\u200bបាធីលីម៉ី", "km-KH") == "សាំងបាធីលីម៉ី"
    True
    """
    text = unicodedata.normalize("NFC", _INVISIBLE.sub("", text))
    text = regex.sub(r"(?:\p{Zs}|[,،፣](?=\p{Zs}|$))+", " ", text).strip()
    return lower(_STRAY_JOINER.sub("", text), language)


def _names(candidates: Iterable[str], language: str) -> Iterator[str]:
    """Yield the `candidates` that are plain names, without brackets, digits or commas."""
    for candidate in candidates:
        if "," not in candidate and "،" not in candidate:
            name = clean(candidate, language)
            if len(name) > 1 and _NAME.fullmatch(name):
                yield name


def _date_pattern(locale: Locale, weekday: bool) -> str:
    """Return CLDR's order of day, month and weekday, with full names in `format` style."""
    skeletons = locale.datetime_skeletons
    found = skeletons.get("MMMMEd") or skeletons["MMMEd"] if weekday else skeletons["MMMMd"]
    pattern: str = found.pattern.replace("L", "M")
    pattern = regex.sub("M{3,}", "MMMM", regex.sub("[Ec]+", "EEEE", pattern))
    return pattern.replace("(", " ").replace(")", "")


def _dates(locale: Locale) -> Iterator[str]:
    first = datetime.date(_YEAR, 1, 1)
    for weekday in (False, True):
        pattern = parse_pattern(_date_pattern(locale, weekday))
        for day in range(365):
            yield pattern.apply(first + datetime.timedelta(days=day), locale)


def _times(locale: Locale, language: str) -> Iterator[str]:
    """Yield times of a day in steps of five minutes, with a period of the day if the locale's short format has one.

    If CLDR's period is a Latin "AM" in another script (Hindi, Urdu, Korean, ...), flexible periods are used: "सुबह 7:30".
    """
    pattern = locale.time_formats["short"]
    if not in_script(pattern.apply(datetime.time(7), locale), language):
        pattern = parse_pattern(locale.datetime_skeletons["Bhm"])
    for minutes in range(0, 24 * 60, 5):
        yield pattern.apply(datetime.time(*divmod(minutes, 60)), locale)


def _percentages(locale: Locale) -> Iterator[str]:
    for halves in range(1, 201):
        yield format_percent(halves / 200, locale=locale, decimal_quantization=False)


def _cities(locale: Locale, language: str) -> Iterator[str]:
    zones = locale.time_zones.items()
    named = {zone: names["city"] for zone, names in zones if "city" in names and not zone.startswith("Etc/")}
    yield from named.values()
    if in_script("a", language):
        renamed = {new for old, new in get_global("zone_aliases").items() if old in named}
        for zone in get_global("zone_territories"):
            if zone not in named and zone not in renamed and not zone.startswith("Etc/"):
                # Lower case here: these names are not Turkish, their "I" has a dot.
                yield zone.rpartition("/")[2].replace("_", " ").lower()


def _countries(locale: Locale) -> Iterator[str]:
    return (name for code, name in locale.territories.items() if code.isalpha() and code not in _NOT_COUNTRIES)


def _currencies(locale: Locale) -> Iterator[str]:
    day = datetime.date(_YEAR, 12, 31)  # A fixed day: with the current day the corpus would change over time.
    in_use = {
        currency
        for territory in get_global("territory_currencies")
        for currency in get_territory_currencies(territory, start_date=day, end_date=day)
    }
    return (name for code, name in locale.currencies.items() if code in in_use)


def _defined(locale: Locale) -> Iterator[str]:
    """Yield names of languages, and full names of units of measure."""
    for code, name in locale.languages.items():
        if len(code) <= 3 and code not in _NOT_LANGUAGES:
            yield name
    for unit, names in locale.unit_display_names.items():
        if unit.startswith(_MEASURES) and "long" in names:
            yield names["long"]


def _in_own_digits(texts: Iterable[str], locale: Locale) -> Iterator[str]:
    """Yield `texts` with the digits and the percent sign of the locale's default numbering system."""
    system = locale.default_numbering_system
    if system not in _DIGITS:
        yield from texts
        return
    table = str.maketrans("0123456789%", _DIGITS[system] + _percent_sign(locale, system))
    for text in texts:
        yield text.translate(table)


def _percent_sign(locale: Locale, system: str) -> str:
    sign: str = locale.number_symbols[system].get("percentSign", "%")
    return str(_INVISIBLE.sub("", sign))


@cache
def slot_values(language: str) -> Mapping[str, tuple[str, ...]]:
    """Return slot name -> all values of the slot in `language`, sorted, without repetition.

    >>> slot_values("de-DE")["change_amount"][:2], "14. märz" in slot_values("de-DE")["date"]
    (('0,5 %', '1 %'), True)
    """
    locale = cldr_locale(language)
    cities = list(_names(_cities(locale, language), language))
    found: dict[str, Iterable[str]] = {
        "change_amount": _in_own_digits(_percentages(locale), locale),
        "currency_name": _names(_currencies(locale), language),
        "date": _in_own_digits(_dates(locale), locale),
        "definition_word": _names(_defined(locale), language),
        "place_name": [*cities, *_names(_countries(locale), language)],
        "time": _in_own_digits(_times(locale, language), locale),
        "time_zone": cities,
    }
    return MappingProxyType({slot: _kept(found[slot], language) for slot in SLOTS})


def _kept(values: Iterable[str], language: str) -> tuple[str, ...]:
    cleaned = {clean(value, language) for value in values}
    return tuple(sorted(value for value in cleaned if len(value.split(" ")) <= MOST_WORDS and in_script(value, language)))

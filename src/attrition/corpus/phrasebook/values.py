"""What may stand in a slot: dates, times, places, currencies, percentages and words, from CLDR through Babel.

Values are made to look as MASSIVE's do: lower case, no commas between words, plain blanks. CLDR writes no-break blanks into
times and percentages ("7:05\\u202fam"); they become plain blanks here, since words are cut at blanks. Marks that only steer
line breaks or the direction of writing are dropped; joiners that the orthography needs (Persian, Kannada, ...) stay. Digits
are those of the locale's default numbering system. Dates are Gregorian everywhere.

A value is kept only when every letter of it is of the locale's script: CLDR falls back to Latin names where a translation
is missing. In Latin scripts the same fallback is right: CLDR lists a city there only when its name differs from the time
zone's, so "Berlin" is read from "Europe/Berlin".

One trap of Babel's is stepped round: its stand-alone names of months and weekdays are those of whichever locale asked for
them first (Japanese months in German dates), so only `format` names are used. They are inflected as a date wants them
("14. maaliskuuta").
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
"""A longer name is not what one says to a voice assistant."""

# Where MASSIVE's name for a locale is not CLDR's: its sl-SL is Slovenian.
_IN_CLDR = {"sl-SL": "sl_SI", "tl-PH": "fil_PH", "zh-CN": "zh_Hans_CN", "zh-TW": "zh_Hant_TW"}
# Scripts that ISO 15924 lumps together; every other code is a Unicode script by itself.
_SCRIPTS = {"Hans": ("Hani",), "Hant": ("Hani",), "Jpan": ("Hani", "Hira", "Kana"), "Kore": ("Hang",)}
_DIGITS = {"arab": "٠١٢٣٤٥٦٧٨٩", "arabext": "۰۱۲۳۴۵۶۷۸۹", "beng": "০১২৩৪৫৬৭৮৯", "mymr": "၀၁၂၃၄၅၆၇၈၉"}

_YEAR = 2023  # Any year of 365 days would do: it only decides which weekday a date falls on.
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
    """CLDR's locale for one of MASSIVE's.

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
    """Return True if every letter of `text` is of the script that `language` is written in; what is not a letter never matters.

    >>> in_script("14 марта", "ru-RU"), in_script("7:30 AM", "hi-IN"), in_script("3月14日", "ja-JP")
    (True, False, True)
    """
    return _letters(language).fullmatch(text) is not None


def lower(text: str, language: str) -> str:
    """`text` in lower case, with the Turkish and Azerbaijani dots in their places.

    >>> lower("Irak İran", "tr-TR"), lower("ΑΘΗΝΑΣ", "el-GR")
    ('ırak iran', 'αθηνας')
    """
    if language in ("az-AZ", "tr-TR"):
        text = text.replace("I", "ı")
    # Python lowers a dotted capital to "i" and a dot above it, which is no letter of any of these languages.
    return text.replace("İ", "i").lower()


def clean(text: str, language: str) -> str:
    """`text` as an utterance holds it: lower case, plain single blanks, no comma at a word's end,
    and nothing invisible but joiners within a word.

    >>> clean("Mittwoch,\\u00a014. März", "de-DE"), clean("2,5\\u00a0%", "de-DE")
    ('mittwoch 14. märz', '2,5 %')
    >>> clean("សាំង\\u200bបាធីលីម៉ី", "km-KH") == "សាំងបាធីលីម៉ី"
    True
    """
    text = unicodedata.normalize("NFC", _INVISIBLE.sub("", text))
    text = regex.sub(r"(?:\p{Zs}|[,،፣](?=\p{Zs}|$))+", " ", text).strip()
    return lower(_STRAY_JOINER.sub("", text), language)


def _names(candidates: Iterable[str], language: str) -> Iterator[str]:
    """Yield those `candidates` that are plain names: letters, hyphens and the like; no brackets, digits or commas."""
    for candidate in candidates:
        if "," not in candidate and "،" not in candidate:
            name = clean(candidate, language)
            if len(name) > 1 and _NAME.fullmatch(name):
                yield name


def _date_pattern(locale: Locale, weekday: bool) -> str:
    """CLDR's order of day, month and weekday, with the names written out and in their `format` shape."""
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
    """Yield every five minutes of a day, with a period of the day where the locale's short format has one.

    Where CLDR's period is a Latin "AM" in another script (Hindi, Urdu, Korean, ...), the flexible ones are used: "सुबह 7:30".
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
                # Lower case already here: these names are no Turkish ones, their "I" has a dot.
                yield zone.rpartition("/")[2].replace("_", " ").lower()


def _countries(locale: Locale) -> Iterator[str]:
    return (name for code, name in locale.territories.items() if code.isalpha() and code not in _NOT_COUNTRIES)


def _currencies(locale: Locale) -> Iterator[str]:
    day = datetime.date(_YEAR, 12, 31)  # A fixed day: what is in use "today" would change the corpus under its users.
    in_use = {
        currency
        for territory in get_global("territory_currencies")
        for currency in get_territory_currencies(territory, start_date=day, end_date=day)
    }
    return (name for code, name in locale.currencies.items() if code in in_use)


def _defined(locale: Locale) -> Iterator[str]:
    """Yield names of languages and, written out, of units of measure."""
    for code, name in locale.languages.items():
        if len(code) <= 3 and code not in _NOT_LANGUAGES:
            yield name
    for unit, names in locale.unit_display_names.items():
        if unit.startswith(_MEASURES) and "long" in names:
            yield names["long"]


def _in_own_digits(texts: Iterable[str], locale: Locale) -> Iterator[str]:
    """`texts` with the digits, and the sign for percent, of the locale's default numbering system."""
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
    """Slot name -> all values of the slot in `language`, sorted, none twice.

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

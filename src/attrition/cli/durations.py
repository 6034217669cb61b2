"""Converts durations from and to text."""

from __future__ import annotations

import re

from attrition.names import AttritionError

_PATTERN = re.compile(r"(?:(\d{1,6})h)?(?:(\d{1,6})m)?(?:(\d{1,9})s)?")


def seconds_of(text: str, option: str = "--for") -> float:
    """Return the seconds of a duration such as `50m`, `2h`, `90s` or `1h30m`; `option` is named in errors.

    Raises:
        AttritionError: the text has another form, or the duration is 0.

    >>> seconds_of("1h30m")
    5400.0
    """
    found = _PATTERN.fullmatch(text.strip().casefold())
    hours, minutes, seconds = (int(part or 0) for part in found.groups()) if found else (0, 0, 0)
    total = 3600 * hours + 60 * minutes + seconds
    if not total:
        raise AttritionError(f"{option} {text!r} is not a time. Write for example 50m, 2h, 90s or 1h30m.")
    return float(total)


def in_words(seconds: float) -> str:
    """Return a rounded duration in words.

    >>> in_words(42.4), in_words(150), in_words(600), in_words(9000)
    ('42 seconds', '2.5 minutes', '10 minutes', '2.5 hours')
    """
    if seconds < 90:
        return f"{seconds:.0f} seconds"
    if seconds < 570:
        return f"{seconds / 60:.1f} minutes"
    if seconds < 5400:
        return f"{seconds / 60:.0f} minutes"
    return f"{seconds / 3600:.1f} hours"

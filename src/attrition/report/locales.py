"""Formats texts for the page."""

from __future__ import annotations

import re

from markupsafe import Markup, escape

_LOCALE = re.compile(r"\b[a-z]{2,3}-[A-Z]{2}\b")


def unbroken_locales(text: str) -> Markup:
    """Return escaped text in which no line breaks inside a locale.

    >>> str(unbroken_locales("<th-TH>"))
    '&lt;<span class="locale">th-TH</span>&gt;'
    """
    return Markup(_LOCALE.sub(r'<span class="locale">\g<0></span>', str(escape(text))))


_INTERVAL = re.compile(r" (\[[+−\d.,]+, [+−\d.,]+\])$")


def set_off_intervals(text: str) -> Markup:
    """Return a number's text for a page, with its interval in a separate element.

    >>> str(set_off_intervals("−0.8 [−1.0, +0.2]"))
    '−0.8 <span class="interval">[−1.0, +0.2]</span>'
    """
    return Markup(_INTERVAL.sub(r' <span class="interval">\1</span>', str(unbroken_locales(text))))

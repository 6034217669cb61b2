"""Texts of the page."""

from __future__ import annotations

import re

from markupsafe import Markup, escape

_LOCALE = re.compile(r"\b[a-z]{2,3}-[A-Z]{2}\b")


def unbroken_locales(text: str) -> Markup:
    """Text for a page in which no line ends inside a locale; all that could be markup is escaped.

    >>> str(unbroken_locales("<th-TH>"))
    '&lt;<span class="locale">th-TH</span>&gt;'
    """
    return Markup(_LOCALE.sub(r'<span class="locale">\g<0></span>', str(escape(text))))

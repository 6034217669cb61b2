"""Repairs what Sphinx and the theme leave inaccessible.

Menu headings have no level. Scrolling blocks have no keyboard focus. The parameters of a function are
a definition list without terms.
"""

from __future__ import annotations

from typing import Any


def repaired(html: str) -> str:
    """Return a page's HTML, repaired.

    >>> repaired('<p role="heading"></p><pre>')
    '<p role="heading" aria-level="2"></p><pre tabindex="0">'
    >>> repaired('<dl>\\n<dd><em class="sig-param">a</em></dd></dl>')
    '<dl role="presentation">\\n<dd role="presentation"><em class="sig-param">a</em></dd></dl>'
    """
    html = html.replace('<dl>\n<dd><em class="sig-param">', '<dl role="presentation">\n<dd><em class="sig-param">')
    html = html.replace('<dd><em class="sig-param">', '<dd role="presentation"><em class="sig-param">')
    html = html.replace('role="heading">', 'role="heading" aria-level="2">').replace("<pre>", '<pre tabindex="0">')
    return html.replace('<div class="table-wrapper', '<div tabindex="0" class="table-wrapper')


def _repair(_app: Any, _page: str, _template: str, context: dict[str, Any], _doctree: Any) -> None:
    for name in ("body", "furo_navigation_tree"):
        if name in context:
            context[name] = repaired(context[name])


def setup(app: Any) -> dict[str, bool]:
    """Register the repair, after that of the theme."""
    app.connect("html-page-context", _repair, priority=900)
    return {"parallel_read_safe": True, "parallel_write_safe": True}

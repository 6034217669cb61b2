"""Repairs what the theme leaves inaccessible: menu headings without a level, scrolling blocks without keyboard focus."""

from __future__ import annotations

from typing import Any


def repaired(html: str) -> str:
    """Return HTML whose headings by role have a level, and whose code blocks and tables can be scrolled by keyboard.

    >>> repaired('<p role="heading"></p><pre>')
    '<p role="heading" aria-level="2"></p><pre tabindex="0">'
    """
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

"""Prepares SVG figures for the page: smaller, with unique ids, and with colours that follow the theme."""

from __future__ import annotations

import re
from collections.abc import Mapping

from markupsafe import Markup, escape

from attrition.report.theme import VARIABLES

_LEFT_OUT = re.compile(
    r' (?:class|role|aria-[a-z]+|pointer-events|stroke-miterlimit|xmlns:xlink|version)="[^"]*"'
    r'|<path(?=[^>]*class="(?:background|foreground)")(?=[^>]*d="(?:M0,0h0v0h0Z)?")[^>]*/>'
)
_ID = re.compile(r'(?<= id=")|(?<=url\(#)|(?<=href="#)')
_COLOUR = re.compile(r'(?<==")#[0-9a-f]{6}(?=")')
_START = re.compile(r"<svg[^>]*?(width=\"[\d.]+\" height=\"[\d.]+\" viewBox=\"[^\"]+\")[^>]*>")


def for_page(svg: str, *, stem: str, says: str) -> Markup:
    """Return an SVG for the page.

    Colours of the light theme become variables, so that the figure follows the page's dark mode. A figure with a continuous
    colour scale keeps its colours and its white background.

    Args:
        svg: from `vl_convert`.
        stem: the name of its file, which makes its ids unique on the page.
        says: the text alternative.
    """
    svg = _ID.sub(lambda _: f"{re.sub('[^a-z0-9-]', '-', stem)}-", _LEFT_OUT.sub("", svg))
    if "rgb(" not in svg:
        svg = recoloured(svg, VARIABLES)
    return Markup(_START.sub(lambda found: f'<svg {found[1]} role="img" aria-label="{escape(says)}">', svg, count=1))


def recoloured(svg: str, variables: Mapping[str, str]) -> str:
    """Return an SVG with CSS variables for all colours that have one.

    >>> recoloured('<path fill="#ffffff"/>', {"#ffffff": "paper"})
    '<path fill="var(--paper)"/>'
    """
    return _COLOUR.sub(lambda found: f"var(--{variables[found[0]]})" if found[0] in variables else found[0], svg)

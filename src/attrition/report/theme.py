"""Colours and chart settings, light and dark: every choice of ink in the report is made here.

The scales are safe for the common kinds of colour blindness. A sequential scale starts near the background, so that "more" is
further from the paper in both themes; the diverging one is warm for loss and cool for gain, as in the paper's Figures 5 and 6.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal

Mode = Literal["light", "dark"]

FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Noto Sans', 'Liberation Sans', sans-serif"


@dataclass(frozen=True, kw_only=True)
class Theme:
    """The colours of one mode.

    `hues` has one colour for each method, in a fixed order, so that a method keeps its colour from figure to figure;
    `sequential` runs from low to high, `diverging` from loss to gain.
    """

    background: str
    ink: str
    muted: str
    grid: str
    hues: tuple[str, ...]
    sequential: tuple[str, ...]
    diverging: tuple[str, ...]


THEMES: Mapping[Mode, Theme] = MappingProxyType(
    {
        "light": Theme(
            background="#ffffff",
            ink="#1b1f24",
            muted="#59636e",
            grid="#e3e7eb",
            hues=("#0b62a8", "#c34a00", "#00836a", "#9b3d94", "#846800", "#b81e48", "#4d5f73", "#2a8f9e"),
            sequential=("#fbeec0", "#d9efb5", "#8fd3b0", "#45b0c0", "#2180b5", "#274f9b", "#1b2a63"),
            diverging=("#8f3000", "#d0701e", "#f0b67a", "#f6f5f1", "#93c4de", "#3787bd", "#0b4680"),
        ),
        "dark": Theme(
            background="#14171b",
            ink="#e8ebee",
            muted="#a3adb8",
            grid="#2c333b",
            hues=("#6cb4f5", "#ff9d5c", "#3fcfae", "#e39ade", "#dcc04a", "#ff8199", "#a9b9ca", "#67d3e0"),
            sequential=("#1d2438", "#274f8f", "#2180b5", "#3ba9bb", "#7fcdb0", "#cdeab0", "#fffbe0"),
            diverging=("#ffc48a", "#e08534", "#8a4a17", "#262b31", "#22577c", "#4499cb", "#a9dcfb"),
        ),
    }
)


FONT_IN_FILES = "Liberation Sans, Arial, sans-serif"
"""One font for figures as files: in a longer list single signs, such as the minus, may come from another font."""


def shade(colour: str, towards: str, share: float) -> str:
    """`colour` mixed with `share` (0-1) of `towards`, both as #rrggbb.

    >>> shade("#000000", "#ffffff", 0.5)
    '#808080'
    """
    mixed = (round(int(colour[i : i + 2], 16) * (1 - share) + int(towards[i : i + 2], 16) * share) for i in (1, 3, 5))
    return "#" + "".join(f"{part:02x}" for part in mixed)


def series_colours(series: Sequence[tuple[str, int | None]], mode: Mode) -> list[str]:
    """One colour for each (method, rank): the method's hue, paler for each further rank of the same method.

    >>> series_colours([("VANILLA", None), ("SHARED LoRA", 32), ("SHARED LoRA", 64)], "light")
    ['#0b62a8', '#c34a00', '#d5804c']
    """
    theme = THEMES[mode]
    methods = list(dict.fromkeys(method for method, _ in series))
    seen: dict[str, int] = {}
    colours = []
    for method, _ in series:
        hue = theme.hues[methods.index(method) % len(theme.hues)]
        nth = seen.get(method, 0)
        seen[method] = nth + 1
        colours.append(shade(hue, theme.background, min(0.3 * nth, 0.6)))
    return colours


def config(mode: Mode, *, category: Sequence[str] | None = None) -> dict[str, Any]:
    """Vega-Lite's `config` for one mode, `category` being the colours of the series in their order."""
    theme = THEMES[mode]
    return {
        "background": "transparent" if mode == "dark" else theme.background,
        "font": FONT,
        "view": {"stroke": None},
        "axis": {
            "labelColor": theme.ink,
            "titleColor": theme.muted,
            "titleFontWeight": "normal",
            "titleFontSize": 12,
            "labelFontSize": 11,
            "gridColor": theme.grid,
            "domainColor": theme.muted,
            "tickColor": theme.muted,
        },
        "legend": {
            "labelColor": theme.ink,
            "titleColor": theme.muted,
            "titleFontWeight": "normal",
            "labelFontSize": 11,
            "labelLimit": 260,
        },
        "title": {"color": theme.ink, "fontSize": 13, "anchor": "start"},
        "header": {"labelColor": theme.ink, "titleColor": theme.muted},
        "text": {"color": theme.ink},
        "rule": {"color": theme.muted},
        "range": {
            "category": list(category or theme.hues),
            "heatmap": list(theme.sequential),
            "ramp": list(theme.sequential),
            "diverging": list(theme.diverging),
        },
    }

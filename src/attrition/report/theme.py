"""All colours and chart settings of the report, light and dark.

The scales are safe for the common kinds of colour blindness. A sequential scale starts near the background, so larger values
have more contrast in both themes. The diverging scale is warm for loss and cool for gain, as in the paper's Figures 5 and 6.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal

Mode = Literal["light", "dark"]

FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Noto Sans', 'Liberation Sans', sans-serif"


@dataclass(frozen=True, kw_only=True)
class Theme:
    """The colours of one mode.

    `hues` has `NUM_HUES` distinct colours, the first two also for gain and loss; `sequential` goes from low to high,
    `diverging` from loss to gain.
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
            hues=("#0b62a8", "#c34a00", "#199780", "#5f0748", "#8a7afc", "#23272c", "#d4639b", "#8f8400"),
            sequential=("#fbeec0", "#d9efb5", "#8fd3b0", "#45b0c0", "#2180b5", "#274f9b", "#1b2a63"),
            diverging=("#8f3000", "#d0701e", "#f0b67a", "#f6f5f1", "#93c4de", "#3787bd", "#0b4680"),
        ),
        "dark": Theme(
            background="#14171b",
            ink="#e8ebee",
            muted="#a3adb8",
            grid="#2c333b",
            hues=("#6cb4f5", "#ff9d5c", "#2fb58f", "#d3408c", "#f2f0a0", "#8c7bff", "#a9b9ca", "#b7a21f"),
            sequential=("#1d2438", "#274f8f", "#2180b5", "#3ba9bb", "#7fcdb0", "#cdeab0", "#fffbe0"),
            diverging=("#ffc48a", "#e08534", "#8a4a17", "#262b31", "#22577c", "#4499cb", "#a9dcfb"),
        ),
    }
)

NUM_HUES = 8
"""The number of hues of each theme."""

FONT_IN_FILES = "Liberation Sans, Arial, sans-serif"
"""The font of figure files. With a longer list, single characters such as the minus may come from another font."""


def _inks(theme: Theme) -> tuple[str, ...]:
    return (theme.background, theme.ink, theme.muted, theme.grid, *theme.hues)


VARIABLES: Mapping[str, str] = MappingProxyType({ink: f"ink{place}" for place, ink in enumerate(_inks(THEMES["light"]))})
"""The CSS variable for each colour of the light theme in figures on the page."""


def hue_variable(hue: int) -> str:
    """Return the CSS variable of a hue by its number.

    >>> hue_variable(0)
    'var(--ink4)'
    """
    return f"var(--{VARIABLES[THEMES['light'].hues[hue]]})"


def css_variables(mode: Mode) -> str:
    """Return the declarations of `VARIABLES` for one mode.

    >>> css_variables("dark").split("; ")[0]
    '--ink0: #14171b'
    """
    pairs = zip(VARIABLES.values(), _inks(THEMES[mode]), strict=True)
    return "; ".join(f"--{name}: {ink}" for name, ink in pairs)


def config() -> dict[str, Any]:
    """Return Vega-Lite's `config` for figures, in the light theme."""
    theme = THEMES["light"]
    return {
        "background": theme.background,
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
            "category": list(theme.hues),
            "heatmap": list(theme.sequential),
            "ramp": list(theme.sequential),
            "diverging": list(theme.diverging),
        },
    }

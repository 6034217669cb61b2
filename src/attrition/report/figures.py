"""The report's charts: one definition for the page and for files (PNG, SVG, PDF).

A chart has no data: it names tables, which are inserted when it is drawn. So one definition serves every run of a study, and
the page has each number once.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from attrition.languages import NONE_OF_ONES_OWN, OwnLanguages, language_of
from attrition.report.theme import FONT_IN_FILES, config

WIDTH = 680
"""Width in pixels of a chart without a width of its own."""

Tables = Mapping[str, pd.DataFrame]


@dataclass(frozen=True, kw_only=True)
class KeyLine:
    """An entry of a chart's key: a line's name, its hue (index into the theme's), its dashes, its last value."""

    name: str
    hue: int
    dashes: tuple[int, ...]
    value: str


@dataclass(frozen=True, kw_only=True)
class Figure:
    """A chart, its tables, and its caption and findings.

    `variants` maps a run's key to its tables; a figure that does not depend on the run has one variant, "". `findings` has a
    sentence on each variant. `fits`: the chart has no fixed width. `narrow` is the chart for a phone, or None; `key` names its
    lines by panel.
    """

    name: str
    title: str
    caption: str
    chart: Any
    variants: Mapping[str, Tables]
    findings: Mapping[str, str] = field(default_factory=dict)
    fits: bool = True
    narrow: Any = None
    key: Mapping[str, Sequence[KeyLine]] = field(default_factory=dict)

    def stem(self, variant: str) -> str:
        """Return the name of a variant's files, without the ending."""
        return f"{self.name}-{variant}" if variant else self.name

    def definition(self) -> dict[str, Any]:
        """Return the chart as Vega-Lite, without data."""
        definition: dict[str, Any] = self.chart.to_dict(validate=True)
        definition.pop("config", None)
        return definition

    def for_phone(self) -> Figure:
        """Return this figure with its narrow chart."""
        return dataclasses.replace(self, name=f"{self.name}-narrow", chart=self.narrow, narrow=None)

    def complete(self, variant: str) -> dict[str, Any]:
        """Return the chart as Vega-Lite with its data, its width and the theme."""
        definition = self.definition()
        if self.fits:
            definition["width"] = WIDTH
            definition["autosize"] = {"type": "fit-x", "contains": "padding"}
        definition["datasets"] = {name: records(table) for name, table in self.variants[variant].items()}
        definition["config"] = config() | {"font": FONT_IN_FILES, "mark": {"aria": False}}
        return definition


def records(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the rows of a table as JSON values, NaN as null.

    >>> records(pd.DataFrame({"language": ["en-US"], "score": [float("nan")]}))
    [{'language': 'en-US', 'score': None}]
    """
    columns = [[plain(value) for value in table[name].tolist()] for name in table.columns]
    return [dict(zip(table.columns, row, strict=True)) for row in zip(*columns, strict=True)]


def plain(value: object) -> object:
    """Return a cell as a JSON value: NaN is null."""
    return None if isinstance(value, float) and math.isnan(value) else value


def language_name(locale: str, own: OwnLanguages = NONE_OF_ONES_OWN) -> str:
    """Return the language's English name and its locale, or the label if it is not a locale.

    >>> language_name("th-TH"), language_name("yor"), language_name("Klingon")
    ('Thai (th-TH)', 'Yoruba (yor)', 'Klingon')
    """
    name = language_of(locale, own).name
    return locale if name == locale else f"{name} ({locale})"


def stage_label(trained: Sequence[str]) -> str:
    """Return a stage's languages, short enough for an axis.

    >>> stage_label(["en-US"]), stage_label(["en-US", "de-DE"]), stage_label(["en-US", "de-DE", "sw-KE"])
    ('en-US', 'en-US + de-DE', 'en-US + 2')
    """
    return " + ".join(trained) if len(trained) < 3 else f"{trained[0]} + {len(trained) - 1}"

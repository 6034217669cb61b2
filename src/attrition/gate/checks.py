"""The checks: each slice of the test set and each critical label in each language, with their margins."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np

from attrition.gate.compared import Compared
from attrition.gate.ratios import Metric, Outcomes, outcomes
from attrition.names import AttritionError, unknown
from attrition.reading import parse_toml, read_text

LANGUAGE, LABEL = "language", "label"
"""The slices of every test set; others are fields of its rows."""

CRITICAL = "critical"
Otherwise = Literal["pass", "fail"]


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Settings of the gate.

    Args:
        metric: "f1", "recall" or "precision" of spans, micro-averaged.
        margin: the allowed loss of a slice, in points (hundredths).
        margins: margins of single slices by value ("de-DE") or by field and value ("domain=alarm").
        slices: fields to slice by, besides the language; "label" means the label of a span.
        critical: labels that are checked in every language, with their margins; None: the language's margin.
        cannot_tell: the verdict of the release instead of "cannot tell"; None keeps it.
        show: number of broken utterances to list.
        show_text: True if tables, pages and errors may have words of the data.
    """

    metric: Metric = "f1"
    margin: float = 1.0
    margins: Mapping[str, float] = field(default_factory=dict)
    slices: tuple[str, ...] = ()
    critical: Mapping[str, float | None] = field(default_factory=dict)
    cannot_tell: Otherwise | None = None
    show: int = 20
    show_text: bool = True

    def __post_init__(self) -> None:
        given = {"--margin": self.margin, **self.margins, **{k: v for k, v in self.critical.items() if v is not None}}
        for name, margin in given.items():
            if not 0 < margin <= 100:
                raise AttritionError(
                    f"The margin {margin:g} of {name} is not allowed. Give points, more than 0 and at most 100."
                )


@dataclass(frozen=True)
class Check:
    """One question: does the new system lose less than `margin` points on this part of the test set?

    `label` restricts the spans; "" means all of them.
    """

    field: str
    value: str
    label: str
    margin: float

    @property
    def name(self) -> str:
        """The name for tables: a language by itself, another slice with its field.

        >>> Check("language", "de-DE", "", 1.0).name, Check("domain", "alarm", "", 1.0).name
        ('de-DE', 'domain=alarm')
        >>> Check("critical", "de-DE", "PER", 0.5).name
        'PER in de-DE'
        """
        if self.field == CRITICAL:
            return f"{self.label} in {self.value}"
        return self.value if self.field == LANGUAGE else f"{self.field}={self.value}"


def checks(compared: Compared, settings: Settings) -> list[tuple[Check, Outcomes]]:
    """Return every check with its utterances.

    Raises:
        AttritionError: a margin or critical label names something that does not exist.
    """
    found = list(_each(compared, settings))
    values = {check.value for check, _ in found} | {f"{check.field}={check.value}" for check, _ in found}
    for name in settings.margins:
        if name not in values:
            raise unknown(name, values, kind="slice", where="margins")
    return found


def _each(compared: Compared, settings: Settings) -> Iterator[tuple[Check, Outcomes]]:
    for label in settings.critical:
        if label not in compared.labels:
            raise unknown(label, compared.labels, kind="label", where="--critical")
    whole = compared.counts("old"), compared.counts("new")
    languages = _places(row.language for row in compared.rows)
    fields = {LANGUAGE: languages}
    for name in settings.slices:
        if name not in (LANGUAGE, LABEL):
            fields[name] = _places(row.fields[name] for row in compared.rows)
    for name, places in fields.items():
        for value, at in places.items():
            yield (
                Check(name, value, "", _margin(settings, name, value, settings.margin)),
                outcomes(whole[0][at], whole[1][at], settings.metric),
            )
    if LABEL in settings.slices:
        for label in _labels_of_gold(compared):
            counts = compared.counts("old", label), compared.counts("new", label)
            yield (
                Check(LABEL, label, label, _margin(settings, LABEL, label, settings.margin)),
                outcomes(*counts, settings.metric),
            )
    for label, own in settings.critical.items():
        old, new = compared.counts("old", label), compared.counts("new", label)
        for value, at in languages.items():
            margin = own if own is not None else _margin(settings, LANGUAGE, value, settings.margin)
            yield Check(CRITICAL, value, label, margin), outcomes(old[at], new[at], settings.metric)


def _places(values: Iterable[str]) -> dict[str, np.ndarray]:
    """Return the utterances of each value, in alphabetical order of values."""
    found: dict[str, list[int]] = {}
    for number, value in enumerate(values):
        found.setdefault(value, []).append(number)
    return {value: np.array(found[value]) for value in sorted(found)}


def _labels_of_gold(compared: Compared) -> list[str]:
    present = set(compared.spans["gold"].label_N.tolist())
    return [label for number, label in enumerate(compared.labels) if number in present]


def _margin(settings: Settings, name: str, value: str, default: float) -> float:
    return settings.margins.get(f"{name}={value}", settings.margins.get(value, default))


def read_margins(path: Path) -> dict[str, float]:
    """Return the margins of a TOML file: `de-DE = 0.5` or `"domain=alarm" = 2`, in points.

    Raises:
        AttritionError: the file cannot be read, or a value is not a number.
    """
    values = parse_toml(read_text(path), str(path))
    for name, value in values.items():
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise AttritionError(f"{path}: {name} = {value!r} is not a margin. Write points, as {name} = 1.0")
    return {name: float(value) for name, value in values.items()}


def parse_critical(text: str) -> dict[str, float | None]:
    """Return labels with their margins; None for a label without a margin.

    Raises:
        AttritionError: a margin is not a number, or a name is missing.

    >>> parse_critical("PER=0.5,ID")
    {'PER': 0.5, 'ID': None}
    """
    found: dict[str, float | None] = {}
    for part in text.split(","):
        label, equals, margin = (piece.strip() for piece in part.partition("="))
        try:
            found[label] = float(margin) if equals else None
        except ValueError:
            raise AttritionError(f"--critical {part!r}: {margin!r} is not a number. Write for example PER=0.5,ID") from None
        if not label:
            raise AttritionError(f"--critical {text!r} names no label. Write for example PER=0.5,ID")
    return found

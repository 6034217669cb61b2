"""Tables as values with the best cells marked, for all formats (page, Markdown, CSV; LaTeX: `latex`)."""

from __future__ import annotations

import csv
import html
import io
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Literal

from attrition.analysis.intervals import Estimate

if TYPE_CHECKING:
    import pandas as pd

UNDEFINED = "–"
"""The text for a number that is undefined or was not measured."""

MINUS = "−"

BOLD = "Bold: the best number, and every number that lies in its interval or has it in its own."
"""What is bold in a table with intervals."""


def without_dust(value: float) -> float:
    """Return a number without its last digits, so that equal scores are printed in the same way.

    Sums of the same scores in another order differ in the 16th digit, which can change the rounding of a half.

    >>> [f"{without_dust(value):.1f}" for value in (46.25, 46.25 + 1e-14)]
    ['46.2', '46.2']
    """
    return round(value, 9)


def signed(value: float, digits: int = 1) -> str:
    """Return a number with its sign.

    >>> signed(-1.25, 2), signed(0.5)
    ('−1.25', '+0.5')
    """
    return f"{without_dust(value):+.{digits}f}".replace("-", MINUS)


@dataclass(frozen=True, kw_only=True)
class Number:
    """A number in a table: NaN is undefined. `spread` is a standard deviation, `low` to `high` a 95% interval."""

    value: float
    spread: float = math.nan
    low: float = math.nan
    high: float = math.nan


Cell = str | Number


@dataclass(frozen=True, kw_only=True)
class Column:
    """A column: its title, the format of its numbers, and which number is best.

    `times` multiplies printed numbers (100 for percent and points), but not the CSV; `signed` prints a plus too. `better` is
    "high", "low", or None if no value is better; `help` explains the column. Neighbours with one `group` share a head in
    formats with two rows of heads; `short` is then their own head.
    """

    title: str
    digits: int = 1
    times: float = 1.0
    signed: bool = False
    better: Literal["high", "low"] | None = None
    help: str = ""
    group: str = ""
    short: str = ""

    @property
    def head(self) -> str:
        """Return the title, with an arrow in the better direction."""
        return self.title + self._arrow

    @property
    def short_head(self) -> str:
        """Return the head below the group's head; the whole head without a group."""
        return f"{self.short}{self._arrow}" if self.group else self.head

    @property
    def _arrow(self) -> str:
        return {"high": " ↑", "low": " ↓", None: ""}[self.better]

    def text(self, cell: Cell) -> str:
        """Return a cell as text.

        >>> Column(title="CBT", digits=2, signed=True).text(Number(value=-0.08, low=-0.1, high=0.02))
        '−0.08 [−0.10, +0.02]'
        """
        if isinstance(cell, str):
            return cell
        if math.isnan(cell.value):
            return UNDEFINED
        text = self._digits(cell.value)
        if not math.isnan(cell.spread):
            text += f" ± {self.times * cell.spread:,.{self.digits}f}"
        if not math.isnan(cell.low):
            text += f" [{self._digits(cell.low)}, {self._digits(cell.high)}]"
        return text.replace("-", MINUS)

    def _digits(self, value: float) -> str:
        shown = self.rounded(Number(value=value))
        return f"{shown:{'+' if self.signed and shown else ''},.{self.digits}f}"

    def is_level(self, cell: Number, best: Number) -> bool:
        """Return whether a cell prints like the best one, or intervals do not separate the two."""
        if self.rounded(cell) == self.rounded(best):
            return True
        return best.low <= cell.value <= best.high or cell.low <= best.value <= cell.high

    def rounded(self, cell: Cell) -> float:
        """Return a cell's printed number; NaN for texts and undefined numbers."""
        if isinstance(cell, str):
            return math.nan
        return round(without_dust(self.times * cell.value), self.digits) + 0.0  # never -0.0


@dataclass(frozen=True, kw_only=True)
class Table:
    """Rows of cells under columns; `name` is its file name."""

    name: str
    title: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    caption: str = ""

    def __post_init__(self) -> None:
        assert all(len(row) == len(self.columns) for row in self.rows), f"{self.name}: ragged rows"

    def is_best(self) -> tuple[tuple[bool, ...], ...]:
        """Return which cells are the best of their column, if at least two values compete.

        The best is the best number as printed, and every number that intervals do not separate from it: one in its interval, or
        with it in the number's own interval. Negative metrics have a best value too.

        >>> column = Column(title="CBT", digits=2, better="high")
        >>> rows = ((Number(value=-0.13, low=-0.2, high=-0.1),), (Number(value=-0.08),), (Number(value=float("nan")),))
        >>> Table(name="t", title="", columns=(column,), rows=rows).is_best()
        ((False,), (True,), (False,))
        """
        best = [self._best_of(number) for number in range(len(self.columns))]
        return tuple(
            tuple(
                wanted is not None and isinstance(cell, Number) and column.is_level(cell, wanted)
                for column, cell, wanted in zip(self.columns, row, best, strict=True)
            )
            for row in self.rows
        )

    def _best_of(self, number: int) -> Number | None:
        column = self.columns[number]
        cells = [row[number] for row in self.rows]
        values = [cell for cell in cells if isinstance(cell, Number) and not math.isnan(cell.value)]
        if column.better is None or len(values) < 2:
            return None
        return (max if column.better == "high" else min)(values, key=column.rounded)

    @property
    def note(self) -> str:
        """Return the caption; with intervals, also what bold numbers are."""
        competing = [number for number, column in enumerate(self.columns) if column.better]
        cells = [cell for row in self.rows for number in competing if isinstance(cell := row[number], Number)]
        with_intervals = len(self.rows) > 1 and any(not math.isnan(cell.low) for cell in cells)
        return " ".join(part for part in (self.caption, BOLD if with_intervals else "") if part)

    def groups(self) -> list[tuple[str, int]]:
        """Return the shared heads, each with its number of columns; [] if no column has a group."""
        if not any(column.group for column in self.columns):
            return []
        return [(group, len(list(members))) for group, members in groupby(self.columns, key=lambda column: column.group)]

    def texts(self) -> list[list[str]]:
        """Return all cells as text."""
        return [[column.text(cell) for column, cell in zip(self.columns, row, strict=True)] for row in self.rows]

    def is_numeric(self) -> list[bool]:
        """Return which columns have numbers, which are aligned right."""
        return [any(isinstance(row[number], Number) for row in self.rows) for number in range(len(self.columns))]

    def to_markdown(self) -> str:
        """Return the table in Markdown, its title first, the best values bold."""
        marked = self._marked(_markdown_text, lambda text: f"**{text}**")
        heads = [_markdown_text(column.head) for column in self.columns]
        rules = ["---:" if numeric else "---" for numeric in self.is_numeric()]
        lines = ["| " + " | ".join(cells) + " |" for cells in (heads, rules, *marked)]
        parts = [
            f"**{_markdown_text(self.title)}**",
            "\n".join(lines),
            *([_markdown_text(self.note)] if self.note else []),
        ]
        return "\n\n".join(parts) + "\n"

    def _repr_html_(self) -> str:
        """Return the table for a notebook: no classes and no scripts, because the notebook has its own style."""
        heads = "".join(f"<th>{html.escape(column.head)}</th>" for column in self.columns)
        marked = self._marked(html.escape, lambda text: f"<b>{text}</b>")
        rows = "".join(f"<tr>{''.join(f'<td>{text}</td>' for text in texts)}</tr>" for texts in marked)
        title, note = html.escape(self.title), html.escape(self.note)
        return f"<p><b>{title}</b></p><table><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table><p>{note}</p>"

    def to_frame(self) -> pd.DataFrame:
        """Return the table as a frame, with the columns and the values of `to_csv`."""
        import pandas as pd

        return pd.read_csv(io.StringIO(self.to_csv()), keep_default_na=False, na_values=[""])

    def to_csv(self) -> str:
        """Return the table as CSV: exact values, with separate columns for spreads and ends of intervals."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        parts = [self._parts(number) for number in range(len(self.columns))]
        writer.writerow(
            f"{column.title}{_CSV_PARTS[part]}" for column, own in zip(self.columns, parts, strict=True) for part in own
        )
        for row in self.rows:
            writer.writerow(_csv_cell(cell, part) for cell, own in zip(row, parts, strict=True) for part in own)
        return text.getvalue()

    def _parts(self, number: int) -> list[str]:
        """Return the parts of numbers in a column, as attributes of `Number`."""
        numbers = [cell for row in self.rows if isinstance(cell := row[number], Number)]
        return [
            "value",
            *(part for part in ("spread", "low", "high") if any(not math.isnan(getattr(n, part)) for n in numbers)),
        ]

    def _marked(self, escape: Callable[[str], str], mark: Callable[[str], str]) -> list[list[str]]:
        return [
            [mark(escape(text)) if best else escape(text) for text, best in zip(texts, bests, strict=True)]
            for texts, bests in zip(self.texts(), self.is_best(), strict=True)
        ]


_CSV_PARTS = {"value": "", "spread": " sd", "low": " low", "high": " high"}
"""The suffix of a column's title for each part of its numbers."""


def _csv_cell(cell: Cell, part: str) -> str:
    if isinstance(cell, str):
        return cell if part == "value" else ""
    value: float = getattr(cell, part)
    return "" if math.isnan(value) else repr(value)


def number_of(each: Estimate, times: float = 1.0) -> Number:
    """Return an estimate as a cell; an infinite interval is left out."""
    low, high = (end if math.isfinite(end) else math.nan for end in (each.low, each.high))
    return Number(value=times * each.value, low=times * low, high=times * high)


def _markdown_text(text: str) -> str:
    """Return text with Markdown's special characters, tags and bars escaped."""
    escaped = html.escape(text, quote=False)
    for sign in "\\`*_[]|":
        escaped = escaped.replace(sign, f"\\{sign}")
    return escaped.replace("\n", " ")


def mean_and_spread(values: Sequence[float]) -> Number:
    """Return the mean of the defined values and their sample standard deviation (NaN for one value).

    >>> mean_and_spread([0.25, 0.75, float("nan")])
    Number(value=0.5, spread=0.3535533905932738, low=nan, high=nan)
    """
    defined = [value for value in values if not math.isnan(value)]
    if not defined:
        return Number(value=math.nan)
    mean = sum(defined) / len(defined)
    if len(defined) == 1:
        return Number(value=mean)
    return Number(value=mean, spread=math.sqrt(sum((value - mean) ** 2 for value in defined) / (len(defined) - 1)))

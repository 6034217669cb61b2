"""Tables in LaTeX that fit a page: grouped heads, blocks of columns, wrapped text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from attrition.report.tables import MINUS, UNDEFINED, Column, Table

PACKAGES = ("array", "booktabs", "longtable")
"""The packages that a document needs for the tables."""

TEXT_WIDTH = 345.0
"""Text width in points of LaTeX's article class at 10 pt; other classes are as wide or wider."""

TEXT_HEIGHT = 480.0
"""Largest height in points of a table below its caption, in the same class; a higher table gets several pages."""


@dataclass(frozen=True)
class _Size:
    """A font size: mean width of a letter, space on each side of a column, and line height, in points."""

    name: str
    letter: float
    gap: float
    line: float


_SIZES = (_Size("small", 4.9, 4.0, 11.0), _Size("footnotesize", 4.5, 3.0, 9.5), _Size("scriptsize", 4.1, 2.5, 8.0))

_WRAPS_FROM = 30
"""A column with a longer text is wrapped."""

_LEAST_WRAPPED = 60.0
"""Smallest width in points of a column of wrapped text."""

_NUMBERED = "Table "
"""The start of titles of the paper's tables; LaTeX numbers captions itself."""

_SIGNS = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    MINUS: "$-$",
    UNDEFINED: "--",
    "±": r"$\pm$",
    "·": r"$\cdot$",
    "↑": r"$\uparrow$",
    "↓": r"$\downarrow$",
    "×": r"$\times$",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
}


def latex_text(text: str) -> str:
    r"""Return text with LaTeX's special characters escaped.

    >>> latex_text("50% of R_1")
    '50\\% of R\\_1'
    """
    return "".join(_SIGNS.get(sign, sign) for sign in text)


def to_latex(table: Table) -> str:
    """Return the table in LaTeX, the best values bold; its first line names the required packages.

    Columns of one group share a head. If the columns are wider than a page, the table is divided into blocks of whole groups
    under one caption, each with the first column. The font is as large as possible without more blocks or pages.
    """
    size, blocks = _layout(table)
    widths = _wrapped_widths(table, size)
    tabulars = [_block(table, block, widths) for block in blocks]
    caption = rf"\caption{{{_caption(table)}}}"
    label = rf"\label{{tab:{table.name}}}"
    first = rf"% Needs \usepackage{{{', '.join(PACKAGES)}}}."
    fonts = [rf"\{size.name}", rf"\setlength{{\tabcolsep}}{{{size.gap:g}pt}}"]
    if len(blocks) == 1 and _height(table, widths, size) > TEXT_HEIGHT:
        (alignment, head, body) = tabulars[0]
        begin, end = rf"\begin{{longtable}}{{{alignment}}}", r"\end{longtable}"
        repeated = [*head, r"\endhead"]
        return _text(first, "{", *fonts, begin, f"{caption}{label}" + r"\\", *repeated, *body, end, "}")
    inner: list[str] = []
    for alignment, head, body in tabulars:
        inner += [r"\medskip", ""] if inner else []
        inner += [rf"\begin{{tabular}}{{{alignment}}}", *head, *body, r"\end{tabular}"]
    return _text(first, r"\begin{table}", r"\centering", caption, label, r"\smallskip", *fonts, *inner, r"\end{table}")


def _text(*lines: str) -> str:
    return "\n".join(lines) + "\n"


def _caption(table: Table) -> str:
    """Return title and explanation, without LaTeX's number."""
    title = table.title
    if title.startswith(_NUMBERED) and ": " in title:
        title = title.split(": ", 1)[1]
        title = title[:1].upper() + title[1:]
    return latex_text(". ".join(part for part in (title, table.note) if part)).rstrip(".")


def _layout(table: Table) -> tuple[_Size, list[list[int]]]:
    """Return the font size, and the columns of each block."""
    found = []
    for size in _SIZES:
        blocks = _blocks(table, size)
        pages = _height(table, _wrapped_widths(table, size), size) > TEXT_HEIGHT
        found.append(((len(blocks), pages), size, blocks))
    _, size, blocks = min(found, key=lambda entry: entry[0])  # the first, and so the largest, of equally good sizes
    return size, blocks


def _blocks(table: Table, size: _Size) -> list[list[int]]:
    """Return columns by block: the first column in each, groups undivided."""
    texts = table.texts()
    wrapped = _wrapped_widths(table, size)

    def width(number: int) -> float:
        heads = [table.columns[number].short_head]
        longest = max(len(text) for text in (*heads, *(row[number] for row in texts)))
        return (wrapped[number] if number in wrapped else longest * size.letter) + 2 * size.gap

    rest = range(1, len(table.columns))
    groups = [list(places) for _, places in groupby(rest, key=lambda number: table.columns[number].group or number)]
    blocks: list[list[int]] = []
    used = TEXT_WIDTH
    for group in groups:
        needed = sum(map(width, group))
        if not blocks or used + needed > TEXT_WIDTH:
            blocks.append([0])
            used = width(0)
        blocks[-1] += group
        used += needed
    return blocks or [[0]]


def _wrapped_widths(table: Table, size: _Size) -> dict[int, float]:
    """Return the width in points of each column of long texts: they share the remaining width by text length."""
    texts = table.texts()
    longest = [max([len(column.head), *(len(row[number]) for row in texts)]) for number, column in enumerate(table.columns)]
    # The first column names the rows: blocks repeat it, and it is not wrapped beside numbers.
    numeric = table.is_numeric()
    wraps = [number for number, length in enumerate(longest) if length > _WRAPS_FROM and not numeric[number]]
    if not wraps or (wraps == [0] and any(numeric)):
        return {}
    left = TEXT_WIDTH - sum(length * size.letter for number, length in enumerate(longest) if number not in wraps)
    left -= 2 * size.gap * len(longest) + _LEAST_WRAPPED * len(wraps)
    whole = sum(longest[number] for number in wraps)
    return {number: round(_LEAST_WRAPPED + max(left, 0.0) * longest[number] / whole, 1) for number in wraps}


def _height(table: Table, widths: dict[int, float], size: _Size) -> float:
    """Return the height in points of the rows of one block."""
    lines = 0
    for row in table.texts():
        lines += max([1, *(1 + int(len(row[number]) * size.letter / width) for number, width in widths.items())])
    return lines * size.line


def _block(table: Table, block: Sequence[int], widths: dict[int, float]) -> tuple[str, list[str], list[str]]:
    """Return alignment, head and body of some columns."""
    numeric = table.is_numeric()
    columns = [table.columns[number] for number in block]
    alignment = "".join(
        rf">{{\raggedright\arraybackslash}}p{{{widths[number]:g}pt}}" if number in widths else "r" if numeric[number] else "l"
        for number in block
    )
    head = [r"\toprule", *_group_heads(columns)]
    head += [" & ".join(latex_text(column.short_head) for column in columns) + r" \\", r"\midrule"]
    body = []
    for texts, bests in zip(table.texts(), table.is_best(), strict=True):
        cells = [latex_text(texts[number]) for number in block]
        marked = [rf"\textbf{{{cell}}}" if bests[number] else cell for number, cell in zip(block, cells, strict=True)]
        body.append(" & ".join(marked) + r" \\")
    return alignment, head, [*body, r"\bottomrule"]


def _group_heads(columns: Sequence[Column]) -> list[str]:
    """Return the row above the heads, if columns have groups."""
    if not any(column.group for column in columns):
        return []
    cells, rules, place = [], [], 1
    for group, members in groupby(columns, key=lambda column: column.group):
        size = len(list(members))
        cells.append(rf"\multicolumn{{{size}}}{{c}}{{{latex_text(group)}}}")
        rules += [rf"\cmidrule(lr){{{place}-{place + size - 1}}}"] if group else []
        place += size
    return [" & ".join(cells) + r" \\", "".join(rules)]

"""Consoles: results go to standard output, all other messages to standard error."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console, RenderableType
from rich.measure import Measurement
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

WIDE = 200

# Files and pipes have no width, so tables are not cut.
out = Console(highlight=False, width=None if sys.stdout.isatty() or "COLUMNS" in os.environ else WIDE)
err = Console(stderr=True, highlight=False)


def tell(message: str) -> None:
    """Print a message to standard error, also with --quiet. Lines are not wrapped, so that paths can be copied."""
    quiet, err.quiet = err.quiet, False
    err.print(message, soft_wrap=True)
    err.quiet = quiet


@contextmanager
def quietly(quiet: bool) -> Iterator[None]:
    """If `quiet`, print only errors, warnings and messages of `tell` inside the block."""
    before = out.quiet, err.quiet
    out.quiet = err.quiet = quiet or err.quiet
    try:
        yield
    finally:
        out.quiet, err.quiet = before


def show(table: Table) -> None:
    """Print a table. If the terminal is too narrow, print each row as a paragraph."""
    width = Measurement.get(out, out.options.update(max_width=10_000), table).minimum
    if width <= out.width:
        out.print(table)
        return
    if table.title:
        out.print(table.title, style="bold", soft_wrap=True)
    heads = [column.header for column in table.columns]
    for first, *others in zip(*(column.cells for column in table.columns), strict=True):
        out.print(first, style="bold", soft_wrap=True)
        for head, cell in zip(heads[1:], others, strict=True):
            line = Text("  ").append_text(as_text(head)).append(": " if str(head) else "").append_text(as_text(cell))
            out.print(line, soft_wrap=True)


def as_text(cell: RenderableType) -> Text:
    """Return a table's cell as styled text."""
    return cell if isinstance(cell, Text) else Text.from_markup(str(cell))


@contextmanager
def counting(description: str) -> Iterator[Callable[[str, int, int], None]]:
    """Show a bar, updated by the yielded function `progress(what, done, total)`."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=16),
        MofNCompleteColumn(),
        TimeRemainingColumn(compact=True),
    )
    with Progress(*columns, console=err, transient=True, disable=err.quiet) as progress:
        task = progress.add_task(description, total=None)

        def advance(what: str, done: int, total: int) -> None:
            progress.update(task, description=what, completed=done, total=total or None)

        yield advance

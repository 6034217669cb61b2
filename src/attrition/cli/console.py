"""Consoles: results go to standard output, all other messages to standard error."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

WIDE = 200

# What is not a terminal, a file or a pipe, has no width to which tables must be cut.
out = Console(highlight=False, width=None if sys.stdout.isatty() or "COLUMNS" in os.environ else WIDE)
err = Console(stderr=True, highlight=False)


def tell(message: str) -> None:
    """Print a message on standard error without line breaks, so that paths stay complete."""
    err.print(message, soft_wrap=True)


def bars() -> Progress:
    """Progress bars with the time left; on standard error, so that results can be piped."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=28),
        TextColumn("{task.percentage:>3.0f}%"),
        TimeRemainingColumn(compact=True),
        TextColumn("left,"),
        TimeElapsedColumn(),
        TextColumn("so far"),
        console=err,
        transient=True,
    )


@contextmanager
def counting(description: str) -> Iterator[Callable[[str, int, int], None]]:
    """A bar driven by `progress(what, done, total)`."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=28),
        MofNCompleteColumn(),
        TimeRemainingColumn(compact=True),
    )
    with Progress(*columns, console=err, transient=True) as progress:
        task = progress.add_task(description, total=None)

        def advance(what: str, done: int, total: int) -> None:
            progress.update(task, description=what, completed=done, total=total or None)

        yield advance

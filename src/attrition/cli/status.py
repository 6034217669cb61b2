"""`attrition status`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from attrition.cli.console import out
from attrition.cli.durations import in_words
from attrition.names import counted


def status(
    folder: Annotated[
        Path, typer.Argument(metavar="RUNS", help="A results folder that `attrition run` writes, or has written.")
    ],
) -> None:
    """Show a study's progress, workers, speed and time left, also while it runs on another machine.

    [dim]attrition status runs/massive-small[/]
    """
    from attrition.results.at_work import SILENT_SECONDS, read_status

    found = read_status(folder)
    (done, stages), (written, runs), (read, passes) = found.stages, found.runs, found.passes
    others = f" (of the study: {found.study[0]} of {found.study[1]})" if found.study[1] > runs else ""
    share = read / passes if passes else 1.0
    finished = f"{written} of {counted(runs, 'run')} finished{others}"
    out.print(f"[bold]{done} of {counted(stages, 'stage')}[/] stored, {finished}: {share:.0%} of the training.")
    if found.workers:
        table = Table(box=None, pad_edge=False, header_style="bold")
        for title in ("At work", "on", "done", "utterances/s", ""):
            table.add_column(title, justify="right" if title in ("done", "utterances/s") else "left")
        for worker in found.workers:
            silent = f"silent for {in_words(worker.silent)}" if worker.silent >= SILENT_SECONDS else ""
            table.add_row(escape(worker.what), escape(worker.where), f"{worker.share:.0%}", f"{worker.speed:,.0f}", silent)
        out.print(table)
    if found.kept:
        out.print(f"Paused, with a checkpoint: {escape(', '.join(found.kept))}.", soft_wrap=True)
    if found.speed and read < passes:
        out.print(
            f"About [bold]{in_words(found.seconds_left)}[/] left at {found.speed:,.0f} utterances/s (training and scoring "
            "together), if no learner stops early.",
            soft_wrap=True,
        )
    if found.driver:
        out.print(f"Scheduled by {escape(found.driver)}.", soft_wrap=True)
    elif written < runs:
        out.print("No driver is running. Run the same `attrition run` to resume.")

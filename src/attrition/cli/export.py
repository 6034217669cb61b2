"""`attrition export`: a stage's model as files that other programs read."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from attrition.cli.console import out


def export(
    results: Annotated[Path, typer.Argument(metavar="RUNS", help="A results folder that `attrition run` wrote.")],
    stage: Annotated[
        str, typer.Argument(metavar="STAGE", help="RUN:LOCALE, the model of a run after learning a locale, or a stage's key.")
    ],
    folder: Annotated[Path, typer.Argument(metavar="OUT", help="A new folder for the model.")],
) -> None:
    """Write the model of one stage: a PEFT adapter for LoRA, a whole transformers checkpoint for full training.

    A run is called as its folder in RUNS/runs.

    [dim]attrition export runs/demo vanilla--as-listed--s0--1a2b3c4d:zh-CN models/after-chinese[/]
    """
    from attrition.export.stage import export_stage

    export_stage(results, stage, folder)
    out.print(f"Written: {escape(str(folder))}", soft_wrap=True)

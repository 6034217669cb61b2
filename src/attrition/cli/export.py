"""`attrition export`: the model of a stage, in a format that other programs read."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from attrition.cli.console import out


def export(
    results: Annotated[Path, typer.Argument(metavar="RUNS", help="A results folder that `attrition run` wrote.")],
    stage: Annotated[
        str,
        typer.Argument(
            metavar="STAGE", help="RUN:LOCALE (the model of a run after the stage of a language), or the key of a stage."
        ),
    ],
    folder: Annotated[Path, typer.Argument(metavar="OUT", help="A new folder for the model.")],
) -> None:
    """Write the model after one stage: a PEFT adapter for LoRA, a transformers checkpoint for full fine-tuning.

    The name of a run is the name of its folder in RUNS/runs.

    [dim]attrition export runs/demo vanilla--as-listed--s0--1a2b3c4d:zh-CN models/after-chinese[/]
    """
    from attrition.export.stage import export_stage

    export_stage(results, stage, folder)
    out.print(f"Written: {escape(str(folder))}", soft_wrap=True)

"""`attrition export`: writes the model of a stage, or the numbers of a study, for other programs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from attrition.cli.console import out
from attrition.names import AttritionError


def export(
    results: Annotated[Path, typer.Argument(metavar="RUNS", help="A results folder that `attrition run` wrote.")],
    stage: Annotated[
        str | None,
        typer.Argument(
            metavar="STAGE", help="RUN:LOCALE (the model of a run after the stage of a language), or the key of a stage."
        ),
    ] = None,
    folder: Annotated[Path | None, typer.Argument(metavar="OUT", help="A new folder for the model.")] = None,
    dataset: Annotated[
        Path | None,
        typer.Option(metavar="OUT", help="Write R, counts and times of all runs as a data set instead of a model."),
    ] = None,
    onnx: Annotated[
        bool, typer.Option("--onnx", help="Write model.onnx too, an adapter merged into its base. Needs attrition[onnx].")
    ] = False,
    push: Annotated[
        str | None,
        typer.Option(metavar="REPO", help="Upload OUT to this repository of the Hugging Face Hub. A new one is private."),
    ] = None,
) -> None:
    """Write the model after one stage: a PEFT adapter for LoRA, a transformers checkpoint for full fine-tuning.

    A run that merges its learners gives the merged model: a mean of adapters as one adapter, any other merge as a checkpoint.

    With --dataset OUT: write the numbers of all runs as Parquet tables. Either folder has a card, README.md. The name of a run
    is the name of its folder in RUNS/runs.

    [dim]attrition export runs/demo vanilla--as-listed--s0--1a2b3c4d:zh-CN models/after-chinese
    attrition export runs/demo --dataset demo-results --push me/demo-results[/]
    """
    from attrition.export.push import push_folder, token_for

    if dataset is not None:
        if stage is not None or onnx:
            raise AttritionError("--dataset writes the numbers of all runs. Leave out STAGE and --onnx.")
        from attrition.report.dataset import export_dataset

        token = token_for(push) if push else ""
        tables = export_dataset(results, dataset, repo=push or "")
        out.print(f"Written: {escape(str(dataset))} ({', '.join(tables)})", soft_wrap=True)
        if push:
            out.print(f"Pushed: {escape(push_folder(dataset, push, token=token, kind='dataset'))}", soft_wrap=True)
        return
    if stage is None or folder is None:
        raise AttritionError("Give STAGE and OUT for a model, or --dataset OUT for the numbers of all runs.")
    from attrition.export.stage import export_stage

    token = token_for(push) if push else ""
    file = export_stage(results, stage, folder, name=push or "", onnx=onnx)
    out.print(f"Written: {escape(str(folder))}", soft_wrap=True)
    if file:
        out.print(file.statement, soft_wrap=True)
    if push:
        out.print(f"Pushed: {escape(push_folder(folder, push, token=token))}", soft_wrap=True)

"""`attrition verify`: check a results folder."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.table import Table

from attrition.cli.console import out, show

if TYPE_CHECKING:
    from attrition.verify.verify import Check, Verdict


def verify(
    folder: Annotated[Path, typer.Argument(metavar="RUNS", help="A results folder that `attrition run` wrote.")],
    sample: Annotated[
        int, typer.Option("--sample", min=0, metavar="N", help="Score N random stages again from their weights.")
    ] = 1,
    seed: Annotated[int, typer.Option("--seed", metavar="S", help="Seed for drawing these stages.")] = 0,
    pack: Annotated[
        Path | None, typer.Option("--pack", help="Read corpus and encoder from this pack (see `attrition prepare`).")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Check a results folder without changing it. Exit code 1 means that something is wrong.

    The command compares every file with its checksum, recomputes every table from the stored counts, and scores N stages again
    from their weights.

    [dim]attrition verify runs/massive-small
    attrition verify runs/massive-small --sample 20 --seed 7
    attrition verify runs/massive-small --sample 0 --json[/]
    """
    # torch and transformers are slow to import.
    from attrition.cli.progress import TerminalWatcher
    from attrition.verify.verify import verify as verify_results

    with TerminalWatcher() as watcher:
        verdict = verify_results(folder, sample=sample, seed=seed, pack=pack, watcher=watcher)
    if as_json:
        typer.echo(json.dumps(_plain(verdict), indent=1, ensure_ascii=False))
    else:
        _show(verdict)
    if verdict.problems:
        raise typer.Exit(1)


def _plain(verdict: Verdict) -> dict[str, object]:
    checks = [
        {
            "check": check.name,
            "checked": check.num_checked,
            "skipped": check.skipped,
            "notes": list(check.notes),
            "problems": [{**dataclasses.asdict(problem), "file": str(problem.file)} for problem in check.problems],
        }
        for check in verdict.checks
    ]
    return {"folder": str(verdict.folder), "whole": not verdict.problems, "has_counts": verdict.has_counts, "checks": checks}


def _show(verdict: Verdict) -> None:
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("Check")
    table.add_column("Checked", justify="right")
    table.add_column("Result")
    for check in verdict.checks:
        table.add_row(check.name, str(check.num_checked), _result(check))
    show(table)
    for check in verdict.checks:
        if check.skipped is not None:
            out.print(f"[yellow]{check.name}: skipped, {escape(check.skipped)}[/]", soft_wrap=True)
        for note in check.notes:
            out.print(f"[dim]{check.name}: {escape(note)}[/]", soft_wrap=True)
    for problem in verdict.problems:
        file, what, remedy = (escape(str(part)) for part in (problem.file, problem.what, problem.remedy))
        out.print(f"[bold red]Wrong:[/] [bold]{file}[/] {what}. {remedy}", soft_wrap=True)
    if not verdict.problems and not verdict.has_counts:
        out.print("[green]Nothing is wrong in what could be checked[/], which is little: this folder holds no counts.")
    elif not verdict.problems:
        out.print("[green]Nothing is wrong.[/]")


def _result(check: Check) -> str:
    if check.problems:
        return f"[bold red]{len(check.problems)} wrong[/]"
    if check.skipped is not None:
        return "[yellow]skipped[/]"
    return "[green]as it was[/]" if check.num_checked else "[dim]nothing to check[/]"

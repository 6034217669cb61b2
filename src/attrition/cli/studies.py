"""`attrition demo`, `run` and `report`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from attrition.cli.console import out, tell
from attrition.cli.durations import seconds_of
from attrition.cli.numbers import Groupings

if TYPE_CHECKING:
    from attrition.run.spec import Study

Changes = Annotated[
    list[str] | None,
    typer.Option(
        "--set", metavar="KEY=VALUE", help="Change a setting, for example training.epochs=3 (TOML values; may be repeated)."
    ),
]


Only = Annotated[
    list[str] | None,
    typer.Option(
        "--only",
        metavar="RUN",
        help="Train these runs only: METHOD/ORDER/sSEED, the name of a method, or the key of a run. * and ? stand for any "
        "characters (may be repeated).",
    ),
]
Limit = Annotated[
    str | None,
    typer.Option(
        "--for", metavar="TIME", help="Stop after this time, for example 50m, 2h, 90s or 1h30m. The same command resumes."
    ),
]


def demo(
    folder: Annotated[
        Path | None, typer.Option("--out", "-o", help="Folder for the results. Default: runs/demo, or runs/demo-short.")
    ] = None,
    short: Annotated[bool, typer.Option("--short", help="Train two languages, to test the installation.")] = False,
    fresh: Annotated[bool, typer.Option("--fresh", help="Delete an earlier demo in that folder first.")] = False,
) -> None:
    """Train an encoder on four languages with four methods, in a few minutes and without a download.

    [dim]attrition demo
    attrition demo --short --out /tmp/demo[/]
    """
    name = "demo-short" if short else "demo"
    folder = folder or Path("runs") / name
    if fresh:
        from attrition.run.folder import forget

        forget(folder)
    study = resources.files("attrition") / "studies" / f"{name}.toml"
    with resources.as_file(study) as path:
        out.print(
            "[bold]attrition demo[/]: multilingual-E5-small learns slot filling in one language after another.\n"
            "The sentences are generated from patterns and CLDR names (the phrasebook). Nothing is downloaded.\n"
        )
        _run(path, folder, [])


def run(
    study: Annotated[
        Path, typer.Argument(metavar="STUDY.toml", help="A study file, or a folder that `attrition prepare` made.")
    ],
    folder: Annotated[
        Path | None, typer.Option("--out", "-o", help="Folder for the results. Default: runs/<study name>.")
    ] = None,
    changes: Changes = None,
    only: Only = None,
    limit: Limit = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show runs, stages and cost. Do not train.")] = False,
    no_report: Annotated[bool, typer.Option("--no-report", help="Show the results without a report.")] = False,
) -> None:
    """Run a study, or resume an interrupted one.

    Runs are trained one after another: by method, then by order, then by seed.

    [dim]attrition run studies/massive-small.toml
    attrition run studies/massive-small.toml --dry-run
    attrition run studies/massive-small.toml --set corpus.sizes.train=500 --set 'methods=["VANILLA"]'
    attrition run studies/massive-small.toml --only VANILLA --only 'shared lora/*/s0' --for 50m
    attrition run pack --out runs/packed[/]
    """
    seconds = None if limit is None else seconds_of(limit)
    _run(study, folder, changes or [], only or [], seconds, dry_run=dry_run, with_report=not no_report)


def report(
    folder: Annotated[Path, typer.Argument(metavar="RUNS", help="A results folder that `attrition run` wrote.")],
    beside: Annotated[
        list[Path] | None,
        typer.Option("--beside", metavar="RUNS", help="Show the runs of another study too (may be repeated)."),
    ] = None,
    groupings: Groupings = None,
) -> None:
    """Write the report of a results folder again. Needs no model and no torch.

    [dim]attrition report runs/massive-small
    attrition report runs/cuts-blanks --beside runs/cuts-graphemes
    attrition report runs/massive-small --group typology.csv[/]
    """
    _report(folder, beside or [], groupings or [])


def _run(
    path: Path,
    folder: Path | None,
    changes: list[str],
    only: Sequence[str] = (),
    seconds: float | None = None,
    *,
    dry_run: bool = False,
    with_report: bool = True,
) -> None:
    from attrition.run.spec import read_study

    pack = path if path.is_dir() else None
    study = read_study(path, changes) if pack is None else _open(pack, changes)
    # torch and transformers are slow to import: only after the study file is known to be right.
    from attrition.cli.progress import TerminalWatcher
    from attrition.run.engine import run_study
    from attrition.run.keys import slug
    from attrition.run.stop import Stopped, TimeUp

    folder = folder or Path("runs") / slug(study.name)
    if dry_run:
        from attrition.cli.dry_run import show_plan

        show_plan(study, folder, pack, only)
        return
    try:
        with TerminalWatcher() as watcher:
            run_study(study, folder, watcher, pack, only=only, seconds=seconds)
    except TimeUp as stopped:
        tell(f"\n[bold]The time is up.[/] {escape(stopped.kept)}")
        return
    except Stopped as stopped:
        tell(f"\n[bold]Stopped.[/] {escape(stopped.kept)}")
        sys.exit(stopped.exit_code)
    _show(folder)
    if with_report:
        _report(folder)


def _open(pack: Path, changes: list[str]) -> Study:
    from attrition.run.pack import open_pack

    return open_pack(pack, changes)


def _show(folder: Path) -> None:
    """Print R, sentences about it, and the metrics of each run."""
    from attrition.analysis.words import words
    from attrition.report.terminal import terminal_matrix, terminal_metrics
    from attrition.results.read import read_results

    results = read_results(folder)
    for run in results.runs:
        out.print(f"[bold]{escape(run.label)}[/]: {escape(run.score)} on each language after each stage")
        table = terminal_matrix(run.matrix, width=out.width, score=run.score)
        table.title = None  # it would be broken to the width of the table
        out.print(table)
        for sentence in words(run.matrix, run.score):
            out.print(f"  {escape(sentence)}")
        out.print()
    out.print(terminal_metrics(results.runs, score=results.score))
    spent = {part: sum(run.times[part] for run in results.runs) for part in ("data", "training", "evaluation", "other")}
    out.print(
        "Time of the stages behind these runs (shared ones counted in each): "
        + ", ".join(f"{part} {seconds:.0f} s" for part, seconds in spent.items()),
        style="dim",
    )


def _report(folder: Path, beside: Sequence[Path] = (), groupings: Sequence[str] = ()) -> None:
    from attrition.cli.console import counting
    from attrition.paper.report import make_report

    with counting("Drawing the report") as progress:
        page = make_report(
            folder,
            beside=beside,
            groupings=groupings,
            progress=lambda done, total, what: progress(f"Drawing {what}", done, total),
        )
    tell(f"Report: [bold]{escape(str(page))}[/]")

"""`attrition demo`, `run` and `report`."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from attrition.cli.console import counting, err, out, quietly, tell
from attrition.cli.durations import seconds_of
from attrition.cli.numbers import Groupings
from attrition.names import counted

if TYPE_CHECKING:
    from attrition.study.spec import Study

MOST_SENTENCES = 6
"""Largest number of methods in the summary."""

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
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print only warnings and errors.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print the summary as one JSON object.")]
Limit = Annotated[
    str | None,
    typer.Option("--for", metavar="TIME", help="Stop after this time: 50m, 2h, 90s or 1h30m. Run the same command to resume."),
]


def demo(
    folder: Annotated[
        Path | None, typer.Option("--out", "-o", help="Folder for the results. Default: runs/demo, or runs/demo-short.")
    ] = None,
    short: Annotated[bool, typer.Option("--short", help="Two languages and a minute, to see that everything works.")] = False,
    fresh: Annotated[bool, typer.Option("--fresh", help="Delete an earlier demo in that folder first.")] = False,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Train four languages with four methods in a few minutes, without a download, and show what is forgotten.

    [dim]attrition demo
    attrition demo --short --out /tmp/demo[/]
    """
    name = "demo-short" if short else "demo"
    folder = folder or Path("runs") / name
    study = resources.files("attrition") / "studies" / f"{name}.toml"
    with resources.as_file(study) as path, quietly(quiet):
        err.print(
            "[bold]attrition demo[/]: the encoder multilingual-E5-small learns slot filling, language after language.\n"
            "The sentences are generated from patterns and CLDR names (the phrasebook): nothing is downloaded.\n"
        )
        _run(path, folder, [], fresh=fresh, as_json=as_json)


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
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show runs, stages and cost; train nothing.")] = False,
    no_report: Annotated[bool, typer.Option("--no-report", help="Show the summary, but make no report.")] = False,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Run a study, or resume one that was interrupted.

    Runs are trained one after another: by method, then by order, then by seed.

    [dim]attrition run studies/massive-small.toml
    attrition run studies/massive-small.toml --dry-run
    attrition run studies/massive-small.toml --set corpus.sizes.train=500 --set 'methods=["VANILLA"]'
    attrition run studies/massive-small.toml --only VANILLA --only 'shared lora/*/s0' --for 50m
    attrition run pack --out runs/packed[/]
    """
    seconds = None if limit is None else seconds_of(limit)
    with quietly(quiet):
        _run(study, folder, changes or [], only or [], seconds, dry_run=dry_run, with_report=not no_report, as_json=as_json)


def report(
    folder: Annotated[Path, typer.Argument(metavar="RUNS", help="A results folder that `attrition run` wrote.")],
    beside: Annotated[
        list[Path] | None,
        typer.Option("--beside", metavar="RUNS", help="Show the runs of another study too (may be repeated)."),
    ] = None,
    groupings: Groupings = None,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Write the report of a results folder again. Needs no model and no torch.

    [dim]attrition report runs/massive-small
    attrition report runs/cuts-blanks --beside runs/cuts-graphemes
    attrition report runs/massive-small --group typology.csv[/]
    """
    with quietly(quiet):
        page = _report(folder, beside or [], groupings or [])
        _summary(folder, page, beside or [], as_json=as_json)


def _run(
    path: Path,
    folder: Path | None,
    changes: list[str],
    only: Sequence[str] = (),
    seconds: float | None = None,
    *,
    fresh: bool = False,
    dry_run: bool = False,
    with_report: bool = True,
    as_json: bool = False,
) -> None:
    from attrition.study.spec import read_study

    pack = path if path.is_dir() else None
    study = read_study(path, changes) if pack is None else _open(pack, changes)
    if not dry_run:
        from attrition.engine.executors.forks import start_early

        start_early(study.machine.executor)
    # torch and transformers are slow to import: check the study file first.
    from attrition.cli.tracker import watching
    from attrition.engine.run import run_study
    from attrition.study.keys import slug
    from attrition.study.stop import Stopped, TimeUp

    folder = folder or Path("runs") / slug(study.name)
    if fresh:
        from attrition.store.folder import forget

        forget(folder)
    if dry_run:
        from attrition.cli.dry_run import show_plan

        show_plan(study, folder, pack, only)
        return
    try:
        with watching(study, folder) as watcher:
            run_study(study, folder, watcher, pack, only=only, seconds=seconds)
    except TimeUp as stopped:
        tell(f"\n[bold]Time limit reached.[/] {escape(stopped.kept)}")
        return
    except Stopped as stopped:
        tell(f"\n[bold]Stopped.[/] {escape(stopped.kept)}")
        sys.exit(stopped.exit_code)
    _summary(folder, _report(folder) if with_report else None, as_json=as_json)


def _open(pack: Path, changes: list[str]) -> Study:
    from attrition.prepare.pack import open_pack

    return open_pack(pack, changes)


def _report(folder: Path, beside: Sequence[Path] = (), groupings: Sequence[str] = ()) -> Path:
    """Make the report and return the path of its page."""
    from attrition.paper.report import make_report

    with counting("Making the report") as progress:
        return make_report(
            folder,
            beside=beside,
            groupings=groupings,
            progress=lambda done, total, what: progress("Making the report", done, total),
        )


def _summary(folder: Path, page: Path | None, beside: Sequence[Path] = (), *, as_json: bool) -> None:
    """Print gains and losses, the report's path and the next step on one screen, or as JSON."""
    from attrition.report.overview import failed_training, outcomes, overview
    from attrition.results.read import read_results

    results = read_results(folder, beside)
    if as_json:
        found = {
            "study": results.name,
            "folder": str(folder),
            "report": None if page is None else str(page),
            "score": results.score,
            "runs": [run.key for run in results.runs],
            "unfinished": list(results.unfinished),
            "methods": [each.as_dict() for each in outcomes(results)],
            "failed": list(failed_training(results)),
        }
        typer.echo(json.dumps(found, indent=1, ensure_ascii=False, allow_nan=False))
        return
    said = overview(results)
    counts = f"{counted(len(results.runs), 'run')}, {counted(len(results.languages), 'language')}"
    out.print(f"[bold]{escape(results.name)}[/]: {counts}.")
    for sentence in said[:MOST_SENTENCES] or [
        "No method trained one learner on language after language: nothing can be forgotten."
    ]:
        out.print(f"  {escape(sentence)}")
    if len(said) > MOST_SENTENCES:
        out.print(f"  The report has {len(said) - MOST_SENTENCES} more methods.")
    for sentence in failed_training(results)[:MOST_SENTENCES]:
        out.print(f"  [yellow]{escape(sentence)}[/]")
    if page is not None:
        out.print(f"Report: [bold]{escape(str(page))}[/]", soft_wrap=True)
        out.print("Next: open the report in a browser.")
    else:
        out.print(f"Next: attrition report {escape(shlex.quote(str(folder)))}", soft_wrap=True)

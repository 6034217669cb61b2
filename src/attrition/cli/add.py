"""`attrition add`: adds a language, or new data, to a deployed tagger."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.table import Table as RichTable

from attrition.cli.console import out, tell
from attrition.cli.durations import seconds_of

if TYPE_CHECKING:
    from attrition.ship.add import Added


def add(
    language: Annotated[str, typer.Argument(metavar="LANGUAGE", help="The new language, or the one with new data.")],
    to: Annotated[
        str, typer.Option("--to", metavar="CHECKPOINT", help="The deployed tagger: a transformers folder or hub:NAME.")
    ],
    folder: Annotated[Path, typer.Option("--out", "-o", help="Folder for the model, the gate's page and gains and losses.")],
    data: Annotated[
        Path | None,
        typer.Option("--data", help="Files by language and split: train, dev, test of LANGUAGE; dev, test of the others."),
    ] = None,
    corpus: Annotated[
        str, typer.Option("--corpus", help="How --data is read: columns, massive, or a Python file.")
    ] = "columns",
    guard: Annotated[
        list[str] | None,
        typer.Option("--guard", metavar="LANGUAGE", help="A language that must not lose (repeatable). Default: all others."),
    ] = None,
    margin: Annotated[float, typer.Option("--margin", help="Points of F1 that a language may lose.")] = 1.0,
    budget: Annotated[str | None, typer.Option("--budget", metavar="TIME", help="Time limit of training: 20m or 2h.")] = None,
    share: Annotated[float, typer.Option("--share", help="Share of a batch replayed from other languages.")] = 0.5,
    rank: Annotated[int, typer.Option("--rank", help="Rank of the adapter.")] = 16,
    no_adapter: Annotated[
        bool, typer.Option("--no-adapter", help="Only one model for all languages: use it if an input's language is unknown.")
    ] = False,
    changes: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Another setting of the study: training.epochs=3 (may be repeated)."),
    ] = None,
) -> None:
    """Add a language, or new data, to a deployed tagger without breaking the others.

    Trains the plain way, with replay, and as an adapter; tries models between the old and the new weights; chooses on dev
    utterances; writes the model; ends as `attrition gate` does, on test utterances. Exit code 0: pass, 1: fail, 3: cannot
    tell, 2: wrong use (docs/guides/add-a-language.md).

    [dim]attrition add th-TH --to deployed/ --data data/ --out update/ --budget 20m
    attrition add th-TH --to deployed/ --corpus massive --guard de-DE --guard ja-JP --out update/[/]
    """
    from attrition.cli.gate import show_release
    from attrition.cli.progress import TerminalWatcher
    from attrition.ship.add import Addition
    from attrition.ship.add import add as add_language
    from attrition.study.stop import Stopped

    addition = Addition(
        language=language,
        checkpoint=to,
        data=data,
        corpus=corpus,
        guards=tuple(dict.fromkeys(guard or ())),
        margin=margin,
        share=share,
        rank=rank,
        adapter=not no_adapter,
        seconds=None if budget is None else seconds_of(budget, "--budget"),
        changes=tuple(changes or ()),
    )
    try:
        with TerminalWatcher() as watcher:
            added = add_language(addition, folder, watcher)
    except Stopped as stopped:
        tell(f"\n[bold]Stopped.[/] {escape(stopped.kept)}")
        sys.exit(stopped.exit_code)
    _show(added)
    show_release(added.release)
    raise typer.Exit(added.release.exit_code)


def _show(added: Added) -> None:
    from attrition.ship.trade import trade_table

    table = trade_table(added.candidates, added.chosen)
    shown = RichTable(title=table.title, title_justify="left", box=None, pad_edge=False, header_style="bold")
    for column, numeric in zip(table.columns, table.is_numeric(), strict=True):
        shown.add_column(escape(column.title), justify="right" if numeric else "left")
    for texts in table.texts():
        shown.add_row(*map(escape, texts))
    out.print(shown)
    out.print(escape(table.caption), soft_wrap=True)
    if added.note:
        out.print(f"[yellow]Note:[/] {escape(added.note)}", soft_wrap=True)
    chosen = added.chosen
    what = f"an adapter; serve {chosen.language} with it and the others as before" if chosen.routed else "one model for all"
    out.print(
        f"Chosen: [bold]{escape(chosen.name)}[/] ({what}). Written: {escape(str(added.folder / 'model'))}", soft_wrap=True
    )
    out.print()

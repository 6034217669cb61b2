"""`attrition prepare`: writes a study with its data and encoder into one folder."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from attrition.cli.console import out, show
from attrition.cli.studies import Changes


def prepare(
    study: Annotated[Path, typer.Argument(metavar="STUDY.toml", help="A study file.")],
    folder: Annotated[Path, typer.Argument(metavar="OUT", help="A new folder for the pack.")],
    changes: Changes = None,
) -> None:
    """Write a study with its data and encoder into one small folder, for a machine without network.

    `attrition run OUT` runs from the folder. It contains the encoded utterances and the encoder with the sub-tokens in use. The
    results are the same, bit for bit.

    [dim]attrition prepare studies/massive-small.toml pack
    attrition prepare studies/massive-small.toml pack --set machine.device=cuda
    attrition run pack[/]
    """
    from attrition.study.spec import read_study

    read = read_study(study, changes or [])
    # torch and transformers are slow to import: check the study file first.
    from attrition.cli.progress import TerminalWatcher
    from attrition.corpus.cache import cache_folder
    from attrition.prepare.pack import write_pack

    with TerminalWatcher() as watcher:
        sizes = write_pack(read, folder, watcher, cache_folder())
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("File")
    table.add_column("MB", justify="right")
    for name, size in sizes.items():
        table.add_row(escape(name), f"{size / 1e6:.2f}")
    table.add_row("together", f"{sum(sizes.values()) / 1e6:.2f}", style="bold")
    show(table)
    where = escape(str(folder))
    out.print(f"Packed: {where}. Copy it to another machine with attrition, then: attrition run {where}", soft_wrap=True)

"""`attrition archive`: results without weights, small enough to keep in a repository."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from attrition.cli.console import out
from attrition.names import AttritionError


def archive(
    folders: Annotated[
        list[Path], typer.Argument(metavar="RUNS... OUT", help="Results folders or archives of one study, then a new folder.")
    ],
    only: Annotated[
        list[str] | None,
        typer.Option("--only", metavar="RUN", help="Archive only these runs (names or patterns); may be repeated."),
    ] = None,
) -> None:
    """Write results without weights and encoded data into a new folder. Several folders of one study are joined.

    `attrition report`, `metrics` and `verify` read an archive like a results folder. `verify` recomputes every number from the
    stored counts; it cannot check the weights. A new archive has passed `verify`.

    [dim]attrition archive runs/massive-small archives/massive-small
    attrition archive runs/part-1 runs/part-2 archives/whole
    attrition archive runs/massive-small archives/vanilla --only VANILLA
    attrition verify archives/whole[/]
    """
    if len(folders) < 2:
        raise AttritionError("Give at least one results folder, then the folder for the archive.")
    # torch is slow to import.
    from attrition.cli.progress import TerminalWatcher
    from attrition.store.archive import write_archive
    from attrition.verify.verify import verify

    *sources, target = folders

    def check(written: Path) -> None:
        if problems := verify(written, watcher=watcher).problems:
            file, what = problems[0].file.relative_to(written), problems[0].what.rstrip(".")
            commands = " or ".join(f"`attrition verify {folder}`" for folder in sources)
            raise AttritionError(f"{file} {what}. Nothing was archived: {commands} says what to do.")

    with TerminalWatcher() as watcher:
        sizes = write_archive(sources, target, watcher, check, only or ())
    runs = sum(name.endswith("matrix.csv") for name in sizes)
    out.print(
        f"Archived: {escape(str(target))}, {runs} runs in {len(sizes)} files, {sum(sizes.values()) / 1e6:.1f} MB.",
        soft_wrap=True,
    )

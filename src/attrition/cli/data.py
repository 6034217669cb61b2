"""`attrition data`: fetch, check and describe corpora."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from attrition.cli.console import counting, out, show, tell
from attrition.names import look_up

app = typer.Typer(name="data", help="Fetch, check and describe corpora.", no_args_is_help=True)

SHOWN_PROBLEMS = 20


@app.command()
def fetch() -> None:
    """Download MASSIVE 1.1 from its official address into the cache (CC BY 4.0).

    [dim]attrition data fetch[/]
    """
    from attrition.corpus.massive import fetch as fetch_massive

    out.print(f"MASSIVE 1.1 is at [bold]{escape(str(fetch_massive()))}[/]", soft_wrap=True)


@app.command()
def check(
    path: Annotated[Path, typer.Argument(help="The archive of MASSIVE 1.1, or its unpacked folder.")],
) -> None:
    """Read every row of a copy of MASSIVE and list all problems by file and line.

    [dim]attrition data check amazon-massive-dataset-1.1.tar.gz[/]
    """
    from attrition.corpus.check import check as check_massive

    with counting("Checking") as progress:
        found = check_massive(path, progress=progress)
    for problem in found.problems[:SHOWN_PROBLEMS]:
        tell(escape(str(problem)))
    if len(found.problems) > SHOWN_PROBLEMS:
        tell(f"... and {len(found.problems) - SHOWN_PROBLEMS:,} more.")
    out.print(escape(found.summary()), soft_wrap=True)
    if not found.ok:
        raise typer.Exit(1)


@app.command()
def describe(
    corpus: Annotated[str, typer.Option("--corpus", help="A name of `attrition list corpora`, or a Python file.")] = "massive",
    path: Annotated[Path | None, typer.Option("--path", help="The archive or folder.")] = None,
    language: Annotated[
        list[str] | None, typer.Option("--language", "-l", help="Describe this language only (may be repeated).")
    ] = None,
    model: Annotated[
        str | None, typer.Option("--model", help="Count sub-tokens of this model, for example embedded:e5-small.")
    ] = None,
    csv: Annotated[Path | None, typer.Option("--csv", help="Write the table to a file.")] = None,
    token: Annotated[str | None, typer.Option("--token", help="For columns: number or name of the word column.")] = None,
    tag: Annotated[str | None, typer.Option("--tag", help="For columns: number or name of the tag column.")] = None,
    scheme: Annotated[str, typer.Option("--scheme", help="Tagging scheme: auto, bio, iob1, bioes, bilou or plain.")] = "auto",
) -> None:
    """Describe a corpus by language and split: utterances, words, sub-tokens, repetitions, and blanks that are slot edges.

    [dim]attrition data describe -l th-TH -l en-US --model embedded:e5-small
    attrition data describe --corpus phrasebook
    attrition data describe --corpus columns --path my-data[/]
    """
    from attrition.corpus.describe import describe as describe_corpus
    from attrition.corpus.describe import said_of_labels, said_of_notices, said_of_untrained, untrained_slots
    from attrition.corpus.formats import Layout
    from attrition.corpus.registry import Request, open_corpus
    from attrition.corpus.schemes import SCHEMES

    layout = Layout(_column(token), _column(tag), look_up(scheme, {each: each for each in SCHEMES}, kind="tagging scheme"))
    tokenize, unknown_id = _tokenizer(model)
    frames = []
    with counting("Reading") as progress:
        opened = open_corpus(corpus, Request(path=path, layout=layout, progress=progress))
        languages = list(language or opened.languages)
        for done, each in enumerate(languages):
            progress(f"Reading {each}", done, len(languages))
            frames.append(describe_corpus(opened, [each], tokenize, unknown_id=unknown_id))
        untrained = untrained_slots(opened, languages)
    for said in filter(
        None, (*said_of_notices(getattr(opened, "notices", ())), said_of_labels(languages), said_of_untrained(untrained))
    ):
        tell(f"[yellow]Warning:[/] {escape(said)}")
    import pandas as pd

    frame = pd.concat(frames, ignore_index=True)
    if csv is not None:
        frame.to_csv(csv, index=False)
        out.print(f"Written: {escape(str(csv))}", soft_wrap=True)
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in frame.columns:
        table.add_column(
            name.replace("_", " "), overflow="fold", justify="left" if name in ("language", "split", "cut") else "right"
        )
    for row in frame.itertuples(index=False):
        table.add_row(*(_cell(value) for value in row))
    show(table)
    if opened.generated:
        out.print("These utterances are generated.", style="yellow")


def _column(given: str | None) -> int | str | None:
    """Return a column's number or name."""
    return int(given) if given is not None and re.fullmatch(r"-?\d{1,4}", given, re.ASCII) else given


def _tokenizer(model: str | None) -> tuple[Any, int | None]:
    if model is None:
        return None, None
    from attrition.encoder.sources import load_pretrained

    tokenizer = load_pretrained(model).tokenizer
    unknown = next((found for name in ("<unk>", "[UNK]") if (found := tokenizer.token_to_id(name)) is not None), None)
    return (lambda text: tokenizer.encode(text, add_special_tokens=False).ids), unknown


def _cell(value: Any) -> str:
    import pandas as pd

    if pd.isna(value):
        return "–"
    return f"{value:.3f}" if isinstance(value, float) else f"{value:,}" if isinstance(value, int) else escape(str(value))

"""`attrition gate`: compare a deployed tagger with its update."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from attrition.cli.console import counting, out, show
from attrition.names import AttritionError, look_up

if TYPE_CHECKING:
    from attrition.gate.checks import Settings
    from attrition.gate.release import Release
    from attrition.gate.rows import Row
    from attrition.gate.sources import Predictions

_STYLES = {"pass": "green", "fail": "bold red", "cannot tell": "yellow"}
_SHOWN = 60
"""Checks to show in the terminal. Further checks that passed are counted only."""


def gate(
    old: Annotated[
        str,
        typer.Argument(
            help="The deployed system: predictions (a file, or a folder of one file a language), or a model (a checkpoint's "
            "folder, a PEFT adapter's folder, or hub:NAME)."
        ),
    ],
    new: Annotated[str, typer.Argument(help="Its update, in any of these forms.")],
    test: Annotated[
        Path | None, typer.Option("--test", help="Gold tags: a file or folder. Default: the prediction files contain them.")
    ] = None,
    corpus: Annotated[
        str, typer.Option("--corpus", help="Read --test as this corpus (massive, columns, a Python file): its test split.")
    ] = "",
    language: Annotated[
        list[str] | None, typer.Option("--language", "-l", help="With --corpus: only these languages (may be repeated).")
    ] = None,
    serves: Annotated[
        list[str] | None,
        typer.Option(
            "--serves", metavar="LANGUAGE", help="NEW serves only this language; OLD serves the others (may be repeated)."
        ),
    ] = None,
    margin: Annotated[float, typer.Option("--margin", help="Points that each slice may lose.")] = 1.0,
    margins: Annotated[
        Path | None, typer.Option("--margins", metavar="FILE.toml", help='Margins of slices: de-DE = 0.5, "domain=alarm" = 2.')
    ] = None,
    slices: Annotated[
        list[str] | None,
        typer.Option("--slice", metavar="FIELD", help="Add slices by label or by a field of the data (may be repeated)."),
    ] = None,
    critical: Annotated[
        list[str] | None,
        typer.Option(
            "--critical", metavar="LABELS", help="Check these labels in each language: PER=0.5,ID (margins optional)."
        ),
    ] = None,
    metric: Annotated[str, typer.Option("--metric", help="f1, recall or precision.")] = "f1",
    cannot_tell: Annotated[
        str | None, typer.Option("--cannot-tell", metavar="pass|fail", help="How to count a release that cannot be decided.")
    ] = None,
    gold: Annotated[str, typer.Option("--gold", metavar="COLUMN", help="JSONL field or CoNLL column of the gold tags.")] = "",
    predicted: Annotated[
        str, typer.Option("--predicted", metavar="COLUMN", help="JSONL field or CoNLL column of the predicted tags.")
    ] = "",
    show: Annotated[int, typer.Option("--show", min=0, help="Broken utterances to list.")] = 20,
    no_text: Annotated[bool, typer.Option("--no-text", help="Write no words of the data anywhere.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    junit: Annotated[Path | None, typer.Option("--junit", metavar="FILE.xml", help="Write a JUnit file.")] = None,
    markdown: Annotated[
        Path | None, typer.Option("--markdown", metavar="FILE.md", help="Write a pull-request comment.")
    ] = None,
    html: Annotated[Path | None, typer.Option("--html", metavar="FILE.html", help="Write a page.")] = None,
) -> None:
    """Test whether an update of a deployed tagger makes a language worse.

    Exit code 0: pass, 1: fail, 3: cannot tell, 2: wrong use.

    A slice passes if the data rule out a loss as large as its margin (95%). It fails if the loss is significant (5% over all
    checks) and its estimate exceeds the margin (docs/concepts/gate.md).

    [dim]attrition gate old/ new/ --test gold/
    attrition gate old.jsonl new.jsonl --margin 0.5 --slice domain --slice label
    attrition gate old/ new/ --test gold/ --metric recall --critical PER=0.5,ID --no-text --markdown comment.md
    attrition gate deployed/ update/ --test massive.tar.xz --corpus massive -l de-DE -l th-TH[/]
    """
    from attrition.gate.release import gate_files
    from attrition.gate.sources import is_model

    settings = _settings(margin, margins, slices or [], critical or [], metric, cannot_tell, show=show, show_text=not no_text)
    if (corpus or language) and (test is None or not corpus):
        raise AttritionError(
            "--language chooses languages of a corpus. Give --test PATH --corpus NAME."
            if not corpus
            else "--corpus names the form of the gold utterances. Give their place too: --test PATH."
        )
    with counting("Predicting") if any(map(is_model, (old, new))) else nullcontext(_silent) as progress:
        release = gate_files(
            _source(old, progress),
            _source(new, progress),
            _gold(corpus, test, language or []) if corpus and test else test,
            settings,
            gold_column=gold,
            predicted_column=predicted,
            serves=tuple(serves or ()),
        )
    _write(release, junit, markdown, html)
    if as_json:
        from attrition.gate.outputs import as_json as everything

        typer.echo(json.dumps(everything(release), indent=1, ensure_ascii=False, allow_nan=False))
    else:
        show_release(release)
    raise typer.Exit(release.exit_code)


def _silent(_what: str, _done: int, _total: int) -> None:
    """Show nothing: without a model there is nothing to predict."""


def _source(given: str, progress: Callable[[str, int, int], None]) -> Path | Predictions:
    """Return the path of prediction files, or a model. Only a model loads torch."""
    from attrition.gate.sources import is_model

    if not is_model(given):
        return Path(given)
    from attrition.ship.system import open_system

    return open_system(given, progress)


def _gold(corpus: str, path: Path, languages: list[str]) -> tuple[Row, ...]:
    from attrition.corpus.registry import Request, open_corpus
    from attrition.ship.gold import gold_rows

    return gold_rows(open_corpus(corpus, Request(path=path)), languages, path=str(path))


def _settings(
    margin: float,
    margins: Path | None,
    slices: list[str],
    critical: list[str],
    metric: str,
    cannot_tell: str | None,
    *,
    show: int,
    show_text: bool,
) -> Settings:
    from attrition.gate.checks import Otherwise, Settings, parse_critical, read_margins
    from attrition.gate.ratios import METRICS

    outcomes: dict[str, Otherwise] = {"pass": "pass", "fail": "fail"}
    return Settings(
        metric=look_up(metric, {name: name for name in METRICS}, kind="metric"),
        margin=margin,
        margins=read_margins(margins) if margins else {},
        slices=tuple(dict.fromkeys(slices)),
        critical=parse_critical(",".join(critical)) if critical else {},
        cannot_tell=look_up(cannot_tell, outcomes, kind="outcome", where="--cannot-tell") if cannot_tell else None,
        show=show,
        show_text=show_text,
    )


def _write(release: Release, junit: Path | None, markdown: Path | None, html: Path | None) -> None:
    from attrition.files import write_whole
    from attrition.gate.outputs import to_junit, to_markdown

    if junit:
        write_whole(junit, to_junit(release))
    if markdown:
        write_whole(markdown, to_markdown(release))
    if html:
        from attrition.gate.page import to_html

        write_whole(html, to_html(release))


def show_release(release: Release) -> None:
    from attrition.gate.tables import checks_table, errors_table, labels_table, sorted_findings
    from attrition.gate.words import averages, headline

    findings = sorted_findings(release)
    undecided = sum(each.verdict != "pass" for each in findings)
    shown = findings[: max(undecided, _SHOWN)]
    checked = checks_table(release, shown)
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column, numeric in zip(checked.columns, checked.is_numeric(), strict=True):
        table.add_column(Text(column.title), justify="right" if numeric else "left", no_wrap=column.title != "Why")
    for texts, finding in zip(checked.texts(), shown, strict=True):
        name, verdict, *others = texts
        table.add_row(Text(name), Text(verdict, style=_STYLES[finding.verdict]), *map(Text, others))
    show(table)
    if len(shown) < len(findings):
        out.print(f"{len(findings) - len(shown)} more checks passed.", style="dim")
    for plain in (errors_table(release), labels_table(release)):
        small = Table(box=None, pad_edge=False, header_style="bold", title=plain.title, title_justify="left")
        for column, numeric in zip(plain.columns, plain.is_numeric(), strict=True):
            small.add_column(Text(column.title), justify="right" if numeric else "left")
        for texts in plain.texts()[:_SHOWN]:
            small.add_row(*map(Text, texts))
        show(small)
    _show_broken(release)
    for note in release.notes:
        out.print(f"[yellow]Note:[/] {escape(note)}", soft_wrap=True)
    out.print(escape(averages(release)), soft_wrap=True)
    out.print(Text(headline(release), style=_STYLES[release.verdict]), soft_wrap=True)


def _show_broken(release: Release) -> None:
    from attrition.gate.tables import broken_table

    table = broken_table(release)
    out.print(f"[bold]{table.title}[/]: {escape(table.caption)}", soft_wrap=True)
    for place, language, old, new, *texts in table.texts():
        out.print(Text(f"{place} ({language}): {old} errors before, {new} now"), soft_wrap=True)
        for name, text in zip(("gold", "old", "new"), texts, strict=False):
            out.print(Text(f"  {name:4} {text}"), soft_wrap=True)

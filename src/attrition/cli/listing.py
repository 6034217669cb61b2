"""`attrition list` and `attrition languages`: the names for study files."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from attrition.cli.console import out, show
from attrition.names import AttritionError, look_up


def list_names(
    what: Annotated[str, typer.Argument(help="methods, models, corpora, languages, orders or metrics")],
) -> None:
    """List methods, models, corpora, languages, orders or metrics.

    [dim]attrition list methods
    attrition list metrics[/]
    """
    look_up(what, _LISTS, kind="list")()


def schema() -> None:
    """Print the JSON Schema of a study file. Editors use it for completion and checks.

    [dim]attrition schema > study.schema.json
    and at the top of a study file: #:schema study.schema.json[/]
    """
    from attrition.study.schema import study_schema

    typer.echo(json.dumps(study_schema(), indent=1, ensure_ascii=False))


def _methods() -> None:
    from attrition.methods import METHODS

    table = _table("Method", "trains", "shared by", "")
    for method in METHODS.values():
        adapter = method.trains.adapter
        table.add_row(method.name, "everything" if adapter is None else "LoRA", method.shared_by, method.about)
    show(table)


def _models() -> None:
    from attrition.encoder.sources import list_models

    _names_and_sentences("Model", list_models())


def _corpora() -> None:
    from attrition.corpus.registry import CORPORA

    rows = [(kind.name, kind.about) for kind in CORPORA.values()]
    _names_and_sentences("Corpus", [*rows, ("FILE.py", "your own: the CorpusKind that it defines")])


def _orders() -> None:
    from attrition.languages.orders import list_orders

    table = _table("Order", "begins", "")
    for info in list_orders():
        table.add_row(info.name, ", ".join(info.first), info.description)
    show(table)


def _metrics() -> None:
    from attrition.metrics import METRICS

    table = _table("Metric", "better", "formula", "source")
    for info in METRICS.values():
        better = {True: "higher", False: "lower", None: ""}[info.higher_is_better]
        table.add_row(info.name, better, escape(info.formula), escape(info.source))
    show(table)


def _all_languages() -> None:
    languages()


def languages(
    where: Annotated[
        list[str] | None,
        typer.Option("--where", metavar="ATTRIBUTE=VALUE", help="Show only these, for example script=Latn (may be repeated)."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object by locale, with sources and doubts.")] = False,
) -> None:
    """List the 52 languages of MASSIVE: script, family, vitality, size in CC-100, with sources and doubts.

    [dim]attrition languages --where script=Latn --where vitality=Low
    attrition languages --json[/]
    """
    from attrition.languages import SOURCES, select

    conditions = {}
    for each in where or []:
        attribute, equals, value = each.partition("=")
        if not equals:
            raise AttritionError(f"--where {each!r} is not ATTRIBUTE=VALUE. Write for example --where script=Latn")
        conditions[attribute.strip()] = value.strip()
    found = select(conditions)
    if as_json:
        records = {"languages": {language.locale: language.record() for language in found}, "sources": dict(SOURCES)}
        typer.echo(json.dumps(records, indent=1, ensure_ascii=False))
        return
    table = _table("Locale", "language", "script", "family", "branch", "class", "vitality", "CC-100 GiB", "")
    for language in found:
        size = "" if language.cc100_gib is None else f"{language.cc100_gib:g}"
        cells = (language.locale, language.name, language.script, language.family, language.branch)
        table.add_row(*cells, str(language.joshi_class), language.vitality, size, language.note and "*")
    show(table)
    if any(language.note for language in found):
        out.print("* a figure is doubtful: see --json", style="dim")


def _table(*titles: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold", title_justify="left")
    for number, title in enumerate(titles):
        table.add_column(title, style="cyan" if number == 0 else None, no_wrap=number == 0)
    return table


def _names_and_sentences(title: str, rows: list[tuple[str, str]]) -> None:
    table = _table(title, "")
    for name, sentence in rows:
        table.add_row(name, escape(sentence))
    show(table)


_LISTS: dict[str, Callable[[], None]] = {
    "methods": _methods,
    "models": _models,
    "corpora": _corpora,
    "languages": _all_languages,
    "orders": _orders,
    "metrics": _metrics,
}

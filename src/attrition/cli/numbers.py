"""`attrition metrics` and `attrition params`: numbers without a model."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from attrition.cli.console import out, show
from attrition.names import AttritionError

if TYPE_CHECKING:
    from attrition.metrics.matrix import RMatrix


Groupings = Annotated[
    list[str] | None,
    typer.Option(
        "--group",
        metavar="FILE",
        help='Compare groups of languages: CSV with the header locale,group, TOML lines de-DE = "west", or a known grouping '
        "such as script (may be repeated).",
    ),
]

_OF_GROUPS = (
    "groups holds means over a group's languages of each one's mean over orders, with 95% intervals (Student's t) over "
    "languages and over orders; there shifts are gains, and mft and mbt changes of P, means over hops, whatever the settings."
)


def metrics(
    files: Annotated[
        list[Path], typer.Argument(metavar="R.csv ...", help="Matrices: one CSV file for each order (see matrix.csv of a run).")
    ],
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Change a convention, for example cbt=literal (may be repeated)."),
    ] = None,
    groupings: Groupings = None,
) -> None:
    """Compute every metric from matrices of any framework: CFT, CBT, MFT, MBT, donors and receivers.

    A file has the header `trained,<locale>,...` and one row for each stage. The first column is the trained language (empty
    before training). Scores are from 0 to 1. An empty cell was not measured. Several files are several orders; those of one
    order (seeds) are averaged first.

    All files must have the same method, model, corpus and languages.

    [dim]attrition metrics runs/massive-small/runs/vanilla--*/matrix.csv
    attrition metrics order1.csv order2.csv --json --set cbt=literal
    attrition metrics order1.csv order2.csv --group typology.csv[/]
    """
    from attrition.metrics import metrics_json
    from attrition.metrics.matrix import RMatrix
    from attrition.results.pooling import refuse_different_series

    conventions = {}
    for each in settings or []:
        key, equals, value = each.partition("=")
        if not equals:
            raise AttritionError(f"--set {each!r} is not KEY=VALUE. Write for example --set cbt=literal")
        conventions[key.strip()] = value.strip()
    refuse_different_series(files)
    result = metrics_json(files, settings=conventions)
    if groupings:
        matrices = [RMatrix.from_csv(path) for path in files]
        result["groups"] = {by: _by_group(matrices, by) for by in groupings}
        result["conventions"]["statements"].append(_OF_GROUPS)
    if as_json:
        typer.echo(json.dumps(result, indent=1, ensure_ascii=False, allow_nan=False))
        return
    _show_matrices(result)
    if len(result["shift_growing"]) > 1:
        _show_languages(result)
    for by, groups in result.get("groups", {}).items():
        _show_groups(by, groups)


def _by_group(matrices: list[RMatrix], by: str) -> dict[str, Any]:
    from attrition.analysis.groups import by_group_json, trained_of
    from attrition.languages import grouping

    return by_group_json(matrices, grouping(by, trained_of(matrices)))


def _show_groups(by: str, groups: dict[str, Any]) -> None:
    from attrition.analysis.quantities import QUANTITIES

    title = f"By {escape(by)}: mean [95% over languages] [95% over orders]"
    table = Table(box=None, pad_edge=False, header_style="bold", title=title, title_justify="left")
    table.add_column("Group")
    table.add_column("", justify="right")
    shown = ("final", "shift_growing", "shift_fixed", "mft", "mbt")
    for name in shown:
        table.add_column(QUANTITIES[name].title)
    for group, measures in groups.items():
        cells = [
            " ".join((_number(each["mean"]), *map(_interval, (each["over_languages"], each["over_orders"]))))
            for each in (measures[name] for name in shown)
        ]
        table.add_row(escape(group), str(max(measures[name]["num_languages"] for name in shown)), *cells)
    show(table)


def _interval(ends: list[float | None]) -> str:
    low, high = ends
    return escape(f"[{_number(low)} {_number(high)}]") if low is not None else "–"


def _show_matrices(result: dict[str, Any]) -> None:
    names = ("final_mean", "cft", "cft_cells", "cbt", "fwt", "forgetting", "learning_accuracy")
    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("Matrix", *names):
        table.add_column(title, justify="left" if title == "Matrix" else "right")
    for matrix in result["matrices"]:
        table.add_row(escape(matrix["file"]), *(_number(matrix[name]) for name in names))
    show(table)


def _show_languages(result: dict[str, Any]) -> None:
    columns = {
        "shift": result["shift_growing"],
        "fixed": result["shift_fixed"],
        "MFT 0": {language: values[0] for language, values in result["mft"].items()},
        "MBT 9": {language: values[-1] for language, values in result["mbt"].items()},
        "donor": result["donor"],
        "receiver": result["receiver"],
    }
    table = Table(box=None, pad_edge=False, header_style="bold", title="By language", title_justify="left")
    for title in ("Language", *columns):
        table.add_column(title, justify="left" if title == "Language" else "right")
    for language in result["shift_growing"]:
        table.add_row(escape(language), *(_number(column.get(language)) for column in columns.values()))
    show(table)
    out.print(
        "In fractions of the score. shift, fixed: change on learning the language (growing and fixed scope). --json has all.",
        style="dim",
    )


def _number(value: float | None) -> str:
    if value is None or math.isnan(value):
        return "–"
    text = f"{value:.4f}"
    return text.removeprefix("-") if float(text) == 0 else text


def params(
    model: Annotated[
        str, typer.Option("--model", help="A model whose configuration attrition ships, or a folder with config.json.")
    ] = ("xlm-roberta-base"),
    ranks: Annotated[
        list[int] | None, typer.Option("--rank", help="LoRA ranks; by default the paper's 32, 64 and 256.")
    ] = None,
    num_languages: Annotated[int, typer.Option("--languages", min=1, help="Languages of MONO and NON-SHARED.")] = 52,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Count trainable and stored parameters of every method and rank, from the configuration of the model.

    The count includes the pooler and not the task head, as in the paper.

    [dim]attrition params --model xlm-roberta-base
    attrition params --model intfloat/multilingual-e5-large-instruct --rank 8[/]
    """
    from attrition.encoder.params import load_config, paper_table1_parameters

    rows = paper_table1_parameters(load_config(model), num_languages, tuple(ranks) if ranks else (32, 64, 256))
    if as_json:
        values = [
            {
                "method": row.method,
                "rank": row.rank,
                "trainable": row.account.trainable,
                "stored": row.account.stored,
                "note": row.note,
            }
            for row in rows
        ]
        typer.echo(json.dumps({"model": model, "languages": num_languages, "methods": values}, indent=1))
        return
    table = Table(
        box=None, pad_edge=False, header_style="bold", title=f"{escape(model)}, {num_languages} languages", title_justify="left"
    )
    for title in ("Method", "rank", "trainable (M)", "stored (M)", ""):
        table.add_column(title, justify="right" if "M)" in title or title == "rank" else "left")
    for row in rows:
        stored = f"{row.account.stored / 1e6:,.2f}"
        table.add_row(
            row.method, "" if row.rank is None else str(row.rank), f"{row.account.trainable / 1e6:,.2f}", stored, row.note
        )
    show(table)

"""`attrition analyse`: statistics of matrices, without a model."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from attrition.cli.console import out, show, tell
from attrition.names import AttritionError

if TYPE_CHECKING:
    from attrition.analysis.analyse import Analysis
    from attrition.analysis.claims import Claim, Judged
    from attrition.analysis.drivers import Drivers, Effect
    from attrition.analysis.evidence import Evidence
    from attrition.analysis.intervals import Estimate
    from attrition.analysis.reliability import Reliability
    from attrition.results.covariates import Covariates

PAPER = "paper"
"""The name of the claims in this package."""


def analyse(
    files: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="R.csv ...", help="Matrices of one method, one CSV file for each order (see matrix.csv of a run)."
        ),
    ] = None,
    runs: Annotated[
        Path | None, typer.Option("--runs", metavar="FOLDER", help="Analyse all runs of a results folder or archive.")
    ] = None,
    claims: Annotated[
        list[str] | None,
        typer.Option(
            "--claims",
            metavar="FILE.toml",
            help='Claims to judge (may be repeated). Default: "paper", the claims of the paper.',
        ),
    ] = None,
    covariates: Annotated[
        list[Path] | None,
        typer.Option(
            "--covariates",
            metavar="FILE.csv",
            help="Your covariates of languages (column locale) or pairs (trained, changed); may be repeated.",
        ),
    ] = None,
    distance: Annotated[
        bool, typer.Option("--distance", help="Add typological distances of URIEL+ (needs the extra `distance`).")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Estimate which languages cost or help others, with confidence intervals, and judge claims. Needs no torch.

    Intervals are over orders. Verdicts need five orders and are corrected for the number of claims
    (docs/concepts/statistics.md).

    [dim]attrition analyse order1.csv order2.csv order3.csv order4.csv order5.csv
    attrition analyse --runs runs/my-study --claims my-claims.toml --json
    attrition analyse --runs runs/my-study --covariates vowels.csv --covariates distances.csv[/]
    """
    from attrition.analysis.analyse import analyse as conclude

    evidence = _evidence(files or [], runs)
    judged = _claims(claims or ([PAPER] if evidence.score == "F1" else []))
    extra = _covariates(covariates or [], [run.matrix.languages for run in evidence.runs])
    found = conclude(evidence, judged, extra_language=extra.language, extra_pair=extra.pair, distance=distance)
    if as_json:
        typer.echo(json.dumps(found.as_dict(), indent=1, ensure_ascii=False, allow_nan=False))
        return
    _show(found)


def _evidence(files: list[Path], runs: Path | None) -> Evidence:
    from attrition.analysis.evidence import from_matrices, from_results
    from attrition.metrics.matrix import RMatrix
    from attrition.results.pooling import refuse_different_series
    from attrition.results.read import read_results

    if not files and runs is None:
        raise AttritionError("Nothing to analyse. Give matrices (one CSV file for each order) or a results folder with --runs.")
    refuse_different_series(files)
    given = from_matrices([RMatrix.from_csv(path) for path in files]) if files else None
    stored = None if runs is None else from_results(read_results(runs))
    if given is None or stored is None:
        evidence = given or stored
        assert evidence is not None
        return evidence
    return replace(stored, runs=(*given.runs, *stored.runs))


def _covariates(files: list[Path], languages: Iterable[tuple[str, ...]]) -> Covariates:
    from attrition.results.covariates import Covariates, read_covariates_csv

    known = {language for each in languages for language in each}
    found = Covariates()
    named: dict[str, Path] = {}
    for path in files:
        own = read_covariates_csv(path, known)
        for name in (*own.language, *own.pair):
            if name in named:
                raise AttritionError(f"{named[name]} and {path} both have a column {name!r}. Rename one, or leave out a file.")
            named[name] = path
        found = found.updated(own)
    return found


def _claims(sources: list[str]) -> tuple[Claim, ...]:
    from attrition.analysis.claims import read_claims
    from attrition.paper.claims import paper_claims

    found: list[Claim] = []
    for source in sources:
        found += paper_claims() if source == PAPER else read_claims(source)
    ids = [claim.id for claim in found]
    twice = next((name for name in ids if ids.count(name) > 1), None)
    if twice is not None:
        raise AttritionError(f"Two claims have the id {twice!r}. Give each its own.")
    return tuple(found)


def _show(found: Analysis) -> None:
    design = found.design
    balanced = "balanced" if design.balanced else "not balanced"
    out.print(
        f"[bold]{escape(design.method)}[/]: {design.languages} languages, {_plural(design.orders, 'order')} ({balanced}), "
        f"{_plural(design.seeds, 'seed')}. Points of {found.score}, 95% confidence intervals."
    )
    for note in found.notes:
        out.print(f"[yellow]Note:[/] {escape(note)}", soft_wrap=True)
    show(_languages(found))
    show(_reliability(found))
    show(_hops(found))
    out.print(f"[bold]Position[/]: {escape(_position(found))}", soft_wrap=True)
    drivers = found.drivers.get("learned")
    if drivers is not None and drivers.drivers:
        show(_effects(drivers))
    _show_claims(found.claims)
    tell("[dim]--json has all numbers: null counterparts, every quantity, every claim.[/]")


def _plural(number: int, noun: str) -> str:
    return f"{number} {noun}" + ("" if number == 1 else "s")


def interval(value: float, low: float, high: float) -> Text:
    """Return an estimate with its interval, coloured only if the interval excludes 0.

    >>> interval(-2.0, -3.4, -0.6).plain
    '-2.0 [-3.4 -0.6]'
    """
    if math.isnan(value):
        return Text("–", style="dim")
    if math.isnan(low):
        return Text(_signed(value), style="dim")
    style = "" if low <= 0 <= high else ("green" if value > 0 else "red")
    return Text(f"{_signed(value)} [{_signed(low)} {_signed(high)}]", style=style)


def _of(each: Estimate) -> Text:
    return interval(each.value, each.low, each.high)


def _effect(each: Effect) -> Text:
    return interval(each.estimate, each.low, each.high)


def _signed(value: float) -> str:
    return "0.0" if abs(value) < 0.05 else f"{value:+.1f}"


def _languages(found: Analysis) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold", title="Languages, worst donor to learned ones first")
    table.title_justify = "left"
    for title, justify in (
        ("Language", "left"), ("donor, learned", "left"), ("P(worst)", "right"), ("receiver, learned", "left"),
        ("own stage", "left"), ("MBT", "right"), ("of it null", "right"),
    ):  # fmt: skip
        table.add_column(title, justify=justify)  # type: ignore[arg-type]
    donors = found.quantities["donor_learned"]

    def key(language: str) -> tuple[bool, float]:
        value = donors[language].value
        return math.isnan(value), value

    for language in sorted(found.languages, key=key):
        worst = found.extremes["donor_learned"].get(language)
        mbt, beyond = (found.quantities[name][language].value for name in ("mbt", "mbt_transfer"))
        own = found.quantities["own_stage"][language]
        table.add_row(
            language,
            _of(donors[language]),
            "–" if worst is None else f"{worst.worst:.2f}",
            _of(found.quantities["receiver_learned"][language]),
            "–" if math.isnan(own.value) else f"{own.value:.1f}" + (f" [{own.low:.1f} {own.high:.1f}]" if own.known else ""),
            "–" if math.isnan(mbt) else _signed(mbt),
            "–" if math.isnan(mbt) else _signed(mbt - beyond),
        )
    return table


def _reliability(found: Analysis) -> Table:
    number = max(each.num_replicates for each in found.reliability.values())
    table = Table(box=None, pad_edge=False, header_style="bold", title="How much of it is the language (share of the variance)")
    table.title_justify = "left"
    mean = f"mean of {number} orders [95%]" if number else "mean of orders [95%]"
    for title in ("Quantity", "one order [95%]", mean, "rank agreement of orders"):
        table.add_column(title)
    for name, each in found.reliability.items():
        agreement = "–" if math.isnan(each.rank_agreement) else f"{each.rank_agreement:.2f}"
        table.add_row(name, _share(each), _share(each.of_mean(number)), agreement)
    return table


def _share(found: Reliability) -> str:
    return "–" if math.isnan(found.icc) else f"{found.icc:.2f} [{found.low:.2f} {found.high:.2f}]"


def _hops(found: Analysis) -> Table:
    """Return means over languages by hop: over the same cells for all hops, over all cells, and the numbers of cells."""
    table = Table(box=None, pad_edge=False, header_style="bold", title="Over hops, the same n cells at each")
    table.title_justify = "left"
    table.add_column("Hop", justify="right")
    for metric in found.hops:
        for title in (metric.upper(), "n", "all cells", "n"):
            table.add_column(title, justify="right" if title == "n" else "left")
    for hop in range(max(curves.num_hops for curves in found.hops.values())):
        row = [Text(str(hop))]
        for curves in found.hops.values():
            for each in (curves.balanced, curves.literal):
                known = hop < curves.num_hops and each.num_cells_H[hop] > 0
                row += [_of(each.overall_H[hop]), Text(str(each.num_cells_H[hop]))] if known else [Text("–"), Text("")]
        table.add_row(*row)
    return table


def _position(found: Analysis) -> str:
    """Return one line: the change per doubling of the number of languages learned before."""
    slope, over = found.position.slope, found.position.slope_over_orders
    if math.isnan(slope.value):
        return found.position.statement
    shown = over if not math.isnan(over.low) else slope
    doubled = (100 * math.log(2) * end for end in (slope.value, shown.low, shown.high))
    how = "over orders" if shown is over else "errors of stages taken as independent"
    return f"{interval(*doubled).plain} points when twice as many languages were learned before ({how})."


def _effects(drivers: Drivers) -> Table:
    from attrition.analysis.changes import POSITION

    table = Table(box=None, pad_edge=False, header_style="bold", title="What drives the change on learned languages")
    table.title_justify = "left"
    for title in ("Covariate", "with the others", "p", "by itself", "explains"):
        table.add_column(title)
    for driver in drivers.drivers:
        unit = "" if driver.binary else " (per sd)"
        p = "–" if math.isnan(driver.together.p) else f"{driver.together.p:.3f}"
        explains = "–" if math.isnan(driver.explained_alone) else f"{driver.explained_alone:.0%}"
        table.add_row(escape(driver.name) + unit, _effect(driver.together), p, _effect(driver.alone), explains)
    if drivers.position is not None and drivers.position_alone is not None:
        p = f"{drivers.position.p:.3f}"
        table.add_row(f"{POSITION} (per sd)", _effect(drivers.position), p, _effect(drivers.position_alone), "–")
    return table


_COLOURS = {"supported": "green", "equivalent": "green", "contradicted": "red", "undecided": "yellow", "needs": "dim"}


def _show_claims(claims: tuple[Judged, ...]) -> None:
    asked = [judged for judged in claims if judged.verdict != "needs"]
    lacking = [judged for judged in claims if judged.verdict == "needs"]
    if asked:
        table = Table(box=None, pad_edge=False, header_style="bold", title=f"Claims: {len(asked)} asked, 5% false discoveries")
        table.title_justify = "left"
        for title in ("Verdict", "Claim", "Evidence"):
            table.add_column(title)
        for judged in sorted(asked, key=lambda each: list(_COLOURS).index(each.verdict)):
            verdict = Text(judged.verdict, style=_COLOURS[judged.verdict])
            table.add_row(verdict, escape(judged.claim.statement), escape(judged.words()))
        show(table)
    if lacking:
        needs: dict[str, int] = {}
        for judged in lacking:
            needs[judged.needs] = needs.get(judged.needs, 0) + 1
        out.print(f"{_plural(len(lacking), 'claim')} could not be tested:")
        for what, number in sorted(needs.items(), key=lambda each: -each[1]):
            out.print(f"  {number}: needs {escape(what)}", soft_wrap=True)

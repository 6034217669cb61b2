"""Makes the report of a results folder: one self-contained page, and its figures and tables as files beside it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from importlib import metadata, resources
from pathlib import Path
from typing import Any

import jinja2
import pandas as pd
import vl_convert
from markupsafe import Markup

from attrition.names import AttritionError, counted
from attrition.report.chapters import Chapter, Chapters, languages_chapter, no_chapters
from attrition.report.curves import time_spent, training_curves
from attrition.report.export import FIGURE_KINDS, TABLE_KINDS, write_figures, write_tables
from attrition.report.figures import Figure, plain
from attrition.report.heat_maps import heat_maps, transfer_maps
from attrition.report.locales import unbroken_locales
from attrition.report.overview import overview
from attrition.report.progress import progress
from attrition.report.summaries import metric_columns, metrics_by_run, metrics_by_series, run_words, times_table
from attrition.report.tables import Table
from attrition.results.read import Results, Run, read_results

Progress = Callable[[int, int, str], None]
"""Called with what is done, what there is in all, and what is next."""


def make_report(
    folder: Path,
    *,
    beside: Sequence[Path] = (),
    groupings: Sequence[str] = (),
    chapters: Chapters = no_chapters,
    progress: Progress | None = None,
) -> Path:
    """Write `<folder>/report/` (index.html, figures/, tables/) and return the path of the page.

    The page needs nothing but itself: it opens without a network, and the folder may be moved.

    Args:
        folder: a study's results folder, as `attrition run` writes it.
        beside: results folders whose runs are shown beside this study's, such as those of another model.
        groupings: what else languages are compared by, each as `attrition.languages.grouping` takes it.
        chapters: what the page has beyond that; empty ones are left out.
        progress: called before each file with (done, total, name).

    Raises:
        AttritionError: there is no finished run, a result file or grouping is malformed, or the report cannot be written.
    """
    results = read_results(folder, beside)
    figures = standard_figures(results)
    tables = standard_tables(results)
    every = [chapter for chapter in (languages_chapter(results, groupings), *chapters(results)) if not chapter.is_empty]
    report = folder / "report"
    page = render(results, figures, tables, every)
    try:
        report.mkdir(exist_ok=True)
        (report / "index.html").write_text(page, encoding="utf-8")
        every_table = [*tables, *(table for chapter in every for table in (*chapter.tables, *chapter.files))]
        write_tables(every_table, report / "tables")
        write_figures(
            [*figures, *(figure for chapter in every for figure in chapter.every_figure)], report / "figures", progress
        )
    except OSError as error:
        raise AttritionError(f"{report}: the report cannot be written: {error.strerror or error}.") from error
    return report / "index.html"


def standard_figures(results: Results) -> tuple[Figure, ...]:
    """The figures that every study has."""
    return (*heat_maps(results), *transfer_maps(results), progress(results), *training_curves(results), time_spent(results))


def standard_tables(results: Results) -> tuple[Table, ...]:
    """The tables that every study has; each run by itself only where series have several."""
    by_run = (metrics_by_run(results),) if len(results.series) < len(results.runs) else ()
    return (metrics_by_series(results), *by_run, times_table(results))


def render(results: Results, figures: Sequence[Figure], tables: Sequence[Table], chapters: Sequence[Chapter]) -> str:
    """The page as HTML; every text that comes from a study is escaped."""
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True)
    environment.globals["zip"] = zip
    environment.filters["locales"] = unbroken_locales
    template = environment.from_string(_resource("page.html"))
    corpora = {run.series.corpus: run.spec.corpus for run in results.runs}
    shared, own = _settings(results.runs)
    every_figure = [*figures, *(figure for chapter in chapters for figure in chapter.every_figure)]
    return template.render(
        name=results.name,
        version=_version(),
        css=Markup(_resource("page.css")),
        javascript=Markup(_resource("page.js")),
        bundle=Markup(_bundle()),
        data=Markup(page_data(every_figure)),
        num_languages=len(results.languages),
        overview=overview(results),
        facts=_facts(results),
        generated=" and ".join(label for label, corpus in corpora.items() if corpus.generated),
        warnings=_warnings(results),
        contents=_contents(figures, chapters),
        words=_words(results.runs),
        scored=_scored(results.runs),
        runs=results.runs,
        first_run=_first_run(results.runs).key,
        figures={figure.name: figure for figure in figures},
        tables={table.name: table for table in tables},
        chapters=chapters,
        metric_help=metric_columns(results),
        shared_settings=shared,
        own_settings=own,
        environment=list(results.environment.items()),
        study_toml=results.study_toml,
        unfinished=results.unfinished,
        citations=list(corpora.values()),
        table_kinds=[(kind, title) for kind, title in TABLE_KINDS.items()],
        figure_kinds=FIGURE_KINDS,
    )


def page_data(figures: Sequence[Figure]) -> str:
    """What the page's script draws: definitions, themes and tables (each once) as JSON that is safe inside a script element."""
    places: dict[int, int] = {}
    tables: list[dict[str, Any]] = []

    def place(table: pd.DataFrame) -> int:
        if id(table) not in places:
            places[id(table)] = len(tables)
            tables.append(columnar(table))
        return places[id(table)]

    drawn = {
        figure.name: {
            "definition": figure.definition(),
            "themes": {"light": figure.theme("light"), "dark": figure.theme("dark")},
            "fits": figure.fits,
            "files": {variant: figure.stem(variant) for variant in figure.variants},
            "variants": {
                variant: {name: place(table) for name, table in named.items()} for variant, named in figure.variants.items()
            },
        }
        for figure in figures
    }
    return script_json({"figures": drawn, "tables": tables})


def columnar(table: pd.DataFrame) -> dict[str, Any]:
    """A table by columns, texts as a dictionary (`of`) and places in it (`at`): a tenth of the size of its rows.

    >>> columnar(pd.DataFrame({"stage": ["a", "b", "a"], "f1": [0.5, float("nan"), 1.0]}))
    {'stage': {'of': ['a', 'b'], 'at': [0, 1, 0]}, 'f1': [0.5, None, 1.0]}
    """
    columns: dict[str, Any] = {}
    for name in table.columns:
        values = [plain(value) for value in table[name].tolist()]
        if all(isinstance(value, str) for value in values):
            of = list(dict.fromkeys(values))
            index = {value: number for number, value in enumerate(of)}
            columns[str(name)] = {"of": of, "at": [index[value] for value in values]}
        else:
            columns[str(name)] = values
    return columns


def script_json(value: object) -> str:
    """JSON that cannot end the script element it stands in.

    >>> script_json("</script>")
    '"\\\\u003c/script\\\\u003e"'
    """
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    for sign in "<>&\u2028\u2029":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return text


@cache
def _bundle() -> str:
    """Vega, Vega-Lite and Vega-Embed as one script, without a network."""
    bundle: str = vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;")
    assert "</script" not in bundle.lower(), "the bundle would end the script element it stands in"
    return bundle


def _resource(name: str) -> str:
    return resources.files("attrition.report").joinpath(name).read_text(encoding="utf-8")


def _version() -> str:
    return metadata.version("attrition")


def _first_run(runs: Sequence[Run]) -> Run:
    """The run shown first: one that can forget, if there is one."""
    forgetful = [run for run in runs if run.spec.method.order_matters and run.spec.method.shared_by == "all"]
    return (forgetful or list(runs))[0]


def _words(runs: Sequence[Run]) -> list[tuple[str, list[str]]]:
    """Each run in words; runs of which the same is to be said stand together."""
    said: dict[tuple[str, ...], list[str]] = {}
    for run in runs:
        said.setdefault(tuple(run_words(run)), []).append(run.label)
    return [("; ".join(labels), list(sentences)) for sentences, labels in said.items()]


def _scored(runs: Sequence[Run]) -> list[str]:
    """What was scored and how far the scores are to be trusted, once for all runs of which the same is to be said."""
    errors: dict[tuple[str, str, str], list[float]] = {}
    for run in runs:
        about = run.spec.scored
        errors.setdefault((about.statement, about.stands_for, run.score), []).extend(
            [] if about.f1_error is None else [about.f1_error]
        )
    said = "As an estimate for {}, each cell has a standard error of at most {:.2f} points of {}."
    return [
        f"{statement} {said.format(stands_for, 100 * max(found), score) if found and stands_for else ''}".strip()
        for (statement, stands_for, score), found in errors.items()
        if statement
    ]


def _facts(results: Results) -> list[tuple[str, str]]:
    models = dict.fromkeys(run.spec.model.name for run in results.runs)
    corpora = dict.fromkeys(run.series.corpus for run in results.runs)
    orders = dict.fromkeys(run.spec.order.name for run in results.runs)
    return [
        ("Corpus", ", ".join(corpora)),
        ("Model", ", ".join(models)),
        ("Languages", str(len(results.languages))),
        ("Runs", f"{len(results.runs)} finished" + (f", {len(results.unfinished)} not" if results.unfinished else "")),
        ("Orders", ", ".join(orders) if len(orders) < 6 else str(len(orders))),
        ("Seeds", ", ".join(str(seed) for seed in sorted({run.spec.seed for run in results.runs}))),
    ]


def _warnings(results: Results) -> list[str]:
    """Every warning once, with the runs that gave it, and what is unfinished."""
    given: dict[str, list[str]] = {}
    for run in results.runs:
        # Earlier versions began each warning with the name of the run.
        own = f"{run.spec.method.name} ({run.spec.order.name}, seed {run.spec.seed}): "
        for warning in run.spec.warnings:
            given.setdefault(warning.removeprefix(own), []).append(run.label)
    everywhere = len(results.runs)
    found = [text if len(labels) == everywhere else f"{'; '.join(labels)}: {text}" for text, labels in given.items()]
    if results.unfinished:
        are = "is" if len(results.unfinished) == 1 else "are"
        said = f"{counted(len(results.unfinished), 'run')} of this study {are} not finished: what follows may change."
        found.append(said)
    return found


def _contents(figures: Sequence[Figure], chapters: Sequence[Chapter]) -> list[tuple[str, str]]:
    training = [("training", "Training")] if any(figure.name == "dev-f1" for figure in figures) else []
    return [
        ("words", "In words"),
        ("matrix", "R"),
        ("sequence", "Over the sequence"),
        ("metrics", "Metrics"),
        *((chapter.anchor, chapter.title) for chapter in chapters),
        *training,
        ("time", "Time and size"),
        ("settings", "Settings"),
    ]


def _settings(runs: Sequence[Run]) -> tuple[list[tuple[str, str]], list[tuple[str, list[str]]]]:
    """Settings that all runs share, and for each that differs its value in every run."""
    names = dict.fromkeys(name for run in runs for name in run.settings)
    values: Mapping[str, list[str]] = {name: [run.settings.get(name, "–") for run in runs] for name in names}
    shared = [(name, found[0]) for name, found in values.items() if len(set(found)) == 1]
    own = [(name, found) for name, found in values.items() if len(set(found)) > 1]
    return shared, own

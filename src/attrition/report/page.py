"""Makes the report of a results folder: one self-contained page, and its figures and tables as files."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from importlib import metadata, resources
from pathlib import Path

import jinja2
from markupsafe import Markup

from attrition.names import AttritionError, counted
from attrition.report.chapters import Chapter, Chapters, languages_chapter, no_chapters
from attrition.report.curves import time_spent, training_curves
from attrition.report.error_tables import errors_chapter
from attrition.report.explorer import explorer_data
from attrition.report.export import FIGURE_KINDS, TABLE_KINDS, Progress, drawn, drawn_narrow, write_figures, write_tables
from attrition.report.figures import Figure
from attrition.report.heat_maps import heat_maps, transfer_maps
from attrition.report.locales import set_off_intervals, unbroken_locales
from attrition.report.overview import failed_training, methods_table, overview
from attrition.report.progress import progress
from attrition.report.summaries import metric_columns, metrics_by_run, metrics_by_series, times_table
from attrition.report.svg import for_page
from attrition.report.tables import Table
from attrition.report.theme import css_variables, hue_variable
from attrition.results.read import Results, Run, read_results

MOST_INLINE = 250_000
"""Largest number of characters of a figure on the page, over all variants; further variants are files only."""

INTERACTIVE = ("r", "r-change", "transfer")
"""Figures that the page shows in its interactive R."""


def make_report(
    folder: Path,
    *,
    beside: Sequence[Path] = (),
    groupings: Sequence[str] = (),
    chapters: Chapters = no_chapters,
    progress: Progress | None = None,
) -> Path:
    """Write `<folder>/report/` (index.html, figures/, tables/) and return the path of the page.

    The page is self-contained: it opens without a network, and the folder may be moved.

    Args:
        folder: a study's results folder, as `attrition run` writes it.
        beside: results folders whose runs are shown too, such as runs of another model.
        groupings: further groupings of languages, in the form of `attrition.languages.grouping`.
        chapters: further chapters; empty chapters are left out.
        progress: called before each file with (done, total, name).

    Raises:
        AttritionError: there is no finished run, a result file or grouping is malformed, or the report cannot be written.
    """
    results = read_results(folder, beside)
    every = [
        chapter
        for chapter in (languages_chapter(results, groupings), errors_chapter(results), *chapters(results))
        if not chapter.is_empty
    ]
    figures, tables = standard_figures(results), standard_tables(results)
    svgs = drawn([*figures, *(figure for chapter in every for figure in chapter.every_figure)], progress)
    page = render(results, figures, tables, every, svgs)
    report = folder / "report"
    try:
        report.mkdir(exist_ok=True)
        (report / "index.html").write_text(page, encoding="utf-8")
        write_tables([*tables, *(table for chapter in every for table in chapter.every_table)], report / "tables")
        write_figures(svgs, report / "figures", progress)
    except OSError as error:
        raise AttritionError(f"{report}: the report cannot be written: {error.strerror or error}.") from error
    return report / "index.html"


def standard_figures(results: Results) -> tuple[Figure, ...]:
    """Return the figures of every study."""
    return (*heat_maps(results), *transfer_maps(results), progress(results), *training_curves(results), time_spent(results))


def standard_tables(results: Results) -> tuple[Table, ...]:
    """Return the tables of every study; single runs only if a series has several."""
    by_run = (metrics_by_run(results),) if len(results.series) < len(results.runs) else ()
    return (methods_table(results), metrics_by_series(results), *by_run, times_table(results))


def render(
    results: Results,
    figures: Sequence[Figure],
    tables: Sequence[Table],
    chapters: Sequence[Chapter],
    svgs: Mapping[str, str],
) -> str:
    """Return the page as HTML. All text from a study is escaped.

    Args:
        results: the study.
        figures: of every study.
        tables: of every study.
        chapters: of this page.
        svgs: all figures, from `export.drawn`.
    """
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True)
    environment.globals["zip"] = zip
    environment.filters |= {"locales": unbroken_locales, "intervals": set_off_intervals, "hue": hue_variable}
    template = environment.from_string(_resource("page.html"))
    corpora = {run.series.setup.corpus: run.spec.corpus for run in results.runs}
    shared, own = _settings(results.runs)
    data = explorer_data(results)
    on_page = [*figures, *(figure for chapter in chapters for figure in chapter.every_figure)]
    narrow = drawn_narrow(on_page)
    return template.render(
        name=results.name,
        version=metadata.version("attrition"),
        css=Markup(_css()),
        javascript=Markup(_resource("page.js")),
        data=Markup(script_json(data)),
        score=results.score,
        overview=overview(results),
        failed=failed_training(results),
        facts=_facts(results),
        generated=" and ".join(label for label, corpus in corpora.items() if corpus.generated),
        warnings=_warnings(results),
        contents=_contents(chapters),
        scored=_scored(results.runs),
        first=data["runs"][data["first"]],
        figures={figure.name: figure for figure in figures},
        inline={figure.name: _inline(figure, svgs) for figure in on_page if figure.name not in INTERACTIVE},
        narrow={
            figure.name: for_page(svg, stem=f"{figure.name}-narrow", says=_says(figure, next(iter(figure.variants))))
            for figure, svg in ((each, narrow[each.name]) for each in on_page if each.name in narrow)
        },
        labels={"": "", **{run.key: run.label for run in results.runs}, **dict(s for each in chapters for s in each.series)},
        tables={table.name: table for table in tables},
        chapters=chapters,
        metric_help=metric_columns(results),
        shared_settings=[(name, [value]) for name, value in shared],
        own_settings=own,
        own_head=["Setting", *(run.label for run in results.runs)],
        environment=[(name, [value]) for name, value in results.environment.items()],
        study_toml=results.study_toml,
        unfinished=results.unfinished,
        citations=list(corpora.values()),
        table_kinds=list(TABLE_KINDS.items()),
        figure_kinds=FIGURE_KINDS,
    )


def _says(figure: Figure, variant: str) -> str:
    """Return a figure's text alternative."""
    return f"{figure.title}. {figure.findings.get(variant, '')}".strip()


def _inline(figure: Figure, svgs: Mapping[str, str]) -> dict[str, Markup]:
    """Return a figure's variants on the page: the first, and others up to the size limit."""
    found: dict[str, Markup] = {}
    for variant in figure.variants:
        stem = figure.stem(variant)
        svg = for_page(svgs[stem], stem=stem, says=_says(figure, variant))
        if found and sum(map(len, found.values())) + len(svg) > MOST_INLINE:
            break
        found[variant] = svg
    return found


def script_json(value: object) -> str:
    """Return JSON that cannot end its script element.

    >>> script_json("</script>")
    '"\\\\u003c/script\\\\u003e"'
    """
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    for sign in "<>&\u2028\u2029":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return text


def _css() -> str:
    css = _resource("page.css")
    for mode in ("light", "dark"):
        css = css.replace(f"/*{mode}*/", f"{css_variables(mode)};")
    return css


def _resource(name: str) -> str:
    return resources.files("attrition.report").joinpath(name).read_text(encoding="utf-8")


def _scored(runs: Sequence[Run]) -> list[str]:
    """Return sentences on the scored utterances and the standard errors, once for runs with the same sentences."""
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


def _facts(results: Results) -> list[str]:
    models = dict.fromkeys(run.spec.model.name for run in results.runs)
    corpora = dict.fromkeys(run.series.setup.corpus for run in results.runs)
    orders = dict.fromkeys(run.spec.order.languages for run in results.runs if run.spec.method.order_matters)
    seeds = sorted({run.spec.seed for run in results.runs})
    return [
        ", ".join(corpora),
        ", ".join(models),
        counted(len(results.languages), "language"),
        counted(len(results.runs), "run") + (f" ({len(results.unfinished)} more not finished)" if results.unfinished else ""),
        *([counted(len(orders), "order")] if orders else []),
        f"seed{'s' if len(seeds) > 1 else ''} {', '.join(map(str, seeds))}",
        f"score: {results.score}",
    ]


def _warnings(results: Results) -> list[str]:
    """Return every warning once, with its runs, and the number of unfinished runs."""
    given: dict[str, list[str]] = {}
    for run in results.runs:
        for warning in run.spec.warnings:
            given.setdefault(warning, []).append(run.label)
    everywhere = len(results.runs)
    found = [text if len(labels) == everywhere else f"{'; '.join(labels)}: {text}" for text, labels in given.items()]
    if results.unfinished:
        are = "is" if len(results.unfinished) == 1 else "are"
        said = f"{counted(len(results.unfinished), 'run')} of this study {are} not finished: the numbers may change."
        found.append(said)
    return found


def _contents(chapters: Sequence[Chapter]) -> list[tuple[str, str]]:
    return [
        ("matrix", "R"),
        *((chapter.anchor, chapter.title) for chapter in chapters),
        ("metrics", "Metrics"),
        ("training", "Training and time"),
        ("settings", "Settings"),
    ]


def _settings(runs: Sequence[Run]) -> tuple[list[tuple[str, str]], list[tuple[str, list[str]]]]:
    """Return the common settings of all runs, and for each other setting its value in every run."""
    names = dict.fromkeys(name for run in runs for name in run.settings)
    values: Mapping[str, list[str]] = {name: [run.settings.get(name, "–") for run in runs] for name in names}
    shared = [(name, found[0]) for name, found in values.items() if len(set(found)) == 1]
    own = [(name, found) for name, found in values.items() if len(set(found)) > 1]
    return shared, own

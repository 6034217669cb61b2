"""The report of a study, with a comparison with the paper."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from attrition.analysis.claims import judge_all
from attrition.analysis.evidence import from_results
from attrition.languages.orders import PAPER_ORDERS
from attrition.paper.claims import paper_claims
from attrition.paper.figures import paper_figures, series_choices
from attrition.paper.tables import paper_tables
from attrition.report import page
from attrition.report.chapters import Chapter
from attrition.report.export import Progress
from attrition.report.verdicts import claims_chapter
from attrition.results.read import Results


def paper_chapters(results: Results) -> tuple[Chapter, ...]:
    """Return the chapters on the paper: its tables and figures from this study's runs, and the verdicts on its claims.

    There are none if the study cannot be compared with the paper (see `comparable`).
    """
    if not comparable(results):
        return ()
    beside = Chapter(
        anchor="paper",
        title="Beside the paper",
        text="Tables 1 to 3 and Figures 3 to 6 of the paper, from this study. The paper's Figure 2 is the first figure of this "
        "page, and its Figure 7 is R.",
        tables=paper_tables(results),
        figures=paper_figures(results),
        series=tuple(series_choices(results)),
    )
    verdicts = claims_chapter(
        judge_all(paper_claims(), from_results(results)),
        anchor="claims",
        title="The paper's claims",
        text="Each claim of sections 4 and 5 and appendix A is one difference, in points of F1.",
    )
    return beside, verdicts


def comparable(results: Results) -> bool:
    """Return True if this study can be compared with the paper.

    The study must fill slots (so its score is slot F1), use texts written by people, and use only languages of the paper. It
    must also have a method of the paper that learned them in an order of the paper, all at once, or each alone.
    """
    known = set().union(*(order.locales for order in PAPER_ORDERS.values()))
    return (
        all(run.spec.problem.name == "slots" and not run.spec.corpus.generated for run in results.runs)
        and known.issuperset(results.languages)
        and any(run.series.kind and run.spec.order.name in PAPER_ORDERS for run in results.runs)
    )


def make_report(
    folder: str | Path, *, beside: Sequence[str | Path] = (), groupings: Sequence[str] = (), progress: Progress | None = None
) -> Path:
    """Write `<folder>/report/` (index.html, figures/, tables/) and return the path of the page.

    The page is self-contained: it opens without a network, and the folder may be moved.

    Args:
        folder: a study's results folder, as `attrition run` writes it.
        beside: results folders whose runs are shown too, such as runs of another model.
        groupings: further groupings of languages, in the form of `attrition.languages.grouping`.
        progress: called before each file with (done, total, name).

    Raises:
        AttritionError: there is no finished run, a result file or grouping is malformed, or the report cannot be written.
    """
    return page.make_report(
        Path(folder), beside=[*map(Path, beside)], groupings=groupings, chapters=paper_chapters, progress=progress
    )

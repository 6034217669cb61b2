"""The chapters of the page between the metrics and the training curves, with the standard chapter on languages."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from attrition.analysis.claims import Judged
from attrition.report.effects import effects_forest
from attrition.report.figures import Figure
from attrition.report.forest import language_forests
from attrition.report.language_tables import grouping_tables, language_changes, language_tables
from attrition.report.tables import Table
from attrition.results.read import Results


@dataclass(frozen=True, kw_only=True)
class Chapter:
    """A chapter of the page: claims, leading figures, tables, then figures with a choice of series.

    `verdicts` are judged claims by heading; `needs` are the claims that could not be tested, by what they need.
    `folded` are tables that the page shows on request; `files` are written but not shown.
    """

    anchor: str
    title: str
    text: str = ""
    verdicts: tuple[tuple[str, tuple[Judged, ...]], ...] = ()
    needs: tuple[tuple[str, tuple[Judged, ...]], ...] = ()
    leading: tuple[Figure, ...] = ()
    tables: tuple[Table, ...] = ()
    folded: tuple[Table, ...] = ()
    figures: tuple[Figure, ...] = ()
    series: tuple[tuple[str, str], ...] = ()
    files: tuple[Table, ...] = ()

    @property
    def every_table(self) -> tuple[Table, ...]:
        """Return all tables, in the order of the page."""
        return (*self.tables, *self.folded, *self.files)

    @property
    def every_figure(self) -> tuple[Figure, ...]:
        """Return all figures, in the order of the page."""
        return (*self.leading, *self.figures)

    @property
    def is_empty(self) -> bool:
        """True if there is nothing to show."""
        return not (self.tables or self.folded or self.every_figure or self.verdicts or self.needs)


Chapters = Callable[[Results], Sequence[Chapter]]
"""Returns further chapters for results, such as a paper's tables, figures and claims."""


def no_chapters(_: Results) -> tuple[Chapter, ...]:
    """Return no further chapters."""
    return ()


def languages_chapter(results: Results, groupings: Sequence[str] = ()) -> Chapter:
    """Return the chapter on languages as donors and receivers, and on groups of languages.

    Args:
        results: of the study.
        groupings: further groupings of languages, in the form of `attrition.languages.grouping`.
    """
    shown, files = language_tables(results)
    folded, groups = shown[:1], shown[1:]
    return Chapter(
        anchor="languages",
        title="Languages",
        text=f"D[a, b] is the change of {results.score} on language b when language a is trained. A donor's strength is its "
        "mean over b. A receiver's strength is its mean over a. Late stages have more to forget, so some columns are adjusted "
        "for the position of the stage.",
        leading=(*language_forests(results), *effects_forest(results)),
        tables=language_changes(results),
        folded=(*folded, *groups, *grouping_tables(results, groupings)),
        files=files,
    )

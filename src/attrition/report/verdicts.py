"""The verdicts on a list of claims, as a chapter of the page and as a table."""

from __future__ import annotations

from collections.abc import Sequence

from attrition.analysis.claims import Judged
from attrition.report.chapters import Chapter
from attrition.report.tables import Column, Table

HEADINGS = {
    "supported": "Supported",
    "contradicted": "Contradicted",
    "equivalent": "Supported as a small difference",
    "undecided": "Undecided",
}
"""The verdicts in the order of display, and their headings."""

TEXT = (
    "A claim that depends on the order of languages needs at least five orders for a verdict. "
    "The false discovery rate is 5% over all tested claims: on average at most 5% of the verdicts are wrong. "
    'An undecided claim says "about N orders": this number would decide it if the estimated difference is right.'
)


def claims_chapter(judged: Sequence[Judged], *, anchor: str, title: str, text: str = "") -> Chapter:
    """Return the chapter: claims by verdict, then those that could not be tested, by what they need.

    Args:
        judged: the claims with their verdicts.
        anchor: of the chapter on the page, and the name of the table's files.
        title: of the chapter.
        text: comes before the three sentences that explain the verdicts.
    """
    by_verdict = ((heading, tuple(each for each in judged if each.verdict == name)) for name, heading in HEADINGS.items())
    needs: dict[str, list[Judged]] = {}
    for each in judged:
        if each.verdict == "needs":
            needs.setdefault(each.words(), []).append(each)
    most_first = sorted(needs.items(), key=lambda item: -len(item[1]))
    return Chapter(
        anchor=anchor,
        title=title,
        text=f"{text} {TEXT}".strip(),
        verdicts=tuple((heading, found) for heading, found in by_verdict if found),
        needs=tuple((words, tuple(found)) for words, found in most_first),
        files=(claims_table(judged, name=anchor, title=title),),
    )


def claims_table(judged: Sequence[Judged], *, name: str, title: str) -> Table:
    """Return every claim with its verdict and the evidence: value, 95% interval, replicates, adjusted p, or what it needs."""
    return Table(
        name=name,
        title=title,
        columns=tuple(Column(title=head) for head in ("Id", "Claim", "Verdict", "Evidence")),
        rows=tuple((each.claim.id, each.claim.statement, each.verdict, each.words()) for each in judged),
        caption="An id begins with the section. In points; p is adjusted for all claims that were asked.",
    )

"""The tables of a release, for the page and for Markdown."""

from __future__ import annotations

import math
from collections.abc import Sequence

from attrition.gate.judge import WORST_FIRST, Finding
from attrition.gate.release import Release
from attrition.gate.words import METRIC_NAMES, marked
from attrition.problem.spans import ERROR_TYPES
from attrition.report.tables import MINUS, UNDEFINED, Cell, Column, Number, Table


def sorted_findings(release: Release) -> list[Finding]:
    """Return the findings, worst verdict first and then the largest loss first."""
    return sorted(release.findings, key=lambda each: (WORST_FIRST.index(each.verdict), -each.loss))


def checks_table(release: Release, findings: Sequence[Finding], *, title: str = "Checks") -> Table:
    """Return a row for each finding."""
    metric = METRIC_NAMES[release.settings.metric]
    columns = (
        Column(title="Check"),
        Column(title="Verdict"),
        Column(title="Utterances", digits=0),
        Column(title="Differ", digits=0, help="Utterances that the two systems count differently."),
        Column(title=f"Old {metric}", digits=2),
        Column(title=f"New {metric}", digits=2),
        Column(title="Loss", digits=2, help="Old minus new, in points."),
        Column(title="90% interval", help="Each end is a one-sided 95% bound of the loss."),
        Column(title="Margin", digits=2),
        Column(title="Why"),
    )
    rows = tuple(
        (
            each.check.name,
            each.verdict,
            Number(value=each.utterances),
            Number(value=each.differing),
            Number(value=each.old),
            Number(value=each.new),
            Number(value=each.loss),
            interval_text(each),
            Number(value=each.check.margin),
            each.words,
        )
        for each in findings
    )
    return Table(name="checks", title=title, columns=columns, rows=rows, caption="Scores, losses and margins in points.")


def interval_text(finding: Finding) -> str:
    """Return the two bounds of the loss."""
    if math.isnan(finding.low):
        return UNDEFINED
    return f"{finding.low:.2f} to {finding.high:.2f}".replace("-", MINUS)


def labels_table(release: Release) -> Table:
    """Return the change of each label over all utterances, largest loss first."""
    metric = METRIC_NAMES[release.settings.metric]
    rows = tuple(
        (
            each.label,
            Number(value=each.gold),
            Number(value=each.old),
            Number(value=each.new),
            Number(value=each.new - each.old),
        )
        for each in sorted(release.changes.labels, key=lambda each: each.new - each.old)
    )
    columns = (
        Column(title="Label"),
        Column(title="Gold spans", digits=0),
        Column(title=f"Old {metric}", digits=2),
        Column(title=f"New {metric}", digits=2),
        Column(title="Change", digits=2, signed=True),
    )
    return Table(name="labels", title="By label", columns=columns, rows=rows, caption="In points. No verdict is based on this.")


def errors_table(release: Release) -> Table:
    """Return the number of errors of each type, old and new."""
    rows = []
    for name in ERROR_TYPES:
        old, new = release.changes.errors[name]
        cells: tuple[Cell, ...] = (name, Number(value=old), Number(value=new), Number(value=new - old))
        rows.append(cells)
    columns = (
        Column(title="Error"),
        Column(title="Old", digits=0),
        Column(title="New", digits=0),
        Column(title="Change", digits=0, signed=True),
    )
    caption = (
        "Type: same edges, other label. Boundary: same label, overlapping, other edges. Missed: nothing overlaps the gold "
        "span. Spurious: the predicted span overlaps no gold span."
    )
    return Table(name="errors", title="Types of errors", columns=columns, rows=tuple(rows), caption=caption)


def broken_table(release: Release) -> Table:
    """Return the utterances with more errors than before, worst first; without words if these may not be shown."""
    changes, compared, text = release.changes, release.compared, release.settings.show_text
    rows = []
    for each in changes.broken:
        row = compared.rows[each.number]
        cells: list[Cell] = [row.place, row.language, Number(value=each.old), Number(value=each.new)]
        if text:
            cells += [marked(row.words, compared.tags[side][each.number]) for side in ("gold", "old", "new")]
        rows.append(tuple(cells))
    columns = [
        Column(title="Utterance"),
        Column(title="Language"),
        Column(title="Old errors", digits=0),
        Column(title="New errors", digits=0),
        *([Column(title="Gold"), Column(title="Old"), Column(title="New")] if text else []),
    ]
    return Table(
        name="broken",
        title="Utterances that broke",
        columns=tuple(columns),
        rows=tuple(rows),
        caption=f"{changes.num_broken:,} utterances have more errors than before, {changes.num_repaired:,} have fewer; "
        f"{len(rows):,} are listed, worst first.",
    )

"""A release as JSON, as a JUnit file and as Markdown. docs/guides/ship-an-update.md describes the JSON."""

from __future__ import annotations

import math
import re
from typing import Any
from xml.etree import ElementTree

from attrition.gate.judge import Finding
from attrition.gate.release import Release
from attrition.gate.tables import broken_table, checks_table, errors_table, labels_table, sorted_findings
from attrition.gate.words import averages, headline, marked

FORMAT = 1
_NOT_XML = re.compile(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def as_json(release: Release) -> dict[str, Any]:
    """Return the release as JSON values; None for undefined numbers."""
    (old, new), (old_mean, new_mean) = release.scores
    settings, changes = release.settings, release.changes
    return {
        "format": FORMAT,
        "verdict": release.verdict,
        "found": release.found,
        "exit_code": release.exit_code,
        "headline": headline(release),
        "old": release.old,
        "new": release.new,
        "metric": settings.metric,
        "cannot_tell": settings.cannot_tell,
        "overall": {"old": old, "new": new, "old_mean": old_mean, "new_mean": new_mean},
        "checks": [_check(each) for each in release.findings],
        "labels": [{"label": each.label, "gold": each.gold, "old": each.old, "new": each.new} for each in changes.labels],
        "errors": {name: {"old": before, "new": now} for name, (before, now) in changes.errors.items()},
        "utterances": {"broken": changes.num_broken, "repaired": changes.num_repaired, "listed": _broken(release)},
        "notes": list(release.notes),
    }


def _check(each: Finding) -> dict[str, Any]:
    values = {
        "name": each.check.name,
        "slice": each.check.field,
        "value": each.check.value,
        "label": each.check.label or None,
        "margin": each.check.margin,
        "verdict": each.verdict,
        "why": each.words,
        "utterances": each.utterances,
        "differing": each.differing,
        "gold_spans": each.gold,
        "old": each.old,
        "new": each.new,
        "loss": each.loss,
        "loss_low": each.low,
        "loss_high": each.high,
        "can_show": each.can_show,
        "p": each.p,
        "p_adjusted": each.p_adjusted,
    }
    return {key: None if isinstance(value, float) and math.isnan(value) else value for key, value in values.items()}


def _broken(release: Release) -> list[dict[str, Any]]:
    found = []
    for each in release.changes.broken:
        row = release.compared.rows[each.number]
        entry: dict[str, Any] = {"file": row.file, "line": row.line, "language": row.language, "old_errors": each.old}
        entry["new_errors"] = each.new
        if release.settings.show_text:
            entry["id"] = row.id
            entry |= {side: marked(row.words, release.compared.tags[side][each.number]) for side in ("gold", "old", "new")}
        found.append(entry)
    return found


def to_junit(release: Release) -> str:
    """Return a JUnit file with a test case for each check.

    A failed check is a `failure`. An undecided check is an `error`, or `skipped` if the release counts it as a pass.
    """
    undecided = "skipped" if release.settings.cannot_tell == "pass" else "error"
    kinds = {"fail": "failure", "cannot tell": undecided}
    verdicts = [each.verdict for each in release.findings]
    number = {kind: sum(kinds.get(verdict) == kind for verdict in verdicts) for kind in ("failure", "error", "skipped")}
    suite = ElementTree.Element(
        "testsuite",
        name="attrition gate",
        tests=str(len(verdicts)),
        failures=str(number["failure"]),
        errors=str(number["error"]),
        skipped=str(number["skipped"]),
    )
    for each in release.findings:
        case = ElementTree.SubElement(suite, "testcase", classname=_xml(each.check.field), name=_xml(each.check.name))
        if each.verdict in kinds:
            more = {"type": each.verdict} if kinds[each.verdict] != "skipped" else {}
            ElementTree.SubElement(case, kinds[each.verdict], {"message": _xml(each.words), **more})
        ElementTree.SubElement(
            case, "system-out"
        ).text = f"old {each.old:.2f}, new {each.new:.2f}, loss {each.low:.2f} to {each.high:.2f}, margin {each.check.margin:g}"
    ElementTree.indent(suite)
    return f'<?xml version="1.0" encoding="utf-8"?>\n{ElementTree.tostring(suite, encoding="unicode")}\n'


def _xml(text: str) -> str:
    """Return text without the characters that XML does not allow."""
    return _NOT_XML.sub("\ufffd", text)


def to_markdown(release: Release) -> str:
    """Return Markdown for a pull request: the verdict, the checks that did not pass, and the rest folded."""
    findings = sorted_findings(release)
    open_findings = [each for each in findings if each.verdict != "pass"]
    passed = [each for each in findings if each.verdict == "pass"]
    icon = {"pass": "✅", "fail": "❌", "cannot tell": "❔"}[release.verdict]
    lines = [f"### {icon} {_plain(headline(release))}", averages(release), *(f"Note: {_plain(note)}" for note in release.notes)]
    if open_findings:
        lines.append(checks_table(release, open_findings, title="Not passed").to_markdown())
    if passed:
        lines.append(_folded(f"Passed: {len(passed)}", checks_table(release, passed, title="Passed").to_markdown()))
    what = [labels_table(release), errors_table(release), broken_table(release)]
    lines.append(_folded("What changed", "\n".join(table.to_markdown() for table in what)))
    return "\n\n".join(lines) + "\n"


def _folded(summary: str, text: str) -> str:
    return f"<details><summary>{summary}</summary>\n\n{text}\n</details>"


def _plain(text: str) -> str:
    """Return text with Markdown's special characters escaped."""
    return re.sub(r"([\\`*_\[\]|<>])", r"\\\1", text)

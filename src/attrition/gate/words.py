"""The verdict in words, and utterances with marked spans."""

from __future__ import annotations

from collections.abc import Sequence

from attrition.corpus.schemes import tag_spans
from attrition.gate.release import Release
from attrition.names import counted

TITLES = {"pass": "Pass", "fail": "Fail", "cannot tell": "Cannot tell"}
_NAMED = 5


def headline(release: Release) -> str:
    """Return the verdict in one or two sentences."""
    of = counted(len(release.findings), "check")
    names = [finding.check.name for finding in release.findings if finding.verdict == release.found]
    listed = ", ".join(names[:_NAMED]) + (f" and {len(names) - _NAMED} more" if len(names) > _NAMED else "")
    if release.found == "pass":
        return f"Pass: {of}, and in each a loss as large as the margin is ruled out."
    if release.found == "fail":
        return f"Fail: {len(names)} of {of} lost more than the margin: {listed}."
    counts = "" if release.settings.cannot_tell is None else f" This counts as {release.verdict} (--cannot-tell)."
    return f"{TITLES[release.verdict]}: no check fails, but {len(names)} of {of} cannot be decided: {listed}.{counts}"


def averages(release: Release) -> str:
    """Return the overall scores; no verdict depends on them."""
    (old, new), (old_mean, new_mean) = release.scores
    metric = METRIC_NAMES[release.settings.metric]
    return (
        f"{metric} over all utterances: {old:.2f} before, {new:.2f} now. "
        f"Mean over languages: {old_mean:.2f} before, {new_mean:.2f} now."
    )


METRIC_NAMES = {"f1": "F1", "recall": "Recall", "precision": "Precision"}


def marked(words: Sequence[str] | None, tags: Sequence[str]) -> str:
    """Return an utterance with its spans in brackets; unknown words are numbers from 1.

    >>> marked(["wake", "me", "at", "five", "am"], ["O", "O", "O", "B-time", "I-time"])
    'wake me at [five am : time]'
    """
    shown = list(words) if words is not None else [str(number) for number in range(1, len(tags) + 1)]
    parts: list[str] = []
    at = 0
    for start, end, label in tag_spans(tags, "bio"):
        parts += shown[at:start]
        parts.append(f"[{' '.join(shown[start:end])} : {label}]")
        at = end
    return " ".join(parts + shown[at:])

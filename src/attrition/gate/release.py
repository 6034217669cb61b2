"""Decides if an update may be shipped."""

from __future__ import annotations

import gc
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from attrition.gate.changes import SIDES, Changes, changes
from attrition.gate.checks import LABEL, LANGUAGE, Settings, checks
from attrition.gate.compared import Compared, compare
from attrition.gate.judge import Finding, Verdict, judge, worst
from attrition.gate.ratios import parts
from attrition.gate.rows import Layout, Row
from attrition.gate.sources import FilePredictions, Predictions, Routed, read_source
from attrition.names import AttritionError

EXIT_CODES: dict[Verdict, int] = {"pass": 0, "fail": 1, "cannot tell": 3}


@dataclass(frozen=True, kw_only=True)
class Release:
    """A verdict and its evidence.

    `found` is the worst verdict of a check; `verdict` is the same after `settings.cannot_tell`. `scores` are, in points,
    old and new, micro-averaged over all utterances, then old and new as means over languages.
    """

    old: str
    new: str
    settings: Settings
    verdict: Verdict
    found: Verdict
    findings: tuple[Finding, ...]
    scores: tuple[tuple[float, float], tuple[float, float]]
    changes: Changes
    compared: Compared
    notes: tuple[str, ...]

    @property
    def exit_code(self) -> int:
        """0 pass, 1 fail, 3 cannot tell."""
        return EXIT_CODES[self.verdict]


def gate(test: Sequence[Row], old: Predictions, new: Predictions, settings: Settings | None = None) -> Release:
    """Return the verdict on an update, with its evidence.

    Args:
        test: the utterances, with gold tags.
        old, new: the deployed system and its update.
        settings: slices, margins, metric; the default is 1 point of F1 in each language.

    Raises:
        AttritionError: predictions do not match the test set, or a setting names something that does not exist.
    """
    settings = settings or Settings()
    compared = compare(test, old, new, show_text=settings.show_text)
    findings = judge(checks(compared, settings))
    found = worst([finding.verdict for finding in findings])
    verdict = settings.cannot_tell if found == "cannot tell" and settings.cannot_tell else found
    return Release(
        old=old.name,
        new=new.name,
        settings=settings,
        verdict=verdict,
        found=found,
        findings=findings,
        scores=_scores(compared, findings, settings),
        changes=changes(compared, settings.metric, settings.show),
        compared=compared,
        notes=tuple(_notes(test, old, new)),
    )


def gate_files(
    old: Path | Predictions,
    new: Path | Predictions,
    test: Path | Sequence[Row] | None,
    settings: Settings,
    *,
    gold_column: str = "",
    predicted_column: str = "",
    serves: tuple[str, ...] = (),
) -> Release:
    """Return the verdict on an update, from prediction files, folders of them, or models.

    Args:
        old, new: predictions of the deployed system and of its update.
        test: gold tags, or utterances with gold tags; None: the prediction files have them.
        settings: slices, margins, metric.
        serves: the languages that the update serves; the old system serves the others. () means all.
        gold_column, predicted_column: names of JSONL fields or numbers of CoNLL columns; "" finds them automatically.

    Raises:
        AttritionError: a file is malformed, or predictions do not match the test set.
    """
    fields = tuple(name for name in settings.slices if name not in (LANGUAGE, LABEL))
    with_gold = Layout(
        has_gold=True,
        has_predicted=test is None,
        gold=gold_column,
        predicted=predicted_column if test is None else "",
        fields=fields,
        show_text=settings.show_text,
    )
    without = replace(with_gold, has_gold=False, has_predicted=True, gold="", predicted=predicted_column, fields=())
    with _without_collector():
        if test is None:
            if not isinstance(old, Path) or not isinstance(new, Path):
                raise AttritionError("A model has no gold tags. Give the test set: --test PATH.")
            rows = read_source(old, with_gold)
            before: Predictions = FilePredictions(str(old), rows)
            after: Predictions = FilePredictions(str(new), read_source(new, replace(with_gold, fields=())))
        else:
            rows = read_source(test, with_gold) if isinstance(test, Path) else tuple(test)
            before, after = (
                FilePredictions(str(each), read_source(each, without)) if isinstance(each, Path) else each
                for each in (old, new)
            )
        return gate(rows, before, Routed(before, after, serves) if serves else after, settings)


@contextmanager
def _without_collector() -> Iterator[None]:
    """Pause the garbage collector: rows have no cycles, and its passes over half a million rows take a third of the time."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            if not gc.get_freeze_count():
                # Together these calls mark the new objects as old, which avoids a pass over them.
                gc.freeze()
                gc.unfreeze()
            gc.enable()


def _scores(
    compared: Compared, findings: Sequence[Finding], settings: Settings
) -> tuple[tuple[float, float], tuple[float, float]]:
    """Return micro-averaged scores over all utterances, and means over languages."""
    sums = [parts(compared.counts(side), settings.metric).sum(axis=0).tolist() for side in SIDES]
    old, new = (100 * numerator / denominator if denominator else 0.0 for numerator, denominator in sums)
    languages = [finding for finding in findings if finding.check.field == LANGUAGE]
    means = [float(np.mean([getattr(each, side) for each in languages])) for side in SIDES]
    return (old, new), (means[0], means[1])


def _notes(test: Sequence[Row], old: Predictions, new: Predictions) -> list[str]:
    """Return notes on data that were not checked."""
    checked = {row.language for row in test}
    notes = []
    for side in (old, new):
        if isinstance(side, FilePredictions):
            beyond = sorted({row.language for row in side.rows} - checked)
            if beyond:
                notes.append(f"Not checked, because the test set has no such language: {', '.join(beyond)} of {side.name}.")
    return notes

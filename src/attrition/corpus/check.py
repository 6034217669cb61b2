"""Compares a copy of MASSIVE 1.1 with the release and reports all problems at once."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from attrition.corpus import release
from attrition.corpus.base import SPLITS, Split
from attrition.corpus.cache import Progress
from attrition.corpus.massive import Massive
from attrition.corpus.rows import Problem, Row, in_place
from attrition.corpus.words import cut_words
from attrition.names import AttritionError, counted, nearest


@dataclass(frozen=True)
class SplitCount:
    """The number of well-formed utterances in a locale's split, and the release's number."""

    locale: str
    split: Split
    found: int
    expected: int


@dataclass(frozen=True)
class CheckReport:
    """The result of `check`: counts of every locale and split present, all problems, and the missing locales."""

    path: Path
    counts: tuple[SplitCount, ...]
    problems: tuple[Problem, ...]
    missing: tuple[str, ...]
    fingerprint: str

    @property
    def ok(self) -> bool:
        """True if the locales present have no problem."""
        return not self.problems

    @property
    def is_release(self) -> bool:
        """True if these are the release's 52 files, byte for byte."""
        return self.fingerprint == release.FINGERPRINT

    def summary(self) -> str:
        """Return the report in a few sentences."""
        locales = len({count.locale for count in self.counts})
        utterances = sum(count.found for count in self.counts)
        parts = [f"{self.path}: {counted(utterances, 'utterance')} in {locales} of {len(release.LOCALES)} locales."]
        if self.is_release:
            parts.append("All files are those of MASSIVE 1.1, byte for byte.")
        elif self.missing:
            parts.append(f"Not there: {', '.join(self.missing)}.")
        parts.append(f"{counted(len(self.problems), 'problem')}." if self.problems else "No problems.")
        return " ".join(parts)


def check(path: Path, *, cache: Path | None = None, progress: Progress | None = None) -> CheckReport:
    """Return all problems in the locales at `path`: malformed, misplaced and missing rows.

    Beside the errors of `rows.massive_rows`, it reports counts that differ from the release, files of unknown locales, and
    slots that begin or end inside a word cut at blanks. A missing locale is listed, but is not a problem.

    Args:
        path: as for `Massive`.
        cache: as for `Massive`.
        progress: called with the number of locales checked, and while an archive is unpacked.

    Raises:
        AttritionError: `path` has no archive or folder of MASSIVE, or the archive is damaged.
    """
    corpus = Massive(path, cache=cache, progress=progress)
    problems = [
        Problem(corpus.label(stranger), None, f"{stranger!r} is not a locale of MASSIVE 1.1.{_hint(stranger)}")
        for stranger in corpus.files
        if stranger not in release.LOCALES
    ]
    counts: list[SplitCount] = []
    for done, locale in enumerate(corpus.languages):
        if progress is not None:
            progress(f"checking {locale}", done, len(corpus.languages))
        found = _check_rows(corpus, locale, problems)
        for split in SPLITS:
            expected = release.COUNTS[split]
            counts.append(SplitCount(locale, split, found[split], expected))
            if found[split] != expected:
                message = f"{found[split]:,} sound rows of partition {split!r}, but the release has {expected:,}."
                problems.append(Problem(corpus.label(locale), None, message))
    if progress is not None:
        progress("checked", len(corpus.languages), len(corpus.languages))
    missing = tuple(locale for locale in release.LOCALES if locale not in corpus.languages)
    return CheckReport(corpus.path, tuple(counts), tuple(problems), missing, corpus.fingerprint)


def _check_rows(corpus: Massive, locale: str, problems: list[Problem]) -> Counter[Split]:
    """Return the number of valid rows of each split; add the others to `problems`."""
    found: Counter[Split] = Counter()
    cut = corpus.default_cut(locale)
    for row in corpus.rows(locale, problems.append):
        found[row.split] += 1
        if cut == "blanks":
            _check_words(row, corpus.label(locale), problems)
    return found


def _check_words(row: Row, file: str, problems: list[Problem]) -> None:
    try:
        cut_words(row.utterance, "blanks")
    except AttritionError as error:
        problems.append(in_place(file, row.line, error))


def _hint(stranger: str) -> str:
    guess = nearest(stranger, release.LOCALES)
    return f" Did you mean {guess!r}? Rename the file." if guess else " Take the file away."

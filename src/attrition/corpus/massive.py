"""Reads MASSIVE 1.1 from an archive or a folder, one locale at a time."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from attrition.corpus import release
from attrition.corpus.base import SPLITS, Cut, Split, Utterance
from attrition.corpus.cache import Progress, cache_folder
from attrition.corpus.massive_files import checksums, fetch, find_massive, rows_files, source_of, unpack_release
from attrition.corpus.rows import OnProblem, Row, massive_rows, refuse
from attrition.names import AttritionError, unknown

__all__ = ["Massive", "fetch", "find_massive"]

_LOCALES_IN_MEMORY = 4  # about 20 MB each
_SLOTS = frozenset(release.SLOTS)  # looked up for every slot of every row
_INTENTS = frozenset(release.INTENTS)


@dataclass(frozen=True)
class Massive:
    """MASSIVE 1.1 as a `Corpus`: 52 locales, 55 slots, 60 intents, 11,514 / 2,033 / 2,974 utterances a locale.

    An archive is unpacked once into a cache folder named by its SHA-256; a folder is read in place. A locale's file is
    parsed when one of its splits is first read. The last few locales stay in memory.

    Args:
        path: the release as a tar (any compression); or the unpacked folder at any level (the parent of `1.1`, `1.1`, or
            `data`); or a folder with the archive.
        cache: folder for unpacked archives and checksums; by default `cache_folder()`.
        progress: called while an archive is unpacked.

    A mistake in the files raises an `AttritionError`: "file, line N: what is wrong, what to do".
    """

    path: Path
    cache: Path | None = None
    progress: Progress | None = field(default=None, compare=False, repr=False)
    _recent: dict[str, dict[Split, tuple[Utterance, ...]]] = field(default_factory=dict, init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "path", Path(self.path).expanduser())

    @property
    def name(self) -> str:
        return "massive"

    @property
    def revision(self) -> str:
        return release.REVISION

    @property
    def licence(self) -> str:
        return release.LICENCE

    @property
    def citation(self) -> str:
        return release.CITATION

    @property
    def generated(self) -> bool:
        return False

    @property
    def languages(self) -> tuple[str, ...]:
        """The release's locales that are present, sorted."""
        return tuple(locale for locale in release.LOCALES if locale in self.files)

    @property
    def slots(self) -> tuple[str, ...]:
        return release.SLOTS

    @property
    def intents(self) -> tuple[str, ...]:
        return release.INTENTS

    @property
    def files(self) -> Mapping[str, Path]:
        """The `.jsonl` files found, by stem: files of locales, and others, which only `check` uses."""
        return self._files

    @property
    def fingerprint(self) -> str:
        """SHA-256 over the lines "locale SHA-256-of-its-file", sorted by locale; for the release `release.FINGERPRINT`.

        Checksums are cached. A file is read again only if its size or modification time has changed.
        """
        return self._fingerprint

    def read(self, language: str, split: Split) -> tuple[Utterance, ...]:
        """Return all utterances of one locale and split, in the release's order.

        Raises:
            AttritionError: the locale or split is unknown or missing, or a row of the locale's file is malformed.
        """
        if split not in SPLITS:
            raise unknown(split, SPLITS, kind="split")
        by_split = self._recent.pop(language, None) or self._by_split(language)
        self._recent[language] = by_split  # a dict keeps order: the most recent is last
        while len(self._recent) > _LOCALES_IN_MEMORY:
            del self._recent[next(iter(self._recent))]
        if not by_split[split]:
            raise AttritionError(
                f"{self.label(language)}: no row has partition {split!r}. Use the release's file, which has "
                f"{release.COUNTS[split]:,} such rows."
            )
        return by_split[split]

    def rows(self, language: str, on_problem: OnProblem = refuse) -> Iterator[Row]:
        """Return all rows of one locale in the file's order, with line numbers; `on_problem` gets malformed rows.

        Raises:
            AttritionError: the locale is unknown or missing, or (with the default `on_problem`) a row is malformed.
        """
        if language not in release.LOCALES:
            raise unknown(language, release.LOCALES, kind="locale of MASSIVE 1.1")
        if language not in self.files:
            raise AttritionError(
                f"{self.path} has no file for {language!r}; it has {', '.join(self.languages)}. "
                f"Add {language}.jsonl, leave the locale out, or use the whole release."
            )
        return massive_rows(
            self.files[language].read_bytes(),
            language,
            self.label(language),
            slots=_SLOTS,
            intents=_INTENTS,
            blanks_may_differ=language in release.CHARACTER_LOCALES,
            on_problem=on_problem,
        )

    def splits(self, language: str) -> tuple[Split, ...]:
        """Return all three splits."""
        return SPLITS

    def default_cut(self, language: str) -> Cut:
        """Return "characters" for locales without blanks between words (ja-JP, zh-CN, zh-TW), else "blanks"."""
        if language not in release.LOCALES:
            raise unknown(language, release.LOCALES, kind="locale of MASSIVE 1.1")
        return "characters" if language in release.CHARACTER_LOCALES else "blanks"

    def label(self, language: str) -> str:
        """Return the name of a locale's file in error messages: its path, or `archive: file`."""
        file = self.files[language]
        return f"{self._source}: {file.name}" if self._source.is_file() else str(file)

    def _by_split(self, language: str) -> dict[Split, tuple[Utterance, ...]]:
        found: dict[Split, list[Utterance]] = {split: [] for split in SPLITS}
        for row in self.rows(language):
            found[row.split].append(row.utterance)
        return {split: tuple(utterances) for split, utterances in found.items()}

    @cached_property
    def _cache(self) -> Path:
        return (self.cache or cache_folder()) / "massive"

    @cached_property
    def _source(self) -> Path:
        return source_of(self.path)

    @cached_property
    def _files(self) -> dict[str, Path]:
        if self._source.is_dir():
            return rows_files(self._source)
        return rows_files(unpack_release(self._source, self._cache, progress=self.progress))

    @cached_property
    def _fingerprint(self) -> str:
        found = checksums([self.files[locale] for locale in self.languages], self._cache / "checksums")
        lines = (f"{locale} {checksum}\n" for locale, checksum in zip(self.languages, found, strict=True))
        return hashlib.sha256("".join(lines).encode()).hexdigest()

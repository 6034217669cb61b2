"""Finds the files of a test set or a system, and matches predictions to test utterances."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from attrition.corpus.base import SPLITS
from attrition.gate.rows import Layout, Row, read_rows
from attrition.names import AttritionError, counted, nearest, unknown
from attrition.reading import is_there

ENDINGS = (".jsonl", ".conll", ".tsv")
HUB, ADAPTER = "hub:", "adapter_config.json"
ONE = "all"
"""The language of a single file without a language."""


class Predictions(Protocol):
    """A system's predictions, from a file or a model."""

    @property
    def name(self) -> str:
        """The name for tables and messages."""
        ...

    def tags(self, test: Sequence[Row]) -> list[Sequence[str]]:
        """Return the predicted tags of each test utterance, one per word.

        Raises:
            AttritionError: an utterance has no prediction, or other words or another number of words.
        """
        ...


@dataclass(frozen=True)
class FilePredictions:
    """Predictions read from files.

    Rows of a language are matched to test rows by `id` if every row of both has one, else by their order.
    """

    name: str
    rows: tuple[Row, ...]

    def tags(self, test: Sequence[Row]) -> list[Sequence[str]]:
        """Return the predicted tags of each test utterance; see `Predictions.tags`."""
        mine, theirs = _by_language(self.rows), _by_language(test)
        tags: dict[str, Iterator[Sequence[str]]] = {}
        for language, wanted in theirs.items():
            if language not in mine:
                guess = nearest(language, mine)
                hint = f" Did you mean {guess!r}?" if guess else ""
                raise AttritionError(f"{self.name} has no predictions for language {language!r}.{hint} Add them.")
            tags[language] = map(_checked, _paired(mine[language], wanted, self.name), wanted)
        return [next(tags[row.language]) for row in test]


@dataclass(frozen=True)
class Routed:
    """A system that uses an update, such as an adapter, for some languages, and the old system for the others."""

    old: Predictions
    new: Predictions
    languages: tuple[str, ...]

    @property
    def name(self) -> str:
        """The update's name and languages."""
        return f"{self.new.name} (for {', '.join(self.languages)})"

    def tags(self, test: Sequence[Row]) -> list[Sequence[str]]:
        """Return the predicted tags of each test utterance; see `Predictions.tags`."""
        theirs = _by_language(test)
        for language in self.languages:
            if language not in theirs:
                raise unknown(language, theirs, kind="language of the test set")
        served = {True: self.new, False: self.old}
        parts = {is_new: [row for row in test if (row.language in self.languages) is is_new] for is_new in served}
        tags = {is_new: iter(served[is_new].tags(rows) if rows else []) for is_new, rows in parts.items()}
        return [next(tags[row.language in self.languages]) for row in test]


def is_model(source: str) -> bool:
    """Return True if a source of predictions is a model: `hub:NAME`, or a folder with a checkpoint or an adapter.

    >>> is_model("hub:my/tagger"), is_model("no such folder")
    (True, False)
    """
    return source.startswith(HUB) or any((Path(source) / name).is_file() for name in ("config.json", ADAPTER))


def read_source(path: Path, layout: Layout) -> tuple[Row, ...]:
    """Return all utterances of a file, or of a folder with one file per language.

    In a folder a file is `<language>.jsonl`, `<language>.test.jsonl` or `<language>/test.jsonl`; files with train or dev in
    their names are skipped. The endings `.conll` and `.tsv` mean columns. A language in a row overrides the file's name.

    Raises:
        AttritionError: the path does not exist or has no utterances, or a file is malformed.
    """
    if not is_there(path):
        raise AttritionError(f"There is no file or folder {str(path)!r}. Check the path.")
    files = _files(path) if path.is_dir() else [(path, ONE)]
    rows = tuple(row for file, language in files for row in read_rows(file, language, layout))
    if not rows:
        raise AttritionError(f"{path} holds no utterance. Give a file with utterances or a folder of files {ENDINGS}.")
    return rows


def _files(folder: Path) -> list[tuple[Path, str]]:
    """Return the files of a folder, each with the language in its name."""
    found: dict[str, Path] = {}
    for path in sorted((*folder.glob("[!.]*.*"), *folder.glob("[!.]*/[!.]*.*"))):
        if path.suffix not in ENDINGS or not path.is_file():
            continue
        before, _, last = path.stem.rpartition(".")
        language, split = (before, last) if before and last in SPLITS else (path.stem, "test")
        if path.parent != folder:
            if path.stem not in SPLITS:
                continue
            language, split = path.parent.name, path.stem
        if split != "test":
            continue
        if language in found:
            raise AttritionError(f"{path} and {found[language]} are both {language!r}. Keep one of them.")
        found[language] = path
    return [(path, language) for language, path in found.items()]


def _by_language(rows: Iterable[Row]) -> dict[str, list[Row]]:
    found: dict[str, list[Row]] = {}
    for row in rows:
        found.setdefault(row.language, []).append(row)
    return found


def _paired(mine: Sequence[Row], test: Sequence[Row], name: str) -> Iterator[Row]:
    """Yield the matching row of `mine` for each test row."""
    if all(row.id for row in mine) and all(row.id for row in test):
        by_id = _by_id(mine)
        _by_id(test)
        for row in test:
            if row.id not in by_id:
                raise AttritionError(f"{name} has no prediction for the utterance of {row.place}. Add it.")
            yield by_id[row.id]
        return
    if len(mine) != len(test):
        raise AttritionError(
            f"{name} has {counted(len(mine), 'utterance')} of language {test[0].language!r}, but the test set has {len(test)}. "
            "Give every row an id, or the same rows in the same order."
        )
    yield from mine


def _by_id(rows: Sequence[Row]) -> Mapping[str, Row]:
    by_id = {row.id: row for row in rows}
    if len(by_id) < len(rows):
        twice = {name for name, number in Counter(row.id for row in rows).items() if number > 1}
        first, second = [row for row in rows if row.id in twice and row.id == next(iter(twice))][:2]
        raise AttritionError(f"{first.place} and line {second.line} have the same id. Give each row an id of its own.")
    return by_id


def _checked(own: Row, test: Row) -> Sequence[str]:
    tags = own.predicted
    assert tags is not None
    words = test.words
    if words is not None and own.words is not None and own.words != words:
        raise AttritionError(
            f"{own.place}: the words differ from those of {test.place}. Predict for the words of the test set."
        )
    assert test.gold is not None
    if len(tags) != len(test.gold):
        raise AttritionError(f"{own.place}: {len(tags)} tags, but {test.place} has {len(test.gold)} words. Give each one tag.")
    return tags

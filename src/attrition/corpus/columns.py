"""The user's own data: CoNLL-style columns or JSONL, one file per language and split."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import get_args

from attrition.corpus.annotation import refuse_hidden_in_name
from attrition.corpus.base import SPLITS, Cut, Split, Utterance
from attrition.corpus.columns_rows import conll_utterances, jsonl_utterances
from attrition.corpus.rows import in_place, refuse
from attrition.files import sha256_of
from attrition.names import AttritionError, look_up, unknown
from attrition.reading import is_text, is_there

_READERS = {".conll": conll_utterances, ".tsv": conll_utterances, ".jsonl": jsonl_utterances}
_LAYOUT = (
    "Name files <language>/<split>.conll or <language>.<split>.conll, where the split is train, dev or test and the ending "
    ".conll, .tsv or .jsonl."
)


@dataclass(frozen=True)
class Columns:
    """A folder of annotated utterances as a `Corpus`, with one file per language and split.

    A file is `<language>/<split>.<ending>` or `<language>.<split>.<ending>`. The endings `.conll` and `.tsv` mean columns: a
    word and its BIO, IO or IOB1 tag a line, an empty line between utterances. `.jsonl` means one utterance a line, in any of
    three forms. The module `columns_rows` describes them. Languages are named as the user likes.

    Args:
        path: the folder.
        inventory: the slot names, where the files may not hold them all; a slot outside it is then an error.
        cuts: how the languages are cut whose words are not to be cut at blanks.
        name, revision, licence, citation: what results say about the data.

    Every mistake found in the files is an `AttritionError`, "file, line N: what is wrong, what to do".
    """

    path: Path
    inventory: tuple[str, ...] | None = None
    cuts: Mapping[str, Cut] = field(default_factory=dict, hash=False)
    name: str = "columns"
    revision: str = "not stated"
    licence: str = "not stated"
    citation: str = "not stated"
    _parsed: dict[Path, tuple[Utterance, ...]] = field(default_factory=dict, init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "path", Path(self.path).expanduser())
        for language, cut in self.cuts.items():
            if cut not in get_args(Cut):
                raise unknown(cut, get_args(Cut), kind="cut", where=f"the cut of {language!r}")

    @property
    def generated(self) -> bool:
        return False

    @property
    def languages(self) -> tuple[str, ...]:
        """The languages with at least one file, sorted."""
        return tuple(sorted({language for language, _ in self._files}))

    @property
    def slots(self) -> tuple[str, ...]:
        """The slot names, sorted: the inventory given, else all that any file holds (every file is then read)."""
        return self._slots

    @property
    def intents(self) -> tuple[str, ...]:
        """The intents that any file holds, sorted; utterances without one do not count."""
        return tuple(sorted({utterance.intent for utterance in self._all() if utterance.intent}))

    @property
    def fingerprint(self) -> str:
        """SHA-256 over the lines "language split ending SHA-256-of-its-file", sorted."""
        return self._fingerprint

    def read(self, language: str, split: Split) -> tuple[Utterance, ...]:
        """All utterances of one language and split, in the file's order.

        Raises:
            AttritionError: the language or split is unknown or has no file, or the file is malformed.
        """
        if split not in SPLITS:
            raise unknown(split, SPLITS, kind="split")
        if language not in self.languages:
            raise unknown(language, self.languages, kind=f"language of {self.path}")
        if (language, split) not in self._files:
            raise AttritionError(f"{self.path} has no {split} file for {language!r}. {_LAYOUT}")
        return self._read_file(language, split)

    def default_cut(self, language: str) -> Cut:
        """What `cuts` says about the language, else blanks."""
        if language not in self.languages:
            raise unknown(language, self.languages, kind=f"language of {self.path}")
        return self.cuts.get(language, "blanks")

    def _all(self) -> Iterator[Utterance]:
        for language, split in self._files:
            yield from self._read_file(language, split)

    def _read_file(self, language: str, split: Split) -> tuple[Utterance, ...]:
        path = self._files[language, split]
        if path not in self._parsed:
            self._parsed[path] = self._parse(path, language, split)
        return self._parsed[path]

    def _parse(self, path: Path, language: str, split: Split) -> tuple[Utterance, ...]:
        line_of_id: dict[str, int] = {}
        utterances: list[Utterance] = []
        for line, utterance in _READERS[path.suffix](path.read_bytes(), str(path), language=language, split=split):
            try:
                first = line_of_id.setdefault(utterance.id, line)
                if first != line:
                    raise AttritionError(
                        f"id {utterance.id!r} was used in line {first} already. Give each row an id of its own."
                    )
                for slot in utterance.slots:
                    refuse_hidden_in_name(slot.name)
                    if self.inventory is not None and slot.name not in self.inventory:
                        raise unknown(slot.name, self.inventory, kind="slot")
            except AttritionError as error:
                refuse(in_place(str(path), line, error))
            utterances.append(utterance)
        if not utterances:
            raise AttritionError(f"{path} holds no utterance. Fill the file, or take it away.")
        return tuple(utterances)

    @cached_property
    def _files(self) -> dict[tuple[str, Split], Path]:
        return _find(self.path)

    @cached_property
    def _slots(self) -> tuple[str, ...]:
        if self.inventory is not None:
            return tuple(sorted(set(self.inventory)))
        return tuple(sorted({slot.name for utterance in self._all() for slot in utterance.slots}))

    @cached_property
    def _fingerprint(self) -> str:
        lines = (
            f"{language} {split} {path.suffix} {sha256_of(path)}\n" for (language, split), path in sorted(self._files.items())
        )
        return hashlib.sha256("".join(lines).encode()).hexdigest()


def _find(folder: Path) -> dict[tuple[str, Split], Path]:
    """The file of each language and split, by both ways of naming files."""
    if not (is_there(folder) and folder.is_dir()):
        raise AttritionError(f"{str(folder)!r} is not a folder. Give the folder that holds the files. {_LAYOUT}")
    found: dict[tuple[str, Split], Path] = {}
    for path in sorted((*folder.glob("[!.]*.*"), *folder.glob("[!.]*/[!.]*.*"))):
        if path.suffix not in _READERS or not path.is_file():
            continue
        if not is_text(str(path.relative_to(folder))):
            raise AttritionError(f"{str(path)!r}: the name is not UTF-8. Rename the file or its folder.")
        if path.parent == folder:
            language, _, name = path.stem.rpartition(".")
            if not language:
                raise AttritionError(f"{path}: the name does not say which language and split this is. {_LAYOUT}")
        else:
            language, name = path.parent.name, path.stem
        split = look_up(name, {split: split for split in SPLITS}, kind="split", where=str(path))
        if (language, split) in found:
            raise AttritionError(f"{path} and {found[language, split]} are both {split} of {language!r}. Keep one of them.")
        found[language, split] = path
    if not found:
        raise AttritionError(f"{folder} holds no file of a language and split. {_LAYOUT}")
    return found

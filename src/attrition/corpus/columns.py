"""The user's own data: annotated files by language and split, in any format of `attrition.corpus.formats`."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import get_args

from attrition.corpus.annotation import refuse_hidden_in_name
from attrition.corpus.base import SPLITS, Cut, Split, Utterance
from attrition.corpus.cache import Progress
from attrition.corpus.columns_files import LAYOUT, SourceFile, Sources, find_files
from attrition.corpus.formats import USUAL, Layout, read_utterances
from attrition.corpus.rows import Problem, in_place, refuse
from attrition.files import sha256_of
from attrition.names import AttritionError, unknown


@dataclass(frozen=True)
class Columns:
    """A folder, or an archive, of annotated utterances as a `Corpus`.

    A file is `<language>/<split>.<ending>` or `<language>.<split>.<ending>`. `columns_files` lists all ways to name files,
    `formats` all endings. Any name of a language is allowed; the script and English name are known for language tags only.

    Args:
        path: the folder or archive.
        inventory: all slot names, if the files may lack some. Another slot is then an error.
        cuts: how words are cut, for languages that are not cut at blanks.
        layout: the columns of words and tags, and the meaning of tags.
        name, revision, licence, citation: of the data, as results print them.
        cache: folder for unpacked archives; by default `cache_folder()`.
        progress: called while an archive is unpacked.

    A mistake in the files raises an `AttritionError`: "file, line N: what is wrong, what to do". `notices` lists skipped
    lines.
    """

    path: Path
    inventory: tuple[str, ...] | None = None
    cuts: Mapping[str, Cut] = field(default_factory=dict, hash=False)
    layout: Layout = USUAL
    name: str = "columns"
    revision: str = "not stated"
    licence: str = "not stated"
    citation: str = "not stated"
    cache: Path | None = field(default=None, compare=False)
    progress: Progress | None = field(default=None, compare=False, repr=False)
    _parsed: dict[tuple[str, Split], tuple[Utterance, ...]] = field(default_factory=dict, init=False, compare=False, repr=False)
    _notices: list[Problem] = field(default_factory=list, init=False, compare=False, repr=False)

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
        """The slot names, sorted: the given inventory, or all slots in the files (this reads every file)."""
        return self._slots

    @property
    def intents(self) -> tuple[str, ...]:
        """The intents in the files, sorted; utterances without an intent are skipped."""
        return tuple(sorted({utterance.intent for utterance in self._all() if utterance.intent}))

    @property
    def fingerprint(self) -> str:
        """SHA-256 over the lines "language split ending SHA-256-of-its-file", sorted, and the layout if not the default."""
        return self._fingerprint

    @property
    def notices(self) -> Sequence[Problem]:
        """Lines skipped in the files read so far, such as lines without a word, by file and line."""
        return tuple(self._notices)

    def splits(self, language: str) -> tuple[Split, ...]:
        """Return the splits for which a language has files."""
        return tuple(split for split in SPLITS if (language, split) in self._files)

    def read(self, language: str, split: Split) -> tuple[Utterance, ...]:
        """Return all utterances of one language and split, in the file's order.

        Raises:
            AttritionError: the language or split is unknown or has no file, or the file is malformed.
        """
        if split not in SPLITS:
            raise unknown(split, SPLITS, kind="split")
        if language not in self.languages:
            raise unknown(language, self.languages, kind=f"language of {self.path}")
        if (language, split) not in self._files:
            without = " Or do without: corpus.sizes.dev = 0." if split == "dev" else ""
            raise AttritionError(f"{self.path} has no {split} file for {language!r}. {LAYOUT}{without}")
        return self._read(language, split)

    def default_cut(self, language: str) -> Cut:
        """Return the language's entry in `cuts`, or "blanks"."""
        if language not in self.languages:
            raise unknown(language, self.languages, kind=f"language of {self.path}")
        return self.cuts.get(language, "blanks")

    def _all(self) -> Iterator[Utterance]:
        for language, split in self._files:
            yield from self._read(language, split)

    def _read(self, language: str, split: Split) -> tuple[Utterance, ...]:
        if (language, split) not in self._parsed:
            place_of_id: dict[str, str] = {}
            utterances: list[Utterance] = []
            for source in self._files[language, split]:
                utterances += self._parse(source, language, split, place_of_id)
            self._parsed[language, split] = tuple(utterances)
        return self._parsed[language, split]

    def _parse(self, source: SourceFile, language: str, split: Split, place_of_id: dict[str, str]) -> Iterator[Utterance]:
        number, before = 0, len(place_of_id)
        found = read_utterances(
            source.path,
            source.kind,
            language=language,
            split=split,
            layout=self.layout,
            file=source.label,
            warn=self._notices.append,
            after=before,
        )
        for number, (line, utterance) in enumerate(found, start=1):  # noqa: B007 - asked after the loop
            place = f"{source.kind.unit} {line}" if len(self._files[language, split]) == 1 else f"{source.label}, line {line}"
            try:
                first = place_of_id.setdefault(utterance.id, place)
                if first != place:
                    raise AttritionError(f"id {utterance.id!r} was used in {first} already. Give each row an id of its own.")
                for slot in utterance.slots:
                    refuse_hidden_in_name(slot.name)
                    if self.inventory is not None and slot.name not in self.inventory:
                        raise unknown(slot.name, self.inventory, kind="slot")
            except AttritionError as error:
                refuse(in_place(source.label, line, error, unit=source.kind.unit))
            yield utterance
        if not number:
            raise AttritionError(f"{source.label} holds no utterance. Fill the file, or take it away.")

    @cached_property
    def _files(self) -> Sources:
        return find_files(self.path, cache=self.cache, progress=self.progress)

    @cached_property
    def _slots(self) -> tuple[str, ...]:
        if self.inventory is not None:
            return tuple(sorted(set(self.inventory)))
        return tuple(sorted({slot.name for utterance in self._all() for slot in utterance.slots}))

    @cached_property
    def _fingerprint(self) -> str:
        lines = [
            f"{language} {split} {source.path.suffix} {sha256_of(source.path)}\n"
            for (language, split), sources in sorted(self._files.items())
            for source in sources
        ]
        if self.layout != USUAL:
            lines.append(json.dumps(dataclasses.asdict(self.layout)))
        return hashlib.sha256("".join(lines).encode()).hexdigest()

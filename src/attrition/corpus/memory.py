"""A corpus of utterances in memory, for readers of other kinds of data."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from attrition.corpus.base import SPLITS, Cut, Split, Utterance
from attrition.corpus.formats import Row, utterance_of
from attrition.corpus.schemes import SchemeName
from attrition.names import AttritionError, unknown


def tagged(words: Sequence[str], tags: Sequence[str], *, scheme: SchemeName = "auto", name: str = "") -> Utterance:
    """Return an utterance of words, joined by blanks, and one tag for each.

    Args:
        words: none empty, none with a blank.
        tags: one for each word.
        scheme: of the tags, see `attrition.corpus.schemes`.
        name: id of the utterance; by default `InMemory` uses language, split and number.

    Raises:
        AttritionError: the numbers differ, or a word or tag is not allowed.

    >>> tagged(["Lagos", "is", "big"], ["B-LOC", "O", "O"]).slots
    (Slot(start=0, end=5, name='LOC'),)
    """
    if len(words) != len(tags) or not words:
        raise AttritionError(f"there are {len(words)} words and {len(tags)} tags. Give each word one tag.")
    for word in words:
        if not word or " " in word or "\t" in word:
            raise AttritionError(f"the word {word!r} is empty or holds a blank. Give each word by itself.")
    return utterance_of(Row(1, words=tuple(words), tags=tuple(tags)), name, "train", scheme)


@dataclass(frozen=True)
class InMemory:
    """Utterances in memory as a `Corpus`. Those without an id are named after their language, split and number.

    Args:
        utterances: by language and split.
        name, revision, licence, citation: of the data, as results print them.
        generated: True if the utterances are not real language.
        cuts: how words are cut, for languages that are not cut at blanks.

    >>> corpus = InMemory({("yor", "train"): [tagged(["Lagos"], ["B-LOC"])]}, name="mine")
    >>> corpus.languages, corpus.slots, corpus.read("yor", "train")[0].id
    (('yor',), ('LOC',), 'yor/train/1')
    """

    utterances: Mapping[tuple[str, Split], Sequence[Utterance]]
    name: str
    revision: str = "not stated"
    licence: str = "not stated"
    citation: str = "not stated"
    generated: bool = False
    cuts: Mapping[str, Cut] = field(default_factory=dict)

    def __post_init__(self) -> None:
        named = {
            (language, split): tuple(
                each if each.id else each._replace(id=f"{language}/{split}/{number}") for number, each in enumerate(given, 1)
            )
            for (language, split), given in self.utterances.items()
        }
        for (language, split), given in named.items():
            if split not in SPLITS:
                raise unknown(split, SPLITS, kind="split", where=self.name)
            if len({each.id for each in given}) < len(given):
                raise AttritionError(f"{self.name}: {language} {split}: two utterances have one id. Give each its own.")
        object.__setattr__(self, "utterances", named)

    @property
    def languages(self) -> tuple[str, ...]:
        """The languages with at least one split, sorted."""
        return tuple(sorted({language for language, _ in self.utterances}))

    @cached_property
    def slots(self) -> tuple[str, ...]:
        """The slot names of all utterances, sorted."""
        return tuple(sorted({slot.name for given in self.utterances.values() for each in given for slot in each.slots}))

    @cached_property
    def intents(self) -> tuple[str, ...]:
        """The intents of all utterances, sorted."""
        return tuple(sorted({each.intent for given in self.utterances.values() for each in given} - {""}))

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 over all utterances."""
        digest = hashlib.sha256()
        for place in sorted(self.utterances):
            digest.update(repr((place, self.utterances[place])).encode())
        return digest.hexdigest()

    def read(self, language: str, split: Split) -> Sequence[Utterance]:
        """Return all utterances of one language and split.

        Raises:
            AttritionError: there is no such language, or it has no such split.
        """
        if language not in self.languages:
            raise unknown(language, self.languages, kind="language", where=self.name)
        if (language, split) not in self.utterances:
            raise unknown(split, self.splits(language), kind="split", where=f"{self.name}: {language}")
        return self.utterances[language, split]

    def splits(self, language: str) -> tuple[Split, ...]:
        """Return the splits of a language."""
        return tuple(split for split in SPLITS if (language, split) in self.utterances)

    def default_cut(self, language: str) -> Cut:
        """Return the language's entry in `cuts`, or "blanks"."""
        return self.cuts.get(language, "blanks")

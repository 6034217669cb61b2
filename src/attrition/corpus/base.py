"""What a corpus is: annotated utterances per language and split, independent of how they are cut into words or tagged."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple, Protocol, get_args

Split = Literal["train", "dev", "test"]
SPLITS: tuple[Split, ...] = get_args(Split)

Cut = Literal["blanks", "characters", "graphemes"]
"""How an utterance is cut into the words that carry labels."""


class Slot(NamedTuple):
    """A named span of an utterance, in characters of its text: `text[start:end]`."""

    start: int
    end: int
    name: str


class Utterance(NamedTuple):
    """One annotated utterance.

    `words` are the blank-separated words *of the annotation* as character ranges in `text`. In scripts that write no blanks
    the annotation may hold blanks that the text has not (MASSIVE's Japanese and Chinese): they are cuts here all the same,
    and `corpus.words` says how much they leak.
    """

    id: str
    intent: str
    text: str
    words: tuple[tuple[int, int], ...]
    slots: tuple[Slot, ...]


class Corpus(Protocol):
    """Annotated utterances in several languages, with what a result must say about them.

    `fingerprint` is a hash of the content (or of what generates it): two corpora with one fingerprint hold the same rows.
    """

    @property
    def name(self) -> str: ...
    @property
    def revision(self) -> str: ...
    @property
    def licence(self) -> str: ...
    @property
    def citation(self) -> str: ...
    @property
    def generated(self) -> bool: ...
    @property
    def languages(self) -> tuple[str, ...]: ...
    @property
    def slots(self) -> tuple[str, ...]: ...
    @property
    def intents(self) -> tuple[str, ...]: ...
    @property
    def fingerprint(self) -> str: ...

    def read(self, language: str, split: Split) -> Sequence[Utterance]:
        """All utterances of one language and split, in the corpus's own order."""
        ...

    def splits(self, language: str) -> tuple[Split, ...]:
        """The splits that there are of a language."""
        ...

    def default_cut(self, language: str) -> Cut:
        """How this corpus's utterances of `language` are cut into words unless the study says otherwise."""
        ...

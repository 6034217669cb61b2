"""The interface of a corpus: annotated utterances per language and split, before words are cut and tagged."""

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

    `words` are the blank-separated words *of the annotation* as character ranges in `text`. In MASSIVE's Japanese and
    Chinese the annotation has blanks that are not in the text. They separate words here too; `corpus.words` measures how
    much they reveal.
    """

    id: str
    intent: str
    text: str
    words: tuple[tuple[int, int], ...]
    slots: tuple[Slot, ...]


class Corpus(Protocol):
    """Annotated utterances in several languages, with name, revision, licence and citation.

    `fingerprint` is a hash of the content or of its generator: two corpora with one fingerprint have the same rows.
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
        """Return all utterances of one language and split, in the corpus's own order."""
        ...

    def splits(self, language: str) -> tuple[Split, ...]:
        """Return the splits of a language."""
        ...

    def default_cut(self, language: str) -> Cut:
        """Return how utterances of `language` are cut into words by default."""
        ...

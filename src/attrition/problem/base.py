"""The definition of a problem: its labels, the scored sub-tokens, and the counts of predictions.

Shape letters: N sub-tokens, W words (units with a gold label), U utterances, C classes, S counted classes.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from attrition.corpus.base import Cut, Utterance
from attrition.corpus.encoded import Encoded, EncodingSettings
from attrition.problem.counts import Counts


class Inventory(Protocol):
    """The labels of a corpus: a corpus itself, or the facts about it in a study."""

    @property
    def name(self) -> str: ...
    @property
    def slots(self) -> tuple[str, ...]: ...
    @property
    def intents(self) -> tuple[str, ...]: ...


@dataclass(frozen=True, eq=False)
class Counter:
    """Counts the predictions of one label set.

    Attributes:
        names: [S], the classes of the counts, in the order of `Counts.by_slot`.
        inside: int16 [C], for each class the class of a further word in the same sub-token.
        count: takes gold classes [W], predicted classes [W] and the start of each utterance [U + 1]; returns `Counts`.
    """

    names: tuple[str, ...]
    inside: NDArray[np.int16]
    count: Callable[[NDArray[np.integer], NDArray[np.integer], NDArray[np.int64]], Counts]


class Problem(ABC):
    """The labels and the score. Every problem is one label at each scored sub-token, and a linear head.

    Attributes:
        name: as in a study.
        score: name of the score in tables and figures, such as "accuracy".
        definition: the score in words.
        tags: True if labels are BIO or IO tags of words. Covariates of words are then measured.
        macro: True if `scores.parquet` also has `macro_f1`, the mean F1 over the counted classes.
    """

    name: str
    score: str
    definition: str
    tags: bool = False
    macro: bool = False

    @abstractmethod
    def labels(self, inventory: Inventory, settings: EncodingSettings) -> tuple[str, ...]:
        """Return the classes of a corpus, [C]; a label's index is its number.

        Raises:
            AttritionError: the corpus has no labels for this problem.
        """

    @abstractmethod
    def encode(
        self,
        utterances: Sequence[Utterance],
        tokenizer: Tokenizer,
        *,
        labels: Sequence[str],
        cut: Cut,
        settings: EncodingSettings,
    ) -> Encoded:
        """Return the utterances as sub-tokens with labels.

        Args:
            utterances: of one language.
            tokenizer: of the model.
            labels: the classes.
            cut: how words of this language are cut.
            settings: of the encoding.

        Raises:
            AttritionError: an utterance has no label, or one that is not in `labels`.
        """

    @abstractmethod
    def counter(self, labels: Sequence[str]) -> Counter:
        """Return the counter of predictions of these classes."""


def word_predictions(encoded: Encoded, predicted_N: NDArray[np.integer], inside_C: NDArray[np.int16]) -> NDArray[np.int16]:
    """Return the class of each word, int16 [W], from the classes predicted at sub-tokens.

    Args:
        encoded: the utterances.
        predicted_N: a class for each sub-token; only the scored sub-tokens are read.
        inside_C: `Counter.inside`, for a word that shares its sub-token with the previous word.

    A word that was cut off has class 0, which is "O" if labels are tags.
    """
    utterance_W = np.repeat(encoded.offsets[:-1], np.diff(encoded.word_offsets))
    at = encoded.word_token + utterance_W
    predicted = (
        predicted_N[np.where(encoded.word_token >= 0, at, 0)].astype(np.int16)
        if len(predicted_N)
        else np.zeros(len(at), np.int16)
    )
    predicted = np.where(encoded.word_inside, inside_C[predicted], predicted)
    return np.where(encoded.word_token >= 0, predicted, np.int16(0)).astype(np.int16)

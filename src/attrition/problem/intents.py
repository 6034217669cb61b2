"""Intents: one label for each utterance, predicted at its first sub-token, scored by accuracy.

Shape letters: U utterances, C classes (the corpus's intents).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from attrition.corpus.base import Cut, Utterance
from attrition.corpus.encoded import UNSCORED, Encoded, EncodingSettings, encode_utterances
from attrition.names import AttritionError
from attrition.problem.base import Counter, Inventory, Problem
from attrition.problem.counts import Counts


class Intents(Problem):
    """The intent of an utterance; the score is accuracy, which is the micro F1 over one label per utterance."""

    name = "intents"
    score = "accuracy"
    definition = "accuracy: the share of utterances with the right intent, equal to micro F1 over one label per utterance"
    macro = True

    def labels(self, inventory: Inventory, settings: EncodingSettings) -> tuple[str, ...]:
        """Return the intents of a corpus, sorted. There is no "O".

        Raises:
            AttritionError: the corpus has fewer than two intents.
        """
        intents = tuple(sorted(set(inventory.intents) - {""}))
        if len(intents) < 2:
            has = "no intents" if not intents else f"one intent only ({intents[0]!r})"
            raise AttritionError(
                f'problem = "intents", but the corpus {inventory.name!r} has {has}. Give its utterances at least two different '
                'intents, or set problem = "slots".'
            )
        return intents

    def encode(
        self,
        utterances: Sequence[Utterance],
        tokenizer: Tokenizer,
        *,
        labels: Sequence[str],
        cut: Cut,
        settings: EncodingSettings,
    ) -> Encoded:
        """Return the utterances with their intent as the label of the first sub-token (`<s>` or `[CLS]`), and no other labels.

        An utterance counts as one word: `word_token` is 0, or -1 if the tokeniser gives no sub-token. Slots are not used, so
        they cut no word here.

        Raises:
            AttritionError: an utterance has no intent, or one that is not in `labels`.
        """
        classes = {label: number for number, label in enumerate(labels)}
        wrong = next((each for each in utterances if each.intent not in classes), None)
        if wrong is not None:
            has = f"the intent {wrong.intent!r}, which the corpus does not list" if wrong.intent else "no intent"
            raise AttritionError(f'problem = "intents", but utterance {wrong.id!r} has {has}. Give every utterance an intent.')
        words = encode_utterances(
            [each._replace(slots=()) for each in utterances], tokenizer, slots=(), cut=cut, settings=settings
        )
        gold_U = np.array([classes[each.intent] for each in utterances], dtype=np.int16)
        filled_U = words.lengths > 0
        labels_N = np.full(words.num_tokens, UNSCORED, dtype=np.int16)
        labels_N[words.offsets[:-1][filled_U]] = gold_U[filled_U]
        return dataclasses.replace(
            words,
            labels=labels_N,
            gold=gold_U,
            word_token=np.where(filled_U, 0, -1).astype(np.int32),
            word_inside=np.zeros(len(gold_U), dtype=bool),
            word_offsets=np.arange(len(gold_U) + 1, dtype=np.int64),
        )

    def counter(self, labels: Sequence[str]) -> Counter:
        """Return the counter of utterances by intent."""
        count = partial(count_labels, num_classes=len(labels))
        return Counter(names=tuple(labels), inside=np.arange(len(labels), dtype=np.int16), count=count)


def count_labels(
    gold_W: NDArray[np.integer], predicted_W: NDArray[np.integer], offsets: NDArray[np.int64], *, num_classes: int
) -> Counts:
    """Return tp = 1 for each correct label and fp = fn = 1 for each wrong label, summed by utterance and by class.

    A wrong label is a false positive of the predicted class and a false negative of the gold class. So precision, recall and
    micro F1 all equal the accuracy.

    Args:
        gold_W, predicted_W: a class for each label.
        offsets: int64 [U + 1], the start of each utterance.
        num_classes: C.

    >>> counts = count_labels(np.array([0, 1, 1]), np.array([0, 1, 2]), np.array([0, 1, 2, 3]), num_classes=3)
    >>> counts.tp.tolist(), counts.fp.tolist(), counts.fn.tolist()
    ([1, 1, 0], [0, 0, 1], [0, 0, 1])
    >>> counts.by_slot.tolist()
    [[1, 0, 0], [1, 0, 1], [0, 1, 0]]
    """
    right_W = np.asarray(gold_W) == np.asarray(predicted_W)
    utterance_W = np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))

    def by_class(classes_W: NDArray[np.integer], at_W: NDArray[np.bool_]) -> NDArray[np.int64]:
        return np.bincount(classes_W[at_W], minlength=num_classes).astype(np.int64)

    wrong_U = np.bincount(utterance_W[~right_W], minlength=len(offsets) - 1).astype(np.int16)
    return Counts(
        tp=np.bincount(utterance_W[right_W], minlength=len(offsets) - 1).astype(np.int16),
        fp=wrong_U,
        fn=wrong_U.copy(),
        by_slot=np.stack([by_class(gold_W, right_W), by_class(predicted_W, ~right_W), by_class(gold_W, ~right_W)], axis=1),
    )


INTENTS = Intents()
"""One intent for each utterance."""

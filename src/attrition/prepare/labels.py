"""Slots, and other labels, that are scored and never trained."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from attrition.corpus.base import Split
from attrition.corpus.describe import said_of_untrained
from attrition.corpus.encoded import Encoded

_SPLITS: tuple[Split, ...] = ("train", "test")

__all__ = ["said_of_untrained", "untrained_labels", "untrained_slots"]


def untrained_slots(encoded: Mapping[tuple[str, Split], Encoded], labels: Sequence[str]) -> tuple[str, ...]:
    """Return the slots that occur in test utterances of some language and in train utterances of none, by name.

    Args:
        encoded: the study's utterances, by language and split.
        labels: the classes, as `B-date`; a label's place is its number in `encoded`.
    """

    found = {split: {labels[number].partition("-")[2] for number in _used(encoded, split) if number > 0} for split in _SPLITS}
    return tuple(sorted(found["test"] - found["train"]))


def untrained_labels(encoded: Mapping[tuple[str, Split], Encoded], labels: Sequence[str]) -> tuple[str, ...]:
    """Return the labels, such as intents, that occur in test utterances of some language and in train utterances of none.

    Args:
        encoded: the study's utterances, by language and split.
        labels: the classes; a label's place is its number in `encoded`.
    """
    return tuple(sorted(labels[number] for number in _used(encoded, "test") - _used(encoded, "train")))


def _used(encoded: Mapping[tuple[str, Split], Encoded], split: Split) -> set[int]:
    parts = [np.zeros(0, np.int16), *(each.gold for at, each in encoded.items() if at[1] == split)]
    return set(np.unique(np.concatenate(parts)).tolist())

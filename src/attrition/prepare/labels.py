"""Adds the labels of a checkpoint to the labels of the corpus, and finds labels without training data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from attrition.corpus.base import Split
from attrition.corpus.describe import said_of_untrained
from attrition.corpus.encoded import Encoded
from attrition.encoder.pretrained import Pretrained
from attrition.names import AttritionError
from attrition.problem.base import Inventory


@dataclass(frozen=True)
class Labelled:
    """The slots and intents of a study; see `attrition.problem.base.Inventory`."""

    name: str
    slots: tuple[str, ...]
    intents: tuple[str, ...]


def with_labels_of(pretrained: Pretrained, corpus: Inventory, renamed: Mapping[str, str]) -> Labelled:
    """Return the slots and intents of a corpus, plus the slots of a token classification checkpoint.

    Args:
        pretrained: the checkpoint.
        corpus: of the study.
        renamed: class of the study by label of the checkpoint, "" to drop one.

    Raises:
        AttritionError: the checkpoint has no token classifier.
    """
    if pretrained.head is None:
        said = pretrained.head_problem or "it has no classifier."
        raise AttritionError(f"model.grow = true has no effect on model {pretrained.name!r}: {said} Leave model.grow out.")
    labels = [renamed.get(label, label) for label in pretrained.head.labels]
    own = {label[2:] for label in labels if label[:2] in ("B-", "I-")}
    return Labelled(corpus.name, tuple(sorted({*corpus.slots, *own})), tuple(corpus.intents))


_SPLITS: tuple[Split, ...] = ("train", "test")

__all__ = ["said_of_untrained", "untrained_labels", "untrained_slots"]


def untrained_slots(encoded: Mapping[tuple[str, Split], Encoded], labels: Sequence[str]) -> tuple[str, ...]:
    """Return the slots that occur in test utterances but in no train utterances, sorted.

    Args:
        encoded: the study's utterances, by language and split.
        labels: the classes, such as `B-date`; the index of a label is its number in `encoded`.
    """

    found = {split: {labels[number].partition("-")[2] for number in _used(encoded, split) if number > 0} for split in _SPLITS}
    return tuple(sorted(found["test"] - found["train"]))


def untrained_labels(encoded: Mapping[tuple[str, Split], Encoded], labels: Sequence[str]) -> tuple[str, ...]:
    """Return the labels, such as intents, that occur in test utterances but in no train utterances, sorted.

    Args:
        encoded: the study's utterances, by language and split.
        labels: the classes; the index of a label is its number in `encoded`.
    """
    return tuple(sorted(labels[number] for number in _used(encoded, "test") - _used(encoded, "train")))


def _used(encoded: Mapping[tuple[str, Split], Encoded], split: Split) -> set[int]:
    parts = [np.zeros(0, np.int16), *(each.gold for at, each in encoded.items() if at[1] == split)]
    return set(np.unique(np.concatenate(parts)).tolist())

"""Labels that a study needs beside those of its corpus, and labels that are scored and never trained."""

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
    """What there are labels for; see `attrition.problem.base.Inventory`."""

    name: str
    slots: tuple[str, ...]
    intents: tuple[str, ...]


def with_labels_of(pretrained: Pretrained, corpus: Inventory, renamed: Mapping[str, str]) -> Labelled:
    """Return what a corpus has labels for, with the slots that a checkpoint that labels tokens has beside them.

    Args:
        pretrained: as it was loaded.
        corpus: of the study.
        renamed: class of the study by label of the checkpoint, "" to drop one.

    Raises:
        AttritionError: the checkpoint has no classifier of tokens.
    """
    if pretrained.head is None:
        said = pretrained.head_problem or "it has no classifier of its own."
        raise AttritionError(f"model.grow = true, but of model {pretrained.name!r}: {said} Leave model.grow out.")
    labels = [renamed.get(label, label) for label in pretrained.head.labels]
    own = {label[2:] for label in labels if label[:2] in ("B-", "I-")}
    return Labelled(corpus.name, tuple(sorted({*corpus.slots, *own})), tuple(corpus.intents))


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

"""Slots that are scored and never trained."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from attrition.corpus.base import Split
from attrition.corpus.describe import said_of_untrained
from attrition.corpus.encoded import Encoded

__all__ = ["said_of_untrained", "untrained_slots"]


def untrained_slots(encoded: Mapping[tuple[str, Split], Encoded], labels: Sequence[str]) -> tuple[str, ...]:
    """Return the slots that occur in test utterances of some language and in train utterances of none, by name.

    Args:
        encoded: the study's utterances, by language and split.
        labels: the classes, as `B-date`; a label's place is its number in `encoded`.
    """

    def slots(split: Split) -> set[str]:
        numbers = np.unique(
            np.concatenate([np.zeros(0, np.int16), *(each.gold for at, each in encoded.items() if at[1] == split)])
        )
        return {labels[number].partition("-")[2] for number in numbers.tolist() if number > 0}

    return tuple(sorted(slots("test") - slots("train")))

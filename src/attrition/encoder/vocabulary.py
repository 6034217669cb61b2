"""Vocabulary compaction: keep only the sub-tokens that a study uses.

An unused row of the word embedding matrix affects no output and always has zero gradient. So its removal changes nothing: the
model computes the same numbers with a table a tenth as large.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Vocabulary:
    """The kept sub-token ids, ascending, out of `full_size`; a compact id is an index into `kept`."""

    kept: NDArray[np.int64]
    full_size: int

    def __len__(self) -> int:
        return len(self.kept)

    def compact(self, ids: NDArray[np.integer]) -> NDArray[np.int64]:
        """Return compact ids for the model's own ids, which must all be kept.

        >>> Vocabulary(np.array([0, 2, 7]), 10).compact(np.array([7, 0, 2]))
        array([2, 0, 1])
        """
        found = np.searchsorted(self.kept, ids)
        assert np.array_equal(self.kept[np.minimum(found, len(self.kept) - 1)], ids), "a sub-token was dropped that is in use"
        return found.astype(np.int64)


def used_vocabulary(used: Iterable[NDArray[np.integer]], special: Iterable[int], full_size: int) -> Vocabulary:
    """Return the vocabulary of all ids in `used` and the special ids.

    >>> used_vocabulary([np.array([5, 3, 5])], special=[0, 1], full_size=10).kept
    array([0, 1, 3, 5])
    """
    marked = np.zeros(full_size, dtype=bool)
    marked[list(special)] = True
    for ids in used:
        marked[ids] = True
    return Vocabulary(np.flatnonzero(marked).astype(np.int64), full_size)


def whole_vocabulary(full_size: int) -> Vocabulary:
    """Return the whole vocabulary: no compaction."""
    return Vocabulary(np.arange(full_size, dtype=np.int64), full_size)

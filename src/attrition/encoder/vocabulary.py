"""Vocabulary compaction: keep only the sub-tokens that a study looks up.

A row of the word embedding matrix that is never looked up takes no part in any output and has zero gradient for ever, so
leaving it out changes nothing: the model computes the same numbers with a table a tenth as large.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Vocabulary:
    """The sub-token ids kept, ascending, out of `full_size`; a compact id is a position in `kept`."""

    kept: NDArray[np.int64]
    full_size: int

    def __len__(self) -> int:
        return len(self.kept)

    def compact(self, ids: NDArray[np.integer]) -> NDArray[np.int64]:
        """Compact ids for the model's own ids, all of which must be kept.

        >>> Vocabulary(np.array([0, 2, 7]), 10).compact(np.array([7, 0, 2]))
        array([2, 0, 1])
        """
        found = np.searchsorted(self.kept, ids)
        assert np.array_equal(self.kept[np.minimum(found, len(self.kept) - 1)], ids), "a sub-token was dropped that is in use"
        return found.astype(np.int64)


def used_vocabulary(used: Iterable[NDArray[np.integer]], special: Iterable[int], full_size: int) -> Vocabulary:
    """The vocabulary of everything in `used` and the special ids.

    >>> used_vocabulary([np.array([5, 3, 5])], special=[0, 1], full_size=10).kept
    array([0, 1, 3, 5])
    """
    marked = np.zeros(full_size, dtype=bool)
    marked[list(special)] = True
    for ids in used:
        marked[ids] = True
    return Vocabulary(np.flatnonzero(marked).astype(np.int64), full_size)


def whole_vocabulary(full_size: int) -> Vocabulary:
    """Every sub-token: compaction switched off."""
    return Vocabulary(np.arange(full_size, dtype=np.int64), full_size)

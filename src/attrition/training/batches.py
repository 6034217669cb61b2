"""Forms batches of utterances.

A batch holds utterances of similar length, because random batches of 32 MASSIVE utterances are more than half padding. As in
the Hugging Face Trainer's `group_by_length`, an epoch is shuffled and cut into pools of 50 batches, and each pool is sorted by
length. Then the batches are shuffled too.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from attrition.corpus.encoded import Encoded, gather_ranges
from attrition.encoder.batch import Part

POOL = 50


def epoch_batches(lengths: NDArray[np.int64], batch_size: int, stream: np.random.Generator) -> list[NDArray[np.int64]]:
    """Return the rows of each batch of an epoch, in random order: every row once, one batch may be shorter.

    >>> rows = epoch_batches(np.array([9, 1, 9, 1]), 2, np.random.default_rng(0))
    >>> sorted(sorted(batch.tolist()) for batch in rows)
    [[0, 2], [1, 3]]
    """
    shuffled = stream.permutation(len(lengths))
    batches: list[NDArray[np.int64]] = []
    for start in range(0, len(shuffled), batch_size * POOL):
        pool = shuffled[start : start + batch_size * POOL]
        pool = pool[np.argsort(-lengths[pool], kind="stable")]
        batches += [pool[at : at + batch_size] for at in range(0, len(pool), batch_size)]
    return [batches[index] for index in stream.permutation(len(batches))]


def next_batch(left: Sequence[NDArray[np.int64]], num_tokens: int) -> dict[int, int]:
    """Return how many utterances of each learner to evaluate next.

    Args:
        left: lengths of each learner's remaining utterances, longest first.
        num_tokens: limit of sub-tokens, including padding, over all learners. One utterance is taken even if it is longer.

    Returns:
        The number by learner, equal for all learners that have enough utterances. If one utterance of each does not fit, the
        learners with the longest utterances come first. Empty if nothing remains.

    >>> next_batch([np.array([3, 3, 1])], 6)
    {0: 2}
    >>> next_batch([np.array([2, 2, 2]), np.array([3]), np.array([])], 12)
    {0: 2, 1: 1}
    >>> next_batch([np.array([2, 2, 2]), np.array([3])], 4)
    {1: 1}
    """
    readers = sorted((row for row, lengths in enumerate(left) if len(lengths)), key=lambda row: -int(left[row][0]))
    if not readers:
        return {}
    longest = max(1, int(left[readers[0]][0]))
    readers = readers[: max(1, num_tokens // longest)]
    count = max(1, num_tokens // (longest * len(readers)))
    return {row: min(count, len(left[row])) for row in sorted(readers)}


def part(encoded: Encoded, rows: NDArray[np.integer]) -> Part:
    """Return the encoder's input for some utterances, with ids of its (compact) vocabulary."""
    tokens, _ = gather_ranges(encoded.offsets, rows)
    return Part(encoded.ids[tokens].astype(np.int64), encoded.lengths[rows], encoded.labels[tokens].astype(np.int64))


def part_of(sets: Sequence[tuple[Encoded, NDArray[np.integer]]]) -> Part:
    """Return the encoder's input for some utterances of several sets, one set after another."""
    parts = [part(encoded, rows) for encoded, rows in sets]
    return parts[0] if len(parts) == 1 else Part(*(np.concatenate(arrays) for arrays in zip(*parts, strict=True)))

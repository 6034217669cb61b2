"""Which utterances go together in a step.

Utterances of like length are batched together: random batches of 32 MASSIVE utterances are more than half padding. As in the
Hugging Face Trainer's `group_by_length`, an epoch is shuffled, cut into pools of 50 batches, each pool sorted by length; here
the batches are then shuffled too.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from attrition.corpus.encoded import Encoded, gather_ranges
from attrition.encoder.batch import Part

POOL = 50


def epoch_batches(lengths: NDArray[np.int64], batch_size: int, stream: np.random.Generator) -> list[NDArray[np.int64]]:
    """Rows of each batch of an epoch: every row once, batches of `batch_size` but one, in random order.

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
    """How many utterances of which learners are evaluated next: as many as fit into `num_tokens` sub-tokens with padding.

    Args:
        left: the lengths of what each learner has still to read, longest first.
        num_tokens: of all learners together. One utterance is taken even if it is longer.

    Returns:
        By the learner's number, equally many of each that has as many; where not even one of each fits, none of those whose
        utterances are shorter. Empty where nothing is left.

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
    """The encoder's input for some utterances, whose ids are of the encoder's (compact) vocabulary."""
    tokens, _ = gather_ranges(encoded.offsets, rows)
    return Part(encoded.ids[tokens].astype(np.int64), encoded.lengths[rows], encoded.labels[tokens].astype(np.int64))


def part_of(sets: Sequence[tuple[Encoded, NDArray[np.integer]]]) -> Part:
    """The encoder's input for some utterances of each of several sets, one set after another."""
    parts = [part(encoded, rows) for encoded, rows in sets]
    return parts[0] if len(parts) == 1 else Part(*(np.concatenate(arrays) for arrays in zip(*parts, strict=True)))

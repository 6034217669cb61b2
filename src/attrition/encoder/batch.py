"""What an encoder reads: the utterances of a whole population of learners, side by side.

Shape letters: M learners, B utterances a learner, L sub-tokens an utterance, W scored sub-tokens a learner.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


class Part(NamedTuple):
    """One learner's utterances in flat arrays.

    `ids` int [N]: compact sub-token ids of all utterances, one after another; `lengths` int [B]: sub-tokens of each;
    `labels` int [N]: class of each sub-token, -1 where none is asked for.
    """

    ids: NDArray[np.int64]
    lengths: NDArray[np.int64]
    labels: NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Batch:
    """Utterances of M learners, padded to a common B and L.

    `lengths` holds, per learner, the lengths of its own utterances (the padding up to B is not counted). `words_MW` are
    positions in the flattened [B * L] of the sub-tokens that carry a label; `labels_MW` their classes, -1 where padded.
    """

    ids_MBL: Tensor
    mask_MBL: Tensor | None
    words_MW: Tensor
    labels_MW: Tensor
    lengths: tuple[NDArray[np.int64], ...]

    @property
    def num_learners(self) -> int:
        """M."""
        return self.ids_MBL.shape[0]

    @property
    def num_tokens(self) -> int:
        """Sub-tokens without padding."""
        return int(sum(lengths.sum() for lengths in self.lengths))

    @property
    def extents(self) -> tuple[tuple[int, int], ...]:
        """Per learner its own number of utterances and longest length: what it would have had alone."""
        return tuple((len(lengths), int(lengths.max(initial=0))) for lengths in self.lengths)


def assemble(parts: Sequence[Part], device: torch.device | str = "cpu") -> Batch:
    """Stack the parts of a population.

    >>> one = Part(np.array([5, 6, 7]), np.array([2, 1]), np.array([-1, 3, 4]))
    >>> batch = assemble([one])
    >>> batch.ids_MBL.tolist(), batch.words_MW.tolist(), batch.labels_MW.tolist()
    ([[[5, 6], [7, 0]]], [[1, 2]], [[3, 4]])
    """
    num_learners = len(parts)
    most_utterances = max(len(part.lengths) for part in parts)
    longest = max(int(part.lengths.max(initial=1)) for part in parts)
    most_words = max(int((part.labels >= 0).sum()) for part in parts)
    ids_MBL = np.zeros((num_learners, most_utterances, longest), np.int64)
    mask_MBL = np.zeros((num_learners, most_utterances, longest), bool)
    words_MW = np.zeros((num_learners, max(most_words, 1)), np.int64)
    labels_MW = np.full((num_learners, max(most_words, 1)), -1, np.int64)
    columns = np.arange(longest)
    for learner, part in enumerate(parts):
        inside = columns < part.lengths[:, None]
        mask_MBL[learner, : len(part.lengths)] = inside
        ids_MBL[learner][mask_MBL[learner]] = part.ids
        labels = np.full((most_utterances, longest), -1, np.int64)
        labels[mask_MBL[learner]] = part.labels
        flat = labels.ravel()
        words = np.flatnonzero(flat >= 0)
        words_MW[learner, : len(words)] = words
        labels_MW[learner, : len(words)] = flat[words]
    return Batch(
        ids_MBL=_sent(ids_MBL, device),
        mask_MBL=None if mask_MBL.all() else _sent(mask_MBL, device),
        words_MW=_sent(words_MW, device),
        labels_MW=_sent(labels_MW, device),
        lengths=tuple(part.lengths for part in parts),
    )


def _sent(array: NDArray[Any], device: torch.device | str) -> Tensor:
    """An array on the device; on its way to a GPU nobody waits for it."""
    tensor = torch.from_numpy(array)
    if torch.device(device).type == "cuda":
        return tensor.pin_memory().to(device, non_blocking=True)
    return tensor.to(device)

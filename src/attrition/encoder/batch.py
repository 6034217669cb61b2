"""What an encoder reads: the utterances of a whole population of learners, one behind another without padding.

Everything in an encoder but attention looks at each sub-token by itself, so sub-tokens lie flat, [M, N], and only attention
sets utterances side by side, in a grid [M, B, L]. Shape letters: M learners, N sub-tokens of a learner, B its utterances, L
sub-tokens of the longest, W scored sub-tokens.
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


class Extent(NamedTuple):
    """What one learner has of its own in a batch, whoever is beside it: sub-tokens, utterances, the longest's sub-tokens."""

    tokens: int
    utterances: int
    longest: int


@dataclass(frozen=True, eq=False)
class Grid:
    """Utterances side by side, B by L for each of M learners, and the way there and back.

    Attributes:
        shape: M, B and L.
        tokens_C: for each of the C = M * B * L cells its sub-token in the flattened [M * N]; 0 at padding.
        cells_T: for each of the T = M * N sub-tokens its cell; 0 at the padding behind a learner's own.
        empty: the cells that are padding, or None where there are none.
        spare: the sub-tokens that are padding, or None where there are none.
    """

    shape: tuple[int, int, int]
    tokens_C: Tensor
    cells_T: Tensor
    empty: Tensor | None
    spare: Tensor | None

    def spread(self, x_MNH: Tensor, *, clean: bool = False) -> Tensor:
        """[M, N, H] to [M * B, L, H]. What stands at padding is a sub-token of no meaning, or zero if `clean`."""
        num_learners, count, longest = self.shape
        if self.empty is None and self.spare is None:
            return x_MNH.reshape(num_learners * count, longest, -1)
        cells = x_MNH.flatten(0, 1).index_select(0, self.tokens_C)
        if clean and self.empty is not None:
            cells.index_fill_(0, self.empty, 0)
        return cells.view(num_learners * count, longest, -1)

    def gather(self, x_CH: Tensor) -> Tensor:
        """[M * B * L, H] to [M, N, H], zero behind a learner's own sub-tokens."""
        num_learners = self.shape[0]
        if self.empty is None and self.spare is None:
            return x_CH.view(num_learners, -1, x_CH.shape[-1])
        tokens = x_CH.index_select(0, self.cells_T)
        if self.spare is not None:
            tokens.index_fill_(0, self.spare, 0)
        return tokens.view(num_learners, -1, x_CH.shape[-1])

    def mask_MBL(self) -> Tensor | None:
        """False at padding; None where there is none."""
        if self.empty is None:
            return None
        mask = torch.ones(len(self.tokens_C), dtype=torch.bool, device=self.tokens_C.device)
        return mask.index_fill_(0, self.empty, False).view(self.shape)


@dataclass(frozen=True, eq=False)
class Batch:
    """Utterances of M learners.

    `ids_MN` and `positions_MN` are sub-tokens and their places in their utterances; behind a learner's own they are 0.
    `words_MW` are positions in [N] of the sub-tokens that carry a label; `labels_MW` their classes, -1 where padded.
    """

    ids_MN: Tensor
    positions_MN: Tensor
    grid: Grid
    words_MW: Tensor
    labels_MW: Tensor
    extents: tuple[Extent, ...]

    @property
    def num_learners(self) -> int:
        """M."""
        return self.ids_MN.shape[0]

    @property
    def num_tokens(self) -> int:
        """Sub-tokens without padding."""
        return sum(extent.tokens for extent in self.extents)


def assemble(parts: Sequence[Part], device: torch.device | str = "cpu") -> Batch:
    """Stack the parts of a population.

    >>> one = Part(np.array([5, 6, 7]), np.array([2, 1]), np.array([-1, 3, 4]))
    >>> batch = assemble([one])
    >>> batch.ids_MN.tolist(), batch.positions_MN.tolist(), batch.words_MW.tolist(), batch.labels_MW.tolist()
    ([[5, 6, 7]], [[0, 1, 0]], [[1, 2]], [[3, 4]])
    >>> batch.grid.tokens_C.tolist(), batch.grid.cells_T.tolist(), batch.grid.empty.tolist()
    ([0, 1, 2, 0], [0, 1, 2], [3])
    """
    extents = tuple(Extent(len(part.ids), len(part.lengths), int(part.lengths.max(initial=0))) for part in parts)
    shape = (len(parts), max(extent.utterances for extent in extents), max(1, *(extent.longest for extent in extents)))
    words = [np.flatnonzero(part.labels >= 0) for part in parts]
    num_tokens = max(1, *(extent.tokens for extent in extents))
    num_words = max(1, *(len(each) for each in words))
    ids_MN = np.zeros((len(parts), num_tokens), np.int64)
    positions_MN, cells_MN = np.zeros_like(ids_MN), np.zeros_like(ids_MN)
    words_MW = np.zeros((len(parts), num_words), np.int64)
    labels_MW = np.full((len(parts), num_words), -1, np.int64)
    for learner, (part, own) in enumerate(zip(parts, words, strict=True)):
        count, total = len(part.lengths), len(part.ids)
        utterance_N = np.repeat(np.arange(count), part.lengths)
        starts = np.cumsum(part.lengths) - part.lengths
        positions = np.arange(total) - starts[utterance_N]
        ids_MN[learner, :total], positions_MN[learner, :total] = part.ids, positions
        cells_MN[learner, :total] = (learner * shape[1] + utterance_N) * shape[2] + positions
        words_MW[learner, : len(own)], labels_MW[learner, : len(own)] = own, part.labels[own]
    real_T = (np.arange(num_tokens) < np.array([[extent.tokens] for extent in extents])).ravel()
    tokens_C = np.full(shape[0] * shape[1] * shape[2], -1, np.int64)
    tokens_C[cells_MN.ravel()[real_T]] = np.flatnonzero(real_T)
    empty, spare = np.flatnonzero(tokens_C < 0), np.flatnonzero(~real_T)
    return Batch(
        ids_MN=_sent(ids_MN, device),
        positions_MN=_sent(positions_MN, device),
        grid=Grid(
            shape=shape,
            tokens_C=_sent(np.maximum(tokens_C, 0), device),
            cells_T=_sent(cells_MN.ravel(), device),
            empty=_sent(empty, device) if len(empty) else None,
            spare=_sent(spare, device) if len(spare) else None,
        ),
        words_MW=_sent(words_MW, device),
        labels_MW=_sent(labels_MW, device),
        extents=extents,
    )


def _sent(array: NDArray[Any], device: torch.device | str) -> Tensor:
    """An array on the device; on its way to a GPU nobody waits for it."""
    tensor = torch.from_numpy(array)
    if torch.device(device).type == "cuda":
        return tensor.pin_memory().to(device, non_blocking=True)
    return tensor.to(device)

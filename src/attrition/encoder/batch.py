"""The input of an encoder: the utterances of all learners of a population, concatenated.

Except for attention, an encoder treats each sub-token alone. So sub-tokens are stored flat, [M, N], and only attention uses a
grid of utterances, [M, B, L]. Shape letters: M learners, N sub-tokens of a learner, B rows of its grid, L sub-tokens of its
longest utterance, W scored sub-tokens.
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

    `ids` int [N]: compact sub-token ids of all utterances, concatenated; `lengths` int [B]: number of sub-tokens of each;
    `labels` int [N]: class of each sub-token, -1 for none.
    """

    ids: NDArray[np.int64]
    lengths: NDArray[np.int64]
    labels: NDArray[np.int64]


class Extent(NamedTuple):
    """The part of a batch that belongs to one learner; it does not depend on the other learners.

    `filled`: number of its sub-tokens, padded to a multiple; `rows`: the grid rows of its utterances.
    """

    tokens: int
    filled: int
    utterances: int
    rows: int
    longest: int


@dataclass(frozen=True, eq=False)
class Grid:
    """Utterances in a grid for attention, B rows of L cells for each of M learners, with the maps to and from flat order.

    Short utterances share a row, because attention takes time for all pairs of cells in a row, related or not.

    Attributes:
        shape: M, B and L.
        tokens_C: for each of the C = M * B * L cells its sub-token in the flattened [M * N]; 0 for padding.
        cells_T: for each of the T = M * N sub-tokens its cell; 0 for padding.
        utterances_C: a number for each cell, equal for cells of one utterance, -1 for padding; None if each row is exactly one
            utterance.
        spare: the padding sub-tokens of learners, or None without padding.
    """

    shape: tuple[int, int, int]
    tokens_C: Tensor
    cells_T: Tensor
    utterances_C: Tensor | None
    spare: Tensor | None


@dataclass(frozen=True, eq=False)
class Batch:
    """Utterances of M learners.

    `ids_MN` and `positions_MN`: sub-tokens and their positions in their utterances; 0 for padding.
    `words_MW`: positions in [N] of the sub-tokens with a label; `labels_MW`: their classes, -1 for padding.
    """

    ids_MN: Tensor
    positions_MN: Tensor
    grid: Grid
    words_MW: Tensor
    labels_MW: Tensor
    extents: tuple[Extent, ...]

    @property
    def num_learners(self) -> int:
        """Return M."""
        return self.ids_MN.shape[0]

    @property
    def num_tokens(self) -> int:
        """Return the number of sub-tokens without padding."""
        return sum(extent.tokens for extent in self.extents)


def shared_rows(lengths: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Put utterances into rows as long as the longest utterance; return the row of each utterance, and its first cell there.

    The longest utterance comes first. Each goes into the first row with enough space ("first fit decreasing", Johnson 1973).

    >>> shared_rows(np.array([2, 5, 3, 4]))
    (array([2, 0, 2, 1]), array([3, 0, 0, 0]))
    """
    rows, starts = np.arange(len(lengths)), np.zeros(len(lengths), np.int64)
    longest = int(lengths.max(initial=0))
    if len(lengths) < 2 or 2 * int(lengths.min()) > longest:
        return rows, starts  # no two fit into a row
    free: list[int] = []
    for utterance in np.argsort(-lengths, kind="stable").tolist():
        length = int(lengths[utterance])
        row = next((row for row, cells in enumerate(free) if cells >= length), len(free))
        if row == len(free):
            free.append(longest)
        rows[utterance], starts[utterance] = row, longest - free[row]
        free[row] -= length
    return rows, starts


def assemble(parts: Sequence[Part], device: torch.device | str = "cpu", multiple: int = 1) -> Batch:
    """Stack the parts of a population, each padded to a `multiple` of sub-tokens.

    >>> one = Part(np.array([5, 6, 7]), np.array([2, 1]), np.array([-1, 3, 4]))
    >>> batch = assemble([one])
    >>> batch.ids_MN.tolist(), batch.positions_MN.tolist(), batch.words_MW.tolist(), batch.labels_MW.tolist()
    ([[5, 6, 7]], [[0, 1, 0]], [[1, 2]], [[3, 4]])
    >>> batch.grid.tokens_C.tolist(), batch.grid.cells_T.tolist(), batch.grid.utterances_C.tolist()
    ([0, 1, 2, 0], [0, 1, 2], [0, 0, 1, -1])
    """
    laid = [shared_rows(part.lengths) for part in parts]
    extents = tuple(
        Extent(
            tokens=len(part.ids),
            filled=-(-len(part.ids) // multiple) * multiple,
            utterances=len(part.lengths),
            rows=int(rows.max(initial=-1)) + 1,
            longest=int(part.lengths.max(initial=0)),
        )
        for part, (rows, _) in zip(parts, laid, strict=True)
    )
    shape = (len(parts), max(extent.rows for extent in extents), max(1, *(extent.longest for extent in extents)))
    words = [np.flatnonzero(part.labels >= 0) for part in parts]
    num_tokens = max(1, *(extent.filled for extent in extents))
    num_words = max(1, *(len(each) for each in words))
    ids_MN = np.zeros((len(parts), num_tokens), np.int64)
    positions_MN, cells_MN = np.zeros_like(ids_MN), np.zeros_like(ids_MN)
    words_MW = np.zeros((len(parts), num_words), np.int64)
    labels_MW = np.full((len(parts), num_words), -1, np.int64)
    tokens_C = np.zeros(shape[0] * shape[1] * shape[2], np.int64)
    utterances_C = np.full_like(tokens_C, -1)
    for learner, (part, (rows, starts), own) in enumerate(zip(parts, laid, words, strict=True)):
        total = len(part.ids)
        utterance_N = np.repeat(np.arange(len(part.lengths)), part.lengths)
        positions = np.arange(total) - (np.cumsum(part.lengths) - part.lengths)[utterance_N]
        cells = (learner * shape[1] + rows[utterance_N]) * shape[2] + starts[utterance_N] + positions
        ids_MN[learner, :total], positions_MN[learner, :total], cells_MN[learner, :total] = part.ids, positions, cells
        tokens_C[cells], utterances_C[cells] = learner * num_tokens + np.arange(total), utterance_N
        words_MW[learner, : len(own)], labels_MW[learner, : len(own)] = own, part.labels[own]
    spare = np.flatnonzero(np.arange(num_tokens) >= np.array([[extent.tokens] for extent in extents]))
    by_row = utterances_C.reshape(-1, shape[2])
    is_whole = bool((by_row[:, :1] == by_row).all() and (by_row >= 0).all())
    return Batch(
        ids_MN=_sent(ids_MN, device),
        positions_MN=_sent(positions_MN, device),
        grid=Grid(
            shape=shape,
            tokens_C=_sent(tokens_C, device),
            cells_T=_sent(cells_MN.ravel(), device),
            utterances_C=None if is_whole else _sent(utterances_C, device),
            spare=_sent(spare, device) if len(spare) else None,
        ),
        words_MW=_sent(words_MW, device),
        labels_MW=_sent(labels_MW, device),
        extents=extents,
    )


def _sent(array: NDArray[Any], device: torch.device | str) -> Tensor:
    """Return an array on the device; a copy to a GPU does not block."""
    tensor = torch.from_numpy(array)
    if torch.device(device).type == "cuda":
        return tensor.pin_memory().to(device, non_blocking=True)
    return tensor.to(device)

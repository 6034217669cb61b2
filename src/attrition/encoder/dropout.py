"""Dropout with one random stream for each learner, so that a learner draws the same masks alone and in a population.

Masks are drawn as 16-bit integers, four to a 64-bit draw, which is eight times as fast on a CPU as `torch.dropout`. The
probability is thereby rounded to a multiple of 1/65,536 (0.1 becomes 0.100006), and the scale is that of the rounded
probability, so the expectation is exact.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

LEVELS = 1 << 16


@dataclass(frozen=True, eq=False)
class Dropout:
    """Streams and probabilities for one pass through an encoder; `extents` are those of the batch.

    `hidden` applies to embeddings and to the outputs of attention, feed-forward and before the head, `attention` to
    attention probabilities, `adapter` to the inputs of LoRA factors.
    """

    streams: Sequence[torch.Generator]
    extents: Sequence[tuple[int, int]]
    hidden: float = 0.0
    attention: float = 0.0
    adapter: float = 0.0

    def on_hidden(self, x_MBLH: Tensor) -> Tensor:
        """Drop hidden states."""
        return self._drop(x_MBLH, self.hidden)

    def on_adapter(self, x_MBLH: Tensor) -> Tensor:
        """Drop the input of a LoRA factor."""
        return self._drop(x_MBLH, self.adapter)

    def adapter_mask(self, x_MBLH: Tensor) -> Tensor | None:
        """The mask of the input of LoRA factors, one for all layers that read it; None where nothing is dropped."""
        if self.adapter <= 0:
            return None
        return self._masks(x_MBLH, [(count, longest, x_MBLH.shape[-1]) for count, longest in self.extents], self.adapter)

    def on_attention(self, p_MBHLL: Tensor) -> Tensor:
        """Drop attention probabilities."""
        if self.attention <= 0:
            return p_MBHLL
        heads = p_MBHLL.shape[2]
        blocks = [(count, heads, longest, longest) for count, longest in self.extents]
        return p_MBHLL * self._masks(p_MBHLL, blocks, self.attention)

    def on_words(self, x_MWH: Tensor, counts: Sequence[int]) -> Tensor:
        """Drop hidden states of scored sub-tokens, of which learner m has `counts[m]`."""
        if self.hidden <= 0:
            return x_MWH
        return x_MWH * self._masks(x_MWH, [(count, x_MWH.shape[-1]) for count in counts], self.hidden)

    def _drop(self, x_MBLH: Tensor, probability: float) -> Tensor:
        if probability <= 0:
            return x_MBLH
        blocks = [(count, longest, x_MBLH.shape[-1]) for count, longest in self.extents]
        return x_MBLH * self._masks(x_MBLH, blocks, probability)

    def _masks(self, x: Tensor, blocks: Sequence[tuple[int, ...]], probability: float) -> Tensor:
        """Masks shaped like `x`, each learner's drawn for its own extent only: padding must not move its stream."""
        if len(blocks) == 1 and blocks[0] == tuple(x.shape[1:]):
            return draw_mask(blocks[0], probability, self.streams[0], x).unsqueeze(0)
        masks = torch.ones_like(x)
        for mask, block, stream in zip(masks, blocks, self.streams, strict=True):
            mask[tuple(slice(size) for size in block)] = draw_mask(block, probability, stream, x)
        return masks


def draw_mask(shape: tuple[int, ...], probability: float, stream: torch.Generator, like: Tensor) -> Tensor:
    """A mask of 0 and 1 / (1 - p), with p the probability rounded to 1/65,536.

    >>> mask = draw_mask((1000,), 0.5, torch.Generator().manual_seed(0), torch.empty(0))
    >>> sorted(set(mask.tolist())), 400 < int((mask > 0).sum()) < 600
    ([0.0, 2.0], True)
    """
    dropped = round(probability * LEVELS)
    count = 1
    for size in shape:
        count *= size
    draws = torch.empty((count + 3) // 4, dtype=torch.int64, device=stream.device).random_(-(2**63), None, generator=stream)
    kept = draws.view(torch.int16)[:count] >= dropped - LEVELS // 2
    return kept.to(like.dtype).mul_(LEVELS / (LEVELS - dropped)).view(shape)

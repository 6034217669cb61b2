"""Dropout with one random stream for each learner, so that a learner draws the same masks alone and in a population.

Masks are drawn as 16-bit integers, four to a 64-bit draw, which is many times as fast on a CPU as `torch.dropout`. The
probability is thereby rounded to a multiple of 1/65,536 (0.1 becomes 0.100006), and the scale is that of the rounded
probability, so the expectation is exact.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

import numpy as np
import torch
from torch import Tensor

from attrition.encoder.batch import Extent
from attrition.streams import Part, seed_of, torch_stream

LEVELS = 1 << 16


class MaskStream:
    """The random stream of one learner's masks.

    On a CPU numpy draws (SFC64, twice as fast as torch's Mersenne Twister), on a GPU the device itself.

    >>> stream = MaskStream("masks", 0, "en-US")
    >>> stream.draw(5).dtype, stream.draw(5).shape
    (torch.int16, torch.Size([5]))
    """

    def __init__(self, *name: Part, device: torch.device | str = "cpu") -> None:
        self.device = torch.device(device)
        if self.device.type == "cpu":
            self._bits = np.random.SFC64(seed_of(*name))
        else:
            self._generator = torch_stream(*name, device=device)

    def draw(self, count: int) -> Tensor:
        """`count` numbers, each of the 65,536 values equally likely, int16 [count]."""
        words = (count + 3) // 4
        if self.device.type == "cpu":
            drawn = torch.from_numpy(self._bits.random_raw(words).view(np.int16))
        else:
            drawn = torch.empty(words, dtype=torch.int64, device=self.device)
            drawn = drawn.random_(-(2**63), None, generator=self._generator).view(torch.int16)
        return drawn[:count]

    def state(self) -> Tensor:
        """Where the stream stands, uint8."""
        if self.device.type == "cpu":
            return torch.from_numpy(np.array(self._bits.state["state"]["state"]).view(np.uint8))
        return self._generator.get_state()

    def set_state(self, state: Tensor) -> None:
        """Go on from where a stream of the same kind of device stood.

        >>> one, other = MaskStream(0), MaskStream(1)
        >>> other.set_state(one.state())
        >>> bool((one.draw(8) == other.draw(8)).all())
        True
        """
        if self.device.type == "cpu":
            whole = self._bits.state
            self._bits.state = {**whole, "state": {"state": state.numpy().view(np.uint64)}}
        else:
            self._generator.set_state(state)

    def seed(self) -> int:
        """A number that seeds another generator."""
        return int.from_bytes(self.draw(4).cpu().numpy().tobytes(), "little") >> 2


@dataclass(frozen=True, eq=False)
class Dropout:
    """Streams and probabilities for one pass through an encoder; `extents` are those of the batch, one for each stream.

    `hidden` applies to embeddings and to the outputs of attention, feed-forward and before the head, `attention` to
    attention probabilities, `adapter` to the inputs of LoRA factors.
    """

    streams: Sequence[MaskStream]
    extents: Sequence[Extent]
    hidden: float = 0.0
    attention: float = 0.0
    adapter: float = 0.0

    def on_hidden(self, x_MNH: Tensor, residual_MNH: Tensor | None = None) -> Tensor:
        """Drop hidden states, and add the residual."""
        if self.hidden <= 0:
            return x_MNH if residual_MNH is None else residual_MNH + x_MNH
        mask = self._masks(tuple(x_MNH.shape), self._rows(x_MNH), self.hidden, torch.float32)
        if residual_MNH is None:
            return x_MNH * mask.mul_(scale_of(self.hidden))
        return torch.addcmul(residual_MNH, x_MNH.to(residual_MNH.dtype), mask, value=scale_of(self.hidden))

    def adapter_mask(self, x_MNH: Tensor, dtype: torch.dtype) -> Tensor | None:
        """The mask of the input of LoRA factors, one for all layers that read it; None where nothing is dropped.

        It holds 0 and 1, which every precision can: what is kept is to be multiplied by `adapter_scale`.
        """
        if self.adapter <= 0:
            return None
        return self._masks(tuple(x_MNH.shape), self._rows(x_MNH), self.adapter, dtype)

    @property
    def adapter_scale(self) -> float:
        """What the masked input of LoRA factors is to be multiplied by."""
        return scale_of(self.adapter) if self.adapter > 0 else 1.0

    def attention_mask(self, grid: tuple[int, int, int], heads: int) -> Tensor:
        """What attention probabilities are multiplied by, [M, B, heads, L, L], with M, B and L from `grid`."""
        num_learners, count, longest = grid
        blocks = [(own.utterances, heads, own.longest, own.longest) for own in self.extents]
        shape = (num_learners, count, heads, longest, longest)
        return self._masks(shape, blocks, self.attention, torch.float32).mul_(scale_of(self.attention))

    def on_words(self, x_MWH: Tensor, counts: Sequence[int]) -> Tensor:
        """Drop hidden states of scored sub-tokens, of which learner m has `counts[m]`."""
        if self.hidden <= 0:
            return x_MWH
        blocks = [(count, x_MWH.shape[-1]) for count in counts]
        return x_MWH * self._masks(tuple(x_MWH.shape), blocks, self.hidden, x_MWH.dtype).mul_(scale_of(self.hidden))

    def _rows(self, x_MNH: Tensor) -> list[tuple[int, ...]]:
        return [(own.tokens, x_MNH.shape[-1]) for own in self.extents]

    def _masks(
        self, shape: tuple[int, ...], blocks: Sequence[tuple[int, ...]], probability: float, dtype: torch.dtype
    ) -> Tensor:
        """Masks of a shape, each learner's drawn for its own extent only: who is beside it must not move its stream."""
        if len(blocks) == 1 and blocks[0] == shape[1:]:
            return draw_mask(blocks[0], probability, self.streams[0], dtype).unsqueeze(0)
        masks = torch.ones(shape, dtype=dtype, device=self.streams[0].device)
        for mask, block, stream in zip(masks, blocks, self.streams, strict=True):
            mask[tuple(slice(size) for size in block)] = draw_mask(block, probability, stream, dtype)
        return masks


def scale_of(probability: float) -> float:
    """1 / (1 - p), with p the probability rounded to 1/65,536.

    >>> scale_of(0.5), round(scale_of(0.1), 6)
    (2.0, 1.111119)
    """
    return LEVELS / (LEVELS - round(probability * LEVELS))


def draw_mask(shape: tuple[int, ...], probability: float, stream: MaskStream, dtype: torch.dtype) -> Tensor:
    """A mask of 0 and 1, 0 with the probability rounded to 1/65,536.

    >>> mask = draw_mask((1000,), 0.5, MaskStream(0), torch.float32)
    >>> sorted(set(mask.tolist())), 400 < int(mask.sum()) < 600
    ([0.0, 1.0], True)
    """
    drawn = stream.draw(prod(shape))
    # Compared straight into floats: making truth values first and converting them takes seven times as long on a CPU.
    mask = torch.empty(shape, dtype=dtype, device=drawn.device)
    torch.ge(drawn.view(shape), round(probability * LEVELS) - LEVELS // 2, out=mask)
    return mask

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

BITS = {torch.float32: torch.int32, torch.bfloat16: torch.int16}
"""Whole numbers of as many bits."""


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

    def hidden_mask(self, shape_MNH: tuple[int, ...]) -> Tensor | None:
        """What hidden states are multiplied by, float32; None where nothing is dropped."""
        if self.hidden <= 0:
            return None
        return self._masks(shape_MNH, self._rows(shape_MNH), self.hidden, torch.float32).mul_(scale_of(self.hidden))

    def adapter_bits(self, shape_MNH: tuple[int, ...], dtype: torch.dtype) -> Tensor | None:
        """The bits for the input of LoRA factors, one mask for all layers that read it; None where nothing is dropped.

        See `draw_bits`: what is kept is to be multiplied by `adapter_scale`.
        """
        if self.adapter <= 0:
            return None
        return self._masks(shape_MNH, self._rows(shape_MNH), self.adapter, BITS[dtype])

    @property
    def adapter_scale(self) -> float:
        """What the masked input of LoRA factors is to be multiplied by."""
        return scale_of(self.adapter) if self.adapter > 0 else 1.0

    def attention_mask(self, grid: tuple[int, int, int], heads: int) -> Tensor | None:
        """What attention probabilities are multiplied by, [M, B, heads, L, L], with M, B and L from `grid`.

        None where nothing is dropped.
        """
        if self.attention <= 0:
            return None
        num_learners, count, longest = grid
        blocks = [(own.rows, heads, own.longest, own.longest) for own in self.extents]
        shape = (num_learners, count, heads, longest, longest)
        return self._masks(shape, blocks, self.attention, torch.float32).mul_(scale_of(self.attention))

    def on_words(self, x_MWH: Tensor, counts: Sequence[int]) -> Tensor:
        """Drop hidden states of scored sub-tokens, of which learner m has `counts[m]`."""
        if self.hidden <= 0:
            return x_MWH
        blocks = [(count, x_MWH.shape[-1]) for count in counts]
        return x_MWH * self._masks(tuple(x_MWH.shape), blocks, self.hidden, x_MWH.dtype).mul_(scale_of(self.hidden))

    def _rows(self, shape_MNH: tuple[int, ...]) -> list[tuple[int, ...]]:
        return [(own.filled, shape_MNH[-1]) for own in self.extents]

    def _masks(
        self, shape: tuple[int, ...], blocks: Sequence[tuple[int, ...]], probability: float, dtype: torch.dtype
    ) -> Tensor:
        """Masks of a shape, each learner's drawn for its own extent only: who is beside it must not move its stream."""
        draw = draw_mask if dtype.is_floating_point else draw_bits
        if len(blocks) == 1 and blocks[0] == shape[1:]:
            return draw(blocks[0], probability, self.streams[0], dtype).unsqueeze(0)
        masks = torch.full(shape, 1 if dtype.is_floating_point else -1, dtype=dtype, device=self.streams[0].device)
        for mask, block, stream in zip(masks, blocks, self.streams, strict=True):
            mask[tuple(slice(size) for size in block)] = draw(block, probability, stream, dtype)
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
    torch.ge(drawn.view(shape), _threshold(probability), out=mask)
    return mask


def draw_bits(shape: tuple[int, ...], probability: float, stream: MaskStream, dtype: torch.dtype) -> Tensor:
    """The same mask as bits: all of a number's bits where it is kept, none where it is dropped; see `with_bits`.

    >>> bits = draw_bits((1000,), 0.5, MaskStream(0), torch.int16)
    >>> torch.equal(bits, -draw_mask((1000,), 0.5, MaskStream(0), torch.float32).short())
    True
    """
    drawn = stream.draw(prod(shape)).view(shape)
    return drawn.ge_(_threshold(probability)).neg_().to(dtype)


def with_bits(x: Tensor, bits: Tensor) -> Tensor:
    """The numbers of `x` whose bits are kept, zero elsewhere: half the work of multiplying by a mask.

    >>> with_bits(torch.tensor([1.5, 2.5]), torch.tensor([-1, 0], dtype=torch.int32))
    tensor([1.5000, 0.0000])
    """
    return torch.bitwise_and(x.view(bits.dtype), bits).view(x.dtype)


def _threshold(probability: float) -> int:
    """What a drawn number has to reach to be kept."""
    return round(probability * LEVELS) - LEVELS // 2

"""Dropout with one random stream for each learner: a learner draws the same masks alone and in a population.

Masks are drawn as 16-bit integers, four from a 64-bit draw. On a CPU this is many times as fast as `torch.dropout`. The
probability is rounded to a multiple of 1/65,536 (0.1 becomes 0.100006). The scale uses the rounded probability, so the
expectation is exact.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

import numpy as np
import torch
from torch import Tensor

from attrition.encoder.batch import Extent
from attrition.encoder.splitmix import GOLDEN, mix, numbers, signed
from attrition.streams import Part, seed_of

LEVELS = 1 << 16

BITS = {torch.float32: torch.int32, torch.bfloat16: torch.int16}
"""Integer types with the same number of bits."""


class MaskStream:
    """The random stream of one learner's masks.

    On a CPU numpy draws the numbers in sequence (SFC64, twice as fast as torch's Mersenne Twister). On a GPU a stream is
    `hashed`: it gives a key for each tensor, and the tensors of all learners are computed from their keys at once.

    >>> stream = MaskStream("masks", 0, "en-US")
    >>> stream.draw(5).dtype, stream.draw(5).shape
    (torch.int16, torch.Size([5]))
    """

    def __init__(self, *name: Part, device: torch.device | str = "cpu", hashed: bool | None = None) -> None:
        self.device = torch.device(device)
        self.hashed = self.device.type != "cpu" if hashed is None else hashed
        if self.hashed:
            self._seed, self._keys = seed_of(*name), 0
        else:
            self._bits = np.random.SFC64(seed_of(*name))

    def draw(self, count: int) -> Tensor:
        """Return `count` numbers, each of the 65,536 values equally likely, int16 [count]."""
        if self.hashed:
            return _numbers([self], (count,))[0]
        return torch.from_numpy(self._bits.random_raw((count + 3) // 4).view(np.int16))[:count]

    def key(self) -> int:
        """Return 64 random bits: the key of a hashed stream's next tensor."""
        assert self.hashed, "this stream draws one number after another"
        self._keys += 1
        return mix(self._seed + self._keys * GOLDEN)

    def state(self) -> Tensor:
        """Return the state of the stream, uint8."""
        state = np.array([self._seed, self._keys], np.uint64) if self.hashed else np.array(self._bits.state["state"]["state"])
        return torch.from_numpy(state.view(np.uint8))

    def set_state(self, state: Tensor) -> None:
        """Resume from the state of a stream for the same kind of device.

        >>> one, other = MaskStream(0), MaskStream(1)
        >>> other.set_state(one.state())
        >>> bool((one.draw(8) == other.draw(8)).all())
        True
        """
        numbers_of = state.numpy().view(np.uint64)
        if self.hashed:
            self._seed, self._keys = (int(number) for number in numbers_of)
        else:
            whole = self._bits.state
            self._bits.state = {**whole, "state": {"state": numbers_of}}

    def seed(self) -> int:
        """Return a seed for another generator."""
        bits = self.key() if self.hashed else int.from_bytes(self.draw(4).numpy().tobytes(), "little")
        return bits >> 2


def _numbers(streams: Sequence[MaskStream], shape: Sequence[int]) -> Tensor:
    """Return the next numbers of hashed streams, int16 [M, *shape]."""
    keys = torch.tensor([signed(stream.key()) for stream in streams])
    device = streams[0].device
    return numbers(keys.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else keys, shape)


@dataclass(frozen=True, eq=False)
class Dropout:
    """Streams and probabilities for one pass through an encoder; `extents` has the batch's extent of each stream.

    `hidden` applies to embeddings, to the outputs of attention and feed-forward, and before the head; `attention` to attention
    probabilities; `adapter` to the inputs of LoRA factors.
    """

    streams: Sequence[MaskStream]
    extents: Sequence[Extent]
    hidden: float = 0.0
    attention: float = 0.0
    adapter: float = 0.0

    def hidden_mask(self, shape_MNH: tuple[int, ...]) -> Tensor | None:
        """Return the factor of hidden states, float32; None without dropout."""
        if self.hidden <= 0:
            return None
        return self._masks(shape_MNH, self._rows(shape_MNH), self.hidden, torch.float32).mul_(scale_of(self.hidden))

    def adapter_bits(self, shape_MNH: tuple[int, ...], dtype: torch.dtype) -> Tensor | None:
        """Return the bits for the input of LoRA factors, one mask for all layers that read it; None without dropout.

        See `as_mask`. Multiply the kept input by `adapter_scale`.
        """
        if self.adapter <= 0:
            return None
        return self._masks(shape_MNH, self._rows(shape_MNH), self.adapter, BITS[dtype])

    @property
    def adapter_scale(self) -> float:
        """Return the factor of the masked input of LoRA factors."""
        return scale_of(self.adapter) if self.adapter > 0 else 1.0

    def attention_mask(self, grid: tuple[int, int, int], heads: int) -> Tensor | None:
        """Return the factor of attention probabilities, [M, B, heads, L, L], with M, B and L from `grid`.

        None without dropout.
        """
        if self.attention <= 0:
            return None
        num_learners, count, longest = grid
        blocks = [(own.rows, heads, own.longest, own.longest) for own in self.extents]
        shape = (num_learners, count, heads, longest, longest)
        return self._masks(shape, blocks, self.attention, torch.float32).mul_(scale_of(self.attention))

    def on_words(self, x_MWH: Tensor, counts: Sequence[int]) -> Tensor:
        """Apply dropout to hidden states of scored sub-tokens; learner m has `counts[m]` of them."""
        if self.hidden <= 0:
            return x_MWH
        blocks = [(count, x_MWH.shape[-1]) for count in counts]
        return x_MWH * self._masks(tuple(x_MWH.shape), blocks, self.hidden, x_MWH.dtype).mul_(scale_of(self.hidden))

    def _rows(self, shape_MNH: tuple[int, ...]) -> list[tuple[int, ...]]:
        return [(own.filled, shape_MNH[-1]) for own in self.extents]

    def _masks(
        self, shape: tuple[int, ...], blocks: Sequence[tuple[int, ...]], probability: float, dtype: torch.dtype
    ) -> Tensor:
        """Return masks of a shape, drawn only for each learner's own extent: other learners must not change its stream."""
        if self.streams[0].hashed:
            return as_mask(_numbers(self.streams, shape[1:]), probability, dtype)
        if len(blocks) == 1 and blocks[0] == shape[1:]:
            return draw_mask(blocks[0], probability, self.streams[0], dtype).unsqueeze(0)
        masks = torch.full(shape, 1 if dtype.is_floating_point else -1, dtype=dtype, device=self.streams[0].device)
        for mask, block, stream in zip(masks, blocks, self.streams, strict=True):
            mask[tuple(slice(size) for size in block)] = draw_mask(block, probability, stream, dtype)
        return masks


def scale_of(probability: float) -> float:
    """Return 1 / (1 - p), with p the probability rounded to 1/65,536.

    >>> scale_of(0.5), round(scale_of(0.1), 6)
    (2.0, 1.111119)
    """
    return LEVELS / (LEVELS - round(probability * LEVELS))


def draw_mask(shape: tuple[int, ...], probability: float, stream: MaskStream, dtype: torch.dtype) -> Tensor:
    """Return the next mask of a stream; see `as_mask`.

    >>> mask = draw_mask((1000,), 0.5, MaskStream(0), torch.float32)
    >>> sorted(set(mask.tolist())), 400 < int(mask.sum()) < 600
    ([0.0, 1.0], True)
    """
    return as_mask(stream.draw(prod(shape)).view(shape), probability, dtype)


def as_mask(drawn: Tensor, probability: float, dtype: torch.dtype) -> Tensor:
    """Return a mask of the kept numbers: 1 or 0 as float, all bits or none as integer (see `with_bits`).

    The dropout probability is rounded to 1/65,536. `drawn`, int16, may be overwritten.

    >>> drawn = torch.tensor([-32768, 0, 32767], dtype=torch.int16)
    >>> as_mask(drawn.clone(), 0.25, torch.float32).tolist(), as_mask(drawn, 0.25, torch.int32).tolist()
    ([0.0, 1.0, 1.0], [0, -1, -1])
    """
    threshold = round(probability * LEVELS) - LEVELS // 2
    if not dtype.is_floating_point:
        return drawn.ge_(threshold).neg_().to(dtype)
    # Compare directly into floats: a bool tensor and its conversion take seven times as long on a CPU.
    mask = torch.empty(drawn.shape, dtype=dtype, device=drawn.device)
    torch.ge(drawn, threshold, out=mask)
    return mask


def with_bits(x: Tensor, bits: Tensor) -> Tensor:
    """Return `x` where the bits are set and zero elsewhere; this is half the work of a multiplication by a mask.

    >>> with_bits(torch.tensor([1.5, 2.5]), torch.tensor([-1, 0], dtype=torch.int32))
    tensor([1.5000, 0.0000])
    """
    return torch.bitwise_and(x.view(bits.dtype), bits).view(x.dtype)

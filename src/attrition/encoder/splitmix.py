"""Random numbers as a function of a key and a position: SplitMix64 (Steele, Lea and Flood 2014).

The n-th number of a key is `mix(key + n * GOLDEN)`. So a device computes the numbers of a whole population at once, in as many
calls as for one learner. n depends on a number's own coordinates and not on the width of the tensor. So a learner's numbers do
not depend on the other learners.

Shape letters: M learners.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import torch
from torch import Tensor

GOLDEN = 0x9E3779B97F4A7C15
_ROUNDS = ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB), (31, 1))
_WHOLE = (1 << 64) - 1

SHIFTS = (0, 12, 24, 34)
"""A number's position in 64 bits, from the last axis on: the axes may have 4,096 groups of four, 4,096, 1,024, any number."""


def mix(number: int) -> int:
    """Return SplitMix64's function of a 64-bit number.

    >>> mix(1234567 + GOLDEN)
    6457827717110365317
    """
    number &= _WHOLE
    for shift, factor in _ROUNDS:
        number = ((number ^ number >> shift) * factor) & _WHOLE
    return number


def signed(number: int) -> int:
    """Return the 64 bits of a number as a signed int64, as in torch.

    >>> signed(_WHOLE)
    -1
    """
    return number - (1 << 64) if number >> 63 else number


def numbers(keys_M: Tensor, shape: Sequence[int]) -> Tensor:
    """Return numbers with each of the 65,536 values equally likely, int16 [M, *shape].

    Args:
        keys_M: int64.
        shape: of one learner's numbers, one to four axes.
    """
    groups = (*shape[:-1], -(-shape[-1] // 4))
    rooms = [following - shift for shift, following in itertools.pairwise(SHIFTS)]
    assert all(size <= 1 << room for size, room in zip(groups[:0:-1], rooms, strict=False)), f"too large an axis: {shape}"
    at = keys_M.view(-1, *(1 for _ in groups)) + signed(GOLDEN)
    for axis, (size, shift) in enumerate(zip(reversed(groups), SHIFTS, strict=False)):
        step = signed((GOLDEN << shift) & _WHOLE)
        at = at + (torch.arange(size, device=keys_M.device) * step).view(-1, *(1 for _ in range(axis)))
    for shift, factor in _ROUNDS:
        at ^= (at >> shift) & (_WHOLE >> shift)  # the shift of an int64 copies its sign bit
        at *= signed(factor)
    return at.view(torch.int16)[..., : shape[-1]]

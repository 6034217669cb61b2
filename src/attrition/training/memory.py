"""Reduces memory use when memory runs out, and warns about it.

Fewer learners train side by side. A single learner splits its batches into pieces and adds their gradients. Evaluation takes
fewer sub-tokens at a time. A size that did not fit is not tried again.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

import torch

TOKENS_A_BATCH = 2048
"""Sub-tokens, including padding, that are predicted at a time."""

_SAID = (
    "DefaultCPUAllocator",
    "can't allocate memory",
    "CUDA out of memory",
    "CUDA error: out of memory",
    "CUBLAS_STATUS_ALLOC_FAILED",
    "CUDNN_STATUS_ALLOC_FAILED",
)
"""Texts of torch's plain RuntimeErrors for lack of memory on a CPU or in a GPU library."""

Result = TypeVar("Result")


def _nobody(_message: str) -> None:
    pass


@dataclass(eq=False)
class Room:
    """The known limits of memory; each lack of memory lowers one of them.

    Attributes:
        warned: called with a sentence for every change.
        learners: largest number side by side.
        pieces: number of pieces of a batch, for a learner that trains alone.
        tokens: sub-tokens predicted at a time, including padding.
    """

    warned: Callable[[str], None] = field(default=_nobody)
    learners: int = sys.maxsize
    pieces: int = 1
    tokens: int = TOKENS_A_BATCH

    def halve_learners(self, given: int) -> None:
        """Halve the number of learners after `given` did not fit.

        >>> room = Room(print)
        >>> room.halve_learners(5)
        Memory ran out with 5 learners side by side. The limit is now 3.
        """
        self.learners = (given + 1) // 2
        self.warned(f"Memory ran out with {given} learners side by side. The limit is now {self.learners}.")

    def halve_batches(self, given: int) -> None:
        """Double the pieces of a batch after `given` pieces did not fit."""
        self.pieces = 2 * given
        self.warned(f"Memory ran out. Each batch is now split into {self.pieces} pieces and their gradients are added.")

    def halve_tokens(self, given: int) -> None:
        """Halve the sub-tokens predicted at a time after `given` did not fit."""
        self.tokens = given // 2
        self.warned(
            f"Memory ran out in evaluation. The limit is now {self.tokens:,} sub-tokens at a time instead of {given:,}."
        )


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether an error means lack of memory.

    >>> is_out_of_memory(MemoryError()), is_out_of_memory(torch.OutOfMemoryError()), is_out_of_memory(RuntimeError("shapes"))
    (True, True, False)
    """
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and any(words in str(error) for words in _SAID)


def if_it_fits(work: Callable[[], Result]) -> Result | None:
    """Return the result of `work`, or None if memory ran out; its memory is then free again."""
    try:
        return work()
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
    # Outside the except block, because the error's frames hold the tensors.
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    return None

"""What happens when memory runs out: smaller pieces of the same work, and a sentence about it.

Fewer learners train side by side; one alone takes its batches in pieces, whose gradients add up to that of the whole batch;
evaluation takes fewer sub-tokens at a time. What was found too large is not tried again.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

import torch

TOKENS_A_BATCH = 2048
"""Sub-tokens with padding that are predicted at a time."""

_SAID = (
    "DefaultCPUAllocator",
    "can't allocate memory",
    "CUDA out of memory",
    "CUDA error: out of memory",
    "CUBLAS_STATUS_ALLOC_FAILED",
    "CUDNN_STATUS_ALLOC_FAILED",
)
"""torch has no class of its own for memory that a CPU or a library of a GPU was refused."""

Result = TypeVar("Result")


def _nobody(_message: str) -> None:
    pass


@dataclass(eq=False)
class Room:
    """What may be in memory at once, as far as is known: less after each time that something did not fit.

    Attributes:
        warned: told in a sentence of every change.
        learners: side by side at most.
        pieces: a batch of a learner that trains alone is cut into so many.
        tokens: predicted at a time at most, padding included.
    """

    warned: Callable[[str], None] = field(default=_nobody)
    learners: int = sys.maxsize
    pieces: int = 1
    tokens: int = TOKENS_A_BATCH

    def halve_learners(self, given: int) -> None:
        """`given` learners side by side are too many.

        >>> room = Room(print)
        >>> room.halve_learners(5)
        Memory ran out with 5 learners side by side. From here on there are 3 at most.
        """
        self.learners = (given + 1) // 2
        self.warned(
            f"Memory ran out with {given} learners side by side. From here on there "
            f"{'is 1' if self.learners == 1 else f'are {self.learners}'} at most."
        )

    def halve_batches(self, given: int) -> None:
        """A batch cut into `given` pieces is still too large."""
        self.pieces = 2 * given
        self.warned(f"Memory ran out. From here on batches are trained in {self.pieces} pieces; their gradients are added up.")

    def halve_tokens(self, given: int) -> None:
        """`given` sub-tokens predicted at a time are too many."""
        self.tokens = given // 2
        self.warned(f"Memory ran out in evaluation. From here on it takes {self.tokens:,} sub-tokens at a time, not {given:,}.")


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory was refused, and nothing else.

    >>> is_out_of_memory(MemoryError()), is_out_of_memory(torch.OutOfMemoryError()), is_out_of_memory(RuntimeError("shapes"))
    (True, True, False)
    """
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and any(words in str(error) for words in _SAID)


def if_it_fits(work: Callable[[], Result]) -> Result | None:
    """What `work` gives, or None if memory does not suffice for it; what it held is then free again."""
    try:
        return work()
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
    # Only here is the error gone, and with it the frames that held the tensors.
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    return None

"""Replay: train again on some utterances of earlier languages."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np
from pydantic import Field

from attrition.methods.hook import Cost, Hook, Rows, Stage, Work
from attrition.streams import numpy_stream

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Replay(Hook):
    """Experience replay: a share `share` of each batch comes from a memory of `size` utterances of earlier stages.

    With `select = "reservoir"` every earlier utterance is in the memory with the same probability (Vitter 1985, algorithm R).
    With "balanced" each earlier stage has an equal share of the memory. An epoch of n utterances gets n * share / (1 - share)
    utterances of the memory. They are spread evenly over the steps and rounded so that the sum is right. The whole memory is
    read before any utterance repeats.

    Chaudhry et al. (2019), On Tiny Episodic Memories in Continual Learning; Rolnick et al. (2019), Experience Replay for
    Continual Learning.
    """

    name: ClassVar[str] = "replay"
    size: int = Field(default=100, ge=1, description="Utterances in the memory.")
    share: float = Field(default=0.05, gt=0, lt=1, description="Share of a batch's utterances that come from the memory.")
    select: Literal["reservoir", "balanced"] = Field(default="reservoir", description="Which utterances the memory keeps.")

    def cost(self) -> Cost:
        return Cost(share=self.share / (1 - self.share))

    def begin(self, stage: Stage) -> Work:
        return _Replay(self, stage) if stage.number else Work()


class _Replay(Work):
    def __init__(self, settings: Replay, stage: Stage) -> None:
        from attrition.corpus.encoded import join

        parts = [read() for read in stage.earlier]
        sizes = [len(part) for part in parts]
        # The memory depends only on earlier stages, so its random stream is named after the first stage.
        stream = numpy_stream("replay", settings.select, *stage.seed[:1], *stage.chain[0])
        choose = reservoir if settings.select == "reservoir" else balanced
        self._memory = join(parts).select(choose(sizes, settings.size, stream))
        # Fractions, because 0.95 / 0.95 may be less than 1, which would delay an utterance by one step.
        share, steps_an_epoch = Fraction(repr(settings.share)), -(-len(stage.train) // stage.batch_size)
        self._a_step = Fraction(len(stage.train), steps_an_epoch) * share / (1 - share)
        self._seed = stage.seed
        self._order: tuple[int, NDArray[np.int64]] = (-1, np.zeros(0, np.int64))

    def extra(self, step: int) -> Rows | None:
        first, end = int(step * self._a_step), int((step + 1) * self._a_step)
        if first == end:
            return None
        return Rows(self._memory, np.array([self._row(number) for number in range(first, end)], np.int64))

    def _row(self, number: int) -> int:
        """Return the index of the `number`-th utterance to read: the memory in one random order after another."""
        rounds, place = divmod(number, len(self._memory))
        if self._order[0] != rounds:
            self._order = rounds, numpy_stream("replayed", *self._seed, rounds).permutation(len(self._memory))
        return int(self._order[1][place])


def reservoir(sizes: list[int], size: int, stream: np.random.Generator) -> NDArray[np.int64]:
    """Return the utterances in the memory after all stages, as indices into the stages' utterances in sequence.

    >>> reservoir([3, 2], 9, np.random.default_rng(0)).tolist()
    [0, 1, 2, 3, 4]
    """
    kept: list[int] = []
    for number in range(sum(sizes)):
        if number < size:
            kept.append(number)
        elif (place := int(stream.integers(number + 1))) < size:
            kept[place] = number
    return np.sort(np.array(kept, np.int64))


def balanced(sizes: list[int], size: int, stream: np.random.Generator) -> NDArray[np.int64]:
    """Return the same number of random utterances of each stage; the first stages have one more if the division has a rest.

    >>> balanced([3, 5, 4], 4, np.random.default_rng(0)).tolist()
    [0, 2, 5, 9]
    """
    kept, start = [], 0
    for stage, num in enumerate(sizes):
        share = size // len(sizes) + (stage < size % len(sizes))
        kept += (start + stream.permutation(num)[:share]).tolist()
        start += num
    return np.sort(np.array(kept, np.int64))

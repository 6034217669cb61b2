"""Decides which stages can be trained next: parents before children. Needs neither torch nor a clock."""

from __future__ import annotations

import heapq
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

Population = tuple[str, ...]
"""Keys of the stages that train side by side."""
Score = tuple[str, bool]
"""The key of a stage or a merge, and whether to score the model *before* it."""


@dataclass(frozen=True)
class Unit:
    """Work that one worker does without waiting for others.

    Attributes:
        populations: trained in sequence; each starts from the previous one or from stored stages.
        scores: other models to score afterwards.
    """

    populations: tuple[Population, ...] = ()
    scores: tuple[Score, ...] = ()

    @property
    def keys(self) -> tuple[str, ...]:
        """Return all stages of the unit.

        >>> Unit((("a", "b"), ("c",))).keys
        ('a', 'b', 'c')
        """
        return tuple(key for population in self.populations for key in population)


class Schedule:
    """The populations that are not trained yet.

    >>> schedule = Schedule([("a",), ("b",), ("c",)], {"a": None, "b": "a", "c": None})
    >>> schedule.take(), schedule.take(), schedule.take()
    ((('a',),), (('c',),), ())
    >>> schedule.stored("a")
    >>> schedule.take()
    (('b',),)
    """

    def __init__(
        self,
        populations: Sequence[Population],
        parents: Mapping[str, str | None],
        stored: Collection[str] = (),
        cost: Mapping[str, float] | None = None,
    ) -> None:
        """Schedule `populations`; a parent outside them counts as stored.

        Args:
            populations: in the order in which one worker trains them.
            parents: by key of a stage, the key of the stage that it starts from.
            stored: finished stages that are part of a population.
            cost: by key of a stage. With it, the population before the most costly chain comes first, because the longest
                chain decides when several workers finish. Without it, the first population comes first, so that runs finish
                in sequence.
        """
        self._populations, self._parents = list(populations), parents
        done = frozenset(stored)
        self._place = {key: number for number, each in enumerate(populations) for key in each if key not in done}
        self._left = set(self._place)
        self._waits = [self._missing(population) for population in populations]
        self._children: dict[int, list[int]] = {}
        for number, waits in enumerate(self._waits):
            for parent in self._places(tuple(waits)):
                self._children.setdefault(parent, []).append(number)
        self._rank = [0.0] * len(populations) if cost is None else self._costs(cost)
        self._ready: list[tuple[float, int]] = []
        self._taken: set[int] = set()
        for number in range(len(populations)):
            self._add_if_ready(number)

    @property
    def left(self) -> Collection[str]:
        """Return the stages that are not stored yet."""
        return self._left

    def take(self, *, chains: bool = False) -> tuple[Population, ...]:
        """Take the population to train next; empty if all others wait or are taken.

        With `chains`, also take the populations that can follow it directly, one after another. If several can follow, the
        chain takes the first; the others become ready when their parent is stored.

        >>> schedule = Schedule([("a",), ("b",), ("c",)], {"a": None, "b": "a", "c": "a"})
        >>> schedule.take(chains=True), schedule.take(chains=True)
        ((('a',), ('b',)), ())
        """
        while self._ready and self._ready[0][1] in self._taken:
            heapq.heappop(self._ready)
        if not self._ready:
            return ()
        chain = [heapq.heappop(self._ready)[1]]
        self._taken.add(chain[0])
        keys = set(self._populations[chain[0]])
        while chains:
            children = [each for each in self._children.get(chain[-1], ()) if each not in self._taken]
            following = [each for each in children if self._waits[each] <= keys]
            if not following:
                break
            chain.append(min(following, key=lambda number: (-self._rank[number], number)))
            self._taken.add(chain[-1])
            keys |= set(self._populations[chain[-1]])
        return tuple(self._populations[number] for number in chain)

    def claim(self, unit: Unit) -> None:
        """Mark a unit as taken by a worker of an earlier driver."""
        self._taken |= self._places(unit.keys)

    def give_back(self, unit: Unit) -> None:
        """Return the unfinished part of a unit, to be taken again."""
        for number in self._places(unit.keys):
            self._taken.discard(number)
            self._waits[number] = self._missing(self._populations[number])
            self._add_if_ready(number)

    def stored(self, key: str) -> None:
        """Mark a stage as stored, which may make its children ready."""
        if key not in self._left:
            return
        self._left.discard(key)
        for number in self._children.get(self._place[key], ()):
            self._waits[number].discard(key)
            self._add_if_ready(number)

    def _places(self, keys: Sequence[str]) -> set[int]:
        """Return the populations of those `keys` that are not stored yet."""
        return {self._place[key] for key in keys if key in self._left}

    def _missing(self, population: Population) -> set[str]:
        """Return the stages that a population waits for."""
        parents = {self._parents[key] for key in population if key in self._left}
        return {each for each in parents if each is not None and each in self._left}

    def _add_if_ready(self, number: int) -> None:
        if not self._waits[number]:
            heapq.heappush(self._ready, (-self._rank[number], number))

    def _costs(self, cost: Mapping[str, float]) -> list[float]:
        """Return the cost of each population plus that of the most costly chain after it."""
        ranks = [sum(cost[key] for key in population) for population in self._populations]
        for number in reversed(self._in_sequence()):
            behind = [ranks[child] for child in self._children.get(number, ())]
            ranks[number] += max(behind, default=0.0)
        return ranks

    def _in_sequence(self) -> list[int]:
        waiting = [len(self._places(tuple(waits))) for waits in self._waits]
        order = [number for number, count in enumerate(waiting) if not count]
        for number in order:  # grows while it is read
            for child in self._children.get(number, ()):
                waiting[child] -= 1
                if not waiting[child]:
                    order.append(child)
        return order

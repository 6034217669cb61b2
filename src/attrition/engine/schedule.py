"""Which stages can be trained now: the plan's populations, parents before children. It knows neither torch nor time."""

from __future__ import annotations

import heapq
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

Population = tuple[str, ...]
"""Keys of the stages that are trained side by side."""
Score = tuple[str, bool]
"""The key of a stage or a merge, and whether the model *before* it is meant."""


@dataclass(frozen=True)
class Unit:
    """What one worker does without waiting for another one.

    Attributes:
        populations: trained one after another; each one starts from the one before it, or from what is stored.
        scores: models to score afterwards, besides those that were trained.
    """

    populations: tuple[Population, ...] = ()
    scores: tuple[Score, ...] = ()

    @property
    def keys(self) -> tuple[str, ...]:
        """All stages of the unit.

        >>> Unit((("a", "b"), ("c",))).keys
        ('a', 'b', 'c')
        """
        return tuple(key for population in self.populations for key in population)


class Schedule:
    """The populations that are still to be trained.

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
        """A schedule of `populations`; a parent that is in none of them is stored already.

        Args:
            populations: in the order in which one worker trains them.
            parents: by key of a stage, the key of the stage that it starts from.
            stored: stages that are finished already, although they are part of a population.
            cost: by key of a stage. If given, the population with the most costly chain behind it comes first: with several
                workers the study ends when its longest chain does. Otherwise the first one does, so that runs end in sequence.
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
        """The stages that are not stored yet."""
        return self._left

    def take(self, *, chains: bool = False) -> tuple[Population, ...]:
        """Take the population to train next; empty if all others wait or are taken.

        With `chains`, those come with it that need nothing but it and each other, one after another. Where several start from
        one, the chain goes on with the first; the others are ready once it is stored.

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
        """A worker is at this unit already, which an earlier driver gave to it."""
        self._taken |= self._places(unit.keys)

    def give_back(self, unit: Unit) -> None:
        """A taken unit was not finished: what is left of it may be taken again."""
        for number in self._places(unit.keys):
            self._taken.discard(number)
            self._waits[number] = self._missing(self._populations[number])
            self._add_if_ready(number)

    def stored(self, key: str) -> None:
        """A stage was stored: what waits for it may be ready now."""
        if key not in self._left:
            return
        self._left.discard(key)
        for number in self._children.get(self._place[key], ()):
            self._waits[number].discard(key)
            self._add_if_ready(number)

    def _places(self, keys: Sequence[str]) -> set[int]:
        """The populations of those stages that are not stored yet."""
        return {self._place[key] for key in keys if key in self._left}

    def _missing(self, population: Population) -> set[str]:
        """The stages that a population waits for."""
        parents = {self._parents[key] for key in population if key in self._left}
        return {each for each in parents if each is not None and each in self._left}

    def _add_if_ready(self, number: int) -> None:
        if not self._waits[number]:
            heapq.heappush(self._ready, (-self._rank[number], number))

    def _costs(self, cost: Mapping[str, float]) -> list[float]:
        """Of each population, what it costs and the most costly chain behind it; parents come before their children."""
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

"""Ranks languages as donors and receivers.

The effects themselves are `attrition.metrics.pairwise_effects` (D[a, b], the change on b when a is trained).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from attrition.metrics.donors import donor, donor_learned, donor_unlearned, pairwise_effects, receiver
from attrition.metrics.matrix import RMatrix
from attrition.metrics.means import count_measured
from attrition.metrics.several import Matrices, PerLanguage

__all__ = ["DonorsAndReceivers", "Ranked", "donors_and_receivers", "pairwise_effects", "ranked"]


@dataclass(frozen=True)
class Ranked:
    """A language and its rank: 1 is the highest value, equal values share the better rank."""

    rank: int
    language: str
    value: float


@dataclass(frozen=True, eq=False)
class DonorsAndReceivers:
    """D, its split, and every language's rank as donor and as receiver.

    `pairs`, `pairs_learned` and `pairs_unlearned` hold D (L, L) and the number of orders behind each cell; `num_orders` is the
    number of orders in all.
    """

    pairs: PerLanguage
    pairs_learned: PerLanguage
    pairs_unlearned: PerLanguage
    donors: tuple[Ranked, ...]
    donors_learned: tuple[Ranked, ...]
    donors_unlearned: tuple[Ranked, ...]
    receivers: tuple[Ranked, ...]
    num_orders: int

    @property
    def num_pairs(self) -> int:
        """The number of pairs of different languages measured in at least one order."""
        off_diagonal = ~np.eye(len(self.pairs.languages), dtype=bool)
        return int(count_measured(self.pairs.values[off_diagonal]))


def ranked(values: PerLanguage) -> tuple[Ranked, ...]:
    """Return the languages that have a value, highest first; equal values share a rank and keep the order of the columns.

    >>> R = RMatrix.sequential("abc", [[.75, .25, .125], [.5, .875, .25], [.625, .5, 1]])
    >>> [(entry.rank, entry.language) for entry in ranked(donor(R))]  # b -.0625, c -.125, a not known
    [(1, 'b'), (2, 'c')]
    """
    known = [(language, float(value)) for language, value in values.as_dict().items() if not np.isnan(value)]
    known.sort(key=lambda entry: -entry[1])
    numbers = [value for _, value in known]
    return tuple(Ranked(1 + numbers.index(value), language, value) for language, value in known)


def donors_and_receivers(matrices: Matrices) -> DonorsAndReceivers:
    """Return D over one or several orders, split into learned and not yet learned languages, with the ranks.

    >>> R = RMatrix.sequential("abc", [[.75, .25, .125], [.5, .875, .25], [.625, .5, 1]])
    >>> found = donors_and_receivers(R)
    >>> found.donors[0].language, found.receivers[0].language, found.num_pairs
    ('b', 'c', 4)
    """
    return DonorsAndReceivers(
        pairs=pairwise_effects(matrices),
        pairs_learned=pairwise_effects(matrices, "learned"),
        pairs_unlearned=pairwise_effects(matrices, "unlearned"),
        donors=ranked(donor(matrices)),
        donors_learned=ranked(donor_learned(matrices)),
        donors_unlearned=ranked(donor_unlearned(matrices)),
        receivers=ranked(receiver(matrices)),
        num_orders=1 if isinstance(matrices, RMatrix) else len(matrices),
    )

"""Donors and receivers: ranks, ties, and the counts behind D."""

from __future__ import annotations

import numpy as np

from attrition.analysis.pairwise import Ranked, donors_and_receivers, pairwise_effects, ranked
from attrition.metrics import PerLanguage
from attrition.metrics.matrix import RMatrix

NAN = float("nan")


def test_ranks_share_ties_and_leave_out_the_unknown() -> None:
    values = PerLanguage(("a", "b", "c", "d"), np.array([0.25, NAN, 0.5, 0.25]), np.array([1, 0, 1, 1]))
    assert ranked(values) == (Ranked(1, "c", 0.5), Ranked(2, "a", 0.25), Ranked(2, "d", 0.25))


def test_d_is_split_by_what_was_learned_and_counted() -> None:
    first = RMatrix.sequential("abc", [[0.75, 0.25, 0.125], [0.5, 0.875, 0.25], [0.625, 0.5, 1]])
    second = RMatrix.sequential("cba", [[0.5, 0.5, 0.5], [0.25, 0.75, 1.0], [0.5, 0.5, 0.5]])  # columns c, b, a
    found = donors_and_receivers([first, second])
    a, b, c = (found.pairs.languages.index(x) for x in "abc")
    # b on a: -.25 in the first (a was learned), +.5 in the second (a was not).
    assert found.pairs.values[b, a] == 0.125
    assert found.pairs.counts[b, a] == 2
    assert (found.pairs_learned.values[b, a], found.pairs_learned.counts[b, a]) == (-0.25, 1)
    assert (found.pairs_unlearned.values[b, a], found.pairs_unlearned.counts[b, a]) == (0.5, 1)
    # a was first in the first order without a row before: only the second order speaks.
    assert (found.pairs.values[a, c], found.pairs.counts[a, c]) == (0.25, 1)
    assert found.num_orders == 2
    assert found.num_pairs == 6
    np.testing.assert_array_equal(pairwise_effects([first, second]).values, found.pairs.values)


def test_planted_donors_and_receivers_are_found() -> None:
    """Each stage adds the trained language's gift times the other's openness; the ranks must give both back."""
    gift = {"a": 0.03, "b": 0.01, "c": -0.02, "d": 0.0}
    openness = {"a": 0.5, "b": 1.0, "c": 0.75, "d": 0.25}
    matrices = []
    for seed in range(4):
        rng = np.random.default_rng(seed)
        order = [str(x) for x in rng.permutation(list(gift))]
        row = dict.fromkeys(gift, 0.5)
        rows = [[row[x] for x in gift]]
        for trained in order:
            row = {x: row[x] + (0.2 if x == trained else gift[trained] * openness[x]) for x in gift}
            rows.append([row[x] for x in gift])
        matrices.append(RMatrix(np.array(rows[1:]), tuple(gift), tuple((x,) for x in order), np.array(rows[0])))
    found = donors_and_receivers(matrices)
    assert [entry.language for entry in found.donors] == ["a", "b", "d", "c"]
    expected = np.array([[0.2 if x == y else gift[x] * openness[y] for y in gift] for x in gift])
    np.testing.assert_allclose(found.pairs.values, expected, atol=1e-12)
    first = [sum(R.order[0] == x for R in matrices) for x in gift]  # first stages are left out
    np.testing.assert_array_equal(found.pairs.counts, 4 - np.array(first)[:, None] * np.ones(4, dtype=int))

"""Replay against algorithm R written out, and against exact shares."""

from __future__ import annotations

import itertools
from collections import Counter
from typing import Any

import numpy as np
import pytest

from attrition.methods.hook import Work
from attrition.methods.replay import Replay, balanced, reservoir


def algorithm_r(count: int, size: int, stream: np.random.Generator) -> list[int]:
    """Vitter 1985: the n-th item, from 0, takes the place of one of n + 1, if that is in the reservoir."""
    kept = list(range(min(size, count)))
    for item in range(size, count):
        place = int(stream.integers(0, item + 1))
        if place < size:
            kept[place] = item
    return sorted(kept)


@pytest.mark.parametrize(("sizes", "size"), [([30], 7), ([10, 1, 25], 7), ([3, 2], 9), ([5, 4], 9)])
def test_the_reservoir_is_algorithm_r(sizes: list[int], size: int) -> None:
    ours = reservoir(sizes, size, np.random.default_rng(3))
    assert ours.tolist() == algorithm_r(sum(sizes), size, np.random.default_rng(3))


def test_every_utterance_is_kept_with_the_same_probability() -> None:
    """5 of 20 in 4,000 draws: each about 1,000 times, standard deviation 27; and pairs as without replacement."""
    stream = np.random.default_rng(0)
    draws = [reservoir([8, 12], 5, stream) for _ in range(4_000)]
    counts = np.bincount(np.concatenate(draws), minlength=20)
    assert len(counts) == 20
    assert abs(counts - 1_000).max() < 4 * 27.4
    both = sum(0 in draw and 19 in draw for draw in draws)
    expected = 4_000 * 5 / 20 * 4 / 19
    assert abs(both - expected) < 4 * np.sqrt(expected)


def test_a_later_memory_goes_on_from_the_earlier_one() -> None:
    """What the memory holds of the first stages only shrinks, for the same stream."""
    for choose in (reservoir, balanced):
        memories = [set(choose([20] * stages, 10, np.random.default_rng(1)).tolist()) for stages in (1, 2, 3)]
        for before, after, first_new in zip(memories, memories[1:], (20, 40), strict=False):
            assert {row for row in after if row < first_new} <= before
            assert any(row >= first_new for row in after)


@pytest.mark.parametrize(
    ("sizes", "size", "parts"), [([9, 9, 9], 7, [3, 2, 2]), ([2, 9], 6, [2, 3]), ([9, 9, 9], 2, [1, 1, 0])]
)
def test_balanced_parts(sizes: list[int], size: int, parts: list[int]) -> None:
    kept = balanced(sizes, size, np.random.default_rng(0))
    edges = np.cumsum([0, *sizes])
    assert [int(((kept >= a) & (kept < b)).sum()) for a, b in itertools.pairwise(edges)] == parts
    assert len(set(kept.tolist())) == len(kept)


@pytest.mark.parametrize(
    ("train", "batch_size", "share"), [(64, 8, 0.05), (57, 19, 0.05), (27, 8, 0.1), (90, 9, 0.1), (40, 8, 0.5), (40, 8, 0.75)]
)
def test_the_share_of_an_epoch_is_exact(train: int, batch_size: int, share: float, make_utterances: Any, stage_of: Any) -> None:
    """Of all that is read, `share` comes from the memory, up to the one utterance that is not whole; steps differ by one."""
    stage = stage_of(make_utterances(train, "a"), [make_utterances(30, "b")], batch_size=batch_size)
    work = Replay(share=share, size=12).begin(stage)
    steps = -(-train // batch_size)
    for epochs in (1, 3):
        added = [0 if (extra := work.extra(step)) is None else len(extra.rows) for step in range(epochs * steps)]
        odds = round(share * 100) / (100 - round(share * 100))
        assert sum(added) == int(epochs * train * odds + 1e-9)
        assert max(added) - min(added) <= 1


def test_the_memory_is_read_evenly_and_holds_earlier_stages_only(make_utterances: Any, stage_of: Any, texts: Any) -> None:
    earlier = [make_utterances(15, "b"), make_utterances(9, "c")]
    for select in ("reservoir", "balanced"):
        work = Replay(share=0.5, size=12, select=select).begin(stage_of(make_utterances(32, "a"), earlier))
        found = [extra for step in range(10) if (extra := work.extra(step)) is not None]
        times = Counter(int(row) for extra in found for row in extra.rows)
        assert len(times) == 12
        assert max(times.values()) - min(times.values()) <= 1
        assert set(texts(found[0].encoded)) <= {text for each in earlier for text in texts(each)}


def test_what_is_added_depends_on_the_step_alone(make_utterances: Any, stage_of: Any) -> None:
    """So it is the same after an interruption, and when a step is made again."""
    stage = stage_of(make_utterances(32, "a"), [make_utterances(15, "b")])
    first, second = (Replay(share=0.3, size=5).begin(stage) for _ in range(2))
    forwards = {step: first.extra(step) for step in range(12)}
    for step in (7, 3, 11, 3, 0):
        one, other = forwards[step], second.extra(step)
        assert one is not None
        assert other is not None
        assert one.rows.tolist() == other.rows.tolist()


def test_the_first_stage_is_left_alone(make_utterances: Any, stage_of: Any) -> None:
    assert type(Replay().begin(stage_of(make_utterances(4, "a")))) is Work

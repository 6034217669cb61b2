"""What changed: types of errors, labels, broken utterances."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from attrition.gate.changes import Span, changes, error_types
from attrition.gate.checks import Settings
from attrition.gate.release import gate_files


@pytest.mark.parametrize(
    ("gold", "predicted", "found"),
    [
        ([(0, 1, 7)], [(0, 1, 7)], []),
        ([(0, 1, 7)], [(0, 1, 8)], ["type"]),
        ([(0, 1, 7)], [(1, 2, 7)], ["boundary"]),
        ([(0, 1, 7)], [(1, 2, 8)], ["boundary and type"]),
        ([(0, 1, 7)], [(2, 2, 7)], ["missed", "spurious"]),
        ([(0, 3, 7)], [(0, 0, 8), (2, 3, 7)], ["boundary"]),
        ([], [(0, 0, 7)], ["spurious"]),
        ([(0, 0, 7), (1, 1, 7)], [(0, 1, 7)], ["boundary", "boundary"]),
    ],
)
def test_types_of_errors(gold: list[Span], predicted: list[Span], found: list[str]) -> None:
    assert error_types(gold, predicted) == found


@pytest.mark.parametrize("seed", range(20))
def test_every_gold_span_that_was_not_found_has_one_type(seed: int) -> None:
    rng = np.random.default_rng(seed)

    def spans() -> list[Span]:
        edges = np.sort(rng.choice(20, size=8, replace=False))
        return [(int(a), int(b) - 1, int(rng.integers(2))) for a, b in zip(edges[::2], edges[1::2], strict=True)]

    gold, predicted = spans(), spans()
    found = error_types(gold, predicted)
    assert len([each for each in found if each != "spurious"]) == len(set(gold) - set(predicted))
    assert found.count("spurious") <= len(set(predicted) - set(gold))


def test_changes_of_a_release(folders: Path) -> None:
    found = gate_files(folders / "old", folders / "new", folders / "gold", Settings(show=3))
    assert found.changes.errors["missed"] == (0, 200)
    assert (found.changes.num_broken, found.changes.num_repaired) == (200, 0)
    assert [each.number for each in found.changes.broken] == [1, 3, 5]
    assert {each.label: (each.old, each.new) for each in found.changes.labels}["time"] == (100.0, 100.0)
    again = changes(found.compared, "recall", 0)
    assert again.broken == ()
    assert {each.label: each.new for each in again.labels}["PER"] == 75.0

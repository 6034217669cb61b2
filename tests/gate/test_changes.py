"""What changed: types of errors, labels, broken utterances."""

from __future__ import annotations

from pathlib import Path

from attrition.gate.changes import changes
from attrition.gate.checks import Settings
from attrition.gate.release import gate_files


def test_changes_of_a_release(folders: Path) -> None:
    found = gate_files(folders / "old", folders / "new", folders / "gold", Settings(show=3))
    assert found.changes.errors["missed"] == (0, 200)
    assert (found.changes.num_broken, found.changes.num_repaired) == (200, 0)
    assert [each.number for each in found.changes.broken] == [1, 3, 5]
    assert {each.label: (each.old, each.new) for each in found.changes.labels}["time"] == (100.0, 100.0)
    again = changes(found.compared, "recall", 0)
    assert again.broken == ()
    assert {each.label: each.new for each in again.labels}["PER"] == 75.0

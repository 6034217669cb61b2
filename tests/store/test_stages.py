"""Stages on disk: exact to the last bit, and complete or absent."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest

from attrition.names import AttritionError
from attrition.problem.counts import Counts
from attrition.store.stages import DamagedError, Store, StoredEvaluation, StoredHistory
from attrition.training.train import Epoch

KEY = "0123456789abcdef"


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = Store(tmp_path)
    tensors = {"w": np.array([[0.1, -0.0], [np.nan, 1e-45]], np.float32), "vocabulary.kept": np.array([3, 5])}
    history = StoredHistory(
        (Epoch(1, 0.1 + 0.2, math.nan, 1 / 3), Epoch(2, math.inf, 0.5, 0.0)), 2, {"data": 0.1, "other": 1 / 3}, 0.99
    )
    store.save_stage(KEY, {"languages": ("en-US",), "x": None}, tensors, history)
    counts = Counts(*(np.array(each, np.int16) for each in ([1, 0], [0, 2], [3, 0])), np.array([[1, 2, 3], [0, 0, 0]]))
    store.save_evaluation(KEY, {}, StoredEvaluation({"en-US": counts, "my.language": counts}, 0.25))
    return store


def test_a_stage_comes_back_to_the_last_bit(store: Store) -> None:
    tensors = store.load_tensors(KEY)
    assert tensors["w"].tobytes() == np.array([[0.1, -0.0], [np.nan, 1e-45]], np.float32).tobytes()
    assert tensors["vocabulary.kept"].tolist() == [3, 5]
    stored = store.load_history(KEY)
    assert repr(stored.history) == repr((Epoch(1, 0.1 + 0.2, math.nan, 1 / 3), Epoch(2, math.inf, 0.5, 0.0)))
    assert (stored.kept_epoch, stored.seconds, stored.decay) == (2, {"data": 0.1, "other": 1 / 3}, 0.99)
    assert store.about("stages", KEY) == {"languages": ["en-US"], "x": None}
    assert store.problem("stages", KEY) is None


def test_counts_come_back(store: Store) -> None:
    evaluation = store.load_evaluation(KEY)
    assert (sorted(evaluation.counts), evaluation.seconds) == (["en-US", "my.language"], 0.25)
    for counts in evaluation.counts.values():
        assert [each.tolist() for each in (counts.tp, counts.fp, counts.fn)] == [[1, 0], [0, 2], [3, 0]]
        assert counts.tp.dtype == np.int16
        assert counts.by_slot.tolist() == [[1, 2, 3], [0, 0, 0]]


@pytest.mark.parametrize("name", ["weights.safetensors", "history.json", "manifest.json"])
@pytest.mark.parametrize("damage", ["missing", "truncated", "empty", "a bit flipped", "a folder"])
def test_damage_is_named(name: str, damage: str, store: Store) -> None:
    path = store.folder / "stages" / KEY / name
    content = bytearray(path.read_bytes())
    path.unlink()
    if damage == "truncated":
        path.write_bytes(content[: len(content) // 2])
    elif damage == "empty":
        path.touch()
    elif damage == "a folder":
        path.mkdir()
    elif damage == "a bit flipped":
        content[content.index(b'"')] ^= 1
        path.write_bytes(content)
    assert str(path) in str(store.problem("stages", KEY))
    with pytest.raises(DamagedError, match=name):
        store.load_tensors(KEY)
    store.discard("stages", KEY)
    assert not store.has("stages", KEY)
    assert store.has("evaluations", KEY)


def test_a_folder_under_another_name_is_not_taken(store: Store) -> None:
    (store.folder / "stages" / KEY).rename(store.folder / "stages" / "another")
    assert "does not belong" in str(store.problem("stages", "another"))


@pytest.mark.parametrize("content", ["[]", "{}", '{"format": 1, "key": "0123456789abcdef", "about": {}, "files": []}', "null"])
def test_a_manifest_of_another_shape_is_damage(content: str, store: Store) -> None:
    (store.folder / "stages" / KEY / "manifest.json").write_text(content)
    assert "missing or damaged" in str(store.problem("stages", KEY))


def test_a_newer_format_is_left_alone(store: Store) -> None:
    path = store.folder / "stages" / KEY / "manifest.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "format": 99, "seal": "as that version makes it"}))
    with pytest.raises(AttritionError, match=r"newer version of attrition \(format 99.*Install the newer version") as caught:
        store.problem("stages", KEY)
    assert not isinstance(caught.value, DamagedError)


def test_half_written_folders_do_not_count_and_are_cleaned_up(store: Store) -> None:
    half = store.folder / "stages" / ".ffff.123.tmp"
    half.mkdir()
    (half / "weights.safetensors").write_bytes(b"x")
    left = store.folder / "runs" / "a-run" / ".matrix.csv.abc"
    left.parent.mkdir(parents=True)
    left.touch()
    assert not store.has("stages", "ffff")
    assert store.keys("stages") == (KEY,)
    store.clean()
    assert not half.exists()
    assert not left.exists()
    assert store.problem("stages", KEY) is None


def test_saving_again_replaces(store: Store) -> None:
    store.save_stage(KEY, {}, {"w": np.zeros(1)}, StoredHistory((), 0, {}))
    assert list(store.load_tensors(KEY)) == ["w"]
    assert not list((store.folder / "stages").glob(".*"))

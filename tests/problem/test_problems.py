"""The table of problems, and a user's own."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from attrition.corpus.encoded import EncodingSettings
from attrition.names import AttritionError
from attrition.problem import PROBLEMS, problem
from attrition.problem.counts import macro_f1
from attrition.problem.problems import identity, may_be_cached

EXAMPLE = Path(__file__).parents[2] / "examples" / "my_problem.py"


def test_names() -> None:
    assert list(PROBLEMS)[:2] == ["slots", "intents"]
    assert problem("slots")[0].score == "slot F1"
    with pytest.raises(AttritionError, match=r"study\.toml.*intnets.*intents"):
        problem("intnets", where="study.toml")
    with pytest.raises(AttritionError, match=r"study\.toml: problem: There is no file"):
        problem("not_there.py", where="study.toml")


def test_the_example_counts_words() -> None:
    found, path = problem("my_problem.py", EXAMPLE.parent)
    assert (path, found.name, found.score) == (str(EXAMPLE), "token-accuracy", "token accuracy")
    labels = ("O", "B-x", "I-x")
    counts = found.counter(labels).count(np.array([0, 1, 2, 0]), np.array([0, 1, 1, 1]), np.array([0, 3, 4]))
    assert (counts.tp.tolist(), counts.fp.tolist(), counts.fn.tolist()) == ([2, 0], [1, 1], [1, 1])
    assert counts.f1 == 0.5
    assert macro_f1(counts.by_slot) == pytest.approx((2 / 3 + 1 / 2 + 0) / 3)

    class Inventory:
        name, slots, intents = "mine", ("x",), ()

    assert found.labels(Inventory(), EncodingSettings()) == labels


def test_a_file_is_told_by_its_content(tmp_path: Path) -> None:
    path = tmp_path / "own.py"
    path.write_text(EXAMPLE.read_text())
    before = identity(str(path))
    assert before == identity(str(EXAMPLE))
    path.write_text(EXAMPLE.read_text() + "# another\n")
    assert identity(str(path)) != before
    assert not may_be_cached(str(path))
    assert may_be_cached("intents")

"""`metrics_json`: the promised keys, the conventions written down, and answers to what cannot be done."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from attrition.metrics import Conventions, metrics_json, metrics_of
from attrition.metrics.matrix import RMatrix
from attrition.names import AttritionError, UnknownNameError

NAN = float("nan")

FIRST = [[0.75, 0.25, 0.125], [0.5, 0.875, 0.25], [0.625, 0.5, 1.0]]
BEFORE = [0.125, 0.0, 0.125]


def write(folder: Path, *matrices: RMatrix) -> list[Path]:
    paths = [folder / f"R{number}.csv" for number in range(len(matrices))]
    for matrix, path in zip(matrices, paths, strict=True):
        matrix.to_csv(path)
    return paths


@pytest.fixture
def one(tmp_path: Path) -> list[Path]:
    return write(tmp_path, RMatrix.sequential("abc", FIRST, BEFORE))


def test_every_promised_key_by_hand(one: list[Path]) -> None:
    found = metrics_json(one)
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    P = [0.75, 0.6875, 2.125 / 3]
    (matrix,) = found["matrices"]
    assert matrix.pop("file") == str(one[0])
    assert matrix.pop("order") == ["a", "b", "c"]
    assert matrix.pop("learned_mean") == pytest.approx(P)
    assert matrix == pytest.approx(
        {
            "final_mean": P[2],
            "cft": 0.21875,
            "cft_cells": 0.625 / 3,
            "cbt": -0.25,
            "cbt_literal": -0.125,
            "bwt": -0.25,
            "fwt": 0.1875,
            "forgetting": 0.25,
            "learning_accuracy": 0.875,
        }
    )
    none = [None] * 10
    assert found["mft"] == {"a": none, "b": pytest.approx([P[1] - P[0], P[2] - P[0], *none[2:]]), "c": [P[2] - P[1], *none[1:]]}
    assert found["mbt"] == {"a": none, "b": [P[1] - P[0], *none[1:]], "c": [P[2] - P[1], P[2] - P[0], *none[2:]]}
    assert found["mft_n"] == {"a": [0] * 10, "b": [1, 1] + [0] * 8, "c": [1] + [0] * 9}
    assert found["mbt_n"] == {"a": [0] * 10, "b": [1] + [0] * 9, "c": [1, 1] + [0] * 8}
    assert found["mft_pairwise"] == {"a": none, "b": [None, 0.125, *none[2:]], "c": none}
    assert found["mbt_pairwise"] == {"a": none, "b": [None, -0.25, *none[2:]], "c": [None, -0.375, 0.125, *none[3:]]}
    assert found["shift_growing"] == {"a": None, "b": P[1] - P[0], "c": P[2] - P[1]}
    assert found["shift_fixed"] == {"a": None, "b": -0.25, "c": -0.125}
    assert found["composition"] == {"a": None, "b": P[1] - P[0] + 0.25, "c": P[2] - P[1] + 0.125}
    assert found["p_avg"] == pytest.approx((P[0] - P[2]) / 2)
    # D without the first stage: b: a -.25, c .125; c: a .125, b -.375
    assert found["donor"] == {"a": None, "b": -0.0625, "c": -0.125}
    assert found["receiver"] == {"a": -0.0625, "b": -0.375, "c": 0.125}
    assert found["receiver_learned"] == {"a": -0.0625, "b": -0.375, "c": None}
    assert found["donor_learned"] == {"a": None, "b": -0.25, "c": -0.125}
    assert found["donor_unlearned"] == {"a": None, "b": 0.125, "c": None}
    assert found["partial"] == []
    assert set(found) == {
        *("matrices", "mft", "mbt", "mft_n", "mbt_n", "mft_pairwise", "mbt_pairwise", "shift_growing", "shift_fixed"),
        *(
            "composition",
            "p_avg",
            "donor",
            "receiver",
            "receiver_learned",
            "donor_learned",
            "donor_unlearned",
            "partial",
            "conventions",
        ),
    }


def test_means_over_orders_leave_out_where_an_order_has_none(tmp_path: Path) -> None:
    """b is second, then first: only the first order has a shift for it, so its mean is that order's, not half of it."""
    second = RMatrix.sequential("bac", [[0.5, 0.25, 0.25], [0.25, 0.75, 0.25], [0.5, 0.5, 0.5]])
    found = metrics_json(write(tmp_path, RMatrix.sequential("abc", FIRST), second))
    assert found["shift_fixed"]["b"] == -0.25
    assert found["mft_n"]["b"][0] == 1
    # c is last in both: (-.125 + (.5 - .25 + .5 - .75) / 2) / 2
    assert found["shift_fixed"]["c"] == pytest.approx(-0.0625)
    assert found["mft_n"]["c"][0] == 2
    # b on a: already learned in the first order (-.25); in the second b is first and R[0] is missing.
    assert found["donor_learned"]["a"] == pytest.approx(0.25 - 0.5)


def test_a_joint_run_has_nulls_where_stages_would_be_compared(tmp_path: Path) -> None:
    joint = RMatrix(np.array([[0.25, 0.75]]), ("a", "b"), (("a", "b"),), np.zeros(2))
    found = metrics_json(write(tmp_path, joint))
    (matrix,) = found["matrices"]
    assert matrix["order"] == ["a+b"]
    assert matrix["learned_mean"] == [0.5]
    assert matrix["final_mean"] == matrix["learning_accuracy"] == 0.5
    assert all(matrix[name] is None for name in ("cft", "cft_cells", "cbt", "cbt_literal", "bwt", "fwt", "forgetting"))
    assert found["p_avg"] is None
    assert found["donor"] == found["receiver"] == found["shift_growing"] == {"a": None, "b": None}


@pytest.mark.parametrize(
    ("settings", "changed"),
    [
        ({}, {}),
        ({"cbt": "last_row", "cft": "rows", "hops": "averages", "shift_sign": "gain"}, {}),
        ({"cbt": "literal"}, {"cbt": "cbt_literal"}),
        ({"cft": "cells"}, {"cft": "cft_cells"}),
    ],
)
def test_conventions_choose_what_a_key_holds(one: list[Path], settings: dict[str, str], changed: dict[str, str]) -> None:
    (default,), (chosen,) = metrics_json(one)["matrices"], metrics_json(one, settings=settings)["matrices"]
    assert chosen == {**default, **{name: default[other] for name, other in changed.items()}}


def test_conventions_of_hops_and_sign(one: list[Path]) -> None:
    default = metrics_json(one)
    pairwise = metrics_json(one, settings={"hops": "pairwise"})
    assert pairwise["mft"] == default["mft_pairwise"] == pairwise["mft_pairwise"]
    assert pairwise["mbt"] == default["mbt_pairwise"]
    assert pairwise["mft_n"]["b"] == [0, 1] + [0] * 8
    loss = metrics_json(one, settings={"shift_sign": "loss"})
    for key in ("shift_growing", "shift_fixed", "composition"):
        assert loss[key] == {x: None if value is None else -value for x, value in default[key].items()}
    assert loss["p_avg"] == default["p_avg"]


def test_conventions_are_written_into_the_result(one: list[Path]) -> None:
    written: dict[str, Any] = metrics_json(one, settings={"cbt": "literal"})["conventions"]
    assert {name: written[name] for name in ("cbt", "cft", "hops", "shift_sign")} == {
        "cbt": "literal",
        "cft": "rows",
        "hops": "averages",
        "shift_sign": "gain",
    }
    assert any("eq. 12 as printed" in statement for statement in written["statements"])
    assert Conventions().as_dict()["cbt"] == "last_row"


def test_unknown_settings_are_sentences(one: list[Path]) -> None:
    with pytest.raises(UnknownNameError, match=r"Unknown setting of metrics 'cbtt'\. Did you mean 'cbt'"):
        metrics_json(one, settings={"cbtt": "literal"})
    with pytest.raises(UnknownNameError, match=r"setting cbt 'last row'\. Did you mean 'last_row'"):
        metrics_json(one, settings={"cbt": "last row"})


def test_no_file_and_one_path(one: list[Path]) -> None:
    with pytest.raises(AttritionError, match="No matrix was given"):
        metrics_json([])
    assert metrics_json(str(one[0])) == metrics_json(one)


def test_means_over_fewer_terms_are_listed(tmp_path: Path) -> None:
    scores = np.array(FIRST)
    scores[2, 0] = NAN
    (path,) = write(tmp_path, RMatrix.sequential("abc", scores))
    found = metrics_json([path])
    assert {"file": str(path), "metric": "cbt", "terms": 1, "of": 2} in found["partial"]
    assert found["matrices"][0]["cbt"] == -0.375
    assert "fwt" not in {note["metric"] for note in found["partial"]}  # not measured at all: null says so


def test_languages_never_trained_and_matrices_with_other_columns() -> None:
    first = RMatrix(np.array([[0.5, 0.25, 0.75], [0.25, 0.5, 0.5]]), ("a", "b", "x"), (("a",), ("b",)))
    other = RMatrix.sequential("bc", [[0.5, 0.25], [0.25, 0.5]])
    found = metrics_of([first, other], files=["first", "other"])
    assert list(found["donor"]) == ["a", "b", "x", "c"]
    assert found["matrices"][0]["cft"] == pytest.approx((0.25 + 0.75) / 2)
    assert found["matrices"][0]["final_mean"] == pytest.approx(0.375)
    assert found["donor"]["x"] is None
    assert found["receiver"]["x"] == -0.25
    assert found["mft"]["x"] == [None] * 10


def test_files_of_different_languages_are_refused(tmp_path: Path) -> None:
    first, second = write(tmp_path, RMatrix.sequential("ab", [[0.5, 0.25], [0.5, 0.75]]), RMatrix.sequential("ac", np.eye(2)))
    with pytest.raises(AttritionError) as error:
        metrics_json([first, second])
    assert f"{first} and {second} have different languages: {second} has no b; {first} has no c." in str(error.value)


def test_the_sequence_of_columns_is_no_difference(tmp_path: Path) -> None:
    metrics_json(write(tmp_path, RMatrix.sequential("ab", np.eye(2)), RMatrix.sequential("ba", np.eye(2))))

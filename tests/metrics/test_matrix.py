"""RMatrix: what it holds, how it is written and read to the last bit, and how it answers malformed files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from attrition.metrics.matrix import MatrixError, RMatrix
from attrition.names import AttritionError, UnknownNameError

NAN = float("nan")


def example() -> RMatrix:
    return RMatrix.sequential(["en-US", "th-TH"], [[0.5, 0.25], [0.375, 0.75]], before_L=[0.0, NAN])


def test_columns_need_not_stand_in_the_order_of_training() -> None:
    R = RMatrix(np.array([[0.1, 0.2, 0.3], [0.4, 0.5, 0.6]]), ("x", "b", "a"), (("a",), ("b",)))
    assert dict(R.learned_at) == {"x": None, "b": 1, "a": 0}
    assert R.stage_L.tolist() == [2, 1, 0]
    assert R.learned_SL.tolist() == [[False, False, True], [False, True, True]]
    np.testing.assert_array_equal(R.own_L, [NAN, 0.5, 0.3])


def test_arrays_are_copies_and_read_only() -> None:
    scores, before = np.array([[0.5, 0.25]]), np.array([0.125, 0.125])
    R = RMatrix(scores, ("a", "b"), (("a",),), before)
    scores[0, 0], before[0] = 0.9, 0.9
    assert R.scores_SL[0, 0] == 0.5
    assert R.before_L is not None
    assert R.before_L[0] == 0.125
    for array in (R.scores_SL, R.before_L, R.stage_L, R.learned_SL, R.own_L):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 0
    with pytest.raises(TypeError):
        R.learned_at["a"] = 1  # type: ignore[index]


def test_a_joint_run_is_one_stage_of_many() -> None:
    R = RMatrix(np.array([[0.5, 0.25, 0.75]]), ("a", "b", "c"), (("c", "a"),))
    assert R.joint
    assert R.order == ("c+a",)
    assert dict(R.learned_at) == {"a": 0, "b": None, "c": 0}
    assert not example().joint


def test_equality_is_to_the_last_bit_and_includes_nan() -> None:
    assert example() == example()
    assert hash(example()) == hash(example())
    without_before = RMatrix(example().scores_SL, example().languages, example().trained)
    assert example() != without_before
    nudged = np.array(example().scores_SL)
    nudged[0, 0] = np.nextafter(nudged[0, 0], 1)
    assert example() != RMatrix(nudged, example().languages, example().trained, example().before_L)
    assert example() != "not a matrix"


def test_a_row_before_training_without_a_score_is_no_row() -> None:
    assert RMatrix.sequential("a", [[0.5]], before_L=[NAN]).before_L is None


def test_the_frame_is_a_copy_with_the_row_before_training_first() -> None:
    frame = example().to_frame()
    assert frame.index.tolist() == ["", "en-US", "th-TH"]
    assert frame.index.name == "trained"
    assert frame.columns.tolist() == ["en-US", "th-TH"]
    assert frame.loc["th-TH", "en-US"] == 0.375
    assert pd.isna(frame.loc["", "th-TH"])
    matrix = example()
    changed = matrix.to_frame()
    changed.iloc[1, 0] = 0.9
    assert matrix == example()


@given(
    scores=st.integers(1, 6).flatmap(
        lambda size: hnp.arrays(np.float64, (size + 1, size), elements=st.floats(0, 1) | st.just(NAN), fill=st.nothing())
    ),
    data=st.data(),
)
def test_csv_round_trip_is_exact_to_the_last_bit(scores: np.ndarray, data: st.DataObject) -> None:
    languages = tuple(f"l{number}" for number in range(scores.shape[1]))
    order = data.draw(st.permutations(languages))
    together = data.draw(st.booleans())
    trained = (tuple(order),) if together else tuple((label,) for label in order)
    R = RMatrix(scores[1 : 1 + len(trained)], languages, trained, scores[0])
    again = RMatrix.parse(R.to_csv())
    assert again == R
    assert again.scores_SL.tobytes() == R.scores_SL.tobytes()


def test_csv_files_round_trip_whatever_the_labels(tmp_path: Path) -> None:
    R = RMatrix.sequential(["my, language", 'the "other"', "日本語"], [[0.1, 0.2, 0.3]] * 3, before_L=[0.0, 1.0, 1e-300])
    path = tmp_path / "R.csv"
    R.to_csv(path)
    assert RMatrix.from_csv(path) == R
    assert RMatrix.from_csv(str(path)) == R
    assert path.read_text(encoding="utf-8") == R.to_csv()
    assert [entry.name for entry in tmp_path.iterdir()] == ["R.csv"]


def test_csv_layout_is_the_promised_one() -> None:
    R = RMatrix(np.array([[0.5, 0.1], [0.25, NAN]]), ("b", "a"), (("a",), ("b",)), np.array([NAN, 0.0]))
    assert R.to_csv() == "trained,b,a\n,,0.0\na,0.5,0.1\nb,0.25,\n"


def test_what_spreadsheets_write_is_read(tmp_path: Path) -> None:
    path = tmp_path / "R.csv"
    path.write_bytes("\ufefftrained,a,b\r\n, 0,\r\na,1,.5\r\n\r\nb,5e-1,1.\r\n,,\r\n".encode())
    expected = RMatrix.sequential("ab", [[1, 0.5], [0.5, 1]], before_L=[0, NAN])
    assert RMatrix.from_csv(path) == expected


def test_joined_locales_are_read() -> None:
    R = RMatrix.parse("trained,a,b,c\na+ b,0.5,0.5,0.5\nc,0.5,0.5,0.5\n")
    assert R.trained == (("a", "b"), ("c",))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "R.csv: the file is empty"),
        ("\n\n", "R.csv: the file is empty"),
        ("language,a\na,0.5\n", "line 1: the header should be 'trained,<language>,...', but begins with 'language'"),
        ("trained;a;b\na;0,5;0,5\n", "line 1: .* separated by ';': use commas"),
        ("trained\n", "line 1: no language"),
        ("trained,a,\na,0.5,0.5\n", "line 1: the name of language 2 is empty"),
        ("trained,a,b,a\na,0.5,0.5,0.5\n", "line 1: 'a' names two columns"),
        ("trained,a+b\na,0.5\n", "line 1: 'a[+]b' cannot name a language"),
        ("trained,a,b\n", "no stage of training"),
        ("trained,a,b\n,0.5,0.5\n", "no stage of training"),
        ("trained,a,b\na,0.5\n", "line 2: 2 cells, but the header has 3"),
        ("trained,a,b\na,0.5,0.5,0.5\n", "line 2: 4 cells, but the header has 3"),
        ("trained,a,b\na,0.5,high\n", "line 2, column 'b': 'high' is not a number"),
        ("trained,a,b\na,0.5,nan\n", "line 2, column 'b': 'nan' is not a number.*nothing for 'not measured'"),
        ("trained,a,b\na,0.5,inf\n", "'inf' is not a number"),
        ("trained,a,b\na,0.5,1_0\n", "'1_0' is not a number"),
        ("trained,a,b\na,0.5,٠\n", "'٠' is not a number"),
        ("trained,a,b\na,0.5,74.2\n", "line 2, column 'b': 74.2 is outside 0 to 1. Are these percent[?]"),
        ("trained,a,b\na,0.5,-0.1\n", "line 2, column 'b': -0.1 is outside 0 to 1.$"),
        ("trained,a,b\n,0.1,0.1\n,0.2,0.2\na,0.5,0.5\n", "line 3: a second row before training"),
        ("trained,a,b\na,0.5,0.5\n,0.1,0.1\n", "line 3: the row before training .* must be the first"),
        ("trained,a,b\na,0.5,0.5\nb,0.5,0.5\na,0.5,0.5\n", "line 4: 'a' is trained a second time .first: line 2"),
        ("trained,a,b\na+a,0.5,0.5\n", "line 2: 'a' is trained a second time"),
        ('trained,a\n"a,0.5\n', "not a line of CSV"),
    ],
)
def test_malformed_files_are_answered_by_file_and_line(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "R.csv"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(AttritionError, match=message) as caught:
        RMatrix.from_csv(path)
    assert str(caught.value).startswith(str(path))


def test_a_trained_locale_that_is_no_column_is_answered_with_the_nearest(tmp_path: Path) -> None:
    path = tmp_path / "R.csv"
    path.write_text("trained,nl-NL,en-US\nen-US,0.5,0.5\nml-NL,0.5,0.5\n")
    with pytest.raises(UnknownNameError, match=r"line 3: unknown column 'ml-NL'. Did you mean 'nl-NL'\?"):
        RMatrix.from_csv(path)


def test_files_that_cannot_be_read_or_written_are_sentences(tmp_path: Path) -> None:
    with pytest.raises(MatrixError, match=r"none\.csv: cannot be read: No such file"):
        RMatrix.from_csv(tmp_path / "none.csv")
    with pytest.raises(MatrixError, match="cannot be read"):
        RMatrix.from_csv(tmp_path)
    utf16 = tmp_path / "utf16.csv"
    utf16.write_bytes("trained,a\na,0.5\n".encode("utf-16"))
    with pytest.raises(MatrixError, match="not UTF-8 text"):
        RMatrix.from_csv(utf16)
    with pytest.raises(MatrixError, match="cannot be written"):
        example().to_csv(utf16 / "R.csv")


@pytest.mark.parametrize(
    ("scores", "languages", "trained", "before", "message"),
    [
        ([[0.5, 0.5]], ("a",), (("a",),), None, r"shape \(1, 2\)"),
        ([[0.5], [0.5]], ("a",), (("a",),), None, r"shape \(2, 1\)"),
        ([[0.5], [0.5, 0.5]], ("a",), (("a",),), None, "not a rectangle of numbers"),
        ([[0.5]], ("a",), (("a",),), [0.5, 0.5], "before_L"),
        ([[75.03]], ("a",), (("a",),), None, "75.03, which is outside 0 to 1. Are these percent"),
        ([[float("inf")]], ("a",), (("a",),), None, "inf, which is outside 0 to 1.$"),
        (np.empty((0, 1)), ("a",), (), None, "No stage of training"),
        ([[0.5]], ("a",), ((),), None, "stage 1 trains no language"),
        ([[0.5]], (), (("a",),), None, "no language"),
        ([[0.5]], (" a",), (("a",),), None, "cannot name a language"),
        ([[0.5, 0.5]], ("a", "a"), (("a",),), None, "names two columns"),
        ([[0.5], [0.5]], ("a",), (("a",), ("a",)), None, "stage 2: 'a' is trained a second time"),
        ([[0.5]], ("a",), (("b",),), None, "unknown column 'b'"),
    ],
)
def test_contradictions_are_refused(scores: object, languages: object, trained: object, before: object, message: str) -> None:
    with pytest.raises(AttritionError, match=message):
        RMatrix(scores, languages, trained, before)  # type: ignore[arg-type]

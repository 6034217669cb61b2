"""BWT, FWT, forgetting and average accuracy against the functions of published libraries, where these are installed.

Both are needed without what they depend on, for their formulas use nothing of it. Renate (Amazon) has the same definitions as
ours throughout, and `make install` installs it. Avalanche's "forgetting" is another measure, the negative of BWT, and is
compared as such; its wheel would bring packages called `tests` and `examples`, so it is left to whoever wants it.
"""

from __future__ import annotations

import ast
import importlib
import importlib.util
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from attrition.metrics import average_accuracy, bwt, forgetting, fwt
from attrition.metrics.matrix import RMatrix
from attrition.metrics.single import num_terms

SIZES = (2, 3, 10)


def matrix(size: int) -> tuple[RMatrix, list[list[float]], list[float]]:
    """R with its columns in another order than that of training; its rows in the order of training, and the row before."""
    random = np.random.default_rng(size)
    rows, before = random.random((size, size)), random.random(size)
    rows[-1, 0] = 1.0  # a language that ends above its best earlier score: its forgetting is negative
    columns = random.permutation(size)
    trained = tuple((f"l{number}",) for number in range(size))
    languages = tuple(f"l{number}" for number in columns)
    return RMatrix(rows[:, columns], languages, trained, before[columns]), rows.tolist(), before.tolist()


@pytest.fixture(scope="module")
def renate() -> ModuleType:
    if importlib.util.find_spec("renate") is None:
        pytest.skip("renate is not installed (pip install --no-deps --ignore-requires-python renate==0.5.2 is enough)")
    return importlib.import_module("renate.evaluation.metrics.classification")


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(
    ("ours", "name"),
    [
        (average_accuracy, "average_accuracy"),
        (bwt, "backward_transfer"),
        (fwt, "forward_transfer"),
        (forgetting, "forgetting"),
    ],
)
def test_equal_to_renate(renate: ModuleType, ours: Callable[[RMatrix], float], name: str, size: int) -> None:
    R, rows, before = matrix(size)
    theirs = getattr(renate, name)({"accuracy": rows, "accuracy_init": [before]}, size - 1, [1] * size)
    assert ours(R) == pytest.approx(theirs, abs=1e-12)


@pytest.fixture(scope="module")
def avalanche() -> Path:
    """The folder of avalanche's metrics; the package itself would load every data set it knows."""
    package = importlib.util.find_spec("avalanche")
    if package is None or package.origin is None:
        pytest.skip("avalanche-lib is not installed (pip install --no-deps avalanche-lib==0.6.0 is enough)")
    return Path(package.origin).parent / "evaluation"


def defined_in(path: Path, name: str, **names: Any) -> Any:
    """One function or class of a file, executed alone; `names` are what it uses of the rest."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    (found,) = [node for node in tree.body if isinstance(node, ast.FunctionDef | ast.ClassDef) and node.name == name]
    exec(compile(ast.Module([found], []), str(path), "exec"), names)
    return names[name]


@pytest.mark.parametrize("size", SIZES)
def test_bwt_is_the_negative_mean_of_avalanches_forgetting(avalanche: Path, size: int) -> None:
    R, rows, _ = matrix(size)
    lost_SS = defined_in(avalanche / "functional.py", "forgetting", np=np)(rows)
    assert bwt(R) == pytest.approx(-lost_SS[-1, :-1].mean(), abs=1e-12)


@pytest.mark.parametrize("size", SIZES)
def test_fwt_is_the_mean_of_avalanches_forward_transfer(avalanche: Path, size: int) -> None:
    R, rows, before = matrix(size)
    path = avalanche / "metrics" / "forward_transfer.py"
    transfer = defined_in(path, "ForwardTransfer", Metric=dict, Dict=dict, Optional=dict)()
    for place in range(size):
        transfer.update(place, before[place], initial=True)
    for place in range(1, size):
        transfer.update(place, rows[place - 1][place])
    theirs = transfer.result()
    assert len(theirs) == num_terms(R, "fwt")[0] == size - 1
    assert fwt(R) == pytest.approx(sum(theirs.values()) / len(theirs), abs=1e-12)

"""Backward transfer against avalanche-lib's own function, where that package is installed."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from attrition.matrix import RMatrix
from attrition.metrics import bwt


def avalanche_forgetting() -> Callable[[np.ndarray], np.ndarray]:
    """`avalanche.evaluation.functional.forgetting`, loaded by itself: the whole package would load every data set it knows."""
    package = importlib.util.find_spec("avalanche")
    if package is None or package.origin is None:
        pytest.skip("avalanche-lib is not installed (pip install --no-deps avalanche-lib==0.6.0 is enough)")
    path = Path(package.origin).parent / "evaluation" / "functional.py"
    spec = importlib.util.spec_from_file_location("avalanche_functional", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    forgetting: Callable[[np.ndarray], np.ndarray] = module.forgetting
    return forgetting


@pytest.mark.parametrize("size", [2, 3, 10])
def test_bwt_is_the_negative_mean_of_avalanches_forgetting(size: int) -> None:
    scores = np.random.default_rng(size).random((size, size))
    theirs = avalanche_forgetting()(scores)[-1, :-1].mean()
    assert bwt(RMatrix.sequential([f"l{number}" for number in range(size)], scores)) == pytest.approx(-theirs)

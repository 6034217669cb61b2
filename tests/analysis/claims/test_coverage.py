"""Intervals of claims contain the truth, in simulated studies."""

from __future__ import annotations

import pytest

from benchmarks.claim_intervals import CASES, coverage


@pytest.mark.parametrize("name", list(CASES))
def test_intervals_of_claims_contain_the_truth(name: str) -> None:
    held, half = coverage(CASES[name], 80)
    assert held >= 0.88  # at a true rate of 95%, once in 400
    assert half > 0

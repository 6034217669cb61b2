"""Verdicts: their logic, Holm's method, the words."""

from __future__ import annotations

import math
import re

import numpy as np
import pytest

from attrition.gate.checks import Check
from attrition.gate.judge import Finding, holm, judge, worst
from attrition.gate.ratios import Outcomes, outcomes


def of(utterances: int, broken: int, repaired: int = 0) -> Outcomes:
    """Recall of one span an utterance; the old system finds all but `repaired`."""
    old = np.array([[1, 0, 0]] * utterances)
    new = old.copy()
    new[:broken] = [0, 0, 1]
    old[utterances - repaired :] = [0, 0, 1]
    return outcomes(old, new, "recall")


def verdict(found: Outcomes, margin: float = 1.0, others: int = 0) -> Finding:
    more = [(Check("language", f"l{number}", "", margin), of(200, 0)) for number in range(others)]
    return judge([(Check("language", "de", "", margin), found), *more])[0]


def test_much_data_and_no_loss_passes() -> None:
    found = verdict(of(1_000, 0))
    assert found.verdict == "pass"
    assert found.high == pytest.approx(100 * (1 - 0.05 ** (1 / 1_000)), rel=0.1)


def test_a_gain_is_called_so() -> None:
    assert re.fullmatch(r"at least 8\.\d\d points gained", verdict(of(1_000, 0, repaired=100)).words)


def test_little_data_cannot_tell_even_without_a_difference() -> None:
    found = verdict(of(100, 0))
    assert found.verdict == "cannot tell"
    assert re.match(r"too little data to tell: 100 utterances can show (2.9|3.0) points, not 1; about (29|30)0", found.words)


def test_a_loss_that_is_shown_but_within_the_margin_does_not_fail() -> None:
    found = verdict(of(1_000, 8))
    assert found.p_adjusted < 0.05
    assert found.verdict == "cannot tell"


def test_a_loss_beyond_the_margin_fails() -> None:
    found = verdict(of(1_000, 20))
    assert found.verdict == "fail"
    assert found.words == "2.0 points lost, more than 1, and not by chance (p = 0.0001)"


def test_a_loss_beyond_the_margin_that_can_be_chance_does_not_fail() -> None:
    found = verdict(of(100, 4, repaired=1))
    assert found.loss > 1
    assert found.verdict == "cannot tell"


def test_the_same_loss_fails_alone_and_not_among_many_checks() -> None:
    assert verdict(of(300, 6)).verdict == "fail"  # p = 1/64
    assert verdict(of(300, 6), others=9).verdict == "cannot tell"


def test_no_gold_spans_cannot_tell() -> None:
    found = verdict(outcomes(np.array([[0, 1, 0]]), np.array([[0, 0, 0]]), "recall"))
    assert found.verdict == "cannot tell"
    assert math.isnan(found.p)
    assert "without a gold span" in found.words


def test_verdicts_do_not_depend_on_other_checks_but_for_holm() -> None:
    alone, among = verdict(of(500, 4, repaired=2)), verdict(of(500, 4, repaired=2), others=3)
    assert (alone.low, alone.high, alone.p) == (among.low, among.high, among.p)


@pytest.mark.parametrize("seed", range(5))
def test_holm_rejects_what_its_definition_rejects(seed: int) -> None:
    p_values = np.random.default_rng(seed).random(12) ** 4
    for level in (0.01, 0.05, 0.2):
        rejected = set()
        for step, place in enumerate(np.argsort(p_values)):
            if p_values[place] > level / (len(p_values) - step):
                break
            rejected.add(int(place))
        assert {place for place, p in enumerate(holm(list(p_values))) if p <= level} == rejected


def test_the_worst_verdict_counts() -> None:
    assert worst(["pass", "cannot tell", "fail"]) == "fail"
    assert worst(["pass", "pass"]) == "pass"
    assert worst([]) == "cannot tell"

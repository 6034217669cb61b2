"""Numbers of whole runs and kinds of pairs against loops over cells."""

from __future__ import annotations

import math

import numpy as np
import pytest

from attrition.analysis.claims import Claim
from attrition.analysis.claims.curves import learned_gap, own_gain
from attrition.analysis.claims.pairs import pair_masks
from attrition.languages import LANGUAGES
from attrition.metrics.matrix import RMatrix


def some_run() -> RMatrix:
    rng = np.random.default_rng(0)
    return RMatrix(rng.random((4, 5)), tuple("abcde"), (("c",), ("a",), ("d",), ("b",)))


def test_learned_against_to_come_by_a_loop() -> None:
    R = some_run()
    learned, to_come = [], []
    for stage in range(4):
        so_far = {language for trained in R.trained[: stage + 1] for language in trained}
        for place, language in enumerate(R.languages):
            (learned if language in so_far else to_come).append(R.scores_SL[stage, place])
    assert learned_gap(R) == pytest.approx(np.mean(learned) - np.mean(to_come))


def test_own_stages_by_a_loop_without_the_first() -> None:
    R = some_run()
    gained = [R.scores_SL[s, place] - R.scores_SL[s - 1, place] for s, place in ((1, 0), (2, 3), (3, 1))]
    assert own_gain(R) == pytest.approx(np.mean(gained))


def test_a_joint_run_has_neither() -> None:
    R = RMatrix(np.array([[0.5, 0.25]]), ("a", "b"), (("a", "b"),))
    assert math.isnan(own_gain(R))
    assert math.isnan(learned_gap(R))


@pytest.mark.parametrize(
    ("kind", "one", "other"),
    [
        ("same branch, other script", ("hi-IN", "ur-PK"), ("ru-RU", "es-ES")),
        ("same family, other branch", ("es-ES", "ru-RU"), ("es-ES", "fi-FI")),
        ("same family and script, other branch", ("es-ES", "pl-PL"), ("es-ES", "ru-RU")),
    ],
)
def test_kinds_of_pairs(kind: str, one: tuple[str, str], other: tuple[str, str]) -> None:
    languages = tuple(LANGUAGES)
    R = RMatrix.sequential(languages, np.zeros((len(languages), len(languages))))
    first, second = pair_masks(kind, R)
    at = {language: place for place, language in enumerate(languages)}
    assert first[at[one[0]], at[one[1]]]
    assert second[at[other[0]], at[other[1]]]
    assert not (first & second).any()
    assert not first.diagonal().any()
    assert not second.diagonal().any()
    assert Claim(id="a", statement="A.", pairs=kind, expect="higher").pairs == kind


def test_one_sided_margins_are_no_equivalence() -> None:
    def within(**ends: float) -> Claim:
        return Claim(id="a", statement="A.", expect="within", **ends)

    assert within(low=-1, high=1).equivalence
    assert not within(high=1).equivalence
    assert not within(low=-1).equivalence
    assert not within(low=-15, high=-10).equivalence

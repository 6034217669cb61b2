"""The test utterances in intervals: simulated outcomes whose population F1 is known."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

import numpy as np
import pytest

from attrition.analysis.bootstrap import draws_BU
from attrition.analysis.claims import Claim
from attrition.analysis.claims.ask import ask
from attrition.analysis.claims.form import Languages
from attrition.analysis.claims.noise import Needs
from attrition.analysis.evidence import Evidence, RunEvidence, replicates
from attrition.analysis.intervals import Estimate, mean_of_replicates
from attrition.analysis.moderation import per_language
from attrition.analysis.quantities import QUANTITIES
from attrition.analysis.utterances import Utterances
from attrition.metrics.matrix import RMatrix
from attrition.results.counts import RunCounts

OWN = QUANTITIES["own_stage"].function
LANGUAGES = ("de-DE", "en-US", "fr-FR", "zh-CN", "th-TH")


def logistic(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def outcomes(number: int, spans_U: np.ndarray, hard_LU: np.ndarray, sd: float, random: np.random.Generator) -> Evidence:
    """Runs of one model in several orders. A span is found with a chance that the utterance sets, and a little the run."""
    L = len(hard_LU)
    runs, counts = [], {}
    for seed in range(number):
        order = random.permutation(L)
        skill_SL = 1.0 + sd * random.normal(size=(L, L))
        tp = random.binomial(spans_U, logistic(skill_SL[:, :, None] - hard_LU[order]))
        missed = spans_U - tp
        found = RunCounts(tp_SLU=tp, fp_SLU=missed, fn_SLU=missed, measured_SL=np.ones((L, L), dtype=bool))
        R = RMatrix.sequential([LANGUAGES[place] for place in order], found.f1_SL)
        runs.append(RunEvidence(matrix=R, kind="VANILLA", seed=seed))
        counts[R] = partial(_same, found)
    return Evidence(tuple(runs), utterances=Utterances(counts, num_resamples=60))


def _same(found: RunCounts) -> RunCounts:
    return found


def world(random: np.random.Generator, *, number: int = 4, U: int = 150, sd: float = 0.15) -> Evidence:
    """Difficulty is partly an utterance's own, the same in all languages, and the same in all runs."""
    hard_LU = random.normal(size=U) + 1.5 * random.normal(size=(len(LANGUAGES), U))
    return outcomes(number, random.integers(0, 4, U), hard_LU, sd, random)


def population_f1(sd: float) -> float:
    """The mean chance to find a span: spans of an utterance and its difficulty are independent."""
    x, weight = np.polynomial.hermite_e.hermegauss(60)
    return float(weight @ logistic(1.0 + math.sqrt(1 + 1.5**2 + sd**2) * x) / weight.sum())


def test_intervals_hold_the_population_f1_only_with_utterances() -> None:
    random, truth = np.random.default_rng(0), population_f1(0.15)
    held = {"orders only": 0, "with utterances": 0}
    number = 70
    for _ in range(number):
        evidence = world(random)
        assert evidence.utterances is not None
        table = replicates(evidence.runs, OWN)
        extra_L = evidence.utterances.main_variance_L(evidence.runs, OWN)
        for name, added_L in (("orders only", None), ("with utterances", extra_L)):
            held[name] += sum(each.low <= truth <= each.high for each in per_language(table, added_L).values())
    shares = {name: times / (number * len(LANGUAGES)) for name, times in held.items()}
    assert shares["orders only"] < 0.75
    assert 0.92 <= shares["with utterances"] <= 0.98


def test_the_main_variance_is_what_all_runs_share() -> None:
    """Runs that find the same spans share all of the variance; runs that find them independently share none of it."""
    random = np.random.default_rng(1)
    U = 2_000
    alone = outcomes(8, np.ones(U, dtype=int), np.zeros((len(LANGUAGES), U)), 0.0, random)
    alike = outcomes(8, np.ones(U, dtype=int), 50.0 * random.normal(size=(len(LANGUAGES), U)), 0.0, random)
    one, other = (
        np.mean(evidence.utterances.main_variance_L(evidence.runs, OWN)) for evidence in (alone, alike) if evidence.utterances
    )
    whole = 0.25 / U  # of F1 = the share found, near a half where difficulty decides
    assert other == pytest.approx(whole, rel=0.2)
    assert one < 0.1 * logistic(np.array(1.0)) * (1 - logistic(np.array(1.0))) / U


def test_resamples_are_those_of_the_counts() -> None:
    evidence = world(np.random.default_rng(2), number=2, U=30)
    assert evidence.utterances is not None
    R = evidence.runs[0].matrix
    counts = evidence.utterances.counts[R]()
    assert counts is not None
    draw_U = draws_BU(30, 60, seed=0)[7].astype(int)
    tp, wrong = (int((each[3, 1] * draw_U).sum()) for each in (counts.tp_SLU, counts.fp_SLU + counts.fn_SLU))
    assert evidence.utterances.matrix(R, 7).scores_SL[3, 1] == pytest.approx(2 * tp / (2 * tp + wrong))


def test_the_general_way_gives_what_the_way_by_language_gives() -> None:
    evidence = world(np.random.default_rng(3), number=6)
    utterances = evidence.utterances
    assert utterances is not None

    def first(table: Callable[..., object]) -> Estimate:
        return mean_of_replicates(table(evidence.runs, OWN).values_OL[:, 0])  # type: ignore[attr-defined]

    by_language = utterances.main_variance_L(evidence.runs, OWN)
    assert by_language is not None
    assert utterances.main_variance(evidence.runs, first(replicates), first) == pytest.approx(by_language[0], rel=0.15)


def test_nothing_is_added_without_counts_of_all_runs_or_with_unlike_numbers_of_utterances() -> None:
    random = np.random.default_rng(4)
    one, other = world(random, number=2, U=30), world(random, number=2, U=40)
    assert one.utterances is not None
    assert other.utterances is not None
    together = Utterances({**one.utterances.counts, **other.utterances.counts}, num_resamples=5)
    assert together.cover(one.runs)
    assert not together.cover((*one.runs, *other.runs))
    assert not one.utterances.cover((*one.runs, *other.runs))
    assert not one.utterances.cover(())
    assert together.main_variance_L((*one.runs, *other.runs), OWN) is None
    missing = Utterances({run.matrix: lambda: None for run in one.runs})
    assert missing.main_variance_L(one.runs, OWN) is None


@pytest.mark.parametrize("versus_others", [False, True])
def test_claims_carry_the_utterances(versus_others: bool) -> None:
    evidence = world(np.random.default_rng(5), number=5)
    claim = Claim(
        id="x",
        statement="X.",
        expect="higher",
        quantity="own_stage",
        of=Languages(languages=("de-DE",)),
        against="others" if versus_others else None,
    )
    without, found = ask(claim, Evidence(evidence.runs)), ask(claim, evidence)
    assert not isinstance(without, Needs)
    assert not isinstance(found, Needs)
    assert found.value == without.value
    assert found.error**2 == pytest.approx(without.error**2 + found.lasting**2)
    assert found.lasting > 0
    assert found.freedom > without.freedom
    assert without.lasting == 0


@pytest.mark.parametrize("name", QUANTITIES)
def test_every_quantity_has_a_variance_where_it_has_a_value(name: str) -> None:
    evidence = world(np.random.default_rng(6), number=3, U=40)
    assert evidence.utterances is not None
    table = replicates(evidence.runs, QUANTITIES[name].function)
    found_L = evidence.utterances.main_variance_L(evidence.runs, QUANTITIES[name].function)
    assert found_L is not None
    known_L = (~np.isnan(table.values_OL) & (table.weights_OL > 0)).any(axis=0)
    assert np.array_equal(~np.isnan(found_L), known_L)
    assert (found_L[known_L] >= 0).all()

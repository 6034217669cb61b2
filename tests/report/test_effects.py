"""Comparisons of claims on matrices small enough to check by hand."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from numpy.typing import ArrayLike

from attrition.matrix import RMatrix
from attrition.report.claims import Comparison, Evidence, Found, Needs
from attrition.report.comparisons import (
    curve_mean,
    curves_differ,
    fall,
    gap_differs,
    language_differs,
    method_mean,
    models_differ,
    taught_L,
)
from attrition.report.effects import (
    both,
    due_to_position,
    follows_related,
    is_late,
    near,
    pair_effect,
    pairs_differ,
    related,
    stages_differ,
    without,
)
from attrition.results.read import Run, read_results

BEFORE = [0.0, 0.0, 0.0, 0.0]
ORDERS = ("abcd", "dcba")
# Rows in the order of training, columns in the order of the alphabet.
ROWS = (
    [[0.50, 0.10, 0.20, 0.10], [0.40, 0.60, 0.20, 0.20], [0.60, 0.50, 0.70, 0.10], [0.50, 0.40, 0.60, 0.80]],
    [[0.20, 0.10, 0.10, 0.80], [0.40, 0.10, 0.60, 0.70], [0.30, 0.50, 0.50, 0.60], [0.60, 0.50, 0.60, 0.50]],
)
GROUP = {"a": "x", "b": "y", "c": "x", "d": "y"}.__getitem__


def run_of(template: Run, order: str, rows: ArrayLike) -> Run:
    matrix = RMatrix(np.array(rows), tuple("abcd"), tuple((name,) for name in order), np.array(BEFORE))
    spec = template.spec.model_copy(update={"order": template.spec.order.model_copy(update={"languages": tuple(order)})})
    return replace(template, matrix=matrix, spec=spec)


@pytest.fixture(scope="module")
def evidence(simulate: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Evidence:
    """VANILLA over two orders of four languages."""
    folder = simulate.write_study(tmp_path_factory.mktemp("effects"), methods=("VANILLA",), generated=False)
    results = read_results(folder)
    runs = tuple(run_of(results.runs[0], order, rows) for order, rows in zip(ORDERS, ROWS, strict=True))
    return Evidence(replace(results, runs=runs))


def estimate(found: Found) -> float:
    assert isinstance(found, Comparison), found
    return found.over_languages.estimate


def test_pairs_of_a_group_against_the_others(evidence: Evidence) -> None:
    same = related(GROUP)
    found = pairs_differ(evidence, "same minus other", same, without(same), expected=1)
    # First order, before = 0: a on c .2, on b and d .1; b on d .1, on a -.1 and c 0; c on a .2, on b -.1 and d -.1;
    # d on b -.1, on a -.1 and c -.1. Second: d on b .1, on a .2 and c .1; c on a .2, on b 0 and d -.1;
    # b on d -.1, on a -.1 and c -.1; a on c .1, on b 0 and d -.1.
    a = np.mean([0.20 - 0.10, 0.10 + 0.05])
    b = np.mean([0.10 + 0.05, -0.10 + 0.10])
    c = np.mean([0.20 + 0.10, 0.20 + 0.05])
    d = np.mean([-0.10 + 0.10, 0.10 - 0.15])
    assert estimate(found) == pytest.approx(np.mean([a, b, c, d]))


def test_pairs_by_distance(evidence: Evidence) -> None:
    R = evidence.results.runs[0].matrix
    assert near(0.25)(R).sum() == 4 + 6  # each with itself, and neighbours
    assert both(related(GROUP), near(0.25))(R).sum() == 0
    assert both(related(GROUP), near(0.5))(R).sum() == 4


def test_one_pair_by_itself_and_against_the_others(evidence: Evidence) -> None:
    itself, against = pair_effect(evidence, "c", "a")
    assert estimate(itself) == pytest.approx(0.2)
    assert estimate(against) == pytest.approx(np.mean([0.2 - (-0.1), 0.2 - (-0.1), 0.2 - 0.0, 0.2 - (-0.1)]))


def test_late_stages_against_early_ones(evidence: Evidence) -> None:
    assert isinstance(stages_differ(evidence, "bc", "", is_late, "shift_fixed", expected=-1), Needs)  # two of each
    found = stages_differ(evidence, "abcd", "late minus early", is_late, "final", expected=-1)
    # Late: c and d of the first order, b and a of the second.
    assert estimate(found) == pytest.approx(np.mean([0.6, 0.8, 0.5, 0.6]) - np.mean([0.5, 0.4, 0.5, 0.6]))
    assert isinstance(found, Comparison)
    assert found.units == "stages"
    assert found.num_languages == 8


def test_what_a_stage_follows(evidence: Evidence) -> None:
    R = evidence.results.runs[0].matrix
    follows = follows_related({"a": "x", "b": "x", "c": "y", "d": "x"}.__getitem__)
    assert [follows(R, language) for language in "abcd"] == [None, True, False, False]
    found = stages_differ(evidence, "abcd", "after", follows_related(GROUP), "mbt", expected=1)
    assert found == Needs("3 stages of each kind (after; here: 0 and 6)")


def test_one_language_against_the_others(evidence: Evidence) -> None:
    found = language_differs(evidence, "c", "final", expected=1)
    others = [0.6 - np.mean([0.5, 0.4, 0.8]), 0.6 - np.mean([0.6, 0.5, 0.5])]
    assert estimate(found) == pytest.approx(np.mean(others))
    assert isinstance(language_differs(evidence, "c", "final", expected=1, others=["a"]), Needs)
    assert isinstance(language_differs(evidence, "z", "final", expected=1), Needs)


def test_curves_over_the_sequence(evidence: Evidence) -> None:
    falls = [fall(run.matrix) for run in evidence.results.runs]
    # P of the first: .5, .5, .6, .575; of the second: .8, .65, .5333, .55
    assert falls == pytest.approx([-0.025, -0.25])
    assert estimate(curve_mean(evidence, "VANILLA", "fall", expected=-1)) == pytest.approx(np.mean(falls))
    assert curve_mean(evidence, "MULTI", "fall", expected=-1) == Needs("runs of MULTI")
    assert curves_differ(evidence, "VANILLA", "SHARED LoRA", "swing", expected=1) == Needs("runs of SHARED LoRA")


def test_a_fall_between_two_limits(evidence: Evidence) -> None:
    limits = [(2, 30), (30, 40), (0, 2), (5, 30)]  # the runs fell by 2.5 and 25 points
    found = [curve_mean(evidence, "VANILLA", "fall", expected=-1, at_least=low, at_most=high) for low, high in limits]
    outcomes = [each.outcome for each in found if isinstance(each, Comparison)]
    assert outcomes == ["supports", "contradicts", "contradicts", "open"]


def test_what_others_taught(evidence: Evidence) -> None:
    assert taught_L(evidence.results.runs[0].matrix).tolist() == pytest.approx([np.nan, 0.1, 0.2, 0.1], nan_ok=True)
    assert estimate(method_mean(evidence, "VANILLA", "taught", expected=1)) == pytest.approx(
        np.mean([0.3, np.mean([0.1, 0.1]), np.mean([0.2, 0.1]), 0.1])
    )


def test_a_gap_under_two_cuts(evidence: Evidence) -> None:
    runs = evidence.results.runs
    other = [run_of(run, order, np.array(rows) / 2) for run, order, rows in zip(runs, ORDERS, ROWS, strict=True)]
    groups = {"a": "one", "b": "one", "c": "two", "d": "two"}
    found = gap_differs(runs, other, groups, ("one", "two"), "final", expected=1)
    assert estimate(found) == pytest.approx(np.mean([(0.45 - 0.70) / 2, (0.55 - 0.55) / 2]))


def test_positions_need_three_orders(evidence: Evidence) -> None:
    assert isinstance(due_to_position(evidence, "b", scope="fixed", expected=1), Needs)


def test_an_effect_that_is_all_position_is_seen_as_such(simulate: ModuleType, tmp_path: Path) -> None:
    """Each stage costs every language .02 times the log of the number of languages learned before, whatever is trained."""
    results = read_results(simulate.write_study(tmp_path, methods=("VANILLA",), generated=False))
    orders = ("abcd", "bcda", "cdab", "dabc", "acbd")
    P = 0.5 - 0.02 * np.cumsum([0, np.log(1), np.log(2), np.log(3)])
    rows = np.repeat(P[:, None], 4, axis=1)
    runs = tuple(run_of(results.runs[0], order, rows) for order in orders)
    # d was learned after 3, 2, 1 and 3 languages (the first has no shift); five stages each come after 1, 2 and 3.
    mean = np.log([3, 2, 1, 3]).mean() - np.log([1, 2, 3]).mean()
    for scope in ("fixed", "growing"):
        found = due_to_position(Evidence(replace(results, runs=runs)), "d", scope=scope, expected=-1)  # type: ignore[arg-type]
        assert isinstance(found, Comparison)
        assert found.over_runs.estimate == pytest.approx(-0.02 * mean)
        assert found.over_runs.low <= found.over_runs.estimate <= found.over_runs.high


def test_the_papers_two_models_are_known_by_name(simulate: ModuleType, tmp_path: Path) -> None:
    models = ("hub:xlm-roberta-base", "hub:intfloat/multilingual-e5-large-instruct")
    study = simulate.write_study(tmp_path, num_orders=2, models=models, generated=False)
    by_model = Evidence(read_results(study)).by_model()
    assert list(by_model) == sorted(models)
    found = models_differ(by_model[models[0]], by_model[models[1]], ("XLM-R", "E5"), "VANILLA", expected=-1)
    assert estimate(found) == pytest.approx(0.0)  # the simulated world knows nothing of models
    assert found.words().startswith("VANILLA, final F1, XLM-R minus E5: 0.0 points") if isinstance(found, Comparison) else False

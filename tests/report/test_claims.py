from __future__ import annotations

import math
from pathlib import Path
from types import ModuleType
from typing import Literal

import pytest

from attrition.analysis.bootstrap import Interval
from attrition.report.claims import Claim, Comparison, Evidence, Needs
from attrition.report.comparisons import methods_differ
from attrition.report.paper_claims import CLAIMS, paper_claims
from attrition.results.read import read_results

NAN = math.nan


def interval(low: float, high: float) -> Interval:
    return Interval(estimate=(low + high) / 2, low=low, high=high, level=0.95, num_resamples=1000, p_value=0.5)


def comparison(
    low: float, high: float, runs: tuple[float, float] = (NAN, NAN), expected: Literal[-1, 1] = 1, small: bool = False
) -> Comparison:
    return Comparison(
        what="A minus B",
        over_languages=interval(low, high),
        over_runs=interval(*runs),
        num_languages=5,
        num_runs=2,
        expected=expected,
        at_least=-math.inf if small else 0.0,
        at_most=1.0 if small else math.inf,
    )


@pytest.mark.parametrize(
    ("found", "outcome"),
    [
        (comparison(0.01, 0.02), "supports"),
        (comparison(-0.02, -0.01), "contradicts"),
        (comparison(-0.02, -0.01, expected=-1), "supports"),
        (comparison(-0.01, 0.01), "open"),
        (comparison(0.01, 0.02, runs=(-0.01, 0.01)), "open"),
        (comparison(0.01, 0.02, runs=(0.01, 0.03)), "supports"),
        (comparison(NAN, NAN), "open"),
        (comparison(-0.02, 0.009, small=True), "supports"),
        (comparison(0.005, 0.015, small=True), "open"),
        (comparison(0.011, 0.015, small=True), "contradicts"),
    ],
)
def test_a_comparison_decides_only_where_its_intervals_do(found: Comparison, outcome: str) -> None:
    assert found.outcome == outcome


@pytest.mark.parametrize(
    ("found", "verdict"),
    [
        ((comparison(0.01, 0.02), comparison(0.01, 0.02)), "Supported"),
        ((comparison(0.01, 0.02), comparison(-0.01, 0.02)), "Partly supported"),
        ((comparison(0.01, 0.02), comparison(-0.02, -0.01)), "Mixed"),
        ((comparison(-0.02, -0.01), comparison(-0.01, 0.02)), "Partly contradicted"),
        ((comparison(-0.02, -0.01),), "Contradicted"),
        ((comparison(-0.02, 0.01),), "Not decided"),
        ((comparison(0.01, 0.02), Needs("more")), "Not decided"),
        ((), "Not decided"),
    ],
)
def test_a_verdict_follows_its_comparisons(found: tuple[Comparison | Needs, ...], verdict: str) -> None:
    assert Claim(title="", section="4", found=found).verdict == verdict


def test_the_words_hold_the_statistic_and_its_intervals() -> None:
    words = Claim(title="", section="4", found=(comparison(-0.02, 0.01, runs=(-0.03, 0.02)), Needs("more runs"))).words
    assert "A minus B: −0.5 points (95% over 5 languages −2.0 to +1.0, over 2 runs −3.0 to +2.0)." in words
    assert words.endswith("Needs more runs.")


@pytest.fixture(scope="module")
def verdicts(simulate: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Claim]:
    better = simulate.FakeMethod("SHARED LoRA", rank=64, ceiling=0.73, takes=1.7)
    methods = ("MULTI", "VANILLA", "SHARED LoRA", better, "NON-SHARED LoRA")
    folder = simulate.write_study(
        tmp_path_factory.mktemp("claims"), num_languages=52, num_orders=3, methods=methods, generated=False
    )
    return {claim.title: claim for claim in paper_claims(read_results(folder))}


def test_what_the_simulated_world_was_made_to_do_is_found(verdicts: dict[str, Claim]) -> None:
    for title in (
        "MULTI ends above every other method",
        "Sequential learning forgets",
        "SHARED LoRA forgets more than VANILLA",
        "Training Chinese and Japanese costs more than training the others, in the growing and in the fixed scope",
        "Languages in non-Latin scripts lose more",
        "A higher LoRA rank does not substantially improve F1",
    ):
        assert verdicts[title].verdict == "Supported", verdicts[title].words


def test_what_the_world_knows_nothing_of_is_not_supported(verdicts: dict[str, Claim]) -> None:
    germanic = verdicts["Germanic languages are stronger donors and more reliable receivers than the others"]
    assert germanic.verdict != "Supported", germanic.words
    assert verdicts["Both models degrade in sequential learning"].words == "Needs the same study with a second model."


def test_nothing_is_decided_on_a_generated_corpus(study: Path) -> None:
    claims = paper_claims(read_results(study))
    assert len(claims) == len(CLAIMS) > 15
    assert {claim.verdict for claim in claims} == {"Not decided"}
    assert {claim.words for claim in claims} == {"Needs a corpus of real language: this one is generated."}


def test_one_order_decides_nothing_that_depends_on_it(simulate: ModuleType, tmp_path: Path) -> None:
    simulate.write_study(tmp_path, num_languages=12, generated=False)
    claims = {claim.title: claim for claim in paper_claims(read_results(tmp_path))}
    assert {claim.verdict for claim in claims.values() if claim.section.startswith("5.1")} == {"Not decided"}
    assert claims["Sequential learning forgets"].words == "Needs a second order or seed."


def test_no_runs_of_a_method_is_said(simulate: ModuleType, tmp_path: Path) -> None:
    simulate.write_study(tmp_path, methods=("VANILLA",), num_orders=2, generated=False)
    evidence = Evidence(read_results(tmp_path))
    assert methods_differ(evidence, "MULTI", "VANILLA", "final") == Needs("runs of MULTI")


def test_both_cuts_into_words_are_compared_where_both_were_run(simulate: ModuleType, tmp_path: Path) -> None:
    for number, cuts in enumerate(({"th-TH": "blanks"}, {"th-TH": "characters", "en-US": "blanks"})):
        simulate.write_study(
            tmp_path / str(number), num_languages=12, num_orders=2, methods=("VANILLA",), generated=False, cuts=cuts
        )
    results = read_results(tmp_path / "0", beside=[tmp_path / "1"])
    assert len(results.series) == 2
    (claim,) = [
        claim
        for claim in paper_claims(results)
        if claim.title == "Languages in non-Latin scripts lose more under either cut into words"
    ]
    assert len(claim.found) == 2
    assert all(isinstance(found, Comparison) for found in claim.found)


def test_methods_of_two_models_are_never_compared(simulate: ModuleType, tmp_path: Path) -> None:
    """The second model has a method that the study itself has not: claims about the study say that it is missing."""
    simulate.write_study(
        tmp_path / "0", num_languages=8, num_orders=2, methods=("MULTI", "VANILLA", "NON-SHARED LoRA"), generated=False
    )
    simulate.write_study(
        tmp_path / "1", num_languages=8, num_orders=2, methods=("SHARED LoRA",), generated=False, models=("a-second-model",)
    )
    evidence = Evidence(read_results(tmp_path / "0", beside=[tmp_path / "1"]))
    assert methods_differ(evidence, "VANILLA", "SHARED LoRA", "final") == Needs("runs of SHARED LoRA")
    assert evidence.ranks("SHARED LoRA") == []
    assert {run.spec.model.name for run in evidence.by_model()["a-second-model"].of("SHARED LoRA")} == {"a-second-model"}


def test_a_method_without_orders_is_compared_with_every_order_of_another(simulate: ModuleType, tmp_path: Path) -> None:
    """A joint run may record the languages of one of the orders; that does not make it a partner of that order alone."""
    simulate.write_study(tmp_path, methods=("VANILLA",), num_orders=3, generated=False)
    simulate.write_run(tmp_path, simulate.METHODS["MULTI"], "joint", simulate.PAPER_1.split()[:4], generated=False)
    found = methods_differ(Evidence(read_results(tmp_path)), "MULTI", "VANILLA", "final")
    assert isinstance(found, Comparison)
    assert found.num_runs == 3


def test_small_numbers_show_their_side_of_zero() -> None:
    assert "−0.02 to +0.04" in Claim(title="", section="4", found=(comparison(-0.0002, 0.0004),)).words
    assert " 0.0 points" in Claim(title="", section="4", found=(comparison(-0.01, 0.01),)).words

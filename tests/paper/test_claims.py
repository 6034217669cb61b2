"""The paper's claims as data, and the verdicts on them in simulated worlds whose truth is known."""

from __future__ import annotations

import re
from collections import Counter
from importlib import resources
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from attrition.analysis.claims import Judged, judge_all
from attrition.analysis.evidence import from_results
from attrition.languages import LANGUAGES
from attrition.languages.orders import PAPER_ORDERS
from attrition.paper import paper_claims
from attrition.paper.claims import paper_claims as again
from attrition.results.read import read_results

CLAIMS = {claim.id: claim for claim in paper_claims()}
METHODS = ("MULTI", "VANILLA", "SHARED LoRA", "NON-SHARED LoRA")


def judged(folder: Path, *beside: Path) -> dict[str, Judged]:
    verdicts = judge_all(paper_claims(), from_results(read_results(folder, beside)))
    return {each.claim.id: each for each in verdicts}


def test_every_section_with_claims_is_covered() -> None:
    counts = Counter(claim.section for claim in CLAIMS.values())
    assert set(counts) == {"4", "5.1", "5.2", "5.3", "5.4", "A.1", "A.2"}
    assert len(CLAIMS) == len(paper_claims()) >= 60
    assert again() is paper_claims()  # parsed once


def test_ids_begin_with_their_section_and_statements_are_sentences() -> None:
    for claim in CLAIMS.values():
        assert re.fullmatch(rf"{re.escape(claim.section)}-[a-z0-9-]+", claim.id)
        assert re.fullmatch(r"[A-Za-z].*\.", claim.statement), claim.id
        assert len(claim.statement) <= 120, claim.id
        assert claim.statement.isascii(), claim.id
    statements = Counter(claim.statement for claim in CLAIMS.values())
    assert [statement for statement, times in statements.items() if times > 1] == []


def test_no_two_claims_are_one_contrast() -> None:
    forms = Counter(
        claim.model_dump_json(exclude={"id", "statement", "section", "note", "expect", "low", "high"})
        for claim in CLAIMS.values()
    )
    # "No substantial gain" and "within a band of two points" are two statements on one number.
    assert sum(times - 1 for times in forms.values()) == 1


def test_languages_and_groups_that_are_named_exist() -> None:
    for claim in CLAIMS.values():
        for chosen in (claim.of, claim.against):
            if chosen is not None and not isinstance(chosen, str):
                assert set(chosen.languages or ()) <= set(LANGUAGES), claim.id
                assert chosen.among(LANGUAGES), claim.id
        assert set(claim.pair or ()) <= set(LANGUAGES)


def test_what_a_formula_measures_without_any_transfer_is_not_what_a_claim_is_decided_by() -> None:
    assert not {"mbt", "mft", "shift_growing"} & {claim.quantity for claim in CLAIMS.values()}


def test_margins_of_small_differences_are_stated() -> None:
    for claim in CLAIMS.values():
        if claim.expect == "within" and (claim.equivalence or np.inf in (-claim.low, claim.high)):
            assert re.search(r"[Mm]argin|level|points", claim.note), claim.id


def test_the_destructive_languages_end_order_5() -> None:
    destructive = set(CLAIMS["A.1-late"].of.languages)  # type: ignore[union-attr, arg-type]
    assert destructive < set(PAPER_ORDERS["paper-5"].locales[-6:])


def test_each_part_says_which_sentences_give_no_claim() -> None:
    text = resources.files("attrition.paper").joinpath("claims.toml").read_text(encoding="utf-8")
    for part in ("Section 4", "Section 5.1", "Section 5.2", "Section 5.3", "Section 5.4", "Appendix A.1", "Appendix A.2"):
        assert f"# {part}" in text
    assert text.count("No claim") >= 8


@pytest.fixture(scope="module")
def verdicts(simulate: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Judged]:
    """All claims in a world where Chinese and Japanese destroy, scripts matter, families do not, and ranks do not."""
    better = simulate.FakeMethod("SHARED LoRA", rank=64, ceiling=0.73, takes=1.7)
    folder = tmp_path_factory.mktemp("claims")
    simulate.write_study(folder, num_languages=30, num_orders=6, methods=(*METHODS, better), generated=False)
    return judged(folder)


@pytest.mark.parametrize(
    "claim",
    [
        "4-multi-shared",
        "4-shared-non-shared",
        "4-vanilla-forgets",
        "4-shared-forgets-more",
        "4-zh-cost",
        "4-zh-shift",
        "4-rank-shared",
        "4-steady-shared",
        "5.1-cjk-cost",
        "5.2-same-script",
        "A.2-own-gain",
    ],
)
def test_what_the_simulated_world_was_made_to_do_is_supported(verdicts: dict[str, Judged], claim: str) -> None:
    assert verdicts[claim].verdict == "supported", verdicts[claim].words()


def test_a_small_difference_is_equivalent(verdicts: dict[str, Judged]) -> None:
    assert verdicts["4-rank-transfer-band"].verdict == "equivalent", verdicts["4-rank-transfer-band"].words()


def test_what_the_world_does_the_other_way_is_contradicted(verdicts: dict[str, Judged]) -> None:
    """In this world training zh-CN lowers every language of a non-Latin script, ja-JP too."""
    assert verdicts["A.2-zh-ja"].verdict == "contradicted", verdicts["A.2-zh-ja"].words()


def test_what_the_world_knows_nothing_of_is_not_supported(verdicts: dict[str, Judged]) -> None:
    for claim in ("5.3-family-across", "5.3-germanic-mft", "5.3-romance-near"):
        assert verdicts[claim].verdict in ("undecided", "contradicted", "needs"), verdicts[claim].words()


def test_what_was_not_run_is_needed(verdicts: dict[str, Judged]) -> None:
    assert verdicts["4-multi-mono"].words() == "Needs runs of MONO."
    assert verdicts["4-e5-vanilla-forgets"].verdict == "needs"
    assert verdicts["5.2-blanks"].verdict == "needs"


def test_one_order_decides_nothing_that_depends_on_it(simulate: ModuleType, tmp_path: Path) -> None:
    simulate.write_study(tmp_path, num_languages=16, methods=METHODS, generated=False)
    asked = [each.claim for each in judged(tmp_path).values() if each.verdict != "needs"]
    # What is left rests on methods whose result does not depend on the order.
    free = {"MULTI", "NON-SHARED LoRA"}
    assert {claim.runs.method for claim in asked} | {claim.versus.method for claim in asked if claim.versus} <= free


def test_nothing_is_asked_of_a_generated_corpus(study: Path) -> None:
    found = judged(study)
    assert {each.words() for each in found.values()} == {"Needs a corpus of real language: this one is generated."}


def test_both_cuts_are_asked_where_both_were_run(simulate: ModuleType, tmp_path: Path) -> None:
    for number, cuts in enumerate(({"th-TH": "blanks"}, {"th-TH": "characters"})):
        simulate.write_study(
            tmp_path / str(number), num_languages=12, num_orders=5, methods=("VANILLA",), generated=False, cuts=cuts
        )
    found = judged(tmp_path / "0", tmp_path / "1")
    assert {found[name].verdict for name in ("5.2-latin-kept-blanks", "5.2-latin-kept-other", "5.2-blanks")}.isdisjoint(
        {"needs"}
    )
    # The two studies have equal numbers, so the cut changes nothing.
    assert found["5.2-blanks"].found.value == 0  # type: ignore[union-attr]


def test_both_models_are_asked_where_both_were_run(simulate: ModuleType, tmp_path: Path) -> None:
    models = ("hub:xlm-roberta-base", "hub:intfloat/multilingual-e5-large-instruct")
    simulate.write_study(tmp_path, num_languages=8, num_orders=5, methods=METHODS, models=models, generated=False)
    found = judged(tmp_path)
    for name in ("4-e5-vanilla-shared", "4-e5-shared-forgets", "4-xlm-e5-vanilla", "4-xlm-e5-shared", "4-multi-73"):
        assert found[name].verdict != "needs", found[name].words()
    assert found["4-e5-shared-forgets"].verdict == "supported"

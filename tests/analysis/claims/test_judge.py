"""Verdicts: what is supported, contradicted, equivalent or undecided in worlds whose truth is known, and how often falsely."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest
from scipy import stats

from attrition.analysis.claims import Claim, judge_all
from attrition.analysis.claims.ask import ask
from attrition.analysis.claims.form import Languages, Runs, parse_claims
from attrition.analysis.claims.judge import benjamini_hochberg
from attrition.analysis.claims.needs import Needs
from attrition.analysis.evidence import Evidence, RunEvidence, from_matrices
from attrition.analysis.worlds import NULL_WORLDS, locales, world
from attrition.metrics.matrix import RMatrix
from attrition.names import AttritionError
from attrition.results.spec import Setup

LATIN = Languages(latin=True)


def claim(name: str = "a", **settings: object) -> Claim:
    return Claim.model_validate({"id": name, "statement": "A claim.", "expect": "higher"} | settings)


def mixed(number: int) -> tuple[Claim, ...]:
    """Claims of every kind of contrast on languages."""
    made = [
        claim("latin", quantity="donor_learned", of=LATIN, against="others"),
        claim("latin-keeps", quantity="kept", of=LATIN, against="others"),
        claim("cjk", quantity="shift_fixed", of=Languages(languages=("zh-CN", "ja-JP")), against="others", expect="lower"),
        claim("cjk-mbt", quantity="mbt_transfer", of=Languages(languages=("zh-CN", "ja-JP")), against="others", expect="lower"),
        claim("german", quantity="donor", of=Languages(languages=("de-DE",)), against="others"),
        claim("pair", pair=("zh-CN", "ja-JP"), against="others", quantity="donor"),
        claim("script", pairs="same script", quantity="donor"),
        claim("late", quantity="shift_fixed", of=Languages(languages=("zh-CN", "ja-JP")), stages="late", expect="lower"),
        claim("vitality", quantity="receiver_learned", of=Languages(vitality="High"), against=Languages(vitality="Mid")),
        claim("romance", quantity="mft_transfer", of=Languages(branch="Romance"), against="others"),
    ]
    return tuple(made[:number])


def verdicts(claims: Sequence[Claim], matrices: Sequence[RMatrix]) -> dict[str, str]:
    return {judged.claim.id: judged.verdict for judged in judge_all(claims, from_matrices(matrices))}


@pytest.mark.parametrize("name", NULL_WORLDS)
def test_null_worlds_get_a_verdict_no_more_than_five_in_a_hundred(name: str) -> None:
    """With 60 worlds, seven or more false ones have a probability below 4% where the true rate is 5%."""
    claims = mixed(7) if name == "position" else mixed(10)  # late stages do differ where position matters
    languages = locales(16)
    false = sum(
        any(
            verdict not in ("undecided", "needs")
            for verdict in verdicts(claims, world(name, languages, seed).runs(5, seed)).values()
        )
        for seed in range(60)
    )
    assert false <= 6
    assert stats.binom.sf(6, 60, 0.05) < 0.05


def test_a_true_donor_is_found_and_a_false_claim_contradicted() -> None:
    languages = locales(16)
    made = world("nothing", languages, 0)
    donor = np.where(np.array(languages) == "de-DE", 4.0, 0.0)
    matrices = type(made)(**(made.__dict__ | {"donor_L": donor})).runs(6, seed=3)
    german = Languages(languages=("de-DE",))
    found = verdicts(
        [
            claim("true", quantity="donor", of=german, against="others"),
            claim("false", quantity="donor", of=german, against="others", expect="lower"),
            claim("small", quantity="donor", of=german, against="others", expect="within", low=-1, high=1),
            claim("same", quantity="own_stage", of=LATIN, against="others", expect="within", low=-3, high=3),
        ],
        matrices,
    )
    assert found == {"true": "supported", "false": "contradicted", "small": "contradicted", "same": "equivalent"}


def test_fewer_than_five_orders_decide_nothing_that_depends_on_them() -> None:
    matrices = world("donors", locales(16), 0).runs(4, seed=0)
    assert set(verdicts(mixed(10), matrices).values()) == {"needs"}
    (judged,) = judge_all([claim(of=LATIN, against="others")], from_matrices(matrices))
    assert judged.needs == "5 orders of VANILLA (or SHARED LoRA), here 4"


def test_copies_of_an_order_do_not_make_five() -> None:
    matrices = world("donors", locales(16), 0).runs(1, seed=0)
    assert set(verdicts(mixed(10), matrices * 6).values()) == {"needs"}


def test_what_is_undecided_says_how_many_orders_would_decide() -> None:
    made = world("nothing", locales(16), 0)
    donor = np.where(np.array(made.languages) == "de-DE", 0.5, 0.0)
    matrices = type(made)(**(made.__dict__ | {"donor_L": donor})).runs(5, seed=2)
    (judged,) = judge_all(
        [claim(quantity="donor", of=Languages(languages=("de-DE",)), against="others")], from_matrices(matrices)
    )
    assert judged.verdict == "undecided"
    assert "orders" in judged.needs


def test_one_joint_run_is_compared_with_the_noise_of_runs_in_it() -> None:
    """MULTI, run once, against VANILLA in five orders: the interval holds the run-to-run noise of both."""
    languages = locales(12)
    vanilla = world("nothing", languages, 0).runs(5, seed=0)
    runs = [RunEvidence(matrix=R, kind="VANILLA", seed=seed) for seed, R in enumerate(vanilla)]
    joint = RMatrix(np.full((1, 12), 0.70), languages, (languages,))
    once = RunEvidence(matrix=joint, kind="MULTI", order_matters=False)
    asked = claim(quantity="final", runs=Runs(method="MULTI"), versus=Runs(method="VANILLA"))
    found = ask(asked, Evidence((*runs, once)))
    assert not isinstance(found, Needs)
    spread = np.std([100 * np.mean(R.scores_SL[-1]) for R in vanilla], ddof=1)
    assert found.error > spread
    mono = claim(quantity="final", runs=Runs(method="MULTI"), versus=Runs(method="MONO"))
    alone = RunEvidence(matrix=RMatrix(np.full((1, 12), 0.60), languages, (languages,)), kind="MONO", order_matters=False)
    lacking = ask(mono, Evidence((once, alone)))
    assert isinstance(lacking, Needs)
    assert "second seed of MULTI" in lacking.what


def test_groupings_are_never_mixed() -> None:
    """Adapters by script lose 2 points, those by family 8; a claim on one of them does not read the other."""
    languages = locales(12)

    def runs(shared_by: str, lost: float) -> list[RunEvidence]:
        made = []
        for seed in range(5):
            order = tuple(np.random.default_rng(seed).permutation(languages).tolist())
            learned_SL = np.tri(12)
            scores_SL = 0.5 + 0.001 * seed * learned_SL - lost * np.tri(12, k=-1)
            made.append(RunEvidence(matrix=RMatrix.sequential(order, scores_SL), kind="GROUPED LoRA", shared_by=shared_by))
        return made

    evidence = Evidence((*runs("script", 0.02), *runs("family", 0.08), *runs("script", 0.02)[:1]))
    for shared_by, lost in (("script", -2), ("family", -8), (None, -2)):
        found = ask(claim(quantity="kept", runs=Runs(method="GROUPED LoRA", shared_by=shared_by)), evidence)
        assert not isinstance(found, Needs)
        assert found.value == pytest.approx(lost)
    lacking = ask(claim(runs=Runs(method="GROUPED LoRA", shared_by="branch")), evidence)
    assert lacking == Needs("runs of GROUPED LoRA by branch")


@pytest.mark.parametrize(
    ("cuts", "fits"),
    [("", {"blanks"}), ("ja-JP characters, th-TH graphemes", {"other"}), ("ja-JP characters, zh-CN characters", set())],
)
def test_a_cut_is_one_of_thai_khmer_or_burmese(cuts: str, fits: set[str]) -> None:
    """MASSIVE's own cut has characters in Japanese and Chinese, and blanks in Thai: it is neither."""
    languages = locales(12)
    matrices = world("nothing", languages, 0).runs(5, seed=0)
    runs = tuple(RunEvidence(matrix=R, kind="VANILLA", setup=Setup("m", "c", cuts)) for R in matrices)
    asked = {each: ask(claim(runs=Runs(cuts=each)), Evidence(runs)) for each in ("blanks", "other")}  # type: ignore[arg-type]
    assert {each for each, found in asked.items() if not isinstance(found, Needs)} == fits


def test_benjamini_hochberg_is_scipys_without_the_unasked() -> None:
    p = np.array([0.001, math.nan, 0.2, 0.03, 0.04])
    found = benjamini_hochberg(p)
    assert math.isnan(found[1])
    np.testing.assert_allclose(found[~np.isnan(p)], stats.false_discovery_control(p[~np.isnan(p)]))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('quantity = "doner"\nexpect = "higher"', "Did you mean 'donor'"),
        ('expect = "within"', "needs low and high"),
        ('expect = "within"\nlow = 2\nhigh = 1', "low = 2 is not below high = 1"),
        ('expect = "higher"\nlow = 2', "belong to expect"),
        ('expect = "higher"\nagainst = "others"', "against needs of"),
        ('expect = "higher"\nof = { latin = true, script = "Latn" }', "exactly one"),
        ('expect = "higher"\nquantitty = "donor"', "Did you mean 'quantity'"),
        ('expect = "higher"\npairs = "same brunch"', "Did you mean 'same branch'"),
    ],
)
def test_a_malformed_claim_is_answered_with_its_place(text: str, said: str) -> None:
    with pytest.raises(AttritionError, match=r"mine\.toml, claim 'x'") as caught:
        parse_claims(f'[[claims]]\nid = "x"\nstatement = "X."\n{text}', "mine.toml")
    assert said in str(caught.value)


def test_two_claims_of_one_id_are_refused() -> None:
    one = '[[claims]]\nid = "x"\nstatement = "X."\nexpect = "higher"\n'
    with pytest.raises(AttritionError, match="two claims have the id 'x'"):
        parse_claims(one + one, "mine.toml")

"""Everything concluded at once: the promised keys, one order, nothing learned, and a planted donor found."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from types import ModuleType

import numpy as np
import pytest

from attrition.analysis.analyse import SHOWN, analyse
from attrition.analysis.evidence import Evidence, RunEvidence, from_matrices, seeds_averaged
from attrition.analysis.position import position_effect
from attrition.analysis.worlds import locales, world
from attrition.metrics import donor, donor_learned, mbt, receiver_learned
from attrition.metrics.matrix import RMatrix
from attrition.names import AttritionError
from attrition.paper.claims import paper_claims
from attrition.results.covariates import Covariates
from attrition.results.spec import Setup

LANGUAGES = locales(12)


@pytest.fixture(scope="module")
def matrices() -> tuple[RMatrix, ...]:
    return world("destructive", LANGUAGES, 0).runs(5, seed=0)


def told(matrices: Sequence[RMatrix]) -> dict[str, object]:
    found = analyse(from_matrices(matrices), paper_claims()).as_dict()
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    return found


def test_every_promised_key_is_there(matrices: tuple[RMatrix, ...]) -> None:
    found = told(matrices)
    assert set(found) >= {"languages", "null", "reliability", "effects", "claims", "design"}
    assert set(found["languages"]) == set(LANGUAGES)
    for each in found["languages"].values():
        assert set(each) >= {*SHOWN, "p_worst", "p_best"}
        for name in SHOWN:
            assert each[name]["low"] < each[name]["estimate"] < each[name]["high"]
    for key in ("mbt", "mft", "p_avg"):
        assert set(found["null"][key]) == set(LANGUAGES)
        assert set(found["null"][f"{key}_difference"]["zh-CN"]) == {"estimate", "low", "high"}
    assert set(found["reliability"]["donor"]) == {"icc", "low", "high", "rank_agreement", "num_replicates", "of_mean"}
    assert set(found["effects"]["same_script"]) >= {"estimate", "low", "high", "p", "p_adjusted", "alone"}
    for each in found["claims"]:
        assert set(each) >= {"id", "statement", "verdict", "estimate", "low", "high", "p", "p_adjusted", "needs"}
        assert each["verdict"] in {"supported", "contradicted", "equivalent", "undecided", "needs"}
    assert found["design"] | {"balanced": False, "largest_imbalance": 0} == {
        "method": "given matrices", "orders": 5, "seeds": 1, "languages": 12, "balanced": False, "largest_imbalance": 0,
    }  # fmt: skip


def test_estimates_are_the_metrics_in_points(matrices: tuple[RMatrix, ...]) -> None:
    found = told(matrices)
    for name, metric in (("donor", donor), ("donor_learned", donor_learned), ("receiver_learned", receiver_learned)):
        for language, value in metric(matrices).as_dict().items():
            assert found["languages"][language][name]["estimate"] == pytest.approx(100 * value), (name, language)
    # MBT of a language is the mean over orders of the mean over hops; literal = null + difference.
    language = "zh-CN"
    literal = np.mean([np.nanmean(mbt(R)[language]) for R in matrices if R.order[0] != language])
    null = found["null"]
    assert null["mbt_literal"][language] == pytest.approx(100 * literal)
    assert null["mbt"][language] + null["mbt_difference"][language]["estimate"] == pytest.approx(100 * literal)


def test_the_destructive_languages_are_the_worst_donors(matrices: tuple[RMatrix, ...]) -> None:
    found = told(matrices)
    worst = {language: each["p_worst"] for language, each in found["languages"].items()}
    assert sum(worst[language] for language in ("zh-CN", "ja-JP", "zh-TW")) > 0.99
    assert found["languages"]["zh-CN"]["donor_learned"]["high"] < 0
    assert found["reliability"]["donor_learned"]["icc"] > 0.5
    verdicts = {each["id"]: each["verdict"] for each in found["claims"]}
    assert verdicts["5.1-cjk-cost"] == "supported"


def test_one_order_has_estimates_and_says_what_cannot_be_known(matrices: tuple[RMatrix, ...]) -> None:
    found = told(matrices[:1])
    assert any("One order" in note for note in found["notes"])
    some = found["languages"][matrices[0].order[3]]
    assert some["donor"]["estimate"] is not None
    assert (some["donor"]["low"], some["p_worst"]) == (None, None)
    assert {each["verdict"] for each in found["claims"]} == {"needs"}


def test_languages_of_no_table_are_analysed_too() -> None:
    renamed = dict(zip(LANGUAGES, (f"lang{number}" for number in range(12)), strict=True))
    strangers = [
        RMatrix.sequential([renamed[name] for name in R.order], R.scores_SL) for R in world("nothing", LANGUAGES, 0).runs(5, 0)
    ]
    found = told(strangers)
    assert found["languages"]["lang3"]["donor"]["low"] is not None
    assert found["effects"].keys() <= {"log_num_learned"}


def test_where_nothing_was_learned_it_says_so() -> None:
    nothing = [RMatrix.sequential(order, np.full((3, 3), 0.02)) for order in ("abc", "bca")]
    assert any("ext to nothing was learned" in note for note in told(nothing)["notes"])


def test_runs_with_other_settings_are_left_out_and_counted(matrices: tuple[RMatrix, ...]) -> None:
    failed = RMatrix.sequential("abc", np.zeros((3, 3)))
    fast, slow = (("training.learning_rate", "0.002"),), (("training.learning_rate", "0.001"),)
    few = [RunEvidence(matrix=failed, kind="VANILLA", training=fast)]
    many = [RunEvidence(matrix=R, kind="VANILLA", training=slow) for R in matrices]
    found = analyse(Evidence((*few, *many)), scopes=())
    assert "a" not in found.languages
    (note,) = (each for each in found.notes if "other settings" in each)
    assert note.startswith(f"1 run of VANILLA with other settings left out. Analysed: {len(matrices)} runs")
    (note,) = (each for each in found.notes if "failed training" in each)
    assert "in 3 of 3 stages" in note


def test_joint_training_alone_is_refused() -> None:
    joint = RMatrix([[0.5, 0.5]], ("a", "b"), (("a", "b"),))
    with pytest.raises(AttritionError, match="No run trains one language after another"):
        analyse(from_matrices([joint]))


def test_a_language_more_in_one_order_is_no_obstacle(matrices: tuple[RMatrix, ...]) -> None:
    shorter = RMatrix.sequential(matrices[0].order[:8], matrices[0].scores_SL[:8, :8])
    found = told([shorter, *matrices[1:]])
    assert found["design"]["languages"] == 12


def test_covariates_of_the_folder_and_of_the_user_stand_together(matrices: tuple[RMatrix, ...]) -> None:
    vowels = {name: float(place % 5) for place, name in enumerate(LANGUAGES)}
    stored = Covariates({"fertility": {name: 1 + len(name) + place**2 for place, name in enumerate(LANGUAGES)}, "v": vowels})
    given = from_matrices(matrices)
    evidence = replace(given, covariates={given.runs[0].setup: stored, Setup("another model"): Covariates({"no": vowels})})
    far = {(a, b): float(ord(a[0]) * ord(b[1]) % 7) for a in LANGUAGES for b in LANGUAGES}
    found = analyse(evidence, extra_language={"v": {}}, extra_pair={"far": far}, scopes=["learned"]).as_dict()
    assert {"donor_fertility", "receiver_fertility", "far", "same_script"} <= set(found["effects"])
    assert not {"donor_v", "donor_no"} & set(found["effects"])
    assert (
        "donor_v was left out: it is not known for every language or pair of the table." in found["model"]["learned"]["notes"]
    )
    assert not {"donor_fertility", "far"} & set(analyse(given, scopes=["learned"]).as_dict()["effects"])


def test_hops_and_position_are_told(matrices: tuple[RMatrix, ...]) -> None:
    found = told(matrices)
    for metric in ("mbt", "mft"):
        hops = found["hops"][metric]
        assert hops["hops"] == len(hops["balanced"]["overall"]) == 6
        assert {each["cells"] for each in hops["balanced"]["overall"]} == {5 * 6}
        assert all(each["low"] < each["estimate"] < each["high"] for each in hops["literal"]["overall"])
    expected = position_effect(matrices)
    position = found["position"]
    assert position["pooled"]["estimate"] == pytest.approx(100 * expected.slope.value)
    assert position["over_orders"]["low"] == pytest.approx(100 * expected.slope_over_orders.low)
    assert position["languages"]["zh-CN"]["estimate"] == pytest.approx(100 * expected.by_language["zh-CN"].value)
    alone = told(matrices[:1])
    assert alone["position"]["pooled"]["estimate"] is None
    assert alone["hops"]["mbt"]["balanced"]["overall"][0]["low"] is None


def test_seeds_of_one_order_count_once_for_the_position(matrices: tuple[RMatrix, ...]) -> None:
    again = [RMatrix(np.clip(R.scores_SL + 0.01, 0, 1), R.languages, R.trained) for R in matrices]
    one, two = (position_effect(seeds_averaged(from_matrices(each).runs)) for each in (matrices, [*matrices, *again]))
    assert two.slope_over_orders.num_observations == one.slope_over_orders.num_observations
    assert two.slope_over_orders.low == pytest.approx(one.slope_over_orders.low, rel=0.02)


def test_known_measurement_error_is_told(simulate: ModuleType) -> None:
    world = simulate.measured(0, num_languages=6, num_orders=3, num_utterances=60, resamples=20)
    found = analyse(Evidence(world.runs, utterances=world.utterances), scopes=("all",)).as_dict()
    model = found["model"]["all"]
    assert model["variances"]["known"]["variance"] > 0
    assert 0.5 < model["measurement_share"] <= 1
    assert analyse(Evidence(world.runs), scopes=("all",)).as_dict()["model"]["all"]["measurement_share"] is None

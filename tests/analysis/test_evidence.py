"""What counts as a replicate: orders, seeds within them, and copies that count once."""

from __future__ import annotations

import math
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from attrition.analysis.evidence import Evidence, RunEvidence, from_matrices, from_results, paired, replicates
from attrition.analysis.quantities import QUANTITIES
from attrition.metrics.matrix import RMatrix
from attrition.names import AttritionError
from attrition.results.covariates import FILE, Covariates, covariates_json
from attrition.results.read import read_results
from attrition.results.replicates import distinct
from attrition.results.spec import Setup

OWN, FINAL = QUANTITIES["own_stage"].function, QUANTITIES["final"].function


def apart(order: str, own: dict[str, float]) -> RMatrix:
    """R of a learner for each language: empty before its own stage, unchanged after."""
    rows = [[own[x] if j <= i else math.nan for j, x in enumerate(order)] for i in range(len(order))]
    return RMatrix.sequential(order, rows)


def test_learners_of_single_languages_count_once_whatever_the_order() -> None:
    own = {"a": 0.5, "b": 0.75, "c": 0.25}
    runs = from_matrices([apart("abc", own), apart("cba", own), apart("bac", own)]).runs
    assert len(distinct(runs)) == 1
    other = from_matrices([apart("abc", own), apart("cba", own | {"c": 0.5})]).runs
    assert len(distinct(other)) == 2


def test_runs_with_the_same_stages_count_once() -> None:
    first = RunEvidence(matrix=RMatrix.sequential("ab", [[0.5, 0.1], [0.4, 0.5]]), stages=frozenset({"x", "y"}))
    again = RunEvidence(matrix=RMatrix.sequential("ab", [[0.5, 0.1], [0.4, 0.6]]), stages=frozenset({"x", "y"}))
    assert distinct([first, again]) == (first,)


def test_seeds_of_one_order_are_averaged_into_one_replicate() -> None:
    low, high = RMatrix.sequential("ab", [[0.25, 0.1], [0.4, 0.5]]), RMatrix.sequential("ab", [[0.75, 0.1], [0.4, 0.75]])
    other = RMatrix.sequential("ba", [[0.5, 0.1], [0.4, 0.5]])
    table = replicates(from_matrices([low, high, other]).runs, OWN)
    assert table.number == 2
    assert table.values_OL.tolist() == [[0.5, 0.625], [0.5, 0.5]]


def test_seeds_are_the_replicates_where_the_order_cannot_matter() -> None:
    runs = [
        RunEvidence(matrix=RMatrix([[score, 0.5]], ("a", "b"), (("a", "b"),)), kind="MULTI", seed=seed, order_matters=False)
        for seed, score in enumerate((0.5, 0.75))
    ]
    assert replicates(runs, FINAL).values_OL.tolist() == [[0.5, 0.5], [0.75, 0.5]]


def test_differences_are_paired_by_order_or_taken_from_the_mean() -> None:
    one = replicates(
        from_matrices(
            [RMatrix.sequential("ab", [[0.5, 0], [0.5, 0.5]]), RMatrix.sequential("ba", [[0.75, 0], [0.75, 0.75]])]
        ).runs,
        OWN,
    )
    other = replicates(
        from_matrices(
            [RMatrix.sequential("ba", [[0.5, 0], [0.5, 0.5]]), RMatrix.sequential("ab", [[0.25, 0], [0.25, 0.25]])]
        ).runs,
        OWN,
    )
    assert paired(one, other).values_OL.tolist() == [[0.25, 0.25], [0.25, 0.25]]
    joint = RunEvidence(matrix=RMatrix([[1.0, 0.5]], ("a", "b"), (("a", "b"),)), order_matters=False)
    alone = replicates([joint], FINAL)
    assert paired(one, alone).values_OL.tolist() == [[-0.5, 0.0], [-0.25, 0.25]]
    np.testing.assert_allclose(paired(alone, one).values_OL, -paired(one, alone).values_OL)


def test_runs_of_two_set_ups_ranks_or_trainings_are_never_mixed() -> None:
    R = RMatrix.sequential("ab", [[0.5, 0.1], [0.4, 0.5]])
    setups = [Setup("e5", "massive"), Setup("e5", "massive"), Setup("minilm", "massive")]
    runs = tuple(RunEvidence(matrix=R, kind="VANILLA", setup=setup, seed=seed) for seed, setup in enumerate(setups))
    evidence = Evidence(runs)
    assert evidence.of("VANILLA") == runs[:2]
    assert evidence.of("VANILLA", setup=setups[2]) == runs[2:]
    assert evidence.sequential() == runs[:2]
    lora = tuple(RunEvidence(matrix=R, kind="SHARED LoRA", rank=rank, seed=seed) for seed, rank in enumerate((8, 32, 32)))
    assert Evidence(lora).of("SHARED LoRA") == lora[1:]
    assert Evidence(lora).by_rank("SHARED LoRA") == {8: lora[:1], 32: lora[1:]}
    fast, slow = (("training.learning_rate", "0.002"),), (("training.learning_rate", "0.001"),)
    rates = tuple(RunEvidence(matrix=R, kind="SHARED LoRA", training=each, seed=i) for i, each in enumerate((fast, slow, slow)))
    assert Evidence(rates).of("SHARED LoRA") == rates[1:]


def test_ranks_with_more_orders_are_taken_not_those_with_more_seeds() -> None:
    orders = [RMatrix.sequential(order, np.full((3, 3), 0.5)) for order in ("abc", "bca", "cab", "acb")]
    many, few = (("training.learning_rate", "0.001"),), (("training.learning_rate", "0.002"),)
    runs = [RunEvidence(matrix=R, kind="SHARED LoRA", rank=rank, training=many) for rank in (8, 64) for R in orders]
    runs += [
        RunEvidence(matrix=R, kind="SHARED LoRA", rank=rank, training=few, seed=seed)
        for rank in (8, 64) for R in orders[:2] for seed in range(3)
    ]  # fmt: skip
    found = Evidence(tuple(runs)).by_rank("SHARED LoRA")
    assert {rank: len(chosen) for rank, chosen in found.items()} == {8: 4, 64: 4}


@pytest.mark.parametrize("name", list(QUANTITIES))
def test_every_quantity_gives_a_value_and_a_weight_per_language(name: str) -> None:
    scores = np.random.default_rng(0).random((12, 12))
    R = RMatrix.sequential("abcdefghijkl", scores, before_L=np.zeros(12))
    values, weights = QUANTITIES[name].function(R)
    assert values.shape == weights.shape == (12,)
    assert (weights[np.isnan(values)] == 0).all()
    assert (weights[~np.isnan(values)] > 0).all()
    assert not np.isnan(values).all()


def test_covariates_go_with_the_set_up_of_their_folder(simulate: ModuleType, tmp_path: Path) -> None:
    study = simulate.write_study(tmp_path / "study", num_languages=3, methods=("VANILLA",))
    results = read_results(study)
    assert from_results(results).covariates == {}
    given = Covariates(language={"fertility": dict.fromkeys(results.languages, 1.5)})
    (study / FILE).write_text(covariates_json(results.languages, given))
    evidence = from_results(results)
    (found,) = evidence.covariates.values()
    assert found.language == given.language
    assert set(evidence.covariates) == set(evidence.setups)
    (study / FILE).write_text("[]")
    with pytest.raises(AttritionError, match="covariates"):
        from_results(results)

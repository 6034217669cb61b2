"""Which runs a claim is about, where a folder holds several set-ups and trainings."""

from __future__ import annotations

from dataclasses import replace
from itertools import permutations

import pytest

from attrition.analysis.claims.form import Claim, Runs
from attrition.analysis.claims.needs import Needs
from attrition.analysis.claims.select import Selected, selected
from attrition.analysis.evidence import Evidence, RunEvidence
from attrition.metrics.matrix import RMatrix
from attrition.results.spec import Settings, Setup

ORDERS = list(permutations("abc"))
SMALL, LARGE = (("sizes.train", "50"),), (("sizes.train", "200"),)
SLOW, FAST = (("training.learning_rate", "0.001"),), (("training.learning_rate", "0.002"),)


def _runs(
    num_orders: int, kind: str = "VANILLA", setup: Setup | None = None, rank: int | None = None, training: Settings = ()
) -> tuple[RunEvidence, ...]:
    matrices = [RMatrix.sequential(order, [[0.5] * 3] * 3) for order in ORDERS[:num_orders]]
    return tuple(
        RunEvidence(matrix=R, kind=kind, setup=Setup() if setup is None else setup, rank=rank, training=training)
        for R in matrices
    )


def _chosen(evidence: tuple[RunEvidence, ...], runs: Runs, versus: Runs | None = None) -> Selected:
    found = selected(Claim(id="a", statement="A.", runs=runs, versus=versus, expect="higher"), Evidence(evidence))
    assert not isinstance(found, Needs), found.what
    return found


def test_a_claim_on_a_model_takes_the_set_up_with_the_most_orders() -> None:
    few, many = _runs(1, setup=Setup("e5", data=SMALL)), _runs(5, setup=Setup("e5", data=LARGE))
    assert _chosen((*few, *many), Runs(method="VANILLA", model="E5")) == (many, None)


def test_two_models_are_compared_on_the_same_data() -> None:
    small, large = _runs(5, setup=Setup("e5", data=SMALL)), _runs(5, setup=Setup("e5", data=LARGE))
    other = _runs(5, setup=Setup("xlm-r", data=LARGE, weights=(("model.fingerprint", "1"),)))
    claimed = Runs(method="VANILLA", model="XLM-R"), Runs(method="VANILLA", model="E5")
    assert _chosen((*small, *large, *other), *claimed) == (other, large)
    missing = selected(
        Claim(id="a", statement="A.", runs=claimed[0], versus=claimed[1], expect="higher"), Evidence((*small, *other))
    )
    assert isinstance(missing, Needs)


def test_two_cuts_are_compared_with_the_same_model() -> None:
    blanks, e5 = _runs(5, setup=Setup("e5", cuts="")), _runs(5, setup=Setup("e5", cuts="th-TH graphemes"))
    other = _runs(6, setup=Setup("xlm-r", cuts="th-TH graphemes"))
    claimed = Runs(method="VANILLA", cuts="other"), Runs(method="VANILLA", cuts="blanks")
    assert _chosen((*other, *blanks, *e5), *claimed) == (e5, blanks)


def test_two_ranks_are_compared_with_the_same_training() -> None:
    failed = _runs(6, "SHARED LoRA", rank=32, training=FAST)
    low, high = _runs(5, "SHARED LoRA", rank=32, training=SLOW), _runs(5, "SHARED LoRA", rank=256, training=SLOW)
    ranks = Runs(method="SHARED LoRA", rank="highest"), Runs(method="SHARED LoRA", rank="lowest")
    assert _chosen((*failed, *low, *high), *ranks) == (high, low)
    apart = selected(Claim(id="a", statement="A.", runs=ranks[0], versus=ranks[1], expect="higher"), Evidence((*failed, *high)))
    assert isinstance(apart, Needs)
    assert "with the same training" in apart.what


def test_two_ranks_of_a_named_model_are_those_of_this_model() -> None:
    main = _runs(6, setup=Setup("e5"))
    low, high = (_runs(5, "SHARED LoRA", rank=rank, setup=Setup("xlm-r")) for rank in (8, 32))
    ranks = (Runs(method="SHARED LoRA", rank=rank, model="xlm") for rank in ("highest", "lowest"))
    assert _chosen((*main, *low, *high), *ranks) == (high, low)


def test_one_model_on_both_sides_is_one_model() -> None:
    small = (*_runs(6, setup=Setup("e5-small")), *_runs(1, "MULTI", setup=Setup("e5-small")))
    large = (*_runs(1, setup=Setup("e5-large")), *_runs(3, "MULTI", setup=Setup("e5-large")))
    one, other = _chosen((*small, *large), Runs(method="MULTI", model="e5"), Runs(method="VANILLA", model="e5"))
    assert {run.setup.model for run in (*one, *(other or ()))} == {"e5-small"}


def test_a_model_is_never_compared_with_itself() -> None:
    xlm, e5 = _runs(5, setup=Setup("xlm-r")), _runs(5, setup=Setup("e5"))
    assert _chosen((*xlm, *e5), Runs(method="VANILLA", model="xlm"), Runs(method="VANILLA")) == (xlm, e5)


def test_ranks_of_a_grouping_are_those_of_this_grouping() -> None:
    def grouped(shared_by: str, number: int) -> tuple[RunEvidence, ...]:
        ranks = [_runs(number, "GROUPED LoRA", rank=rank, training=(("shared_by", shared_by),)) for rank in (8, 32)]
        return tuple(replace(run, shared_by=shared_by) for runs in ranks for run in runs)

    by_script = grouped("script", 5)
    ranks = (Runs(method="GROUPED LoRA", shared_by="script", rank=rank) for rank in ("highest", "lowest"))
    assert _chosen((*by_script, *grouped("family", 6)), *ranks) == (by_script[5:], by_script[:5])


def test_the_main_set_up_has_the_most_orders_of_one_series() -> None:
    pilot = [_runs(1, setup=Setup(data=SMALL), training=(("training.learning_rate", f"{rate}"),)) for rate in range(6)]
    main = _runs(5, setup=Setup(data=LARGE))
    assert _chosen((*(run for runs in pilot for run in runs), *main), Runs(method="VANILLA")) == (main, None)


@pytest.mark.parametrize("first", [True, False])
def test_orders_count_and_not_seeds(first: bool) -> None:
    orders = _runs(5, training=SLOW)
    seeds = tuple(
        RunEvidence(matrix=RMatrix.sequential("abc", [[0.5] * 3] * 3), kind="VANILLA", seed=seed, training=FAST)
        for seed in range(6)
    )
    assert _chosen((*seeds, *orders) if first else (*orders, *seeds), Runs(method="VANILLA")) == (orders, None)

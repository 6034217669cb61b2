"""The setting `evaluate_on`: dev utterances instead of test utterances, without new training."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from attrition.engine.run import run_study
from attrition.metrics.matrix import RMatrix
from attrition.names import AttritionError
from attrition.prepare.prepare import Prepared
from attrition.store.stages import Store
from attrition.study.spec import Study, resolved
from attrition.verify.verify import verify

Make = Callable[..., Study]
Run = Callable[[Study, Path], Any]
PreparedOf = Callable[[Study], Prepared]

SIZES = ("corpus.sizes.train=60", "corpus.sizes.dev=12", "corpus.sizes.test=20", "training.epochs=3")


def last_spec(folder: Path) -> dict[str, Any]:
    (path,) = folder.glob("runs/*/spec.json")
    spec: dict[str, Any] = json.loads(path.read_text())
    return spec


def test_stages_keep_their_keys_and_evaluations_do_not(make_study: Make, run_notes: Run, tmp_path: Path) -> None:
    on_test, on_dev = make_study(*SIZES), make_study(*SIZES, 'evaluate_on="dev"')
    assert len(run_notes(on_dev, tmp_path).trained_stages) == 3
    dev = last_spec(tmp_path)
    (scores,) = tmp_path.glob("runs/*/scores.parquet")
    assert set(pd.read_parquet(scores)["num_utterances"]) == {12}
    assert dev["scored"]["statement"] == (
        "Every stage is scored on all dev utterances of all languages. These are not test utterances: choose settings by these "
        "scores, and report others."
    )
    assert verify(tmp_path, sample=3).problems == ()
    assert run_notes(on_test, tmp_path).trained_stages == []
    test = last_spec(tmp_path)
    assert set(pd.read_parquet(scores)["num_utterances"]) == {20}
    assert (dev["evaluate_on"], test["evaluate_on"]) == ("dev", "test")
    assert test["scored"]["statement"] == "Every stage is scored on all test utterances of all languages."
    assert [stage["key"] for stage in dev["steps"]] == [stage["key"] for stage in test["steps"]]
    assert not {stage["evaluation"] for stage in dev["steps"]} & {stage["evaluation"] for stage in test["steps"]}
    assert len(Store(tmp_path).keys("evaluations")) == 2 * (3 + 1)


def test_dev_scores_are_those_of_early_stopping(make_study: Make, run_notes: Run, tmp_path: Path) -> None:
    """The F1 that chose the kept epoch is the diagonal of R."""
    study = make_study(*SIZES, "training.epochs=6", "training.learning_rate=3e-3", evaluate_on="dev")
    notes = run_notes(study, tmp_path)
    (path,) = tmp_path.glob("runs/*/matrix.csv")
    R = RMatrix.from_csv(path)
    best = [max(epoch.dev_f1 for epoch in notes.epochs[at : at + 6]) for at in (0, 6, 12)]
    assert max(best) > 0, "something was learned"
    assert R.scores_SL.diagonal().tolist() == best


def test_a_sample_of_dev_utterances(make_study: Make, prepared_of: PreparedOf) -> None:
    scored_on = prepared_of(make_study(*SIZES, evaluate_on="dev", evaluate=5)).scored_on
    assert set(scored_on.drawn_from.values()) == {12}
    assert "5 of the 12 dev utterances" in scored_on.statement
    assert scored_on.about([0.1])["stands_for"] == "all dev utterances"
    with pytest.raises(AttritionError, match="has only 12 dev utterances"):
        prepared_of(make_study(*SIZES, evaluate_on="dev", evaluate=13))


def test_what_is_refused(make_study: Make, prepared_of: PreparedOf) -> None:
    with pytest.raises(AttritionError, match=r"evaluate_on: unknown value 'test2'\. Did you mean 'test'\?"):
        make_study(evaluate_on="test2")
    with pytest.raises(AttritionError, match="evaluate_on"):
        make_study(evaluate_on=3)
    none = make_study("corpus.sizes.dev=0", "training.keep='last'", evaluate_on="dev")
    with pytest.raises(AttritionError, match=r'evaluate_on = "dev", but .* Set corpus\.sizes\.dev'):
        prepared_of(none)


def test_the_setting_is_kept(make_study: Make) -> None:
    assert resolved(make_study(evaluate_on="dev"))["evaluate_on"] == "dev"
    assert resolved(make_study())["evaluate_on"] == "test"


def test_runs_scored_otherwise_are_named(make_study: Make, run_notes: Run, tmp_path: Path) -> None:
    """In one report, a mixture of runs on dev and on test utterances would be invisible."""
    methods = ["VANILLA", "MULTI"]
    run_notes(make_study(methods=methods, evaluate_on="dev"), tmp_path)
    from attrition.study.watcher import Watcher

    class Warned(Watcher):
        said: list[str] = []  # noqa: RUF012

        def warned(self, message: str) -> None:
            self.said.append(message)

    run_study(make_study(methods=methods), tmp_path, Warned(), only=["MULTI"])
    assert any(
        "1 runs that are not selected, such as VANILLA/as-listed/s0, were scored with another" in each for each in Warned.said
    )

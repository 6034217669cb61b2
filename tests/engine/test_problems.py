"""Studies of problems other than slot filling, from the study file to checks and reports."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from attrition.corpus.encoded import UNSCORED
from attrition.export.stage import export_stage
from attrition.methods import METHODS
from attrition.names import AttritionError
from attrition.prepare.pack import open_pack, write_pack
from attrition.prepare.prepare import Prepared, prepare
from attrition.results.covariates import read_covariates
from attrition.results.read import read_results
from attrition.store.archive import write_archive
from attrition.study.spec import Study, build_study, resolved
from attrition.study.watcher import Watcher
from attrition.verify.verify import verify

EXAMPLE = Path(__file__).parents[2] / "examples" / "my_problem.py"
Run = Callable[[Study, Path], Any]


def spec_of(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(next(folder.glob("runs/*/spec.json")).read_text(encoding="utf-8"))
    return found


def scores_of(folder: Path) -> pd.DataFrame:
    return pd.read_parquet(next(folder.glob("runs/*/scores.parquet")))


@pytest.fixture(scope="module")
def intents(make_study: Callable[..., Study], run_notes: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("intents") / "results"
    run_notes(make_study(problem="intents", languages=["en-US", "de-DE"]), folder)
    return folder


def test_a_run_of_intents_says_what_it_is(intents: Path) -> None:
    spec = spec_of(intents)
    assert spec["problem"] == {"name": "intents", "score": "accuracy", "macro_f1": True}
    assert spec["conventions"]["score"].startswith("accuracy: the share of utterances")
    scores, slots = scores_of(intents), pd.read_parquet(next(intents.glob("runs/*/slots.parquet")))
    assert (scores["tp"] + scores["fp"] == scores["num_utterances"]).all()
    assert np.allclose(scores["f1"], scores["tp"] / scores["num_utterances"], atol=1e-15)
    assert scores["macro_f1"].between(0, 1).all()
    assert sorted(slots["slot"].unique()) == sorted(spec["counted"])
    covariates = read_covariates(intents)
    assert covariates is not None
    assert list(covariates.language) == ["log_train_tokens"]
    results = read_results(intents)
    assert results.score == "accuracy"
    assert "counted" not in results.runs[0].settings


def test_checks_and_archives_know_intents(intents: Path, tmp_path: Path) -> None:
    assert not verify(intents, sample=1).problems
    write_archive([intents], tmp_path / "small")
    assert not verify(tmp_path / "small", sample=0).problems


def test_a_model_of_intents_is_not_exported(intents: Path, tmp_path: Path) -> None:
    key = spec_of(intents)["steps"][0]["key"]
    with pytest.raises(AttritionError, match=r"learned 'intents'\. Only models of slot filling can be exported"):
        export_stage(intents, key, tmp_path / "model")


def test_intents_and_slots_share_neither_cache_nor_keys(make_study: Callable[..., Study], tmp_path: Path) -> None:
    slots, first = (prepare(make_study(problem=each), Watcher(), tmp_path) for each in ("slots", "intents"))
    again = prepare(make_study(problem="intents"), Watcher(), tmp_path)
    assert slots.labels[0] == "O"
    assert first.labels == again.labels == tuple(sorted(first.corpus.intents))
    assert not set(slots.plan.jobs) & set(first.plan.jobs)
    assert first.plan.jobs == again.plan.jobs
    for prepared in (first, again):
        for each in prepared.encoded.values():
            assert len(each.gold) == len(each) == int((each.labels != UNSCORED).sum())


def test_the_default_problem_changes_no_key(make_study: Callable[..., Study], prepared_of: Callable[[Study], Prepared]) -> None:
    plain, said = make_study(languages=["en-US"]), make_study(languages=["en-US"], problem="slots")
    assert plain == said
    assert resolved(plain)["problem"] == "slots"
    assert build_study(resolved(plain), where="again").problem == "slots"
    assert prepared_of(plain).plan.jobs == prepared_of(said).plan.jobs


def test_a_pack_of_intents(make_study: Callable[..., Study], tmp_path: Path) -> None:
    study = make_study("training.epochs=1", problem="intents", languages=["en-US"])
    write_pack(study, tmp_path / "pack", Watcher(), None)
    packed = open_pack(tmp_path / "pack")
    assert packed.problem == "intents"
    there, here = prepare(packed, Watcher(), None, tmp_path / "pack"), prepare(study, Watcher(), None)
    assert there.labels == here.labels
    assert list(there.plan.jobs) == list(here.plan.jobs)
    with pytest.raises(AttritionError, match="problem was fixed"):
        open_pack(tmp_path / "pack", ["problem=slots"])


def test_files_without_intents_are_refused(make_study: Callable[..., Study], tmp_path: Path) -> None:
    rows = '{{"tokens": ["wake", "me"], "ner_tags": ["O", "O"], "intent": "{}"}}\n'
    study = make_study(problem="intents", languages=["yor"], corpus={"name": "columns", "path": str(tmp_path)})

    def write(intents: Sequence[str]) -> None:
        for split in ("train", "dev", "test"):
            text = "".join(rows.format(intent) for intent in intents)
            (tmp_path / f"yor.{split}.jsonl").write_text(text, encoding="utf-8")

    write(["alarm", "alarm"])
    with pytest.raises(AttritionError, match="has one intent only"):
        prepare(study, Watcher(), None)
    write(["alarm", "music"])
    assert prepare(study, Watcher(), None).labels == ("alarm", "music")


def test_a_tiny_model_learns_intents(make_study: Callable[..., Study], run_notes: Run, tmp_path: Path) -> None:
    words: Mapping[str, Sequence[str]] = {"alarm": ["wake", "me", "up"], "music": ["play", "a", "song"]}
    (tmp_path / "data").mkdir()
    for split, number in (("train", 16), ("dev", 4), ("test", 8)):
        rows = [{"tokens": words[each], "ner_tags": ["O"] * 3, "intent": each} for each in words] * number
        text = "".join(json.dumps(row) + "\n" for row in rows)
        (tmp_path / "data" / f"yor.{split}.jsonl").write_text(text, encoding="utf-8")
    corpus = {"name": "columns", "path": str(tmp_path / "data")}
    run_notes(make_study("training.epochs=20", problem="intents", languages=["yor"], corpus=corpus), tmp_path / "out")
    scores = scores_of(tmp_path / "out")
    assert scores["f1"].iloc[-1] == scores["macro_f1"].iloc[-1] == 1


def test_a_users_own_problem(make_study: Callable[..., Study], run_notes: Run, tmp_path: Path) -> None:
    study = make_study("training.epochs=1", problem=str(EXAMPLE), languages=["en-US"])
    run_notes(study, tmp_path)
    spec, scores = spec_of(tmp_path), scores_of(tmp_path)
    assert spec["problem"] == {"name": "token-accuracy", "score": "token accuracy", "macro_f1": True}
    assert (scores["tp"] + scores["fn"] > scores["num_utterances"]).all()  # words; an utterance has several
    assert (scores["fp"] == scores["fn"]).all()
    assert not verify(tmp_path, sample=1).problems


@pytest.mark.long
def test_every_method_learns_intents(make_study: Callable[..., Study], run_notes: Run, tmp_path: Path) -> None:
    run_notes(make_study("training.epochs=1", problem="intents", languages=["en-US", "de-DE"], methods=list(METHODS)), tmp_path)
    results = read_results(tmp_path)
    assert {run.spec.name for run in results.runs} == set(METHODS)
    assert all(np.isfinite(run.matrix.scores_SL).any() for run in results.runs)

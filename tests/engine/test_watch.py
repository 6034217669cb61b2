"""Languages that are scored and never trained (`watch`), and a checkpoint that already knows some (`model.learned`)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from attrition.encoder.sources import load_pretrained
from attrition.encoder.vocabulary import whole_vocabulary
from attrition.engine.tasks import task_of
from attrition.export.formats import export_model
from attrition.methods import Full
from attrition.metrics.matrix import RMatrix
from attrition.names import AttritionError
from attrition.prepare.prepare import Prepared
from attrition.results.counts import run_counts
from attrition.results.read import read_results
from attrition.store.restore import restored
from attrition.store.stages import Store
from attrition.study.spec import Study, build_study, resolved
from attrition.training.layout import HEAD_BIAS, HEAD_WEIGHT
from attrition.training.model import build_model
from attrition.verify.verify import verify

Make = Callable[..., Study]
Run = Callable[[Study, Path], Any]
PreparedOf = Callable[[Study], Prepared]
TWO = ["en-US", "de-DE"]


def matrix(folder: Path) -> RMatrix:
    (path,) = folder.glob("runs/*/matrix.csv")
    return RMatrix.from_csv(path)


def test_a_watched_language_scores_as_one_still_to_come(make_study: Make, run_notes: Run, tmp_path: Path) -> None:
    watching = make_study("training.epochs=1", languages=TWO, watch=["zh-CN"])
    notes = run_notes(watching, tmp_path / "watch")
    run_notes(make_study("training.epochs=1"), tmp_path / "all")
    R, whole = matrix(tmp_path / "watch"), matrix(tmp_path / "all")
    assert (R.languages, R.trained) == (("en-US", "de-DE", "zh-CN"), (("en-US",), ("de-DE",)))
    assert np.array_equal(R.scores_SL, whole.scores_SL[:2])
    assert R.before_L is not None
    assert np.array_equal(R.before_L, whole.before_L)
    assert R.learned_at["zh-CN"] is None
    assert len(notes.trained_stages) == 2
    assert verify(tmp_path / "watch", sample=2).problems == ()


def test_watching_trains_nothing_again(make_study: Make, prepared_of: PreparedOf) -> None:
    plain, watching = make_study(languages=TWO), make_study(languages=TWO, watch=["zh-CN"])
    assert prepared_of(plain).plan.jobs.keys() == prepared_of(watching).plan.jobs.keys()
    assert build_study(resolved(watching), where="again") == watching


def test_a_method_with_a_learner_for_each_language_has_none_for_a_watched_one(
    make_study: Make, run_notes: Run, tmp_path: Path
) -> None:
    run_notes(make_study("training.epochs=1", languages=TWO, watch=["zh-CN"], methods=["NON-SHARED LoRA"]), tmp_path)
    R = matrix(tmp_path)
    assert np.isnan(R.scores_SL[:, 2]).all()
    assert not np.isnan(R.scores_SL[1, :2]).any()


@pytest.mark.parametrize(
    ("parts", "words"),
    [
        ({"watch": ["en-US"]}, "'en-US' is in languages, so it is trained"),
        ({"watch": ["zh-CN", "zh-CN"]}, "zh-CN"),
        ({"watch": ["zh-XX"]}, "zh-XX"),
        ({"watch": "zh-CN"}, "a list is expected"),
        ({"model": {"name": "tiny:bert", "learned": ["th-TH"]}, "watch": ["zh-CN"]}, "model.learned"),
    ],
)
def test_what_is_refused(make_study: Make, parts: dict[str, Any], words: str) -> None:
    with pytest.raises(AttritionError, match=words):
        make_study(languages=TWO, **parts)


@pytest.fixture(scope="module")
def tagger(prepared_of: PreparedOf, make_study: Make, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a checkpoint with all but two of the phrasebook's classes, and one that the phrasebook lacks."""
    labels = prepared_of(make_study(languages=["en-US"])).labels
    base = load_pretrained("tiny:bert")
    folder = tmp_path_factory.mktemp("learned") / "tagger"
    model = build_model(base, whole_vocabulary(base.vocabulary_size), ("B-old", *labels[:-2], "I-old"))
    export_model(folder, model, Full(), model.start(Full(), 0))
    return folder


def learning(make_study: Make, tagger: Path, *methods: Any) -> Study:
    model = {"name": f"hub:{tagger}", "precision": "float32", "grow": True, "learned": TWO}
    return make_study(languages=["zh-CN"], watch=TWO, methods=list(methods), model=model)


def test_a_learned_language_is_an_earlier_stage_of_hooks(
    make_study: Make, run_notes: Run, prepared_of: PreparedOf, tagger: Path, tmp_path: Path
) -> None:
    study = learning(make_study, tagger, "VANILLA", "REPLAY", {"method": "INTERPOLATION", "interpolation": {"weight": 0.25}})
    prepared, store = prepared_of(study), Store(tmp_path)
    plain, replay, between = prepared.plan.jobs.values()
    assert len({plain.key, replay.key, between.key}) == 3
    task = task_of(replay, prepared, store)
    memory = [prepared.encoded[language, "train"].utterance_ids.tolist() for language in TWO]
    assert task.earlier[0]().utterance_ids.tolist() == memory[0] + memory[1]
    run_notes(study, tmp_path)
    start = prepared.model.start(Full(), *plain.seed)
    ends = [restored(store, prepared.model, Full(), job.key) for job in (plain, between)]
    torch.testing.assert_close(ends[1], start.lerp(ends[0], 0.25))
    assert not torch.equal(restored(store, prepared.model, Full(), replay.key), ends[0])
    assert verify(tmp_path, sample=1).problems == ()


def test_the_head_grows_and_old_rows_stay(make_study: Make, prepared_of: PreparedOf, tagger: Path) -> None:
    prepared = prepared_of(learning(make_study, tagger, "VANILLA"))
    old = load_pretrained(f"hub:{tagger}").head
    assert old is not None
    assert set(prepared.labels) == {*old.labels, *prepared_of(make_study(languages=["en-US"])).labels}
    (job,) = prepared.plan.jobs.values()
    head = prepared.model.layout(Full()).unpack(prepared.model.start(Full(), *job.seed))
    rows = [prepared.labels.index(label) for label in old.labels]
    assert torch.equal(head[HEAD_WEIGHT][rows], old.weight_CH)
    assert torch.equal(head[HEAD_BIAS][rows], old.bias_C)
    with pytest.raises(AttritionError, match="no classifier"):
        prepared_of(make_study(model={"name": "tiny:bert", "precision": "float32", "grow": True}))


def test_a_report_reads_the_counts_of_watched_languages(make_study: Make, run_notes: Run, tmp_path: Path) -> None:
    run_notes(make_study("training.epochs=1", languages=TWO, watch=["zh-CN"]), tmp_path)
    (run,) = read_results(tmp_path).runs
    counts = run_counts(run)
    assert counts is not None
    assert np.allclose(counts.f1_SL, run.matrix.scores_SL, rtol=0, atol=1e-12)
    assert np.isfinite(run.matrix.scores_SL).all()

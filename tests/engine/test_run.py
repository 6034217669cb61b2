"""A complete tiny study: its files, and its behaviour after interruption, damage, change or a second run."""

from __future__ import annotations

import json
import math
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from filelock import FileLock

from attrition.encoder.pretrained import WORD_EMBEDDINGS
from attrition.engine import work
from attrition.engine.run import run_study
from attrition.engine.run_warnings import warnings_of
from attrition.methods import METHODS
from attrition.metrics import summary
from attrition.metrics.matrix import RMatrix
from attrition.names import AttritionError
from attrition.paper.report import make_report
from attrition.prepare.prepare import Prepared
from attrition.results.packed_counts import ERROR_COLUMNS
from attrition.store.stages import Store, StoredHistory
from attrition.study.spec import Study, read_study, resolved
from attrition.training import train as training
from attrition.training.settings import TrainingSettings

Make = Callable[..., Study]
Run = Callable[[Study, Path], Any]
Matrices = Callable[[Path], dict[str, str]]

EN, DE, ZH = LANGUAGES = ("en-US", "de-DE", "zh-CN")


@pytest.fixture(scope="module")
def all_methods(make_study: Make) -> Study:
    return make_study(methods=list(METHODS), orders=[[EN, DE, ZH], [ZH, EN, DE]])


@pytest.fixture(scope="module")
def whole(all_methods: Study, run_notes: Run, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    """Return a finished study of all methods, read-only, and the calls of its watcher."""
    folder = tmp_path_factory.mktemp("whole")
    return folder, run_notes(all_methods, folder)


def run_folder(folder: Path, method: str, order: str = "listed-1") -> Path:
    """Return the folder of a run."""
    specs = {path.parent: json.loads(path.read_text()) for path in folder.glob("runs/*/spec.json")}
    (found,) = (path for path, spec in specs.items() if spec["name"] == method and spec["order"]["name"] in (order, "joint"))
    return found


def matrix(folder: Path, method: str, order: str = "listed-1") -> RMatrix:
    return RMatrix.from_csv(run_folder(folder, method, order) / "matrix.csv")


# Files


def test_every_method_has_its_files(whole: tuple[Path, Any]) -> None:
    folder, notes = whole
    runs = sorted(folder.glob("runs/*"))
    assert len(runs) == len(notes.runs) == 2 + 11 * 2
    for run in runs:
        names = {path.name for path in run.iterdir()} - {"transfer.csv"}
        files = "spec.json matrix.csv scores.parquet slots.parquet metrics.json history.csv times.json"
        assert names == set(files.split())
        assert run.name in notes.runs
    assert {path.name for path in folder.iterdir()} == {
        "study.toml", "environment.json", "covariates.json", "plan.json", "stages", "evaluations", "runs", ".lock"
    }  # fmt: skip


def test_the_study_is_kept_with_every_default(whole: tuple[Path, Any], all_methods: Study) -> None:
    text = (whole[0] / "study.toml").read_text(encoding="utf-8")
    assert tomllib.loads(text) == resolved(all_methods)
    again = read_study(whole[0] / "study.toml")
    assert [choice.method for choice in again.methods] == [METHODS[name] for name in METHODS]
    assert again.methods[0].training.warmup == TrainingSettings().warmup


def test_the_environment_names_what_is_allowed_and_no_more(whole: tuple[Path, Any]) -> None:
    found = json.loads((whole[0] / "environment.json").read_text())
    assert set(found) == {
        "python", "versions", "revision", "platform", "instructions", "device", "cuda", "threads", "deterministic"
    }  # fmt: skip
    # A package's version says "+cpu" or "+cu130" in some installations only.
    assert found["versions"]["torch"].partition("+")[0] == torch.__version__.partition("+")[0]
    assert (found["device"], found["threads"]) == ("cpu", 1)


@pytest.mark.parametrize("method", ["VANILLA", "SHARED LoRA"])
def test_a_shared_learner_is_measured_everywhere_and_before(method: str, whole: tuple[Path, Any]) -> None:
    R = matrix(whole[0], method)
    assert R.trained == ((EN,), (DE,), (ZH,))
    assert R.before_L is not None
    assert not np.isnan(R.scores_SL).any()
    assert not (run_folder(whole[0], method) / "transfer.csv").exists()
    # The header, the row before training, and a row for each stage, in the form for people.
    lines = (run_folder(whole[0], method) / "matrix.csv").read_text().splitlines()
    assert lines[0] == "trained,en-US,de-DE,zh-CN"
    assert [line.partition(",")[0] for line in lines[1:]] == ["", EN, DE, ZH]


@pytest.mark.parametrize("method", ["MULTI", "MULTI LoRA"])
def test_what_is_learned_at_once_has_one_row(method: str, whole: tuple[Path, Any]) -> None:
    R = matrix(whole[0], method)
    assert R.joint
    assert sorted(R.trained[0]) == sorted(LANGUAGES)
    assert R.languages == LANGUAGES


@pytest.mark.parametrize("method", ["MONO", "NON-SHARED LoRA"])
def test_a_learner_for_each_language(method: str, whole: tuple[Path, Any]) -> None:
    R = matrix(whole[0], method, "listed-2")
    assert R.trained == ((ZH,), (EN,), (DE,))
    assert R.before_L is None
    learned = [[False, False, True], [True, False, True], [True, True, True]]
    assert (~np.isnan(R.scores_SL)).tolist() == learned
    for column in range(3):  # no other language changes a language's learner
        scores = R.scores_SL[:, column]
        assert len(set(scores[~np.isnan(scores)].tolist())) == 1
    transfer = RMatrix.from_csv(run_folder(whole[0], method, "listed-2") / "transfer.csv")
    assert not np.isnan(transfer.scores_SL).any()
    assert [transfer.scores_SL[row, column] for row, column in ((0, 2), (1, 0), (2, 1))] == R.own_L[[2, 0, 1]].tolist()


def test_a_learner_for_each_script(whole: tuple[Path, Any]) -> None:
    R, shared = matrix(whole[0], "GROUPED LoRA"), matrix(whole[0], "SHARED LoRA")
    # Latin's learner serves English and German from the first stage on, Chinese has its own from the third.
    assert np.isnan(R.scores_SL).tolist() == [[False, False, True], [False, False, True], [False] * 3]
    assert R.scores_SL[1, :2].tolist() == R.scores_SL[2, :2].tolist() == shared.scores_SL[1, :2].tolist()


def test_scores_are_the_cells_and_their_counts(whole: tuple[Path, Any]) -> None:
    folder = run_folder(whole[0], "VANILLA")
    scores, R = pd.read_parquet(folder / "scores.parquet"), RMatrix.from_csv(folder / "matrix.csv")
    columns = "stage trained language f1 precision recall tp fp fn num_utterances f1_error"
    assert list(scores.columns) == columns.split()
    assert len(scores) == 4 * 3
    for row in scores.itertuples():
        column = R.languages.index(row.language)
        assert R.before_L is not None
        assert row.f1 == (R.before_L[column] if row.stage == 0 else R.scores_SL[row.stage - 1, column])
        assert row.num_utterances == 10
        total = 2 * row.tp + row.fp + row.fn
        assert row.f1 == pytest.approx(2 * row.tp / total if total else 0.0)
    assert scores["trained"].unique().tolist() == ["", EN, DE, ZH]


def test_counts_of_slots_add_up(whole: tuple[Path, Any]) -> None:
    folder = run_folder(whole[0], "NON-SHARED LoRA")
    slots, scores = (pd.read_parquet(folder / name) for name in ("slots.parquet", "scores.parquet"))
    assert list(slots.columns) == ["stage", "trained", "language", "slot", "tp", "fp", "fn", *ERROR_COLUMNS]
    of_gold = ["type", "boundary", "boundary_and_type", "missed"]
    assert slots[of_gold].sum(axis=1).tolist() == slots["fn"].tolist()
    assert slots["slot"].is_monotonic_increasing is False
    assert "date" in set(slots["slot"])
    place = ["stage", "trained", "language"]
    added = slots.groupby(place, as_index=False)[["tp", "fp", "fn"]].sum()
    expected = scores[[*place, "tp", "fp", "fn"]].sort_values(place, ignore_index=True)
    pd.testing.assert_frame_equal(added.sort_values(place, ignore_index=True), expected)
    assert (added["tp"] + added["fn"] > 0).all()


def test_metrics_are_those_of_the_matrix(whole: tuple[Path, Any]) -> None:
    for folder in (whole[0] / "runs").iterdir():
        text = (folder / "metrics.json").read_text()
        expected = summary(RMatrix.from_csv(folder / "matrix.csv"))
        assert {name: math.nan if value is None else value for name, value in json.loads(text).items()} == pytest.approx(
            expected, nan_ok=True
        )
    joint = json.loads((run_folder(whole[0], "MULTI") / "metrics.json").read_text())
    assert joint["cbt"] is None  # nothing comes later: undefined, not 0


def test_history_has_every_epoch(whole: tuple[Path, Any]) -> None:
    history = pd.read_csv(run_folder(whole[0], "VANILLA") / "history.csv")
    assert list(history.columns) == ["stage", "trained", "epoch", "train_loss", "dev_f1", "seconds", "best"]
    assert history["trained"].tolist() == [EN, EN, DE, DE, ZH, ZH]
    assert history["epoch"].tolist() == [1, 2] * 3
    assert history.groupby("stage")["best"].sum().tolist() == [1, 1, 1]
    assert (history["train_loss"] > 0).all()


def test_time_is_told_by_purpose(whole: tuple[Path, Any]) -> None:
    times = json.loads((run_folder(whole[0], "VANILLA") / "times.json").read_text())
    assert set(times) == {"data", "training", "evaluation", "other"}
    assert times["training"] > 0
    assert times["evaluation"] > 0


def test_a_specification_says_what_decides(whole: tuple[Path, Any]) -> None:
    spec = json.loads((run_folder(whole[0], "SHARED LoRA", "listed-2") / "spec.json").read_text())
    assert spec["order"] == {"name": "listed-2", "languages": [ZH, EN, DE]}
    assert spec["corpus"]["generated"] is True
    assert spec["corpus"]["cuts"][ZH] == "characters"
    assert spec["method"]["trains"] == {"kind": "lora", "rank": 32, "alpha": None, "dropout": 0.1, "targets": ["all-linear"]}
    assert [step["languages"] for step in spec["steps"]] == [[ZH], [EN], [DE]]
    keys = Store(whole[0]).keys("stages")
    assert all(step["key"] in keys for step in spec["steps"])


def test_parameters_are_counted_for_every_learner(whole: tuple[Path, Any]) -> None:
    one, three = (
        json.loads((run_folder(whole[0], name) / "spec.json").read_text())["parameters"]["trainable"]
        for name in ("VANILLA", "MONO")
    )
    assert three == 3 * one


def test_shared_stages_are_trained_once(whole: tuple[Path, Any]) -> None:
    _, notes = whole
    assert len(notes.trained_stages) == len(set(notes.trained_stages)) == 34
    assert (notes.done_before, notes.work) == (0, notes.steps + notes.unused)
    assert notes.unused == 0


# Running again


def test_a_second_run_trains_and_scores_nothing(whole: tuple[Path, Any], all_methods: Study, run_notes: Run) -> None:
    folder, _ = whole
    before = {path: path.read_bytes() for path in folder.glob("runs/*/*.csv")}
    notes = run_notes(all_methods, folder)
    assert (notes.trained_stages, notes.scored, notes.done_before) == ([], [], notes.work)
    assert {path: path.read_bytes() for path in folder.glob("runs/*/*.csv")} == before


def test_another_folder_gives_the_same_to_the_last_bit(
    make_study: Make, run_notes: Run, matrices: Matrices, whole: tuple[Path, Any], tmp_path: Path
) -> None:
    study = make_study(methods=["VANILLA", "NON-SHARED LoRA"], orders=[[EN, DE, ZH], [ZH, EN, DE]])
    run_notes(study, tmp_path)
    here, there = matrices(tmp_path), matrices(whole[0])
    assert len(here) == 4
    assert here.items() <= there.items()
    for run in here:
        rows = [pd.read_parquet(next(f.glob(f"runs/{run}--*")) / "slots.parquet") for f in (tmp_path, whole[0])]
        pd.testing.assert_frame_equal(*rows)


@pytest.fixture
def finished(make_study: Make, run_notes: Run, matrices: Matrices, tmp_path: Path) -> tuple[Study, Path, dict[str, str], Any]:
    """Return a study of two methods and its matrices, in a folder that a test may damage."""
    study = make_study(methods=["VANILLA", "SHARED LoRA"])
    notes = run_notes(study, tmp_path)
    return study, tmp_path, matrices(tmp_path), notes


def key_of(notes: Any, method: str, *languages: str) -> str:
    (found,) = (key for key, job in notes.stages.items() if (job.choice.method.name, sum(job.chain, ())) == (method, languages))
    return str(found)


def test_what_is_missing_is_trained_again_and_nothing_else(finished: Any, run_notes: Run, matrices: Matrices) -> None:
    study, folder, before, notes = finished
    gone = [key_of(notes, "VANILLA", EN, DE), key_of(notes, "SHARED LoRA", EN, DE, ZH)]
    for key in gone:
        Store(folder).discard("stages", key)
    for path in folder.glob("runs/*/matrix.csv"):
        path.unlink()
    again = run_notes(study, folder)
    assert sorted(again.trained_stages) == sorted(gone)
    assert again.warnings == [] or all("F1 is 0" in each for each in again.warnings)
    assert again.work - again.done_before == 2 * 2 * 24
    assert matrices(folder) == before


@pytest.mark.parametrize("name", ["weights.safetensors", "history.json", "manifest.json"])
def test_a_damaged_stage_is_named_and_trained_again(name: str, finished: Any, run_notes: Run, matrices: Matrices) -> None:
    study, folder, before, notes = finished
    key = key_of(notes, "VANILLA", EN, DE)  # its child does not change
    path = folder / "stages" / key / name
    path.write_bytes(path.read_bytes()[:-9])
    again = run_notes(study, folder)
    assert again.trained_stages == [key]
    assert any(str(path) in each and "trained again (VANILLA: de-DE)" in each for each in again.warnings)
    assert matrices(folder) == before
    assert Store(folder).problem("stages", key) is None


def test_a_damaged_evaluation_is_made_again(finished: Any, run_notes: Run, matrices: Matrices) -> None:
    study, folder, before, _ = finished
    path = sorted(folder.glob("evaluations/*/counts.safetensors"))[0]
    path.write_bytes(path.read_bytes()[:-1] + b"\x7f")
    again = run_notes(study, folder)
    assert (again.trained_stages, len(again.scored)) == ([], 1)
    assert any(str(path) in each for each in again.warnings)
    assert matrices(folder) == before


def test_a_newer_stage_stops_everything(finished: Any, run_notes: Run) -> None:
    study, folder, _, notes = finished
    path = folder / "stages" / key_of(notes, "VANILLA", EN) / "manifest.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "format": 99, "seal": "as that version makes it"}))
    with pytest.raises(AttritionError, match="newer version"):
        run_notes(study, folder)
    assert path.exists()


@pytest.mark.parametrize("when", ["started", "trained", "epoch_ended", "finished", "scoring", "run_finished"])
def test_stopped_at_any_moment_it_goes_on_to_the_same_end(
    when: str, finished: Any, run_notes: Run, matrices: Matrices, tmp_path_factory: pytest.TempPathFactory
) -> None:
    study, _, expected, notes = finished
    folder = tmp_path_factory.mktemp("stopped")

    class Stopping(type(notes)):  # type: ignore[misc]
        """Presses ctrl-C at the third occurrence of an event, or at the first of a rare event."""

        count = 0 if when in ("started", "trained", "epoch_ended", "finished", "scoring") else 2

    def stop(self: Any, *_: Any) -> None:
        self.count += 1
        if self.count == 3:
            raise KeyboardInterrupt

    setattr(Stopping, when, stop)
    with pytest.raises(KeyboardInterrupt):
        run_study(study, folder, Stopping())
    left = Store(folder).keys("stages")
    again = run_notes(study, folder)
    assert len(again.trained_stages) == 6 - len(left)
    assert matrices(folder) == expected


# Side by side, compact, threads


def test_a_population_gives_what_each_gives_alone(
    make_study: Make, run_notes: Run, whole: tuple[Path, Any], tmp_path: Path
) -> None:
    study = make_study("machine.population=3", methods=["NON-SHARED LoRA"], orders=[[EN, DE, ZH], [ZH, EN, DE]])
    notes = run_notes(study, tmp_path)
    assert len(notes.trained_stages) == 3
    for order in ("listed-1", "listed-2"):
        alone, together = (matrix(folder, "NON-SHARED LoRA", order) for folder in (whole[0], tmp_path))
        np.testing.assert_allclose(together.scores_SL, alone.scores_SL, atol=0.02, equal_nan=True)


def test_the_whole_vocabulary_gives_the_same_to_the_last_bit(
    make_study: Make, run_notes: Run, matrices: Matrices, finished: Any, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("whole-vocabulary")
    run_notes(make_study("model.compact=false", methods=["VANILLA", "SHARED LoRA"]), folder)
    assert matrices(folder) == finished[2]


# Growing, changing, refusing


def test_a_further_language_is_scored_and_not_trained_again(finished: Any, make_study: Make, run_notes: Run) -> None:
    _, folder, before, _ = finished
    four = make_study(methods=["VANILLA", "SHARED LoRA"], languages=[*LANGUAGES, "sw-KE"])
    notes = run_notes(four, folder)
    assert sorted(job.languages for job in notes.stages.values()) == [("sw-KE",)] * 2
    R = matrix(folder, "VANILLA", "as-listed")
    assert R.scores_SL.shape == (4, 4)
    old = RMatrix.parse(before["vanilla--as-listed--s0"])
    assert R.scores_SL[:3, :3].tolist() == old.scores_SL.tolist()
    # The smaller study's runs are removed from the report, but not lost.
    assert len(list(folder.glob("runs/*"))) == len(list(folder.glob("earlier/*"))) == 2
    assert any("2 runs in" in each and "earlier" in each for each in notes.warnings)


def test_a_further_language_with_weight_decay(make_study: Make, run_notes: Run, tmp_path: Path) -> None:
    """Word embeddings that the first language did not use have still decayed when the second one needs them."""
    settings = ("training.weight_decay=0.5", "training.keep=last", 'languages=["en-US", "zh-CN"]')
    run_notes(make_study('languages=["en-US"]', *settings[:2]), tmp_path / "grown")
    run_notes(make_study(*settings), tmp_path / "grown")
    run_notes(make_study(*settings), tmp_path / "at-once")
    (key,) = (
        key
        for key in Store(tmp_path / "grown").keys("stages")
        if Store(tmp_path / "grown").about("stages", key)["languages"] == [ZH]
    )
    grown, at_once = (Store(tmp_path / name).load_tensors(key)[WORD_EMBEDDINGS] for name in ("grown", "at-once"))
    # Rows are 0.02 large: the first stage's decay, a hundredth or more, is far above this tolerance.
    np.testing.assert_allclose(grown, at_once, rtol=0, atol=2e-5)
    assert Store(tmp_path / "grown").load_history(key).decay < 0.98


def test_a_second_process_is_told(make_study: Make, tmp_path: Path) -> None:
    with FileLock(tmp_path / ".lock"), pytest.raises(AttritionError, match="Another process is running a study in"):
        run_study(make_study(), tmp_path)


def test_the_folder_of_another_study(make_study: Make, whole: tuple[Path, Any]) -> None:
    with pytest.raises(AttritionError, match="holds the results of the study 'tiny', not of 'other'"):
        run_study(make_study("name=other"), whole[0])


def test_a_study_file_of_the_users_own_is_not_written_over(make_study: Make, tmp_path: Path) -> None:
    (tmp_path / "study.toml").write_text("# mine\n")
    with pytest.raises(AttritionError, match="would be overwritten"):
        run_study(make_study(), tmp_path)
    assert (tmp_path / "study.toml").read_text() == "# mine\n"


@pytest.mark.parametrize("place", ["file", "file/deeper"])
def test_a_file_in_the_way(place: str, make_study: Make, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(AttritionError, match="a file is in the way"):
        run_study(make_study(), tmp_path / place)


@pytest.mark.parametrize("device", ["meta", "tpu", "cpu:0", "cuda:x", "", "cuda:99"])
def test_a_device_that_is_not_there(device: str, make_study: Make, prepared_of: Callable[[Study], Prepared]) -> None:
    with pytest.raises(AttritionError, match=r"machine\.device = "):
        prepared_of(make_study(f'machine.device="{device}"'))


def test_without_dev_utterances_nothing_can_be_best(make_study: Make, run_notes: Run, tmp_path: Path) -> None:
    with pytest.raises(AttritionError, match=r"VANILLA keeps the best weights.*but en-US has none"):
        run_notes(make_study("corpus.sizes.dev=0"), tmp_path)
    notes = run_notes(make_study("corpus.sizes.dev=0", "training.keep=last"), tmp_path)
    assert all(math.isnan(epoch.dev_f1) for epoch in notes.epochs)


def test_more_than_fits_into_memory_is_refused_first(make_study: Make, tmp_path: Path) -> None:
    with pytest.raises(AttritionError, match=r"GB of memory\. Lower a rank"):
        run_study(make_study('methods=[{method="SHARED LoRA", rank=10000000000}]'), tmp_path)


def test_running_out_of_memory_is_a_sentence(make_study: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(work, "train_population", full)
    with pytest.raises(AttritionError, match="Not enough memory"):
        run_study(make_study(), tmp_path)


def test_a_model_that_finds_nothing_is_said_loudly(make_study: Make, run_notes: Run, tmp_path: Path) -> None:
    notes = run_notes(make_study("training.learning_rate=0.0", "training.head_learning_rate=0.0"), tmp_path)
    scores = matrix(tmp_path, "VANILLA", "as-listed").own_L
    expected = [each for each, score in zip(LANGUAGES, scores, strict=True) if score == 0]
    assert expected
    warning, still = notes.warnings
    assert "was no better after training on" in still
    assert warning.startswith(f"VANILLA (as-listed, seed 0): F1 is 0 right after training on {', '.join(expected)}.")
    spec = json.loads(next(tmp_path.glob("runs/*/spec.json")).read_text())
    # Any display of a warning names its run.
    assert [f"VANILLA (as-listed, seed 0): {each}" for each in spec["warnings"]] == [warning, still]


def test_a_diverged_training_is_stored_and_said(
    make_study: Make, run_notes: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second language's weights become infinite in its second epoch: the first epoch is kept, and the third continues."""
    step = training._Population.step

    def breaking(self: Any) -> int:
        count = step(self)
        if (self.learners[0].task.seed[1:], self.learners[0].step) == (((EN,), (DE,)), 4):
            self._flat[:] = torch.inf
        return count

    study = make_study()
    with monkeypatch.context() as patch:
        patch.setattr(training._Population, "step", breaking)
        notes = run_notes(study, tmp_path)
    assert any(each.startswith("VANILLA: de-DE: the loss was not finite in epoch 2.") for each in notes.warnings)
    of_run = "Training on de-DE stopped: the loss was not finite in epoch 2. The weights of epoch 1 were kept."
    assert any(of_run in each for each in notes.warnings)
    spec = json.loads(next(tmp_path.glob("runs/*/spec.json")).read_text())
    assert any(of_run in each for each in spec["warnings"])
    key = key_of(notes, "VANILLA", EN, DE)
    stored = Store(tmp_path).load_history(key)
    assert (stored.diverged, stored.kept_epoch, len(stored.history)) == ("the loss was not finite in epoch 2", 1, 2)
    assert all(np.isfinite(array).all() for array in Store(tmp_path).load_tensors(key).values())
    assert len(Store(tmp_path).load_history(key_of(notes, "VANILLA", EN, DE, ZH)).history) == 2
    again = run_notes(study, tmp_path)
    assert again.trained_stages == []
    assert any(of_run in each for each in again.warnings), "also when nothing is trained"
    page = make_report(tmp_path).read_text(encoding="utf-8")
    assert of_run in page


def test_what_training_did_not_better_is_said(make_study: Make, prepared_of: Callable[[Study], Prepared]) -> None:
    """Before: 10, 20, 0. Chinese falls from 5 to 4 in its own stage and German stays at 20; English rises, from 10 to 30."""
    run = prepared_of(make_study()).plan.runs[0]
    stages = [StoredHistory((), 1, {})] * 3
    R = RMatrix.sequential(LANGUAGES, [[0.3, 0.2, 0.01], [0.3, 0.2, 0.05], [0.3, 0.2, 0.04]], [0.1, 0.2, 0.0])
    (warning,) = warnings_of(run.steps, R, stages)
    assert warning.startswith("F1 was no better after training on de-DE, zh-CN than before it.")
    rising = RMatrix.sequential(LANGUAGES, [[0.3, 0.2, 0.01], [0.3, 0.21, 0.05], [0.3, 0.2, 0.06]])
    assert warnings_of(run.steps, rising, stages) == [], "what was not measured before is no reason to warn"


def test_what_early_stopping_saves_is_told(make_study: Make, run_notes: Run, tmp_path: Path) -> None:
    # A rate of 0 never improves after the first epoch.
    still = ("training.learning_rate=0.0", "training.head_learning_rate=0.0", "training.epochs=5", "training.patience=1")
    notes = run_notes(make_study(*still), tmp_path)
    assert len(notes.epochs) == 3 * 2
    assert (notes.work, notes.steps, notes.unused) == (3 * 5 * 24, 3 * 2 * 24, 3 * 3 * 24)

"""`verify` finds what was changed, names it, and changes nothing itself."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

import attrition.verify.rescore as rescore
from attrition.names import AttritionError
from attrition.prepare.pack import write_pack
from attrition.problem.counts import Counts
from attrition.store.stages import Store, StoredEvaluation
from attrition.study.spec import Study
from attrition.study.watcher import Watcher
from attrition.verify.verify import Check, Verdict, verify

Make = Callable[..., Study]
Run = Callable[[Study, Path], Any]

EN, DE, ZH = LANGUAGES = ("en-US", "de-DE", "zh-CN")
METHODS = ["MULTI", "MONO", "VANILLA", "SHARED LoRA", "GROUPED LoRA"]


@pytest.fixture(scope="module")
def study(make_study: Make) -> Study:
    return make_study("corpus.sizes.train=48", methods=METHODS)


@pytest.fixture(scope="module")
def whole(study: Study, run_notes: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished study, read only."""
    folder = tmp_path_factory.mktemp("verified") / "r"
    run_notes(study, folder)
    return folder


@pytest.fixture
def folder(whole: Path, tmp_path: Path) -> Path:
    """A copy that a test may damage."""
    return Path(shutil.copytree(whole, tmp_path / "r"))


def contents(folder: Path) -> dict[str, tuple[bytes, int]]:
    return {str(path): (path.read_bytes(), path.stat().st_mtime_ns) for path in folder.rglob("*") if path.is_file()}


def check(verdict: Verdict, name: str) -> Check:
    (found,) = (each for each in verdict.checks if each.name == name)
    return found


def run_of(folder: Path, method: str) -> Path:
    (found,) = (path.parent for path in folder.glob("runs/*/spec.json") if json.loads(path.read_text())["name"] == method)
    return found


def test_what_is_whole_is_whole_and_stays_untouched(whole: Path) -> None:
    before = contents(whole)
    verdict = verify(whole, sample=3, seed=1)
    assert verdict.problems == ()
    # MULTI 1, MONO 3, VANILLA 3 of which the first is MONO's, SHARED LoRA 3, GROUPED LoRA 3 of which two are SHARED LoRA's.
    num_stages = len(Store(whole).keys("stages"))
    assert num_stages == 1 + 3 + 2 + 3 + 1
    assert check(verdict, "Checksums of stages").num_checked == num_stages
    assert check(verdict, "Checksums of evaluations").num_checked == num_stages + 3  # and three models before training
    assert check(verdict, "Numbers of runs").num_checked == len(METHODS)
    assert check(verdict, "Stages scored again").num_checked == 3
    assert all(each.skipped is None for each in verdict.checks)
    assert contents(whole) == before
    assert not list(whole.glob(".holder*"))


def test_every_stage_can_be_scored_again(whole: Path) -> None:
    verdict = verify(whole, sample=99)
    again = check(verdict, "Stages scored again")
    assert (again.num_checked, again.problems) == (len(Store(whole).keys("stages")), ())
    assert not any("made with" in note for note in again.notes)


def test_another_seed_draws_other_stages(whole: Path) -> None:
    drawn = {check(verify(whole, sample=1, seed=seed), "Stages scored again").notes for seed in range(6)}
    assert len(drawn) > 1
    assert check(verify(whole, seed=3), "Stages scored again").notes in drawn


@pytest.mark.parametrize(
    ("kind", "name", "remedy"),
    [
        ("stages", "weights.safetensors", "trains this stage again"),
        ("stages", "history.json", "trains this stage again"),
        ("stages", "manifest.json", "trains this stage again"),
        ("evaluations", "counts.safetensors", "scores this stage again"),
        ("evaluations", "manifest.json", "scores this stage again"),
    ],
)
@pytest.mark.parametrize("damage", ["missing", "a bit flipped"])
def test_a_damaged_file_is_named(kind: str, name: str, remedy: str, damage: str, folder: Path) -> None:
    path = sorted(folder.glob(f"{kind}/*/{name}"))[0]
    content = bytearray(path.read_bytes())
    path.unlink()
    if damage == "a bit flipped":
        content[len(content) // 2] ^= 4
        path.write_bytes(content)
    (problem,) = check(verify(folder, sample=0), f"Checksums of {kind}").problems
    assert problem.file == path
    assert "damaged" in problem.what
    assert remedy in problem.remedy


def test_runs_that_need_what_is_damaged_are_named_too(folder: Path) -> None:
    key = json.loads((run_of(folder, "VANILLA") / "spec.json").read_text())["steps"][1]["key"]
    shutil.rmtree(folder / "stages" / key)
    (problem,) = verify(folder, sample=0).problems
    assert problem.file == run_of(folder, "VANILLA")
    assert str(folder / "stages" / key) in problem.what


def last_digit(path: Path) -> None:
    """Change one number by the smallest amount there is."""
    if path.suffix == ".parquet":
        frame = pd.read_parquet(path)
        name = "f1" if "f1" in frame else "tp"
        value = frame[name].iloc[-1]
        frame.loc[len(frame) - 1, name] = np.nextafter(value, 2) if name == "f1" else value + 1
        frame.to_parquet(path, index=False)
    elif path.suffix == ".json":
        values = json.loads(path.read_text())
        name = next(name for name, value in values.items() if isinstance(value, float))
        values[name] = float(np.nextafter(values[name], 2))
        path.write_text(json.dumps(values))
    elif path.name == "history.csv":
        path.write_text(path.read_text().replace("true", "false", 1))
    else:
        *lines, last = path.read_text().splitlines()
        cells = last.split(",")
        cells[-1] = repr(float(np.nextafter(float(cells[-1]), 2)))
        path.write_text("\n".join([*lines, ",".join(cells)]) + "\n")


FILES = ("matrix.csv", "transfer.csv", "scores.parquet", "slots.parquet", "metrics.json", "times.json", "history.csv")


@pytest.mark.parametrize("name", FILES)
def test_the_last_digit_of_every_table(name: str, folder: Path) -> None:
    path = run_of(folder, "MONO") / name
    last_digit(path)
    (problem,) = verify(folder, sample=0).problems
    assert problem.file == path
    assert "writes this file again" in problem.remedy
    if name in ("matrix.csv", "metrics.json", "scores.parquet"):
        assert "the counts give" in problem.what


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("damage", ["missing", "empty", "half", "nonsense"])
def test_a_damaged_table(name: str, damage: str, folder: Path) -> None:
    path = run_of(folder, "MONO") / name
    content = path.read_bytes()
    path.unlink()
    if damage != "missing":
        path.write_bytes({"empty": b"", "half": content[: len(content) // 2], "nonsense": b"\xff\x00{"}[damage])
    verdict = verify(folder, sample=0)
    if (name, damage) == ("matrix.csv", "missing"):  # a run without it is one that has not ended
        assert verdict.problems == ()
        assert "is not finished" in check(verdict, "Numbers of runs").notes[0]
    else:
        assert [problem.file for problem in verdict.problems] == [path]


def test_a_table_that_should_not_be(folder: Path) -> None:
    shutil.copy(run_of(folder, "MONO") / "transfer.csv", run_of(folder, "VANILLA"))
    (problem,) = verify(folder, sample=0).problems
    assert problem.file == run_of(folder, "VANILLA") / "transfer.csv"


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"seed": 5}, "describes the run"),
        ({"order": {"name": "as-listed", "languages": [DE, EN, ZH]}}, "describes the run"),
        ({"steps": None}, "missing or damaged"),
        ({"rows": [{"trained": ["de-DE"], "reads": {"de-DE": 9}}]}, "missing or damaged"),
    ],
)
def test_a_specification_that_was_changed(change: dict[str, Any], what: str, folder: Path) -> None:
    path = run_of(folder, "VANILLA") / "spec.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    (problem,) = verify(folder, sample=0).problems
    assert problem.file == path
    assert what in problem.what


def test_counts_that_were_forged_with_their_checksums(folder: Path) -> None:
    """Only the weights tell: the evaluation is whole, and the tables agree with it."""
    run = run_of(folder, "VANILLA")
    stage = json.loads((run / "spec.json").read_text())["steps"][2]
    store = Store(folder)
    evaluation = store.load_evaluation(stage["evaluation"])
    old = evaluation.counts[DE]
    forged = Counts(old.tp + np.int16(1), old.fp, old.fn, old.by_slot + np.array([[10, 0, 0]] + [[0, 0, 0]] * 6))
    store.save_evaluation(
        stage["evaluation"],
        store.about("evaluations", stage["evaluation"]),
        StoredEvaluation({**evaluation.counts, DE: forged}, evaluation.seconds),
    )
    verdict = verify(folder, sample=99)
    found = {problem.file for problem in verdict.problems}
    assert folder / "evaluations" / stage["evaluation"] in found
    assert run / "matrix.csv" in found
    (problem,) = check(verdict, "Stages scored again").problems
    assert problem.what.startswith(f"{DE}: F1 ")
    assert "10 of 10 utterances differ" in problem.what


def test_counts_that_contradict_themselves(folder: Path) -> None:
    store = Store(folder)
    key = store.keys("evaluations")[0]
    evaluation = store.load_evaluation(key)
    old = evaluation.counts[DE]
    counts = {**evaluation.counts, DE: Counts(old.tp, old.fp + np.int16(1), old.fn, old.by_slot)}
    store.save_evaluation(key, store.about("evaluations", key), StoredEvaluation(counts, evaluation.seconds))
    (problem,) = check(verify(folder, sample=0), "Checksums of evaluations").problems
    assert (problem.file, DE in problem.what) == (folder / "evaluations" / key, True)


def test_the_study_and_the_environment(folder: Path) -> None:
    (folder / "study.toml").write_text("name = ")
    (folder / "environment.json").write_text("{")
    verdict = verify(folder)
    assert [problem.file.name for problem in verdict.problems] == ["study.toml", "environment.json"]
    assert "cannot be prepared here" in str(check(verdict, "Stages scored again").skipped)


def test_a_newer_format_is_said_and_the_rest_checked(folder: Path) -> None:
    path = sorted(folder.glob("stages/*/manifest.json"))[0]
    path.write_text(json.dumps({**json.loads(path.read_text()), "format": 99, "seal": "another"}))
    verdict = verify(folder, sample=0)
    (problem,) = check(verdict, "Checksums of stages").problems
    assert "newer version" in problem.what
    assert check(verdict, "Checksums of stages").num_checked == len(list(folder.glob("stages/*")))


def test_a_study_that_grew(folder: Path, make_study: Make, run_notes: Run) -> None:
    """Two test sets for each stage, runs put aside: each is compared with its own counts."""
    run_notes(make_study("corpus.sizes.train=48", "corpus.sizes.test=12", methods=["VANILLA"]), folder)
    verdict = verify(folder, sample=2)
    assert verdict.problems == ()
    assert check(verdict, "Numbers of runs").num_checked == len(METHODS)
    assert len(list(folder.glob("earlier/*"))) == len(METHODS) - 1
    (path,) = folder.glob("earlier/mono*/matrix.csv")
    last_digit(path)
    (problem,) = verify(folder, sample=0).problems
    assert problem.file == path
    assert "to write it again" in problem.remedy


def test_without_the_encoder(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(*_: object) -> None:
        raise AttritionError("the encoder is not here")

    monkeypatch.setattr(rescore, "prepare", gone)
    again = check(verify(folder), "Stages scored again")
    assert (again.num_checked, again.problems) == (0, ())
    assert "the encoder is not here" in str(again.skipped)


def test_with_other_utterances(folder: Path) -> None:
    path = folder / "study.toml"
    path.write_text(path.read_text().replace("train = 48", "train = 49"))
    assert "utterances or settings" in str(check(verify(folder), "Stages scored again").skipped)
    path.write_text(path.read_text().replace("train = 49", "train = 48").replace("test = 10", "test = 11"))
    assert "no stage of this study has counts" in str(check(verify(folder), "Stages scored again").skipped)


def test_with_another_encoder(folder: Path) -> None:
    path = folder / "study.toml"
    path.write_text(path.read_text().replace('"tiny:bert"', '"tiny:xlm-roberta"'))
    assert "is not the one that these stages" in str(check(verify(folder), "Stages scored again").skipped)


def test_on_another_device(folder: Path) -> None:
    path = folder / "environment.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "device": "NVIDIA of tomorrow"}))
    assert "NVIDIA of tomorrow, which is not here" in str(check(verify(folder), "Stages scored again").skipped)


def test_other_software_is_a_note(folder: Path) -> None:
    store = Store(folder)
    for key in store.keys("evaluations"):
        about = dict(store.about("evaluations", key))
        about["made_with"] = {**about["made_with"], "python": "3.99"}
        store.save_evaluation(key, about, store.load_evaluation(key))
    again = check(verify(folder), "Stages scored again")
    assert again.problems == ()
    assert "made with python 3.99 (here 3." in again.notes[0]


def test_from_a_pack(study: Study, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_pack(study, tmp_path / "pack", Watcher(), None)
    monkeypatch.setattr("attrition.prepare.materials.open_corpus", None)
    again = check(verify(folder, sample=2, pack=tmp_path / "pack"), "Stages scored again")
    assert (again.num_checked, again.problems) == (2, ())


def test_threads_are_given_back(whole: Path) -> None:
    torch.set_num_threads(2)
    verify(whole)
    assert torch.get_num_threads() == 2


@pytest.mark.parametrize("name", ["nothing", "a file", "empty"])
def test_what_is_no_results_folder(name: str, tmp_path: Path) -> None:
    (tmp_path / "a file").touch()
    (tmp_path / "empty").mkdir()
    with pytest.raises(AttritionError, match="is not a results folder"):
        verify(tmp_path / name)


def test_half_written_folders_are_no_problem(folder: Path) -> None:
    (folder / "stages" / ".0123.99.tmp").mkdir()
    verdict = verify(folder, sample=0)
    assert verdict.problems == ()
    assert "incomplete folder" in check(verdict, "Checksums of stages").notes[0]


def test_every_file_of_a_run_is_compared(whole: Path) -> None:
    assert {path.name for path in run_of(whole, "MONO").iterdir()} == {*FILES, "spec.json"}


def test_metrics_that_are_newer_than_a_file_are_named_and_the_others_compared(folder: Path) -> None:
    path = run_of(folder, "VANILLA") / "metrics.json"
    numbers = json.loads(path.read_text())
    older = {name: value for name, value in numbers.items() if name not in ("cbt", "fwt")}
    path.write_text(json.dumps(older))
    verdict = verify(folder, sample=0)
    assert verdict.problems == ()
    notes = check(verdict, "Numbers of runs").notes
    assert [note.partition(" in ")[0].rpartition(" ")[2] for note in notes] == ["cbt", "fwt"]
    path.write_text(json.dumps({**older, "final_mean": 0.125}))
    (problem,) = verify(folder, sample=0).problems
    assert "says final_mean = 0.125" in problem.what


@pytest.mark.parametrize("numbers", [{}, {"of the future": 1.0}])
def test_a_file_without_any_metric_is_wrong(numbers: dict[str, float], folder: Path) -> None:
    path = run_of(folder, "VANILLA") / "metrics.json"
    path.write_text(json.dumps(numbers))
    (problem,) = verify(folder, sample=0).problems
    assert problem.file == path


def test_without_stages_and_counts_the_metrics_are_compared_with_the_matrix(folder: Path) -> None:
    for kind in ("stages", "evaluations"):
        shutil.rmtree(folder / kind)
    verdict = verify(folder)
    assert verdict.problems == ()
    assert not verdict.has_counts
    assert "could not be checked" in check(verdict, "Numbers of runs").notes[-1]
    last_digit(run_of(folder, "VANILLA") / "metrics.json")
    (problem,) = verify(folder).problems
    assert "matrix.csv gives" in problem.what

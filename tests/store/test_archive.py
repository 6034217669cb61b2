"""Archives: everything except weights, in few files; verified from counts, read like a results folder, merged."""

from __future__ import annotations

import dataclasses
import json
import lzma
import shutil
import tomllib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tomli_w

from attrition.engine.run import run_study
from attrition.files import sha256_of
from attrition.metrics import metrics_json
from attrition.names import AttritionError
from attrition.report.page import make_report
from attrition.results.counts import run_counts
from attrition.results.packed_counts import COUNTS, STAGES, pack_counts
from attrition.results.read import read_results
from attrition.store.archive import write_archive
from attrition.store.archived import INDEX, ArchivedStore
from attrition.store.stages import Store, seal
from attrition.streams import numpy_stream
from attrition.study.spec import Study
from attrition.study.watcher import Watcher
from attrition.training import learner
from attrition.verify.verify import verify

Make = Callable[..., Study]
METHODS = ["VANILLA", "NON-SHARED LoRA", "MULTI"]


@pytest.fixture(scope="module")
def study(make_study: Make) -> Study:
    return make_study("training.learning_rate=3e-3", "training.epochs=3", methods=METHODS)


@pytest.fixture(scope="module")
def whole(study: Study, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a finished study; read-only."""
    return run_study(study, tmp_path_factory.mktemp("whole") / "results")


@pytest.fixture(scope="module")
def archived(whole: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return its archive; read-only."""
    out = tmp_path_factory.mktemp("archived") / "archive"
    write_archive([whole], out)
    return out


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def sealed_again(archive: Path) -> None:
    """Update archive.json to match changed files, as an attacker could do."""
    index = json.loads((archive / INDEX).read_text())
    index["files"] = {name: sha256_of(archive / name) for name in index["files"]}
    (archive / INDEX).write_text(json.dumps(index))


# --- One folder


def test_an_archive_has_few_files_and_no_weights(whole: Path, archived: Path) -> None:
    files = contents(archived)
    assert {name for name in files if "/" not in name} == {
        INDEX, STAGES, COUNTS, "study.toml", "environment.json", "covariates.json"
    }  # fmt: skip
    runs = {name: data for name, data in contents(whole).items() if name.startswith("runs/")}
    assert {name: data for name, data in files.items() if "/" in name} == runs
    assert len(files) <= 10 * len(METHODS)
    assert sorted(path.name for path in archived.parent.iterdir()) == ["archive"], "nothing temporary is left"


def test_it_says_what_the_folder_says(whole: Path, archived: Path) -> None:
    one, other = Store(whole), ArchivedStore(archived)
    for kind in ("stages", "evaluations"):
        assert one.keys(kind) == other.keys(kind)  # type: ignore[arg-type]
        for key in one.keys(kind):  # type: ignore[arg-type]
            assert one.about(kind, key) == other.about(kind, key)  # type: ignore[arg-type]
            assert other.problem(kind, key) is None  # type: ignore[arg-type]
    for key in one.keys("stages"):
        assert dataclasses.asdict(one.load_history(key)) == dataclasses.asdict(other.load_history(key))
    for key in one.keys("evaluations"):
        left, right = one.load_evaluation(key), other.load_evaluation(key)
        assert (left.seconds, left.drawn_from) == (right.seconds, right.drawn_from)
        assert left.counts.keys() == right.counts.keys()
        for language, counts in left.counts.items():
            assert np.array_equal(counts.by_slot, right.counts[language].by_slot)
            assert np.array_equal(counts.tp, right.counts[language].tp)


def test_the_place_of_the_corpus_stays_out(whole: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(whole, tmp_path / "copy"))
    text = (copy / "study.toml").read_text()
    (copy / "study.toml").write_text(text.replace("[corpus]\n", '[corpus]\npath = "/home/somebody/data"\n', 1))
    write_archive([copy], tmp_path / "archive")
    assert tomllib.loads((tmp_path / "archive" / "study.toml").read_text()) == tomllib.loads(text)


@pytest.mark.parametrize("place", ["/home/somebody/models", "../models", "~"])
def test_the_folder_of_a_local_model_stays_out(place: str, whole: Path, archived: Path, tmp_path: Path) -> None:
    copies = [Path(shutil.copytree(whole, tmp_path / name)) for name in ("copy", "other")]
    for copy, folder in zip(copies, (place, "/other/place"), strict=True):
        here = f"hub:{folder}/mine"
        study = tomllib.loads((copy / "study.toml").read_text())
        (copy / "study.toml").write_text(tomli_w.dumps({**study, "model": {**study["model"], "name": here}}))
        for path in copy.glob("runs/*/spec.json"):
            spec = json.loads(path.read_text())
            path.write_text(json.dumps({**spec, "model": {**spec["model"], "name": here}}))
        for path in copy.glob("stages/*/manifest.json"):
            manifest = json.loads(path.read_text())
            manifest["about"]["model"]["name"] = here
            path.write_text(json.dumps({**manifest, "seal": seal(manifest)}))
    write_archive(copies, tmp_path / "archive")
    assert verify(tmp_path / "archive").problems == ()
    files = {
        name: lzma.decompress(data) if name.endswith(".xz") else data for name, data in contents(tmp_path / "archive").items()
    }
    assert not [name for name, data in files.items() if b"somebody" in data or f"{place}/mine".encode() in data]
    assert tomllib.loads(files["study.toml"].decode())["model"]["name"] == "hub:mine"
    store = ArchivedStore(tmp_path / "archive")
    assert {store.about("stages", key)["model"]["name"] for key in store.keys("stages")} == {"hub:mine"}
    assert store.keys("stages") == ArchivedStore(archived).keys("stages")


def test_some_runs(whole: Path, make_study: Make, tmp_path: Path) -> None:
    """What is left out may change: here the other methods of the study do."""
    write_archive([whole], tmp_path / "some", only=["vanilla/*", "MULTI"])
    assert verify(tmp_path / "some").problems == ()
    assert [run.label for run in read_results(tmp_path / "some").runs] == [
        run.label for run in read_results(whole).runs if not run.label.startswith("NON")
    ]
    store, all_stages = ArchivedStore(tmp_path / "some"), Store(whole).keys("stages")
    specs = [json.loads(path.read_text()) for path in (tmp_path / "some").glob("runs/*/spec.json")]
    assert set(store.keys("stages")) == {step["key"] for spec in specs for step in spec["steps"]} < set(all_stages)
    assert set(store.keys("evaluations")) == {step["evaluation"] for spec in specs for step in spec["steps"]} | {
        spec["before"] for spec in specs
    }
    study = tomllib.loads((tmp_path / "some" / "study.toml").read_text())
    assert [method["name"] for method in study["methods"]] == ["VANILLA", "MULTI"]
    changed = make_study(
        "training.learning_rate=3e-3",
        "training.epochs=3",
        methods=["VANILLA", {"method": "NON-SHARED LoRA", "training": {"learning_rate": 1e-3}}],
    )
    run_study(changed, tmp_path / "changed", only=["NON-SHARED LoRA"])
    with pytest.raises(AttritionError, match=r"differ in method 'NON-SHARED LoRA'.*of study\.toml"):
        write_archive([whole, tmp_path / "changed"], tmp_path / "refused")
    write_archive([tmp_path / "some", tmp_path / "changed"], tmp_path / "both")
    assert verify(tmp_path / "both").problems == ()
    assert len(read_results(tmp_path / "both").runs) == len(METHODS)
    with pytest.raises(AttritionError, match=r"--only: unknown finished run or method 'MONO'.*Known: MULTI"):
        write_archive([whole], tmp_path / "none", only=["MONO"])
    damaged = Path(shutil.copytree(whole, tmp_path / "damaged"))
    next(damaged.glob("runs/multi--*/spec.json")).write_text("{}")
    with pytest.raises(AttritionError, match="so --only cannot tell its run"):
        write_archive([damaged], tmp_path / "none", only=["VANILLA"])


def test_a_run_put_aside_is_said(whole: Path, tmp_path: Path) -> None:
    class Noting(Watcher):
        def warned(self, message: str) -> None:
            said.append(message)

    said: list[str] = []
    copy = Path(shutil.copytree(whole, tmp_path / "copy"))
    run = next(copy.glob("runs/multi--*"))
    (copy / "earlier").mkdir()
    run.rename(copy / "earlier" / run.name)
    write_archive([copy], tmp_path / "archive", Noting())
    assert said == [f"Not archived: 1 run in {copy / 'earlier'}, no longer in the study. Their stages are."]
    assert not list((tmp_path / "archive").rglob("multi--*"))


def test_report_and_metrics_read_it(whole: Path, archived: Path, tmp_path: Path) -> None:
    name = "runs/vanilla--*/matrix.csv"
    one, other = (metrics_json(sorted(folder.glob(name)), settings={}) for folder in (whole, archived))
    assert {**one, "matrices": 0} == {**other, "matrices": 0}
    assert [run.label for run in read_results(archived).runs] == [run.label for run in read_results(whole).runs]
    shutil.copytree(archived, tmp_path / "copy")
    assert make_report(tmp_path / "copy").is_file()


def test_verify_recomputes_every_number(archived: Path) -> None:
    before = contents(archived)
    verdict = verify(archived, sample=3)
    assert verdict.problems == ()
    checks = {check.name: check for check in verdict.checks}
    assert checks["Numbers of runs"].num_checked == len(METHODS)
    assert checks["Manifests of evaluations"].num_checked == len(ArchivedStore(archived).keys("evaluations"))
    assert "weights" in checks["Manifests of stages"].notes[0]
    assert checks["Stages scored again"].skipped == "an archive has no weights"
    assert contents(archived) == before


def test_damage_is_found(archived: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(archived, copy)
    (matrix, *_) = sorted(copy.glob("runs/*/matrix.csv"))
    text = matrix.read_text()
    place = text.rindex("0.") + 2
    matrix.write_text(text[:place] + ("8" if text[place] == "9" else "9") + text[place + 1 :])
    assert [problem.file for problem in verify(copy).problems] == [matrix]
    sealed_again(copy)
    assert [(problem.file, "the counts give" in problem.what) for problem in verify(copy).problems] == [(matrix, True)]


def test_changed_counts_are_found(archived: Path, tmp_path: Path) -> None:
    """Even if all checksums of archive.json match: the evaluation's manifest has the checksum of its counts."""
    copy = tmp_path / "copy"
    shutil.copytree(archived, copy)
    store = ArchivedStore(archived)
    counts = {key: {name: array.copy() for name, array in arrays.items()} for key, arrays in store.counts.items()}
    key = store.keys("evaluations")[0]
    counts[key]["en-US.utterances"][0] += 1
    (copy / COUNTS).write_bytes(pack_counts(counts)[0])
    sealed_again(copy)
    problems = verify(copy).problems
    assert any(f"evaluations/{key}" in problem.what and problem.file == copy / STAGES for problem in problems)


def test_a_newer_format_is_refused(archived: Path, tmp_path: Path) -> None:
    shutil.copytree(archived, tmp_path / "copy")
    index = json.loads((tmp_path / "copy" / INDEX).read_text())
    (tmp_path / "copy" / INDEX).write_text(json.dumps({**index, "format": 2}))
    with pytest.raises(AttritionError, match="newer version"):
        verify(tmp_path / "copy")


def test_what_is_refused(whole: Path, archived: Path, study: Study, make_study: Make, tmp_path: Path) -> None:
    with pytest.raises(AttritionError, match="exists already"):
        write_archive([whole], archived)
    with pytest.raises(AttritionError, match="is not a results folder"):
        write_archive([tmp_path], tmp_path / "out")
    before = contents(archived)
    with pytest.raises(AttritionError, match="is an archive without weights"):
        run_study(study, archived)
    assert contents(archived) == before
    other = run_study(make_study(name="other"), tmp_path / "other")
    with pytest.raises(AttritionError, match="holds the study 'other'"):
        write_archive([whole, other], tmp_path / "out")
    broken = tmp_path / "broken"
    shutil.copytree(whole, broken)
    path = next(broken.glob("stages/*/history.json"))
    path.write_text(path.read_text() + " ")
    with pytest.raises(AttritionError, match=r"history\.json is missing or damaged\. Nothing was archived"):
        write_archive([broken], tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_an_archive_that_can_say_nothing_is_refused(whole: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(whole, tmp_path / "copy"))
    with pytest.raises(AttritionError, match=r"lies in .*copy.*Choose a folder outside"):
        write_archive([copy], copy / "runs" / "archive")
    shutil.rmtree(copy / "runs")
    with pytest.raises(AttritionError, match=r"No run is finished in .*copy.*finish a run"):
        write_archive([copy], tmp_path / "out")


def test_a_check_comes_before_the_name(whole: Path, tmp_path: Path) -> None:
    def check(written: Path) -> None:
        assert verify(written).problems == ()
        raise AttritionError("Wrong.")

    with pytest.raises(AttritionError, match="Wrong"):
        write_archive([whole], tmp_path / "out", check=check)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", [INDEX, STAGES, "study.toml"])
@pytest.mark.parametrize("content", [None, b"{"])
def test_a_lost_or_damaged_file_is_named(name: str, content: bytes | None, archived: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(archived, tmp_path / "copy"))
    (copy / name).unlink() if content is None else (copy / name).write_bytes(content)
    (problem,) = verify(copy).problems
    assert problem.file == copy / name
    assert "Make the archive again" in problem.remedy


def test_files_of_the_user_come_along(make_study: Make, tmp_path: Path) -> None:
    groups = tmp_path / "groups.csv"
    groups.write_text("locale,group\nen-US,a\nde-DE,b\nzh-CN,b\n")
    study = make_study(methods=[{"method": "GROUPED LoRA", "shared_by": str(groups)}])
    folder = run_study(study, tmp_path / "results")
    groups.unlink()
    write_archive([folder], tmp_path / "archive")
    assert verify(tmp_path / "archive").problems == ()
    assert [path.read_bytes() for path in (tmp_path / "archive").glob("groups-*")] == [
        path.read_bytes() for path in folder.glob("groups-*")
    ]


# --- Several folders


def test_parts_are_joined(study: Study, whole: Path, tmp_path: Path) -> None:
    """Parts of one study, one of them already an archive, give the runs of the whole; duplicates count once."""
    one = run_study(study, tmp_path / "one", only=["VANILLA"])
    two = run_study(study, tmp_path / "two", only=["MULTI", "NON-SHARED LoRA"])
    write_archive([one], tmp_path / "first")
    write_archive([tmp_path / "first", two, one], tmp_path / "both")
    both = tmp_path / "both"
    assert verify(both).problems == ()
    (matrices, expected) = (
        {path.parent.name: path.read_bytes() for path in folder.glob("runs/*/matrix.csv")} for folder in (both, whole)
    )
    assert matrices == expected
    write_archive([tmp_path / "both"], tmp_path / "again")
    assert contents(tmp_path / "again") == contents(tmp_path / "both")


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("metrics.json", "\n}", ',\n "more": 1\n}'),
        ("history.csv", "0.", "1."),
        ("spec.json", "en-US", "de-DE"),
    ],
)
def test_a_contradiction_is_refused(name: str, old: str, new: str, whole: Path, archived: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(whole, copy)
    path = next(copy.glob(f"runs/*/{name}"))
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new, 1))
    with pytest.raises(AttritionError, match=rf"{path.name} contradicts .*{path.parent.name}/{name}"):
        write_archive([archived, copy], tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_covariates_come_along_and_may_not_contradict(whole: Path, archived: Path, tmp_path: Path) -> None:
    assert (archived / "covariates.json").read_bytes() == (whole / "covariates.json").read_bytes()
    copy = tmp_path / "copy"
    shutil.copytree(whole, copy)
    found = json.loads((copy / "covariates.json").read_text())
    found["language"]["fertility"][1] += 0.5
    (copy / "covariates.json").write_text(json.dumps(found))
    with pytest.raises(AttritionError, match=r"copy/covariates\.json contradicts .*archive/covariates\.json"):
        write_archive([archived, copy], tmp_path / "out")
    (copy / "covariates.json").unlink()
    write_archive([copy], tmp_path / "without")
    assert not (tmp_path / "without" / "covariates.json").exists()
    write_archive([tmp_path / "without", archived], tmp_path / "joined")
    assert (tmp_path / "joined" / "covariates.json").read_bytes() == (whole / "covariates.json").read_bytes()


def test_other_settings_are_refused(make_study: Make, whole: Path, tmp_path: Path) -> None:
    study = make_study("training.learning_rate=3e-3", "training.epochs=2", methods=METHODS)
    other = run_study(study, tmp_path / "other", only=["VANILLA"])
    with pytest.raises(
        AttritionError, match=r"other and .*whole.* differ in method 'VANILLA'\.training\.epochs of study\.toml"
    ):
        write_archive([whole, other], tmp_path / "out")


@pytest.fixture(scope="module")
def again(study: Study, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the study's run of VANILLA from another machine, which took another time; read-only."""
    folder = run_study(study, tmp_path_factory.mktemp("again") / "results", only=["VANILLA"])
    for path in folder.glob("stages/*/manifest.json"):
        manifest = json.loads(path.read_text())
        manifest["about"]["made_with"]["platform"] = "another machine"
        path.write_text(json.dumps(manifest | {"seal": seal(manifest)}))
    return folder


def test_of_two_equal_runs_the_first_is_taken(whole: Path, again: Path, tmp_path: Path) -> None:
    write_archive([again, whole], tmp_path / "out")
    assert verify(tmp_path / "out").problems == ()
    runs = {path.parent.name: path.parent for path in whole.glob("runs/*/matrix.csv")}
    for name, folder in runs.items():
        first = again / "runs" / name if name.startswith("vanilla") else folder
        assert contents(tmp_path / "out" / "runs" / name) == contents(first)


def test_a_run_of_one_folder_with_the_stages_of_another(whole: Path, again: Path, tmp_path: Path) -> None:
    """The stages took another time there. The times of the run are those of the stages in the archive."""
    stages = Path(shutil.copytree(again, tmp_path / "stages"))
    shutil.rmtree(stages / "runs")
    write_archive([stages, whole], tmp_path / "out")
    assert verify(tmp_path / "out").problems == ()
    (run,) = (tmp_path / "out").glob("runs/vanilla--*")
    assert contents(run) == contents(whole / "runs" / run.name) | {
        name: (again / "runs" / run.name / name).read_bytes() for name in ("history.csv", "times.json")
    }


def test_a_run_without_its_settings_has_no_times(whole: Path, again: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(whole, tmp_path / "copy"))
    path = next(copy.glob("runs/vanilla--*/spec.json"))
    path.write_text("{}")
    stages = Path(shutil.copytree(again, tmp_path / "stages"))
    shutil.rmtree(stages / "runs")
    with pytest.raises(AttritionError, match=r"spec\.json is damaged, or a stage of this run is missing.*attrition verify"):
        write_archive([stages, copy], tmp_path / "out")


def test_other_results_of_a_stage_are_refused(whole: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(whole, tmp_path / "copy"))
    path = next(copy.glob("stages/*/history.json"))
    content = path.read_text().replace('"train_loss": ', '"train_loss": 1', 1)
    path.write_text(content)
    manifest = json.loads((path.parent / "manifest.json").read_text())
    manifest["files"][path.name] = {"sha256": sha256_of(path), "bytes": len(content)}
    (path.parent / "manifest.json").write_text(json.dumps(manifest | {"seal": seal(manifest)}))
    with pytest.raises(AttritionError, match=r"manifest\.json contradicts .* different results"):
        write_archive([whole, copy], tmp_path / "out")


# --- Kinds of machines


def on_another_processor(folder: Path) -> None:
    """Say that all stages and evaluations of a folder were made by another kind of processor."""
    for path in folder.glob("*/*/manifest.json"):
        manifest = json.loads(path.read_text())
        manifest["about"]["made_with"]["instructions"] = "another kind"
        path.write_text(json.dumps(manifest | {"seal": seal(manifest)}))


@pytest.fixture(scope="module")
def machines(make_study: Make, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Return two folders of one study. They share a stage, and another order of batches stands for other rounding."""
    study = make_study("training.learning_rate=3e-3", methods=["SHARED LoRA", "NON-SHARED LoRA", "MULTI LoRA"])
    folders = [tmp_path_factory.mktemp("machine") / "results" for _ in range(2)]
    run_study(study, folders[0], only=["NON-SHARED LoRA"])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(learner, "numpy_stream", lambda *name: numpy_stream(*name, "other"))
        run_study(study, folders[1], only=["SHARED LoRA", "MULTI LoRA"])
    return folders


def test_kinds_of_machines_that_round_differently_are_joined(machines: list[Path], tmp_path: Path) -> None:
    with pytest.raises(AttritionError, match=r"contradicts .* different results"):
        write_archive(machines, tmp_path / "refused")
    other = Path(shutil.copytree(machines[1], tmp_path / "other"))
    on_another_processor(other)
    said: list[str] = []

    class Noting(Watcher):
        def warned(self, message: str) -> None:
            said.append(message)

    write_archive([machines[0], other], tmp_path / "out", Noting())
    assert verify(tmp_path / "out", sample=1).problems == ()
    assert said == [
        "2 results of other machines differ, as kinds of processors round differently. Both are kept, each with its own runs."
    ]
    store = ArchivedStore(tmp_path / "out")
    (stage,) = (key for key in store.keys("stages") if "." in key)
    assert store.load_history(stage) != store.load_history(stage.removesuffix(".2"))
    expected = {run.label: run.matrix.scores_SL for folder in machines for run in read_results(folder).runs}
    found = {run.label: run for run in read_results(tmp_path / "out").runs}
    assert found.keys() == expected.keys()
    for label, run in found.items():
        counts = run_counts(run)
        assert counts is not None
        assert np.array_equal(counts.f1_SL, expected[label], equal_nan=True), "each run has the counts of its own machine"

    few = Noting()
    write_archive([tmp_path / "out"], tmp_path / "alone", few, only=["SHARED LoRA"])
    assert verify(tmp_path / "alone").problems == ()
    assert len(said) == 1, "the other result of the stage is not in this archive"
    again, mine = tmp_path / "again", tmp_path / "mine"
    write_archive([tmp_path / "out", other, machines[0]], again)
    write_archive([tmp_path / "out"], mine)
    for path in (again, mine):
        assert ArchivedStore(path).keys("stages") == store.keys("stages"), "known variants are found again"
        assert {name: data for name, data in contents(path).items() if name.startswith("runs/")} == {
            name: data for name, data in contents(tmp_path / "out").items() if name.startswith("runs/")
        }
    write_archive([other, machines[0]], tmp_path / "turned")
    assert verify(tmp_path / "turned", sample=1).problems == ()
    specs = {path.parent.name: path.read_text() for path in (tmp_path / "turned").glob("runs/*/spec.json")}
    assert ["." in json.loads(text)["steps"][0]["key"] for name, text in sorted(specs.items())] == [False, True, False]


def test_a_run_on_two_kinds_of_machines_is_refused(machines: list[Path], make_study: Make, tmp_path: Path) -> None:
    study = make_study("training.learning_rate=3e-3", methods=["SHARED LoRA", "NON-SHARED LoRA", "MULTI LoRA"])
    run_study(study, tmp_path / "here", only=["SHARED LoRA"])
    other = Path(shutil.copytree(machines[1], tmp_path / "other"))
    on_another_processor(other)
    with pytest.raises(AttritionError, match=r"contradicts .* different results"):
        write_archive([tmp_path / "here", other], tmp_path / "out")

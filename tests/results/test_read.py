from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from attrition.names import AttritionError
from attrition.results.read import flat, read_results


def test_reads_every_finished_run(study: Path) -> None:
    results = read_results(str(study))
    assert results.name == "simulated"
    assert len(results.runs) == 8
    assert results.unfinished == ()
    assert results.environment == {"python": "3.11", "machine.cpu": "simulated", "machine.cores": "2"}


def test_runs_are_named_by_what_tells_them_apart_joint_ones_first(study: Path) -> None:
    labels = [run.label for run in read_results(study).runs]
    assert labels[:4] == ["MULTI · order-1", "MULTI · order-2", "VANILLA · order-1", "VANILLA · order-2"]
    assert all("seed" not in label and "tiny" not in label for label in labels)


def test_ranks_tell_runs_apart_only_where_one_method_has_several(simulate: ModuleType, tmp_path: Path) -> None:
    other = simulate.FakeMethod("SHARED LoRA", rank=64)
    simulate.write_study(tmp_path, methods=("VANILLA", "SHARED LoRA", other, "NON-SHARED LoRA"))
    labels = [run.label for run in read_results(tmp_path).runs]
    assert labels[0] == "VANILLA"
    assert {"SHARED LoRA · r = 32", "SHARED LoRA · r = 64"} < set(labels)


def test_series_average_orders(study: Path) -> None:
    results = read_results(study)
    counts = {label: len(runs) for runs, label in zip(results.series.values(), results.series_labels.values(), strict=True)}
    assert counts == {"MULTI": 2, "VANILLA": 2, "SHARED LoRA": 2, "NON-SHARED LoRA": 2}
    assert list(results.series_labels.values()) == ["MULTI", "VANILLA", "SHARED LoRA", "NON-SHARED LoRA"]


def test_runs_of_other_settings_are_another_series(simulate: ModuleType, tmp_path: Path) -> None:
    vanilla, lora, order = simulate.METHODS["VANILLA"], simulate.METHODS["SHARED LoRA"], ["en-US", "de-DE"]
    for folder, train, rate in (("a", 50, 1e-4), ("a", 50, 2e-3), ("b", 800, 1e-4)):
        simulate.write_run(tmp_path / folder / f"{rate}", vanilla, "x", order, train=train, learning_rate=rate)
    simulate.write_run(tmp_path / "a" / "lora", lora, "x", order, train=50, learning_rate=1e-3)
    folders = [tmp_path / "a" / "0.0001", tmp_path / "a" / "0.002", tmp_path / "b" / "0.0001", tmp_path / "a" / "lora"]
    results = read_results(folders[0], beside=folders[1:])
    assert [len(runs) for runs in results.series.values()] == [1, 1, 1, 1]
    assert list(results.series_labels.values()) == [
        "VANILLA · train = 50 · learning_rate = 0.0001",
        "VANILLA · train = 50 · learning_rate = 0.002",
        "VANILLA · train = 800 · learning_rate = 0.0001",
        "SHARED LoRA · train = 50 · learning_rate = 0.001",
    ]
    assert len({run.label for run in results.runs}) == 4


def test_metrics_come_from_r_where_none_are_recorded(study: Path, tmp_path: Path) -> None:
    shutil.copytree(study, tmp_path / "study")
    run = next(folder for folder in (tmp_path / "study" / "runs").iterdir() if folder.name.startswith("vanilla"))
    (run / "metrics.json").write_text('{"final_mean": 0.125, "cbt": null, "groups": {}}')
    metrics = {r.key: r.metrics for r in read_results(tmp_path / "study").runs}
    assert metrics[run.name]["final_mean"] == 0.125
    assert metrics[run.name]["cbt"] != metrics[run.name]["cbt"]
    other = next(key for key in metrics if key.startswith("vanilla") and key != run.name)
    assert metrics[other]["final_mean"] > 0.5


def test_a_run_without_a_matrix_is_unfinished(study: Path, tmp_path: Path) -> None:
    shutil.copytree(study, tmp_path / "study")
    run = next((tmp_path / "study" / "runs").iterdir())
    (run / "matrix.csv").unlink()
    results = read_results(tmp_path / "study")
    assert results.unfinished == (run.name,)
    assert len(results.runs) == 7


def test_malformed_steps_are_named(study: Path, tmp_path: Path) -> None:
    shutil.copytree(study, tmp_path / "study")
    spec = next((tmp_path / "study" / "runs").iterdir()) / "spec.json"
    spec.write_text(json.dumps({**json.loads(spec.read_text()), "steps": [1]}))
    with pytest.raises(AttritionError, match=r"spec\.json: steps\.0: "):
        read_results(tmp_path / "study")


def test_not_a_results_folder(tmp_path: Path) -> None:
    with pytest.raises(AttritionError, match="is not a results folder: it has no folder 'runs'"):
        read_results(tmp_path)


def test_nothing_finished(tmp_path: Path) -> None:
    (tmp_path / "runs" / "a").mkdir(parents=True)
    with pytest.raises(AttritionError, match="no run is finished yet"):
        read_results(tmp_path)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("spec.json", "{", r"spec\.json, line 1: not JSON"),
        ("spec.json", "[]", r"spec\.json: a JSON object is expected"),
        ("spec.json", '{"format": 1}', r"spec\.json: format 1 is not known"),
        ("spec.json", '{"format": 2}', r"spec\.json: run: Field required"),
        ("matrix.csv", "trained,en-US\nen-US,50\n", r"matrix\.csv, line 2"),
        ("metrics.json", '{"cbt": "low"}', r"metrics\.json: 'cbt' is 'low'"),
        ("times.json", '{"data": null}', r"times\.json: 'data' is None, but should be a number"),
        ("history.csv", "stage,trained\n1,en-US\n", r"history\.csv: the column 'epoch' is missing"),
        ("history.csv", "", r"history\.csv: the column 'stage' is missing"),
    ],
)
def test_a_malformed_file_is_named(study: Path, tmp_path: Path, name: str, text: str, message: str) -> None:
    shutil.copytree(study, tmp_path / "study")
    run = next((tmp_path / "study" / "runs").iterdir())
    (run / name).write_text(text)
    with pytest.raises(AttritionError, match=message):
        read_results(tmp_path / "study")


def test_optional_files_may_be_missing(study: Path, tmp_path: Path) -> None:
    shutil.copytree(study, tmp_path / "study")
    for run in (tmp_path / "study" / "runs").iterdir():
        for name in ("history.csv", "times.json"):
            (run / name).unlink()
    run = read_results(tmp_path / "study").runs[0]
    assert run.history.empty
    assert set(run.times.values()) == {0.0}


def test_flat_settings_are_texts() -> None:
    settings = {"a": {"b": [1, 2.5], "c": True}, "d": None, "e": []}
    assert flat(settings) == {"a.b": "1, 2.5", "a.c": "yes", "d": "-", "e": "-"}
    assert json.dumps(settings)


def test_the_report_never_imports_torch() -> None:
    code = "import attrition.report.page, sys; print(sorted({'torch', 'transformers', 'tokenizers'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"

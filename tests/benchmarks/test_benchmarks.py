"""Each benchmark at toy size: that it runs, that its result has its keys and its sides agree. Never how long anything took."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from attrition.encoder.sources import load_pretrained
from attrition.encoder.vocabulary import whole_vocabulary
from attrition.methods import Full, LoRA
from attrition.training.model import build_model
from attrition.training.predict import predict
from benchmarks import (
    baseline,
    common,
    cpu,
    data,
    embedding_rows,
    gate_calibration,
    gate_speed,
    gpu,
    growth,
    memory,
    ours,
    scale,
    table,
)
from benchmarks.paper import RATES, paper_costs
from benchmarks.workload import Workload, load_workload

FACTS = {"command", "date", "commit", "dirty", "versions", "machine", "format"}
# Of transformers and torch about each other, where our own code has no part.
pytestmark = [
    pytest.mark.long,
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning"),
]


@pytest.fixture
def work() -> Workload:
    """A few generated utterances for a tiny encoder."""
    return load_workload("tiny:bert", ("en-US", "de-DE"), 24, 8, phrasebook=True)


def read(path: Path) -> dict[str, Any]:
    result: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    assert result.keys() >= FACTS
    assert (
        result["versions"]["torch"] == torch.__version__.partition("+")[0] or result["versions"]["torch"] == torch.__version__
    )
    return result


def test_cpu_compares_like_with_like(tmp_path: Path) -> None:
    cpu.main(["--toy", "--threads", "1", "--out", str(tmp_path / "cpu.json")])
    result = read(tmp_path / "cpu.json")
    for key in ("train_lora_ratio", "eval_ratio", "train_full_ratio", "scorer_ratio", "gemm_fraction"):
        assert result[key] > 0, key
    assert result["full_memory_ratio"] is None  # measured in other processes, not at toy size
    assert result["workload"]["corpus"] == "phrasebook"
    # Same start, same batch: only dropout differs.
    assert result["comparable"]["first_step_loss_differs_by"] < 0.03
    assert result["comparable"]["f1_differs_by"] < 0.02
    for part in ("train_lora", "train_full"):
        assert {len(each) for each in result[part]["seconds"].values()} == {cpu.TOY.repeats}
        assert {len(each) for each in result[part]["mean_loss"].values()} == {cpu.TOY.repeats + 1}
        means = [np.mean(each) for each in result[part]["mean_loss"].values()]
        assert max(means) / min(means) < 1.05
    text = table.markdown(tmp_path)
    assert "### cpu" in text
    assert "scorer alone" in text


def test_both_sides_start_from_the_same_model(work: Workload) -> None:
    """Without dropout, and LoRA's B not zero, PEFT's classes are ours: names, scale and targets fit."""
    model = build_model(work.pretrained, work.vocabulary, work.labels)
    trains = LoRA(rank=4, dropout=0.0)
    flat = model.start(trains, 1)
    flat += 0.1 * torch.randn(flat.shape, generator=torch.Generator().manual_seed(0))
    tensors = model.layout(trains).unpack(flat)
    module = baseline.classifier(work.pretrained, work.labels)
    baseline.set_full(module, work.pretrained, tensors)
    module = baseline.with_lora(module, trains).eval()
    baseline.set_lora(module, tensors)
    assert baseline.trainable(module) == model.layout(trains).size
    (language, encoded), *_ = work.tests.items()
    theirs: list[int] = []
    for row in baseline.features(encoded):
        classes = module(torch.tensor([row["input_ids"]])).logits[0].argmax(-1).tolist()
        theirs += [0 if gold == baseline.IGNORED else found for gold, found in zip(row["labels"], classes, strict=True)]
    found = predict(model, model.weights(trains, flat), work.compact(encoded))
    assert len(set(theirs)) > 2, "all classes are the same: nothing was compared"
    assert found.tolist() == theirs, language


def test_memory_sides_learn_the_same(work: Workload, tmp_path: Path) -> None:
    model = build_model(work.pretrained, work.vocabulary, work.labels)
    start = model.layout(Full()).unpack(model.start(Full(), "benchmark"))
    memory.write_job(tmp_path, work, cpu.FULL_SETTINGS, 1, start)
    sides = {side: memory.run_side(side, tmp_path) for side in memory.SIDES}
    assert sides["ours"].keys() == sides["trainer"].keys() >= {"peak_bytes", "loaded_bytes", "imported_bytes"}
    assert sides["ours"]["train_loss"] == pytest.approx(sides["trainer"]["train_loss"], rel=0.03)


@pytest.mark.skipif(not Path("/proc/self/status").is_file(), reason="only Linux says how much a process itself has held")
def test_a_process_does_not_inherit_the_peak_of_its_parent() -> None:
    ballast = np.ones(60_000_000)  # 480 MB
    assert common.peak_memory() > ballast.nbytes
    assert common.peak_memory() >= common.resident_memory()
    child = "print(next(int(line.split()[1]) for line in open('/proc/self/status') if line.startswith('VmHWM:')) * 1024)"
    done = subprocess.run([sys.executable, "-S", "-c", child], capture_output=True, text=True, check=True)
    assert int(done.stdout) < ballast.nbytes / 4


def test_data_measures_cold_and_warm(tmp_path: Path) -> None:
    once = data.main(["--toy", "--measure"])
    assert (once["languages"], once["utterances"]) == (2, 2 * (8 + 2 + 4))
    result = {
        **dict.fromkeys(("cold_seconds", "warm_seconds", "resident_growth_bytes"), 1.0),
        "array_bytes": once["array_bytes"],
        "cold": once,
        "warm": [once],
    }
    common.write_result(tmp_path / "data.json", result | common.facts("python -m benchmarks.data"))
    assert "2 languages" in table.markdown(tmp_path)


def test_growth_measures_every_axis(tmp_path: Path) -> None:
    growth.main(["--toy", "--out", str(tmp_path / "growth.json")])
    result = read(tmp_path / "growth.json")
    assert result["points"].keys() == growth.VALUES.keys()
    languages = result["points"]["languages"]
    assert [point["stages"] for point in languages] == [2, 4]
    assert all(0 < point["overhead"] < 1 for point in languages)
    assert result["overhead"] == max(point["overhead"] for axis in ("languages", "orders") for point in result["points"][axis])
    assert "learners 2" in table.markdown(tmp_path)


def test_growth_measures_workers(tmp_path: Path) -> None:
    growth.main(["--toy", "--workers", "1", "2", "--languages", "2", "--out", str(tmp_path / "growth_workers.json")])
    points = read(tmp_path / "growth_workers.json")["workers"]
    assert [(point["workers"], point["languages"], point["stages"]) for point in points] == [(1, 2, 8), (2, 2, 8)]
    assert all(point["seconds"] > 0 for point in points)


def test_gpu_runs_at_toy_size(tmp_path: Path) -> None:
    gpu.main(["--toy", "--epochs", "2", "--out", str(tmp_path / "gpu.json")])
    result = read(tmp_path / "gpu.json")
    for key in ("full_ratio", "shared_ratio", "non_shared_ratio", "evaluation_ratio"):
        assert result[key] > 0, key
    assert result["differs_from_cpu"] == {"full": 0.0, "lora": 0.0}  # the device is the CPU here
    assert result["utterances_a_second"].keys() >= {"non_shared_1", "non_shared_2", "rank_256"}
    assert result["share_of_limit"].keys() == gpu.LIMITS.keys()
    assert result["paper"]["hours"]["ours"] > 0
    assert "the whole paper, 2 epochs" in table.markdown(tmp_path)


def test_embedding_rows_compares_both_sides(tmp_path: Path) -> None:
    before = torch.get_num_threads()
    embedding_rows.main(["--toy", "--out", str(tmp_path / "embedding_rows.json")])
    torch.set_num_threads(before)
    result = read(tmp_path / "embedding_rows.json")
    assert result["rows_ratio"] > 0
    assert result["rows"]["read"] < result["rows"]["in_use"]
    assert {len(each) for each in result["seconds"].values()} == {1}


@pytest.mark.skipif(torch.cuda.is_available(), reason="says what happens without a GPU")
def test_gpu_says_when_there_is_none(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        gpu.main([])
    assert "no GPU" in capsys.readouterr().err


def test_random_utterances_are_whole() -> None:
    encoded = gpu.random_utterances(500, whole_vocabulary(50), 7)
    assert len(encoded) == 500
    assert encoded.word_offsets[-1] == len(encoded.gold) == int((encoded.labels >= 0).sum())
    assert np.diff(encoded.word_offsets).min() >= 1
    positions = encoded.word_token + np.repeat(encoded.offsets[:-1], np.diff(encoded.word_offsets))
    assert np.array_equal(encoded.labels[positions], encoded.gold)
    assert np.all(encoded.labels[encoded.offsets[:-1]] < 0)
    assert np.all(encoded.labels[encoded.offsets[1:] - 1] < 0)
    assert encoded.lengths.mean() == pytest.approx(gpu.LENGTHS[0], rel=0.05)


def test_the_papers_hours_are_counts_over_rates() -> None:
    costs = {cost.method: cost for cost in paper_costs(dict.fromkeys(RATES, 100.0), epochs=2)}
    vanilla = costs["VANILLA"]
    assert vanilla.training_hours == pytest.approx(5 * 52 * 11_514 * 2 / 100 / 3600)
    assert vanilla.evaluation_hours == pytest.approx((5 * 52 * 2_033 * 2 + 5 * 52 * 52 * 2_974) / 100 / 3600)
    assert costs["SHARED LoRA"].training_hours == pytest.approx(3 * vanilla.training_hours)
    assert costs["NON-SHARED LoRA"].training_hours == pytest.approx(3 * 52 * 11_514 * 2 / 100 / 3600)
    half = {cost.method: cost for cost in paper_costs({**dict.fromkeys(RATES, 100.0), "full": 50.0}, epochs=2)}
    assert half["MONO"].training_hours == pytest.approx(2 * costs["MONO"].training_hours)
    assert half["SHARED LoRA"] == costs["SHARED LoRA"]


def test_turns_are_taken_and_the_first_round_is_discarded() -> None:
    calls: list[str] = []
    sides = {name: (lambda name=name: lambda: calls.append(name)) for name in "abc"}
    seconds = common.interleave(sides, 2, between=lambda: calls.append("|"))
    assert "".join(calls) == "abc|bca|cab|"
    assert {name: len(each) for name, each in seconds.items()} == {"a": 2, "b": 2, "c": 2}


def test_operations_count_the_linear_layers() -> None:
    model = build_model(*_tiny())
    # Two layers of four 16 x 16 and two 16 x 32 matrices.
    base, own = 2 * (4 * 16 * 16 + 2 * 16 * 32), 2 * 3 * (4 * (16 + 16) + 2 * (16 + 32))
    assert common.operations_a_token(model, LoRA(rank=3)) == (4 * base + 6 * own, 2 * base)
    assert common.operations_a_token(model, Full()) == (6 * base, 2 * base)


def _tiny() -> Any:
    pretrained = load_pretrained("tiny:bert")
    return pretrained, whole_vocabulary(pretrained.vocabulary_size), ("O",)


def test_our_side_trains_every_learner(work: Workload) -> None:
    model, trains = build_model(work.pretrained, work.vocabulary, work.labels), LoRA(rank=2)
    compact = work.compact(work.train)
    starts = [partial(model.start, trains, number) for number in range(3)]
    finished = ours.train(model, trains, [compact] * 3, starts, dataclasses.replace(cpu.LORA_SETTINGS, batch_size=8))
    assert sorted(each.task.name for each in finished) == ["0", "1", "2"]
    assert all(not torch.equal(each.flat, each.task.start()) for each in finished)


def test_no_results_is_said(tmp_path: Path) -> None:
    assert table.markdown(tmp_path) == f"No results in {tmp_path} yet.\n"


def test_the_gate_is_calibrated_and_timed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gate_calibration, "SIZES", (50,))
    monkeypatch.setattr(gate_calibration, "DISAGREEMENTS", (0.1,))
    monkeypatch.setattr(gate_calibration, "MARGINS", (2.0,))
    gate_calibration.main(["--part", "0.01", "--out", str(tmp_path / "gate.json")])
    result = read(tmp_path / "gate.json")
    assert {len(result[part]) for part in ("equal", "losses")} == {2}
    gate_speed.main(["--utterances", "8", "--repeats", "1", "--out", str(tmp_path / "speed.json")])
    assert read(tmp_path / "speed.json")["languages"] == 52


def test_the_paper_is_simulated_as_it_is_planned() -> None:
    """52 languages, two chained methods in five orders, a learner for each language, one for all; no shorter than a chain."""
    populations, parents, _, _ = scale.DESIGNS[0].plan()
    assert len(populations) == 2 * 5 * 52 + 52 + 1
    assert sum(parent is None for parent in parents.values()) == 2 * 5 + 52 + 1
    found = scale.simulate(scale.Design("small", languages=4, orders=3))
    speedup = found["speed-up"]
    assert isinstance(speedup, dict)
    assert 1 == speedup[1] <= speedup[10] <= speedup[100] <= found["speed-up of any number"]

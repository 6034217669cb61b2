"""`attrition run`, `report`, `demo` and `export`."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from safetensors.numpy import load_file

from attrition.cli.progress import TerminalWatcher
from attrition.engine import work
from attrition.store.stages import Store

Say = Callable[..., Any]
Write = Callable[..., Path]


def test_a_run_ends_with_what_was_lost_and_what_to_do_next(results: Path, write_study: Write, say: Say) -> None:
    said = say("run", write_study(), "--out", results, "--no-report")
    assert said.code == 0
    assert "tiny [bold]: 2 runs, 2 languages." in said.out
    for name in ("VANILLA", "mine [red]"):
        assert f"  {name}" in said.out
    assert f"Next: attrition report {results}" in said.out
    assert len(said.out.splitlines()) < 24
    assert "100% done in earlier runs" in said.err


def test_quiet_says_nothing_and_json_is_an_object(results: Path, write_study: Write, say: Say) -> None:
    said = say("run", write_study(), "--out", results, "--no-report", "--quiet")
    assert (said.code, said.out) == (0, "")
    assert all(line.startswith("Warning: ") for line in said.err.splitlines())
    said = say("run", write_study(), "--out", results, "--no-report", "--json")
    found = json.loads(said.out)
    assert (found["study"], found["score"], found["report"]) == ("tiny [bold]", "F1", None)
    assert {each["method"] for each in found["methods"]} == {"VANILLA", "mine [red]"}
    assert all(each["change"]["low"] is None for each in found["methods"])  # one order
    said = say("run", write_study(), "--out", results, "--quiet", "--set", "training.epoch=3")
    assert (said.code, "Did you mean 'epochs'?" in said.words) == (2, True)


def test_a_report_of_two_folders_counts_both(simulate: ModuleType, say: Say, tmp_path: Path) -> None:
    one, other = (simulate.write_study(tmp_path / name, num_languages=3, methods=("VANILLA",)) for name in ("one", "a b"))
    alone = json.loads(say("report", one, "--json").out)
    both = json.loads(say("report", one, "--beside", other, "--json").out)
    assert len(both["runs"]) == 2 * len(alone["runs"])


def test_a_report_again(results: Path, say: Say) -> None:
    said = say("report", results)
    assert said.code == 0
    assert str(results / "report" / "index.html") in said.out
    assert "Next: open the report in a browser." in said.out
    page = (results / "report" / "index.html").read_text(encoding="utf-8")
    assert "mine [red]" in page


def test_dry_run_trains_nothing(write_study: Write, say: Say, tmp_path: Path) -> None:
    orders = [["en-US", "zh-CN"], ["zh-CN", "en-US"]]
    said = say("run", write_study(methods=["VANILLA", "MONO"], orders=orders), "--dry-run")
    assert said.code == 0
    assert "tiny [bold]: 4 runs" in said.out
    assert "8 stages, 4 to train: 4 are shared between runs." in said.out
    for word in ("seconds", "of memory", "of disk", " time ", "utterances/s of training (full, batches of", "of scoring"):
        assert word in said.out
    assert [path.name for path in tmp_path.iterdir()] == ["study.toml"]


def test_dry_run_says_how_many_train_side_by_side(write_study: Write, say: Say) -> None:
    path = write_study(methods=["NON-SHARED LoRA"])
    assert "Learners train one at a time: on a CPU several at once are not faster" in say("run", path, "--dry-run").out
    asked = say("run", path, "--dry-run", "--set", "machine.population=9").out
    assert "Up to 2 learners train side by side (machine.population = 9)." in asked


def test_dry_run_knows_what_is_there(results: Path, write_study: Write, say: Say) -> None:
    assert f"4 of them are already in {results}." in say("run", write_study(), "--out", results, "--dry-run").out


def test_results_lie_under_the_studys_name(write_study: Write, say: Say, tmp_path: Path) -> None:
    said = say("run", write_study(name="Grün & 研究", methods=["VANILLA"]), "--set", 'languages=["en-US"]', "--no-report")
    assert said.code == 0
    assert [path.name for path in (tmp_path / "runs").iterdir()] == ["grun-37daed"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (["training.epoch=3"], "unknown setting 'epoch'. Did you mean 'epochs'?"),
        (["model.name=tiny:bart"], "Did you mean 'bert'?"),
        (["model.name=tiny"], "has no source"),
        (["model.name=hub:./nothing"], "hub:./nothing"),
        (["corpus.path=x"], "corpus.path (--path) has no effect"),
        (["corpus.sizes.disjoint=true"], "corpus.sizes.disjoint has no effect"),
        (["corpus.name=columns"], "needs corpus.path"),
        (["corpus.name=columns", "corpus.path=study.toml"], "is not a folder"),
        (["corpus.name=massive", "corpus.path=nothing"], "one of three things"),
        (["corpus.name=massive", "corpus.path=study.toml"], "is not a tar"),
        (["corpus.sizes.train=10000000"], "makes at most"),
        (["corpus.sizes.dev=0"], "keeps the best weights"),
        (['methods=[{method="SHARED LoRA", targets=["qery"]}]'], "Did you mean 'query'?"),
        (['methods=[{method="SHARED LoRA", rank=100000000000}]'], "GB of memory"),
        (["machine.device=meta"], "machine.device"),
        (["nonsense"], "is not KEY=VALUE"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_study_that_cannot_run_says_why(
    changes: list[str], message: str, write_study: Write, say: Say, tmp_path: Path
) -> None:
    said = say("run", write_study(), *(part for change in changes for part in ("--set", change)), "--out", tmp_path / "out")
    assert said.code == 2
    assert message in said.words
    assert "Traceback" not in said.err
    assert not (tmp_path / "out" / "study.toml").exists()


@pytest.mark.parametrize("content", [b"", b"{}", b'{"name": "x"}', b"\xff\xfe", b"name = 'x'\r\n"])
def test_what_is_no_study(content: bytes, say: Say, tmp_path: Path) -> None:
    (tmp_path / "x.json").write_bytes(content)
    said = say("run", tmp_path / "x.json")
    assert said.code == 2
    assert "x.json" in said.err


def test_windows_line_ends(write_study: Write, say: Say) -> None:
    path = write_study()
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n"))
    assert say("run", path, "--dry-run").code == 0


def test_out_is_a_file(write_study: Write, say: Say) -> None:
    path = write_study()
    said = say("run", path, "--out", path)
    assert (said.code, "a file is in the way" in said.err) == (2, True)


def test_out_is_where_the_study_file_lies(write_study: Write, say: Say) -> None:
    path = write_study()
    before = path.read_bytes()
    assert "would be overwritten" in say("run", path, "--out", ".").err
    assert path.read_bytes() == before


def test_out_is_another_studys(results: Path, write_study: Write, say: Say) -> None:
    said = say("run", write_study(name="another"), "--out", results)
    assert said.code == 2
    assert "holds the results of the study 'tiny [bold]', not of 'another'" in said.words


def test_a_changed_study_in_the_same_folder(write_study: Write, say: Say, tmp_path: Path) -> None:
    path, out = write_study(methods=["VANILLA"]), tmp_path / "out"
    assert say("run", path, "--out", out, "--no-report").code == 0
    said = say("run", path, "--out", out, "--no-report", "--set", "training.head_learning_rate=0.02")
    assert said.code == 0
    assert "moved to" in said.words
    assert (len(list(out.glob("runs/*"))), len(list(out.glob("earlier/*")))) == (1, 1)
    # And back again: nothing is trained a second time.
    said = say("run", path, "--out", out, "--no-report")
    assert "100% done in earlier runs" in said.err
    assert len(Store(out).keys("stages")) == 4


def test_an_interrupted_run_says_how_to_go_on(
    write_study: Write, say: Say, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train, calls = work.train_population, []

    def stop_at_the_third(*arguments: Any, **named: Any) -> Any:
        calls.append(arguments)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return train(*arguments, **named)

    with monkeypatch.context() as patch:
        patch.setattr(work, "train_population", stop_at_the_third)
        said = say("run", write_study(), "--out", tmp_path / "out", "--no-report")
    assert said.code == 130
    assert "Run the same command to resume" in said.words
    assert len(Store(tmp_path / "out").keys("stages")) == 2
    said = say("run", tmp_path / "study.toml", "--out", tmp_path / "out", "--no-report")
    assert (said.code, "50% done in earlier runs" in said.err) == (0, True)


def test_ctrl_c_in_training_says_what_is_kept(
    write_study: Write, say: Say, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between two steps, with a checkpoint; the command then goes on in the midst of the stage."""
    with monkeypatch.context() as patch:
        patch.setattr(TerminalWatcher, "trained", lambda *_: signal.raise_signal(signal.SIGINT))
        said = say("run", write_study(methods=["VANILLA"]), "--out", tmp_path / "out", "--no-report")
    assert said.code == 130
    assert said.words.endswith("Stopped. Kept: 0 of 2 stages and the state of training. Run the same command to resume.")
    said = say("run", tmp_path / "study.toml", "--out", tmp_path / "out", "--no-report")
    assert said.code == 0
    assert "VANILLA: en-US continues after step 1." in said.words


# Packs


def test_a_pack_runs_without_the_study_file(results: Path, write_study: Write, say: Say, tmp_path: Path) -> None:
    path, pack = write_study(), tmp_path / "pack [1]"
    said = say("prepare", path, pack)
    assert said.code == 0
    for words in ("utterances.safetensors.xz", "together", f"Packed: {pack}."):
        assert words in said.out
    path.unlink()
    said = say("run", pack, "--out", tmp_path / "out", "--no-report")
    assert said.code == 0
    assert "VANILLA" in said.out
    there, here = (
        {each.parent.name: each.read_bytes() for each in f.glob("runs/*/matrix.csv")} for f in (results, tmp_path / "out")
    )
    assert here == there
    assert "4 of them are already in" in say("run", pack, "--out", results, "--dry-run").out


def test_results_are_named_by_the_packed_study(write_study: Write, say: Say, tmp_path: Path) -> None:
    say("prepare", write_study(), tmp_path / "pack", "--set", "name=another", "--set", 'methods=["VANILLA"]')
    assert say("run", tmp_path / "pack", "--no-report").code == 0
    assert [path.name for path in (tmp_path / "runs").iterdir()] == ["another"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run", "pack", "--set", "corpus.sizes.train=9"], "corpus.sizes.train was fixed when pack was packed"),
        (["run", "pack", "--set", "training.epoch=9"], "Did you mean 'epochs'?"),
        (["run", "pack", "--out", "pack"], "would be overwritten"),
        (["run", "."], "is not a pack: it has no manifest.json"),
        (["prepare", "study.toml", "pack"], "pack exists already"),
        (["prepare", "study.toml", "new", "--set", "corpus.sizes.dev=0"], "keeps the best weights"),
        (["prepare", "pack", "new"], "cannot be read"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_pack_that_cannot_be_made_or_run_says_why(
    arguments: list[str], message: str, write_study: Write, say: Say, tmp_path: Path
) -> None:
    assert say("prepare", write_study(), "pack").code == 0
    said = say(*arguments)
    assert said.code == 2
    assert message in said.words
    assert "Traceback" not in said.err
    assert {path.name for path in tmp_path.iterdir()} == {"study.toml", "pack"}


# The demo


def test_fresh_removes_results_and_nothing_else(write_study: Write, say: Say, tmp_path: Path) -> None:
    write_study()
    said = say("demo", "--fresh", "--out", tmp_path)
    assert said.code == 2
    assert "is not a results folder" in said.words
    assert (tmp_path / "study.toml").exists()


def test_forgetting_keeps_what_is_not_ours(write_study: Write, say: Say, tmp_path: Path) -> None:
    from attrition.store.folder import forget

    assert say("run", write_study(methods=["VANILLA"]), "--out", tmp_path / "out", "--no-report").code == 0
    (tmp_path / "out" / "notes.txt").write_text("mine")
    forget(tmp_path / "out")
    assert {path.name for path in (tmp_path / "out").iterdir()} <= {"notes.txt", ".lock"}
    forget(tmp_path / "nothing")


# Export


def test_export_of_an_adapter(results: Path, runs: dict[str, str], say: Say, tmp_path: Path) -> None:
    pytest.importorskip("peft")
    said = say("export", results, f"{runs['mine [red]']}:zh-CN", tmp_path / "adapter")
    assert said.code == 0
    config = json.loads((tmp_path / "adapter" / "adapter_config.json").read_text())
    assert (config["peft_type"], config["r"], config["lora_alpha"]) == ("LORA", 32, 32)
    stored = load_file(tmp_path / "adapter" / "adapter_model.safetensors")
    spec = json.loads((results / "runs" / runs["mine [red]"] / "spec.json").read_text())
    trained = Store(results).load_tensors(spec["steps"][1]["key"])
    name = "encoder.layer.0.attention.self.query.lora_A"
    assert (stored[f"base_model.model.bert.{name}.weight"] == trained[name]).all()


def test_export_of_a_whole_model(results: Path, runs: dict[str, str], say: Say, tmp_path: Path) -> None:
    from transformers import AutoModelForTokenClassification

    spec = json.loads((results / "runs" / runs["VANILLA"] / "spec.json").read_text())
    key = spec["steps"][0]["key"]
    assert say("export", results, key, tmp_path / "by-key").code == 0
    assert say("export", results, f"{runs['VANILLA']}:en-US", tmp_path / "by-name").code == 0
    by_key, by_name = (load_file(tmp_path / name / "model.safetensors") for name in ("by-key", "by-name"))
    assert all((by_key[name] == by_name[name]).all() for name in by_key)
    model = AutoModelForTokenClassification.from_pretrained(tmp_path / "by-key")
    assert model.config.vocab_size == 355
    assert len(model.config.id2label) == 2 * len(Store(results).about("stages", key)["labels"]) // 2


@pytest.mark.parametrize(
    ("stage", "message"),
    [
        ("nonsense", "There is no stage 'nonsense'"),
        ("VANILLA", "for example {run}:<locale>"),
        ("{run}", "Say after which language: {run}:<locale>"),
        ("nonsense:en-US", "Unknown run 'nonsense'"),
        ("{run}:en-UK", "Did you mean 'en-US'?"),
        ("{run}:", "unknown language ''"),
        (":", "Unknown run ''"),
    ],
)
def test_export_of_what_is_not_there(
    stage: str, message: str, results: Path, runs: dict[str, str], say: Say, tmp_path: Path
) -> None:
    said = say("export", results, stage.format(run=runs["VANILLA"]), tmp_path / "out")
    assert said.code == 2
    assert message.format(run=runs["VANILLA"]) in said.words
    assert not (tmp_path / "out").exists()


def test_export_writes_over_nothing(results: Path, runs: dict[str, str], say: Say, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").touch()
    said = say("export", results, f"{runs['VANILLA']}:en-US", tmp_path)
    assert (said.code, "exists already" in said.words) == (2, True)


# Some of the runs, some of the time


def test_only_some_runs(write_study: Write, say: Say, tmp_path: Path) -> None:
    path, out = write_study(), tmp_path / "out"
    said = say("run", path, "--only", "mine [red]/*", "--dry-run")
    assert "1 run" in said.out
    assert "VANILLA" not in said.out
    said = say("run", path, "--out", out, "--no-report", "--only", "MINE [red]")
    assert said.code == 0
    assert [json.loads(each.read_text())["name"] for each in out.glob("runs/*/spec.json")] == ["mine [red]"]
    said = say("run", path, "--only", "mime [red]/as-listed/s0", "--out", out)
    assert said.code == 2
    assert (
        "unknown run or method 'mime [red]/as-listed/s0'. Did you mean 'mine [red]/as-listed/s0'? Known: VANILLA, "
        in said.words
    )
    said = say("run", path, "--only", "VANILA", "--out", out)
    assert "unknown run or method 'VANILA'. Did you mean 'VANILLA'?" in said.words


def test_a_time_limit(write_study: Write, say: Say, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, out = write_study(methods=["VANILLA"]), tmp_path / "out"
    with monkeypatch.context() as patch:
        patch.setattr("attrition.cli.studies.seconds_of", lambda _: 0.0)
        said = say("run", path, "--out", out, "--for", "1s")
    assert said.code == 0
    assert "Time limit reached. Finished: 0 of 1 runs. Kept: 0 of 2 stages and the state of training" in said.words
    assert say("run", path, "--out", out, "--for", "2h", "--no-report").code == 0
    assert len(list(out.glob("runs/*/matrix.csv"))) == 1


@pytest.mark.parametrize("text", ["50", "m", "", "1h 30m", "-5m", "0s", "1.5h", "90x"])
def test_what_is_no_time(text: str, write_study: Write, say: Say) -> None:
    said = say("run", write_study(), f"--for={text}")
    assert said.code == 2
    assert f"--for {text!r} is not a time. Write for example 50m, 2h, 90s or 1h30m." in said.words

"""Checkpoints within a stage, and requests to stop."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import tomli_w
import torch

from attrition.engine import work
from attrition.engine.run import run_study
from attrition.names import AttritionError
from attrition.store.checkpoints import SHARE, CheckpointKeeper, forget_finished, states_of
from attrition.store.stages import Store
from attrition.study.spec import Study
from attrition.study.stop import SIGNALS, Stopped, StopRequests
from attrition.study.watcher import Watcher
from attrition.training.clock import Clock, Shares
from attrition.training.learner import Epoch, LearnerState
from attrition.training.optimizer import Moments

Make = Callable[..., Study]
Run = Callable[[Study, Path], Any]
Matrices = Callable[[Path], dict[str, str]]

EN, DE, ZH = ("en-US", "de-DE", "zh-CN")
KEY = "0123456789abcdef"


@pytest.fixture(autouse=True)
def _handlers_come_back() -> Iterator[None]:
    before = [signal.getsignal(number) for number in SIGNALS]
    yield
    assert [signal.getsignal(number) for number in SIGNALS] == before


class Asking(Watcher):
    """Sends the process a signal at the n-th step; records its calls."""

    def __init__(self, at: int, number: int = signal.SIGTERM, also: int | None = None) -> None:
        self.left, self.number, self.also = at, number, also
        self.finished_stages: list[str] = []
        self.warnings: list[str] = []

    def trained(self, num_utterances: int) -> None:
        self.left -= 1
        if self.left == 0:
            signal.raise_signal(self.number)
        if self.left == 0 and self.also is not None:
            signal.raise_signal(self.also)

    def finished(self, job: Any, unused: int) -> None:
        self.finished_stages.append(job.key)


def stop(study: Study, folder: Path, at: int) -> Stopped:
    """Run a study and stop it after some steps."""
    with pytest.raises(Stopped) as caught:
        run_study(study, folder, Asking(at))
    return caught.value


# --- Stored files


def test_a_state_comes_back_to_the_last_bit(tmp_path: Path) -> None:
    first = LearnerState(
        name="a", step=7, epoch=1, history=(Epoch(1, 0.1 + 0.2, float("nan"), 1 / 3),), best_f1=float("nan"), best_epoch=1,
        diverged="", seconds=0.1, losses_N=torch.tensor([1 / 3, 0.1]), masks=torch.arange(32, dtype=torch.uint8),
        flat_P=torch.tensor([-0.0, 1e-45, 3.0]), best_P=torch.ones(3),
        moments=Moments(torch.tensor([0.1, 0.0, 1e-45]), torch.tensor([0.2, 1.0, 1 / 3])),
    )  # fmt: skip
    second = LearnerState(
        "b", 0, 0, (), -1.0, 0, "", 0.0, torch.zeros(0), torch.zeros(0, dtype=torch.uint8), torch.ones(3), None, None
    )
    store = Store(tmp_path)
    shares = Shares(Clock(), {"training": 100.0})
    keeper = CheckpointKeeper(store, [], KEY, 60.0, shares, StopRequests())
    keeper.keep([first, second])
    (key,) = store.checkpoints()
    assert key == f"{KEY}-000001"
    loaded = store.load_checkpoint(key)
    for before, after in zip((first, second), states_of(loaded), strict=True):
        assert repr(before) == repr(after)
        for name in ("losses_N", "masks", "flat_P"):
            assert getattr(before, name).numpy().tobytes() == getattr(after, name).numpy().tobytes()
            assert getattr(before, name).dtype == getattr(after, name).dtype
        for one, other in zip(before.moments or (), after.moments or (), strict=True):
            assert one.numpy().tobytes() == other.numpy().tobytes()
    assert loaded.seconds["training"] == 100.0
    keeper.keep([first])
    assert store.checkpoints() == (f"{KEY}-000002",), "the one before it has gone"
    keeper.forget()
    assert not (tmp_path / "checkpoints").exists()


def test_when_a_checkpoint_is_due(tmp_path: Path) -> None:
    """Every 10 seconds; after one that took 2 seconds, not before 100 more; and once before a learner leaves the others."""
    time_now = [0.0]
    keeper = CheckpointKeeper(Store(tmp_path), [], KEY, 10.0, Shares(Clock(), {}), StopRequests(), now=lambda: time_now[0])
    state = LearnerState("a", 0, 0, (), -1.0, 0, "", 0.0, torch.zeros(0), torch.zeros(0), torch.ones(3), None, None)
    assert not keeper.wants_state(leaving=False)
    assert keeper.wants_state(leaving=True)
    time_now[0] = 10.0
    assert keeper.wants_state(leaving=False)
    save = Store.save_checkpoint

    def slowly(*arguments: Any) -> None:
        save(*arguments)
        time_now[0] += 2.0

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Store, "save_checkpoint", slowly)
        keeper.keep([state])
    assert not keeper.wants_state(leaving=True), "there is one already"
    time_now[0] = 12.0 + 2.0 / SHARE - 0.1
    assert not keeper.wants_state(leaving=False)
    time_now[0] += 0.2
    assert keeper.wants_state(leaving=False)


@pytest.mark.parametrize("value", ["-1", "'never'", "nan", "true"])
def test_settings_that_are_refused(value: str, make_study: Make) -> None:
    with pytest.raises(AttritionError, match="checkpoint_seconds"):
        make_study(f"machine.checkpoint_seconds={value}")


def test_without_checkpoints_none_is_made(make_study: Make, run_notes: Run, tmp_path: Path) -> None:
    study = make_study("machine.checkpoint_seconds='none'", "machine.population=3", methods=["NON-SHARED LoRA"])
    stopped = stop(study, tmp_path, 4)
    assert stopped.kept == "Kept: 0 of 3 stages. Run the same command to resume."
    assert not (tmp_path / "checkpoints").exists()
    assert run_notes(study, tmp_path).steps == 3 * 2 * 24


# --- Resuming


@pytest.mark.parametrize(("every", "at"), [("0", 1), ("60", 3), ("2.5", 11)])
def test_a_stopped_study_goes_on_to_the_same_end(
    every: str, at: int, make_study: Make, run_notes: Run, matrices: Matrices, tmp_path: Path
) -> None:
    """Three steps per epoch and two epochs; nothing is read twice, and progress includes earlier work."""
    parts = {"methods": ["VANILLA", "SHARED LoRA"], "orders": [[EN, DE, ZH], [ZH, EN, DE]]}
    run_notes(make_study("machine.population=2", **parts), tmp_path / "whole")
    study = make_study("machine.population=2", f"machine.checkpoint_seconds={every}", **parts)
    watcher = Asking(at)
    with pytest.raises(Stopped, match="stages and the state of training") as caught:
        run_study(study, tmp_path / "stopped", watcher)
    assert caught.value.exit_code == 143
    assert isinstance(caught.value, KeyboardInterrupt)
    notes = run_notes(study, tmp_path / "stopped")
    assert notes.work == notes.done_before + notes.steps + notes.unused
    assert notes.done_before == 8 * at
    assert len(notes.trained_stages) == 12 - len(watcher.finished_stages) - 1, "one goes on and does not begin"
    assert matrices(tmp_path / "stopped") == matrices(tmp_path / "whole")
    for key in Store(tmp_path / "whole").keys("stages"):
        one, other = (Store(tmp_path / name) for name in ("whole", "stopped"))
        assert {n: a.tobytes() for n, a in one.load_tensors(key).items()} == {
            n: a.tobytes() for n, a in other.load_tensors(key).items()
        }
    assert not (tmp_path / "stopped" / "checkpoints").exists()


def test_a_stored_member_goes_along_until_it_leaves(
    make_study: Make, run_notes: Run, matrices: Matrices, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The short learner is stored, then the newest checkpoint is lost; in the previous one, it was still in training.

    It trains along because its padding matters for the others, but it is neither stored nor scored again.
    """
    methods = [
        {"method": "NON-SHARED LoRA", "rank": 2, "training": {"epochs": 1}},
        {"method": "NON-SHARED LoRA", "rank": 2, "name": "long", "training": {"epochs": 3, "batch_size": 5}},
    ]
    parts = {"methods": methods, "languages": [EN]}
    study = make_study("machine.population=2", "machine.checkpoint_seconds=0", **parts)
    run_notes(study, tmp_path / "whole")
    with monkeypatch.context() as patch:
        patch.setattr("attrition.store.checkpoints.SHARE", 1e9)  # at every step, however slow
        discard = Store.discard
        patch.setattr(Store, "discard", lambda self, kind, key: None if kind == "checkpoints" else discard(self, kind, key))
        stop(study, tmp_path / "stopped", 6)
    (stored,) = Store(tmp_path / "stopped").keys("stages")
    kept = sorted(tmp_path.glob("stopped/checkpoints/*"))
    along = [path for path in kept if len(Store(tmp_path / "stopped").checkpoint_details(path.name)["learners"]) == 2]
    assert 0 < len(along) < len(kept)
    for path in kept[1:]:
        Store(tmp_path / "stopped").discard("checkpoints", path.name)
    notes = run_notes(study, tmp_path / "stopped")
    assert (notes.trained_stages, stored in notes.stages) == ([], False)
    assert matrices(tmp_path / "stopped") == matrices(tmp_path / "whole")
    for key in Store(tmp_path / "whole").keys("stages"):
        one, other = (Store(tmp_path / name).load_tensors(key) for name in ("whole", "stopped"))
        assert all(one[name].tobytes() == other[name].tobytes() for name in one)


def test_seconds_before_an_interruption_count(make_study: Make, run_notes: Run, tmp_path: Path) -> None:
    study = make_study(languages=[EN])
    stop(study, tmp_path, 4)
    (path,) = tmp_path.glob("checkpoints/*")
    before = Store(tmp_path).load_checkpoint(path.name).seconds["training"]
    assert before > 0
    run_notes(study, tmp_path)
    (key,) = Store(tmp_path).keys("stages")
    assert Store(tmp_path).load_history(key).seconds["training"] > before


def test_a_damaged_checkpoint_is_named_and_the_stage_begins_again(
    make_study: Make, run_notes: Run, matrices: Matrices, tmp_path: Path
) -> None:
    study = make_study(languages=[EN])
    stop(study, tmp_path / "stopped", 4)
    (path,) = tmp_path.glob("stopped/checkpoints/*/state.safetensors")
    path.write_bytes(path.read_bytes()[:-1] + b"\x7f")
    notes = run_notes(study, tmp_path / "stopped")
    assert any(str(path) in each and "resumes from the start of its stages" in each for each in notes.warnings)
    assert len(notes.trained_stages) == 1
    run_notes(study, tmp_path / "whole")
    assert matrices(tmp_path / "stopped") == matrices(tmp_path / "whole")


def test_behind_a_damaged_checkpoint_an_older_one_is_used(
    make_study: Make, run_notes: Run, matrices: Matrices, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = make_study("machine.checkpoint_seconds=0", languages=[EN])
    with monkeypatch.context() as patch:
        patch.setattr("attrition.store.checkpoints.SHARE", 1e9)
        patch.setattr(Store, "discard", lambda *_: None)
        stop(study, tmp_path / "stopped", 4)
    newest = max(tmp_path.glob("stopped/checkpoints/*"))
    (newest / "manifest.json").unlink()
    notes = run_notes(study, tmp_path / "stopped")
    assert any(str(newest) in each and "resumes from the checkpoint before it" in each for each in notes.warnings)
    assert notes.trained_stages == []
    run_notes(study, tmp_path / "whole")
    assert matrices(tmp_path / "stopped") == matrices(tmp_path / "whole")


def test_a_checkpoint_that_does_not_fit_is_named(make_study: Make, run_notes: Run, tmp_path: Path) -> None:
    stop(make_study(), tmp_path, 4)
    notes = run_notes(make_study(languages=[EN, DE, ZH, "th-TH"]), tmp_path)
    assert any("the languages or the device have changed" in each and "checkpoints" in each for each in notes.warnings)
    assert not (tmp_path / "checkpoints").exists()


def test_a_checkpoint_waits_for_the_settings_of_its_stages(
    make_study: Make, run_notes: Run, matrices: Matrices, tmp_path: Path
) -> None:
    """A typo in a setting makes other stages. The state of the first ones is not lost."""
    study, other = make_study(languages=[EN]), make_study("training.epochs=1", languages=[EN])
    stop(study, tmp_path / "stopped", 4)
    (checkpoint,) = (tmp_path / "stopped" / "checkpoints").iterdir()
    notes = run_notes(other, tmp_path / "stopped")
    assert any(str(checkpoint) in each and "It stays" in each for each in notes.warnings)
    assert checkpoint.is_dir()
    again = run_notes(study, tmp_path / "stopped")
    assert again.trained_stages == []
    assert not checkpoint.exists()
    run_notes(study, tmp_path / "whole")
    assert matrices(tmp_path / "stopped") == matrices(tmp_path / "whole")


@pytest.mark.parametrize("wrote", [None, 1, 99])
def test_a_checkpoint_in_another_form_is_removed_and_the_stage_begins_again(
    wrote: int | None, make_study: Make, run_notes: Run, matrices: Matrices, tmp_path: Path
) -> None:
    """A checkpoint of the first version, which had no format number, or of a future version."""
    study, save = make_study(languages=[EN]), Store.save_checkpoint

    def otherwise(self: Store, key: str, about: Any, tensors: Any, details: Any) -> None:
        assert "format" in details
        kept = {name: value for name, value in details.items() if name != "format"}
        save(self, key, about, tensors, kept if wrote is None else {**kept, "format": wrote})

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Store, "save_checkpoint", otherwise)
        stop(study, tmp_path / "stopped", 4)
    notes = run_notes(study, tmp_path / "stopped")
    assert any("another version of attrition wrote it" in each for each in notes.warnings)
    assert len(notes.trained_stages) == 1
    assert not (tmp_path / "stopped" / "checkpoints").exists()
    run_notes(study, tmp_path / "whole")
    assert matrices(tmp_path / "stopped") == matrices(tmp_path / "whole")


def test_fewer_side_by_side_than_before(make_study: Make, run_notes: Run, tmp_path: Path) -> None:
    """After lack of memory a user lowers machine.population: the checkpoint must not restore the larger population."""
    parts = {"methods": ["NON-SHARED LoRA"]}
    stop(make_study("machine.population=3", **parts), tmp_path, 4)
    notes = run_notes(make_study("machine.population=2", **parts), tmp_path)
    assert any("3 learners side by side, more than machine.population" in each for each in notes.warnings)
    assert len(notes.trained_stages) == 3


def test_a_newer_checkpoint_stops_everything(make_study: Make, run_notes: Run, tmp_path: Path, monkeypatch: Any) -> None:
    study = make_study(languages=[EN])
    with monkeypatch.context() as patch:
        patch.setattr("attrition.store.stages.FORMAT", 99)
        stop(study, tmp_path, 4)
    for path in tmp_path.glob("evaluations/*"):
        path.rename(tmp_path / path.name)
    with pytest.raises(AttritionError, match="newer version"):
        run_notes(study, tmp_path)


# --- Requests to stop


def test_the_second_signal_stops_at_once(make_study: Make, tmp_path: Path) -> None:
    with pytest.raises(Stopped) as caught:
        run_study(make_study(languages=[EN]), tmp_path, Asking(4, signal.SIGINT, also=signal.SIGTERM))
    assert caught.value.exit_code == 143
    assert not (tmp_path / "checkpoints").exists(), "nothing more was written"


def test_scoring_is_given_up_at_once_and_the_stage_is_kept(make_study: Make, run_notes: Run, tmp_path: Path) -> None:
    study = make_study(languages=[EN])
    evaluate = work.evaluate_each

    def asking(*arguments: Any) -> Any:
        signal.raise_signal(signal.SIGINT)
        return evaluate(*arguments)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(work, "evaluate_each", asking)
        with pytest.raises(Stopped, match=r"Kept: 1 of 1 stages\. Run") as caught:
            run_study(study, tmp_path)
    assert caught.value.exit_code == 130
    assert run_notes(study, tmp_path).trained_stages == []


def test_an_ignored_signal_stays_ignored_and_threads_have_none() -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with StopRequests() as requests:
            signal.raise_signal(signal.SIGINT)
            assert not requests.asked
    finally:
        signal.signal(signal.SIGINT, before)
    found: list[Any] = []

    def elsewhere() -> None:
        with StopRequests() as requests:
            requests.check()
            found.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=elsewhere)
    thread.start()
    thread.join()
    assert found == [signal.getsignal(signal.SIGTERM)]


@pytest.mark.long
@pytest.mark.skipif(not hasattr(os, "openpty"), reason="needs a terminal")
def test_a_real_process_with_its_progress_bar(tiny: dict[str, Any], tmp_path: Path) -> None:
    """`attrition run` in a terminal, during training."""
    changes = {"languages": [EN, DE], "training": {**tiny["training"], "epochs": 400}}
    (tmp_path / "study.toml").write_text(
        tomli_w.dumps({**tiny, **changes, "machine": {**tiny["machine"], "checkpoint_seconds": 0.1}})
    )
    terminal, other_end = os.openpty()
    command = [sys.executable, "-m", "attrition", "run", "study.toml", "--out", "out", "--no-report"]
    process = subprocess.Popen(
        command, cwd=tmp_path, stderr=other_end, stdout=subprocess.PIPE, env={**os.environ, "TERM": "xterm"}
    )
    os.close(other_end)
    said: list[bytes] = []

    def read() -> None:
        try:
            while chunk := os.read(terminal, 65536):
                said.append(chunk)
        except OSError:  # the process has closed its end
            return

    reader = threading.Thread(target=read)
    reader.start()
    end = time.monotonic() + 60
    while not list(tmp_path.glob("out/checkpoints/*-*")) and time.monotonic() < end:
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)
    reader.join()
    os.close(terminal)
    text = " ".join(b"".join(said).decode().split())
    assert process.returncode == 143
    assert "Traceback" not in text
    assert "Kept: 0 of 2 stages and the state of training. Run the same command to resume." in text
    assert "tage 1 of 2, VANILLA" in text
    assert len(list(tmp_path.glob("out/checkpoints/*-*"))) == 1
    assert not list(tmp_path.glob("out/checkpoints/.*"))


def test_a_checkpoint_whose_stages_are_all_stored_is_forgotten(make_study: Make, run_notes: Run, tmp_path: Path) -> None:
    """A worker that is killed after its last stage leaves such a checkpoint: the driver then ends without another worker."""
    study = make_study(languages=[EN])
    stop(study, tmp_path, 4)
    (path,) = tmp_path.glob("checkpoints/*")
    forget_finished(Store(tmp_path))
    assert path.is_dir(), "its stage is still to be trained"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(CheckpointKeeper, "forget", lambda _: None)
        run_notes(study, tmp_path)
    assert not (tmp_path / "checkpoints").exists()

"""Several worker processes: the same bits as one process, after any kill or stop."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from attrition.engine.executors import choice
from attrition.engine.executors.choice import Choice, chains, choose, workers_that_fit
from attrition.engine.executors.processes import Processes
from attrition.engine.executors.remote import Setup
from attrition.engine.executors.shared import with_shared, write_shared
from attrition.engine.progress import pulses
from attrition.engine.run import run_study
from attrition.engine.schedule import Unit
from attrition.names import AttritionError
from attrition.prepare.prepare import Prepared
from attrition.store.stages import Store
from attrition.study.plan import Job, StudyPlan
from attrition.study.spec import Study
from attrition.study.stop import Stopped, StopRequests, TimeUp
from attrition.study.watcher import Watcher
from attrition.training.train import Epoch

Make = Callable[..., Study]
Ready = Callable[[Study], Prepared]
Run = Callable[[Study, Path], Any]

EN, DE, ZH = "en-US", "de-DE", "zh-CN"
PARTS: dict[str, Any] = {
    "methods": ["VANILLA", {"method": "SHARED LoRA", "rank": 4}],
    "orders": [[EN, DE, ZH], [ZH, EN, DE]],
    "training": {"epochs": 6, "batch_size": 4, "learning_rate": 1e-2, "head_learning_rate": 3e-2},
}
CHANGES = ("machine.checkpoint_seconds=0.2", "machine.workers=2")


def weights(folder: Path) -> dict[str, bytes]:
    """Return the bytes of every stored weight, and of every R."""
    store = Store(folder)
    found = {f"{key}.{name}": a.tobytes() for key in store.keys("stages") for name, a in store.load_tensors(key).items()}
    return found | {path.parent.name: path.read_bytes() for path in folder.glob("runs/*/matrix.csv")}


@pytest.fixture(scope="module")
def alone(make_study: Make, run_notes: Run, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """Return the result of one process for the study."""
    folder = tmp_path_factory.mktemp("alone")
    run_notes(make_study(**PARTS), folder)
    return weights(folder)


class Doing(Watcher):
    """Acts once, when the first stage is stored and another one is in training; records its calls."""

    def __init__(self, folder: Path, act: Callable[[int], object]) -> None:
        self.folder, self.act, self.done = folder, act, False
        self.finished_stages: list[str] = []
        self.warnings: list[str] = []
        self.epochs: dict[str, int] = {}
        self.read = self.work = self.done_before = 0

    def planned(self, plan: StudyPlan, work: int, done: int) -> None:
        self.work, self.done_before = work, done

    def trained(self, num_utterances: int) -> None:
        self.read += num_utterances

    def epoch_ended(self, key: str, epoch: Epoch) -> None:
        assert epoch.epoch > self.epochs.get(key, 0)
        self.epochs[key] = epoch.epoch

    def finished(self, job: Job, unused: int) -> None:
        assert self.epochs[job.key] == job.choice.training.epochs, "the score of the last epoch is told"
        self.finished_stages.append(job.key)
        self.read += unused
        left = [said for said in pulses(self.folder) if set(said["stages"]) - set(self.finished_stages)]
        if left and not self.done:
            self.done = True
            self.act(left[0]["pid"])

    def warned(self, message: str) -> None:
        self.warnings.append(message)


@pytest.mark.long
def test_interrupted_it_ends_with_the_bits_of_one_process(
    make_study: Make, tmp_path: Path, alone: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stopped by ctrl-C while two workers train, then by the time limit; in the third command a worker is killed."""
    monkeypatch.setattr("attrition.engine.executors.processes.LOOK_SECONDS", 0.05)
    clock = [0.0]
    monkeypatch.setattr("attrition.engine.run.StopRequests", partial(StopRequests, now=lambda: clock[0]))
    study = make_study("machine.executor=processes", *CHANGES, **PARTS)
    first = Doing(tmp_path, lambda _: signal.raise_signal(signal.SIGINT))
    with pytest.raises(Stopped, match=r"Kept: \d of 12 stages.*Run the same command to resume"):
        run_study(study, tmp_path, first)
    assert first.done
    assert not list(tmp_path.glob("working/*")), "nobody is at work"
    assert 0 < len(Store(tmp_path).keys("stages")) < 12
    second = Doing(tmp_path, lambda _: clock.append(clock.pop() + 300))
    with pytest.raises(TimeUp, match=r"Finished: \d of 4 runs.*Kept: \d of 12 stages.*Run the same command to resume") as up:
        run_study(study, tmp_path, second, seconds=300)
    assert (up.value.exit_code, list(tmp_path.glob("working/*"))) == (0, [])
    third = Doing(tmp_path, lambda pid: os.kill(pid, signal.SIGKILL))
    run_study(study, tmp_path, third)
    finished = [*first.finished_stages, *second.finished_stages, *third.finished_stages]
    assert sorted(finished) == sorted(Store(tmp_path).keys("stages"))
    assert weights(tmp_path) == alone
    assert not list(tmp_path.glob("checkpoints*")) + list(tmp_path.glob("working*"))
    assert third.done
    assert sum("A worker process has ended" in each for each in third.warnings) == 1
    assert third.done_before + third.read == third.work


@pytest.mark.long
def test_a_disk_that_refuses_and_one_that_is_slow(
    make_study: Make,
    small_disk: Callable[[int], Path],
    alone: dict[str, bytes],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The folder becomes read-only, then full, both while two workers train; then stored stages become visible only later."""
    monkeypatch.setattr("attrition.engine.executors.processes.LOOK_SECONDS", 0.05)
    out = small_disk(40_000) / "out"
    filler = out / "filler"
    out.mkdir()
    study = make_study("machine.executor=processes", *CHANGES, **PARTS)

    def run(act: Callable[[int], object]) -> Doing:
        kept, doing = Store(out).keys("stages"), Doing(out, act)
        run_study(study, out, doing)
        assert set(kept).isdisjoint(doing.finished_stages), "a finished stage was trained again"
        return doing

    def protect(_: int) -> None:
        """In one step: while a worker has a file open for writing, a folder in its place cannot be made read-only."""
        view = out.with_name("view")
        view.mkdir()
        for options in (["--bind", out, view], ["-o", "remount,bind,ro", view], ["--bind", view, out]):
            subprocess.run(["mount", *options], check=True)

    def fill(_: int) -> None:
        with suppress(OSError), filler.open("wb", buffering=0) as file:
            while True:
                file.write(bytes(1 << 20)) or file.write(b"0")

    with pytest.raises(AttritionError, match=r"Read-only file system\. Choose a writable folder.*same command"):
        run(protect)
    subprocess.run(["umount", out], check=True)
    with pytest.raises(AttritionError, match=r"No space left on device\. Free space on this disk.*same command"):
        run(fill)
    filler.unlink()
    assert 1 < len(Store(out).keys("stages")) < 12
    has, seen = Store.has, dict.fromkeys([*Store(out).keys("stages"), *Store(out).keys("evaluations")], 0.0)

    def late(store: Store, kind: Any, key: str) -> bool:
        return has(store, kind, key) and time.monotonic() - seen.setdefault(key, time.monotonic()) > 0.5

    with monkeypatch.context() as patch:
        patch.setattr(Store, "has", late)
        slow = run(lambda _: None)
    assert not [each for each in slow.warnings if "not to be seen" in each]
    assert weights(out) == alone


def test_a_worker_is_asked_to_stop_before_it_has_begun(
    make_study: Make, prepared_of: Ready, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is still reading the study. Without the request it would train its whole unit."""
    os.mkfifo(tmp_path / "study.toml")
    monkeypatch.setattr("attrition.engine.executors.processes.LOOK_SECONDS", 0.05)
    processes = Processes(prepared_of(make_study(**PARTS)), Setup(str(tmp_path), "processes", "cpu", 1), 2)
    try:
        processes.submit([Unit((("a",),)), Unit((("b",),))])
        assert len(processes.stop()) == 2
        assert not processes.wait()
    finally:
        processes.close()


def test_a_request_to_stop_is_over_with_its_unit() -> None:
    """A worker is asked once: the next unit of the same process does not stop at once."""
    requests = StopRequests()
    with requests:
        signal.raise_signal(signal.SIGTERM)
        assert requests.asked
    with requests:
        assert not requests.asked


def test_mapped_files_hold_the_same_study(make_study: Make, prepared_of: Ready, tmp_path: Path) -> None:
    prepared = prepared_of(make_study(evaluate=4))
    write_shared(prepared, tmp_path)
    mapped = with_shared(prepared, tmp_path)
    for place, each in prepared.encoded.items():
        for name, array in vars(each).items():
            other = getattr(mapped.encoded[place], name)
            assert (array.dtype, array.tobytes()) == (other.dtype, other.tobytes())
    for name, tensor in prepared.model.base.items():
        assert tensor.numpy().tobytes() == mapped.model.base[name].numpy().tobytes()
    assert [len(each) for each in mapped.scored_on.sets.values()] == [4] * 3


def test_how_many_workers(make_study: Make, prepared_of: Ready, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choice, "num_threads", lambda asked: asked or 8)
    free = [10**12]
    monkeypatch.setattr(choice, "available_bytes", lambda: free[0])

    def chosen(*changes: str) -> Choice:
        return choose(prepared_of(make_study(*changes, **{**PARTS, "machine": {"device": "cpu"}})))

    assert chosen() == Choice("local", 1, None)
    assert chains(prepared_of(make_study(**PARTS))) == 4
    assert chosen("machine.executor=processes") == Choice("processes", 4, 2), "no more than there are chains"
    assert chosen("machine.executor=auto", "machine.threads=4") == Choice("processes", 2, 4)
    assert chosen("machine.executor=auto", "machine.threads=8") == Choice("local", 1, 8), "one would be no use"
    assert chosen("machine.executor=auto", 'methods=["MULTI"]') == Choice("local", 1, None)
    prepared = prepared_of(make_study(**PARTS))
    free[0] = 3 * choice.PROGRAM_BYTES
    assert workers_that_fit(prepared) == 2
    assert chosen("machine.executor=processes") == Choice("processes", 2, 4)
    with pytest.raises(AttritionError, match=r"machine\.workers = 3, but there is memory for 2"):
        chosen("machine.executor=processes", "machine.workers=3")

"""A study whose memory runs out continues with smaller pieces of work, reports it, and keeps the limit."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from attrition.engine.run import run_study
from attrition.names import AttritionError
from attrition.store.stages import Store
from attrition.study.spec import Study
from attrition.study.stop import Stopped
from attrition.study.watcher import Watcher
from attrition.training import predict as prediction
from attrition.training import train as training

EN, DE, ZH = "en-US", "de-DE", "zh-CN"
REFUSED = (
    "[enforce fail at alloc_cpu.cpp:127] err == 0. DefaultCPUAllocator: can't allocate memory: you tried to allocate 8 bytes"
)

Make = Callable[..., Study]
Run = Callable[[Study, Path], Any]
Matrices = Callable[[Path], dict[str, str]]


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """Simulate memory for a number of learners side by side, and of utterances in a batch; tests may change both."""
    fits = {"learners": 99, "utterances": 99, "refused": 0}
    losses = training._Population._losses

    def limited(self: Any, batch: Any, *others: Any) -> Any:
        if len(self.learners) > fits["learners"] or batch.extents[0].utterances > fits["utterances"]:
            fits["refused"] += 1
            raise RuntimeError(REFUSED)
        return losses(self, batch, *others)

    monkeypatch.setattr(training._Population, "_losses", limited)
    return fits


def spec_warnings(folder: Path) -> list[str]:
    return [said for path in sorted(folder.glob("runs/*/spec.json")) for said in json.loads(path.read_text())["warnings"]]


def test_fewer_learners_from_there_on(
    small: dict[str, int], make_study: Make, run_notes: Run, matrices: Matrices, tmp_path: Path
) -> None:
    """Six learners, three side by side, of which one fits: found only once. The numbers equal those of one at a time."""
    parts: dict[str, Any] = {"methods": [{"method": "NON-SHARED LoRA", "rank": rank} for rank in (2, 3)]}
    run_notes(make_study("machine.population=1", **parts), tmp_path / "alone")
    small["learners"] = 1
    notes = run_notes(make_study("machine.population=3", **parts), tmp_path / "short")
    assert small["refused"] == 2
    said = [each for each in notes.warnings if each.startswith("Memory ran out")]
    assert said == [
        "Memory ran out with 3 learners side by side. The limit is now 2.",
        "Memory ran out with 2 learners side by side. The limit is now 1.",
    ]
    assert matrices(tmp_path / "short") == matrices(tmp_path / "alone")
    assert notes.work == notes.steps == 6 * 2 * 24, "nothing was read twice"
    store = Store(tmp_path / "short")
    shortages = [store.load_history(key).shortage for key in store.keys("stages")]
    one, two = (f"from step 1 on, no more than {many} trained side by side" for many in ("1 learner", "2 learners"))
    assert sorted(shortages) == ["", "", "", one, one, two], "three became two and one, and the two one each"
    kept = [each for each in spec_warnings(tmp_path / "short") if "Memory ran out in" in each]
    assert len(kept) == 3
    assert kept[0].startswith("Memory ran out in training on ")
    assert kept[0].endswith(f": {one}.")
    again = run_notes(make_study("machine.population=3", **parts), tmp_path / "short")
    assert [each.partition(": ")[2] for each in again.warnings if "Memory ran out in" in each] == kept, (
        "also when nothing is trained"
    )


def test_batches_in_pieces_from_there_on(small: dict[str, int], make_study: Make, run_notes: Run, tmp_path: Path) -> None:
    """Full training, batches of eight of which three utterances fit; without dropout, so the numbers are the same."""
    study = make_study("training.dropout=0.0", "training.epsilon=1e-3")
    run_notes(study, tmp_path / "whole")
    small["utterances"] = 3
    notes = run_notes(study, tmp_path / "short")
    assert small["refused"] == 2, "in the first stage: the others begin in four pieces"
    assert notes.steps == notes.work
    whole, short = Store(tmp_path / "whole"), Store(tmp_path / "short")
    assert set(whole.keys("stages")) == set(short.keys("stages")), "settings are the same, and so are the stages' names"
    for key in whole.keys("stages"):
        assert short.load_history(key).shortage == "from step 1 on, each batch was split into 4 pieces"
        ours, theirs = short.load_tensors(key), whole.load_tensors(key)
        for name, array in ours.items():
            np.testing.assert_allclose(array, theirs[name], rtol=0, atol=1e-5)
    assert sum("each batch was split into 4 pieces" in each for each in spec_warnings(tmp_path / "short")) == 3


def test_interrupted_when_some_wait(
    small: dict[str, int], make_study: Make, run_notes: Run, matrices: Matrices, tmp_path: Path
) -> None:
    """Four learners; two train and two wait at the stop: the checkpoint has the waiting learners."""
    parts: dict[str, Any] = {"methods": [{"method": "NON-SHARED LoRA", "rank": rank} for rank in (2, 3)], "languages": [EN, DE]}
    study = make_study("machine.population=4", **parts)
    small["learners"] = 2
    run_notes(study, tmp_path / "whole")

    class Stopping(Watcher):
        steps = 0

        def trained(self, num_utterances: int) -> None:
            self.steps += 1
            if self.steps == 4:
                signal.raise_signal(signal.SIGINT)

    with pytest.raises(Stopped):
        run_study(study, tmp_path / "stopped", Stopping())
    (key,) = Store(tmp_path / "stopped").checkpoints()
    assert [each["turn"] for each in Store(tmp_path / "stopped").checkpoint_details(key)["learners"]] == [0, 0, 1, 1]
    small["refused"] = 0
    # The checkpoint is for two at a time, whatever the number at the start.
    notes = run_notes(make_study("machine.population=2", **parts), tmp_path / "stopped")
    assert (small["refused"], notes.trained_stages) == (0, [])
    for key in Store(tmp_path / "whole").keys("stages"):
        one, other = (Store(tmp_path / name).load_tensors(key) for name in ("whole", "stopped"))
        assert all(one[name].tobytes() == other[name].tobytes() for name in one)
    assert matrices(tmp_path / "stopped") == matrices(tmp_path / "whole")


def test_test_sets_in_smaller_batches(
    make_study: Make, run_notes: Run, matrices: Matrices, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = make_study("corpus.sizes.dev=0", "training.keep=last")
    run_notes(study, tmp_path / "whole")
    classes = prediction._classes

    def small_batches(model: Any, stack: Any, sets: Any, batch: Any) -> Any:
        if sum(map(len, batch.values())) > 4:
            raise MemoryError
        return classes(model, stack, sets, batch)

    monkeypatch.setattr(prediction, "_classes", small_batches)
    notes = run_notes(study, tmp_path / "short")
    assert matrices(tmp_path / "short") == matrices(tmp_path / "whole")
    said = [each for each in notes.warnings if "Memory ran out in evaluation" in each]
    assert 0 < len(said) < 6, "found out once, not at every stage"
    monkeypatch.setattr(prediction, "_classes", lambda *_: np.empty(2**57))
    with pytest.raises(AttritionError, match="even with one learner and one utterance at a time"):
        run_study(study, tmp_path / "none")

"""Training resumed from a saved state, compared with uninterrupted training: step by step, to the last bit."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

import pytest
import torch

from attrition.methods import Full, LoRA, Trains
from attrition.training import train as training
from attrition.training.clock import Clock
from attrition.training.learner import Finished, LearnerState, Task
from attrition.training.model import Model
from attrition.training.optimizer import Moments, PopulationAdamW
from attrition.training.settings import TrainingSettings
from attrition.training.train import train_population

PLAIN = TrainingSettings(epochs=3, batch_size=4, learning_rate=3e-3, dropout=0.1, warmup=0.2)


def copied(state: LearnerState) -> LearnerState:
    """Return a copy of the state, because its tensors are still in training."""

    def own(value: Any) -> Any:
        if isinstance(value, torch.Tensor):
            return value.clone()
        return Moments(*map(torch.clone, value)) if isinstance(value, Moments) else value

    return LearnerState(**{field.name: own(getattr(state, field.name)) for field in dataclasses.fields(LearnerState)})


class Recorder:
    """Keeps the state between any two steps."""

    def __init__(self) -> None:
        self.kept: list[tuple[LearnerState, ...]] = []
        self.leaving: list[bool] = []

    def wants_state(self, *, leaving: bool) -> bool:
        self.leaving.append(leaving)
        return True

    def keep(self, learners: Sequence[LearnerState]) -> None:
        self.kept.append(tuple(copied(each) for each in learners))


def bits(value: Any) -> Any:
    """Return the parts of two states that must be equal; seconds may differ."""
    if isinstance(value, torch.Tensor):
        return (tuple(value.shape), value.numpy().tobytes())
    if isinstance(value, tuple):
        return tuple(bits(each) for each in value)
    return "NaN" if isinstance(value, float) and math.isnan(value) else value


def essence(state: LearnerState) -> dict[str, Any]:
    found = {field.name: bits(getattr(state, field.name)) for field in dataclasses.fields(LearnerState)}
    found["history"] = [bits(tuple(epoch._replace(seconds=0.0))) for epoch in state.history]
    return {name: value for name, value in found.items() if name != "seconds"}


Trained = tuple[Recorder, list[list[float]], dict[str, Finished]]


def trained(
    tasks: Sequence[Task], model: Model, monkeypatch: pytest.MonkeyPatch, states: Sequence[LearnerState] = ()
) -> Trained:
    """Train, and record every state, every learning rate and the result."""
    recorder, rates = Recorder(), list[list[float]]()
    step = PopulationAdamW.step

    def noting(self: PopulationAdamW, flat_MP: torch.Tensor, grads_MP: torch.Tensor, rates_M: Sequence[float]) -> None:
        step(self, flat_MP, grads_MP, rates_M)
        rates.append(list(rates_M))

    with monkeypatch.context() as patch:
        patch.setattr(PopulationAdamW, "step", noting)
        done = {each.task.name: each for each in train_population(tasks, model, Clock(), None, recorder, states)}
    return recorder, rates, done


def check_every_state(tasks: Sequence[Task], model: Model, monkeypatch: pytest.MonkeyPatch) -> Trained:
    """Resume from each saved state in turn: all later states must be equal."""
    by_name = {task.name: task for task in tasks}
    whole, rates, done = trained(tasks, model, monkeypatch)
    expected = [[essence(state) for state in states] for states in whole.kept]
    assert len(expected) > 6
    for at, states in enumerate(whole.kept):
        again, rates_again, done_again = trained([by_name[each.name] for each in states], model, monkeypatch, states)
        assert [[essence(state) for state in each] for each in again.kept] == expected[at:]
        assert rates_again == rates[len(rates) - len(rates_again) :]
        assert again.leaving == whole.leaving[at:]
        assert list(done_again) == list(done)[len(done) - len(done_again) :]
        for name, finished in done_again.items():
            assert torch.equal(finished.flat, done[name].flat)
            assert (finished.kept_epoch, finished.diverged) == (done[name].kept_epoch, done[name].diverged)
            histories = [[bits(tuple(e._replace(seconds=0.0))) for e in each.history] for each in (finished, done[name])]
            assert histories[0] == histories[1]
    return whole, rates, done


def make_task(name: str, model: Model, trains: Trains, train: Any, dev: Any, **settings: Any) -> Task:
    return Task(name, trains, lambda: model.start(trains, name), train, dev, dataclasses.replace(PLAIN, **settings), (name,))


def test_full_training(make_model: Any, make_encoded: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    model = make_model()
    task = make_task("a", model, Full(), make_encoded(10), make_encoded(4, 1), weight_decay=0.1)
    _, rates, done = check_every_state([task], model, monkeypatch)
    assert len(rates) == 3 * 3
    assert len(done["a"].history) == 3


def test_a_population_whose_members_leave_at_different_times(
    make_model: Any, make_encoded: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two, three and five steps per epoch: the middle of one learner's epoch is the end of another's. Three ranks; the
    largest leaves first."""
    model, dev = make_model(), make_encoded(4, 9)
    lora = {rank: LoRA(rank=rank, dropout=0.1) for rank in (2, 3, 5)}
    tasks = [
        make_task("long", model, lora[2], make_encoded(18, 1), dev, keep="last"),
        make_task("short", model, lora[5], make_encoded(7, 2), dev, epochs=2, learning_rate=1e-3),
        make_task("middle", model, lora[3], make_encoded(11, 3), dev.select(torch.zeros(0, dtype=torch.int64).numpy())),
    ]
    whole, _, done = check_every_state(tasks, model, monkeypatch)
    assert list(done) == ["short", "middle", "long"]
    assert whole.leaving.count(True) == 2, "the last one leaves nobody behind"
    sizes = [len(states) for states in whole.kept]
    assert (sizes[0], sizes[-1]) == (3, 1)


@pytest.mark.parametrize("trains", [Full(), LoRA(rank=2, dropout=0.1)], ids=["full", "lora"])
def test_early_stopping_decides_the_same(
    trains: Trains, make_model: Any, make_encoded: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """F1 by epoch is 0.1, 0.4, 0.3, 0.3: patience 2 stops after the fourth of six epochs and keeps the second."""
    scores = {1: 0.1, 2: 0.4, 3: 0.3, 4: 0.3}
    model, encoded = make_model(), make_encoded(8)
    now: list[int] = []

    @dataclasses.dataclass
    class Score:
        f1: float

    end_epochs = training._Population.end_epochs

    def noting(self: Any, rows: Sequence[int]) -> Any:
        now[:] = [self.learners[0].epoch + 1]
        return end_epochs(self, rows)

    monkeypatch.setattr(training._Population, "end_epochs", noting)
    monkeypatch.setattr(training, "evaluate", lambda *_: Score(scores[now[0]]))
    task = make_task("a", model, trains, encoded, encoded, epochs=6, patience=2)
    _, rates, done = check_every_state([task], model, monkeypatch)
    assert (len(rates), len(done["a"].history), done["a"].kept_epoch) == (2 * 4, 4, 2)


def test_another_population_would_round_otherwise(make_model: Any, make_encoded: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A checkpoint belongs to a population, because the same learner alone agrees only within rounding.

    If this fails because the bits agree, checkpoints could belong to learners, which would be simpler.
    """
    model, trains = make_model(), LoRA(rank=4, dropout=0.1)
    dev = make_encoded(4, 9)
    tasks = [make_task(name, model, trains, make_encoded(n, n), dev) for name, n in (("a", 5), ("b", 40), ("c", 13))]
    together = trained(tasks, model, monkeypatch)[2]["a"].flat
    alone = trained(tasks[:1], model, monkeypatch)[2]["a"].flat
    torch.testing.assert_close(together, alone, atol=2e-4, rtol=0)
    assert not torch.equal(together, alone)


def test_the_states_of_others_are_our_own_mistake(make_model: Any, make_encoded: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    model, encoded = make_model(), make_encoded(8)
    task = make_task("a", model, Full(), encoded, encoded, epochs=1)
    recorder, _, _ = trained([task], model, monkeypatch)
    with pytest.raises(AssertionError, match="another learner"):
        trained([dataclasses.replace(task, name="b")], model, monkeypatch, recorder.kept[1])


# --- Diverged learners


@pytest.mark.parametrize("what", ["loss", "weight"])
def test_a_learner_that_diverges_leaves_and_the_others_do_not_notice(
    what: str, make_model: Any, make_encoded: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In its second epoch one learner's weights become infinite; it keeps the weights of the first epoch."""
    model, trains = make_model(), LoRA(rank=2, dropout=0.1)
    dev = make_encoded(4, 9)
    tasks = [make_task(name, model, trains, make_encoded(8, n), dev, epochs=4) for n, name in enumerate("abc")]
    healthy = trained(tasks, model, monkeypatch)
    step = training._Population.step
    last = 4 if what == "weight" else 3  # two steps per epoch: no loss shows it after the last one

    def breaking(self: Any) -> int:
        count = step(self)
        for row, learner in enumerate(self.learners):
            if (learner.task.name, learner.step) == ("b", last):
                self._flat[row, 5] = torch.inf
        return count

    monkeypatch.setattr(training._Population, "step", breaking)
    whole, _, done = check_every_state(tasks, model, monkeypatch)
    assert list(done) == ["b", "a", "c"]
    said = "the loss was not finite in epoch 2" if what == "loss" else "a weight was not finite after epoch 2"
    assert (done["b"].diverged, done["b"].kept_epoch, len(done["b"].history)) == (said, 1, 2)
    first = next(states for states in healthy[0].kept if states[1].best_epoch == 1)[1].best_P
    assert first is not None
    assert torch.equal(done["b"].flat, first)
    # Until it leaves, the others have the same bits as beside a healthy learner.
    early = [
        [[essence(each) for each in states if each.name != "b"] for states in recorder.kept if states[0].step <= 4][:7]
        for recorder in (whole, healthy[0])
    ]
    assert early[0] == early[1]
    assert (early[0][-1][0]["step"], early[0][-1][0]["epoch"]) == (4, 2)
    for name in ("a", "c"):
        assert done[name].diverged == ""
        assert len(done[name].history) == 4
        assert torch.isfinite(done[name].flat).all()
        torch.testing.assert_close(done[name].flat, healthy[2][name].flat, atol=2e-4, rtol=0)


def test_what_diverges_at_once_keeps_its_start(make_model: Any, make_encoded: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    model, encoded = make_model(), make_encoded(8)
    task = make_task("a", model, Full(), encoded, encoded)
    step = training._Population.step

    def breaking(self: Any) -> int:
        count = step(self)
        self._flat[:] = torch.nan
        return count

    monkeypatch.setattr(training._Population, "step", breaking)
    finished = trained([task], model, monkeypatch)[2]["a"]
    assert (finished.kept_epoch, len(finished.history)) == (0, 1)
    assert "epoch 1" in finished.diverged
    assert torch.equal(finished.flat, task.start())

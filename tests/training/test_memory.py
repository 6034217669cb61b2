"""Simulated lack of memory: smaller pieces of work give the same numbers."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
import torch

from attrition.encoder.bert import BertBackbone
from attrition.methods import Full, LoRA, Trains
from attrition.names import AttritionError
from attrition.training import train as training
from attrition.training.clock import Clock
from attrition.training.learner import Finished, LearnerState, Task
from attrition.training.memory import Room, if_it_fits, is_out_of_memory
from attrition.training.model import Model
from attrition.training.optimizer import PopulationAdamW
from attrition.training.predict import predict
from attrition.training.settings import TrainingSettings
from attrition.training.train import train_population

PLAIN = TrainingSettings(epochs=3, batch_size=8, learning_rate=1e-3, dropout=0.0, keep="last")
REFUSED = (
    "[enforce fail at alloc_cpu.cpp:127] err == 0. DefaultCPUAllocator: can't allocate memory: you tried to allocate 8 bytes"
)


def run(tasks: Sequence[Task], model: Model, **more: Any) -> dict[str, Finished]:
    return {finished.task.name: finished for finished in train_population(tasks, model, Clock(), **more)}


def make_task(name: str, model: Model, trains: Trains, train: Any, dev: Any, **settings: Any) -> Task:
    return Task(name, trains, lambda: model.start(trains, name), train, dev, dataclasses.replace(PLAIN, **settings), (name,))


@pytest.fixture
def four(make_model: Any, make_encoded: Any) -> Callable[..., tuple[Model, list[Task]]]:
    """Return a model and four learners of four steps per epoch, of ranks 2, 4, 2 and 2."""

    def make(dropout: float = 0.0, **settings: Any) -> tuple[Model, list[Task]]:
        model, dev = make_model(), make_encoded(4, 9)
        return model, [
            make_task(
                name, model, LoRA(rank=4 if name == "b" else 2, dropout=dropout), make_encoded(27, seed), dev,
                dropout=dropout, **settings,
            )
            for seed, name in enumerate("abcd")
        ]  # fmt: skip

    return make


@dataclasses.dataclass
class Passes:
    """The learners of each pass that fitted, and the sub-tokens that the first learner read."""

    learners: list[str] = dataclasses.field(default_factory=list)
    ids: list[int] = dataclasses.field(default_factory=list)


@contextmanager
def holding(monkeypatch: pytest.MonkeyPatch, learners: int = 99, utterances: int = 99, from_step: int = 0) -> Iterator[Passes]:
    """Simulate memory for this number of learners, or utterances of a batch, from a step on."""
    original, passes = training._Population._losses, Passes()

    def losses(self: Any, batch: Any, *others: Any) -> Any:
        found = original(self, batch, *others)  # masks are drawn before memory runs out
        too_many = len(self.learners) > learners or max(each.utterances for each in batch.extents) > utterances
        if too_many and self.learners[0].step >= from_step:
            raise torch.OutOfMemoryError("CUDA out of memory")
        passes.learners.append("".join(learner.task.name for learner in self.learners))
        passes.ids += batch.ids_MN[0, : batch.extents[0].tokens].tolist()
        return found

    with monkeypatch.context() as patch:
        patch.setattr(training._Population, "_losses", losses)
        yield passes


# --- Recognised errors


def test_what_counts_as_out_of_memory() -> None:
    assert is_out_of_memory(MemoryError())
    assert is_out_of_memory(np._core._exceptions._ArrayMemoryError((1,), np.dtype("f4")))  # type: ignore[attr-defined]
    for said in (REFUSED, "CUDA error: out of memory", "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate`"):
        assert is_out_of_memory(RuntimeError(said))
    for other in (RuntimeError("CUDA error: device-side assert triggered"), ValueError("can't allocate memory"), OSError(12)):
        assert not is_out_of_memory(other)


def test_torch_says_what_we_look_for() -> None:
    """A real refusal: no machine has an exabyte."""
    assert if_it_fits(lambda: torch.empty(2**57)) is None
    assert if_it_fits(lambda: np.empty(2**57)) is None
    assert if_it_fits(lambda: 3) == 3


@pytest.mark.parametrize("error", [RuntimeError("shapes do not fit"), ValueError("no"), KeyboardInterrupt()])
def test_nothing_else_is_caught(error: BaseException, four: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    model, tasks = four()

    def broken(*_: Any) -> Any:
        raise error

    monkeypatch.setattr(training._Population, "_losses", broken)
    with pytest.raises(type(error)) as caught:
        run(tasks, model)
    assert caught.value is error


# --- Fewer learners side by side


@pytest.mark.parametrize("dropout", [0.0, 0.1], ids=["no dropout", "dropout"])
@pytest.mark.parametrize("fits", [2, 1])
def test_a_population_of_four_of_which_fewer_fit(fits: int, dropout: float, four: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """At the first step: bits and masks are equal to those of the smaller populations from the start."""
    model, tasks = four(dropout)
    expected: dict[str, Finished] = {}
    for at in range(0, 4, fits):
        expected |= run(tasks[at : at + fits], model)
    warnings: list[str] = []
    room = Room(warnings.append)
    with holding(monkeypatch, learners=fits) as passes:
        found = run(tasks, model, room=room)
    names = ["ab", "cd"] if fits == 2 else list("abcd")
    assert passes.learners == [name for name in names for _ in range(12)]
    assert list(found) == list("abcd")
    for name, finished in found.items():
        assert torch.equal(finished.flat, expected[name].flat)
        assert [each[:3] for each in finished.history] == [each[:3] for each in expected[name].history]
        assert (
            finished.shortage
            == f"from step 1 on, no more than {'2 learners' if fits == 2 else '1 learner'} trained side by side"
        )
    assert room.learners == fits
    assert warnings[0] == "Memory ran out with 4 learners side by side. The limit is now 2."
    assert len(warnings) == (1 if fits == 2 else 2)


@pytest.mark.parametrize("where", ["losses", "moments", "evaluation"])
def test_in_the_midst_of_training(where: str, four: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """No step is lost, repeated or made with other gradients: the result is within 1e-6 of training without lack of memory.

    An epsilon larger than the rounding of gradients prevents AdamW from turning it into full steps.
    """
    model, tasks = four(epsilon=1e-3)
    whole = run(tasks, model)
    read: list[int] = []
    refused = iter([True])

    def once(self_is_large: bool) -> None:
        if self_is_large and next(refused, False):
            raise RuntimeError(REFUSED)

    class Notes:
        def trained(self, num_utterances: int) -> None:
            read.append(num_utterances)

        def epoch_ended(self, name: str, epoch: Any) -> None:
            pass

    make, evaluate = PopulationAdamW.__init__, training.evaluate_stacked

    def without_moments(self: PopulationAdamW, layout: Any, settings: Any, *others: Any) -> None:
        once(len(settings) == 4)
        make(self, layout, settings, *others)

    def without_scores(*arguments: Any) -> Any:
        once(True)
        return evaluate(*arguments)

    with monkeypatch.context() as patch:
        if where == "moments":
            patch.setattr(PopulationAdamW, "__init__", without_moments)
        elif where == "evaluation":
            patch.setattr(training, "evaluate_stacked", without_scores)
        with holding(patch, learners=2 if where == "losses" else 4, from_step=5):
            found = run(tasks, model, watcher=Notes())
    assert sum(read) == 4 * 3 * 27
    for name, finished in found.items():
        assert finished.shortage
        assert [each.epoch for each in finished.history] == [1, 2, 3]
        torch.testing.assert_close(finished.flat, whole[name].flat, atol=1e-6, rtol=0)


def test_not_even_the_beginning_fits(four: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    model, tasks = four()
    expected = {**run(tasks[:2], model), **run(tasks[2:], model)}
    stacked = training.stacked

    def small(learners: Any, *others: Any) -> Any:
        if len(learners) > 2:
            raise MemoryError
        return stacked(learners, *others)

    monkeypatch.setattr(training, "stacked", small)
    found = run(tasks, model)
    assert all(torch.equal(found[name].flat, expected[name].flat) for name in "abcd")
    monkeypatch.setattr(training, "stacked", lambda *_: torch.empty(2**57))
    with pytest.raises(AttritionError, match="parameters of one learner"):
        run(tasks, model)


def test_a_room_that_is_known_is_kept_to(four: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    model, tasks = four()
    with holding(monkeypatch) as passes:
        found = run(tasks, model, room=Room(learners=3))
    assert sorted(set(passes.learners)) == ["abc", "d"]
    assert not any(finished.shortage for finished in found.values())


class Recorder:
    """Copies the states between any two steps."""

    def __init__(self) -> None:
        self.kept: list[list[LearnerState]] = []

    def wants_state(self, *, leaving: bool) -> bool:
        return True

    def keep(self, learners: Sequence[LearnerState]) -> None:
        self.kept.append([dataclasses.replace(each.set_aside(), losses_N=each.losses_N.clone()) for each in learners])


@pytest.mark.parametrize(("fits", "utterances"), [(2, 8), (1, 3)])
def test_going_on_from_every_state_ends_in_the_same_bits(
    fits: int, utterances: int, four: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The waiting learners and the number of pieces are stored with the learners."""
    model, tasks = four(0.1)
    by_name, recorder = {task.name: task for task in tasks}, Recorder()
    with holding(monkeypatch, learners=fits, utterances=utterances, from_step=3):
        whole = run(tasks, model, keeper=recorder)
        assert {state.turn for states in recorder.kept for state in states} == set(range(4 // fits))
        assert {state.pieces for states in recorder.kept for state in states} == ({1} if fits == 2 else {1, 2, 4})
        for states in recorder.kept[1::3]:
            again = run([by_name[state.name] for state in states], model, states=states)
            assert set(again) == {state.name for state in states}
            for name, finished in again.items():
                assert torch.equal(finished.flat, whole[name].flat)
                assert finished.shortage == whole[name].shortage


# --- Batches in pieces


@pytest.mark.parametrize("trains", [Full(), LoRA(rank=4, dropout=0.0)], ids=["full", "lora"])
@pytest.mark.parametrize(("fits", "pieces"), [(4, 2), (3, 4), (1, 8)])
def test_a_batch_in_pieces_has_the_gradients_of_the_whole(
    fits: int, pieces: int, trains: Trains, make_model: Any, make_encoded: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without dropout: within 1e-6 of training without lack of memory, after 12 steps; the last of an epoch is short."""
    model = make_model()
    task = make_task("a", model, trains, make_encoded(27), make_encoded(4, 9), epsilon=1e-3, max_grad_norm=0.5)
    whole = run([task], model)["a"]
    warnings: list[str] = []
    with holding(monkeypatch, utterances=fits, from_step=2):
        found = run([task], model, room=(room := Room(warnings.append)))["a"]
    torch.testing.assert_close(found.flat, whole.flat, atol=1e-6, rtol=0)
    assert (whole.flat - task.start()).abs().max() > 1e-3
    for ours, theirs in zip(found.history, whole.history, strict=True):
        assert ours.train_loss == pytest.approx(theirs.train_loss, abs=1e-6)
    assert room.pieces == pieces
    assert found.shortage == f"from step 3 on, each batch was split into {pieces} pieces"
    assert whole.shortage == ""
    assert warnings[0].startswith("Memory ran out. Each batch is now split into 2 pieces")


def test_with_dropout_the_same_utterances_are_read(make_model: Any, make_encoded: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A mask is drawn for each piece, so the numbers differ, but the quality does not."""
    model = make_model()
    task = make_task("a", model, LoRA(rank=4, dropout=0.1), make_encoded(27), make_encoded(4, 9), dropout=0.1)
    read: list[list[int]] = []
    for fits in (99, 3):
        with holding(monkeypatch, utterances=fits) as passes:
            finished = run([task], model)["a"]
        read.append(passes.ids)
        assert all(np.isfinite(each.train_loss) for each in finished.history)
        assert finished.history[-1].train_loss < finished.history[0].train_loss
    assert read[0] == read[1]
    assert "changes the dropout masks" in finished.shortage


def test_a_stage_after_one_that_ran_short_begins_in_pieces(
    make_model: Any, make_encoded: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, room = make_model(), Room()
    task = make_task("a", model, Full(), make_encoded(16), make_encoded(4, 9))
    with holding(monkeypatch, utterances=4) as passes:
        run([task], model, room=room)
        before = len(passes.learners)
        later = run([task], model, room=room)["a"]
    assert len(passes.learners) == 2 * before
    assert later.shortage == "from step 1 on, each batch was split into 2 pieces"


def test_one_utterance_that_does_not_fit(make_model: Any, make_encoded: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    model, encoded = make_model(), make_encoded(16)
    task = make_task("a", model, Full(), encoded, encoded)
    with (
        holding(monkeypatch, utterances=0),
        pytest.raises(AttritionError, match=r"Not enough memory to train on one utterance of \d+ sub-tokens\. Lower"),
    ):
        run([task], model)


# --- Evaluation


@contextmanager
def scoring(monkeypatch: pytest.MonkeyPatch, utterances: int) -> Iterator[None]:
    encode = BertBackbone.encode

    def small(self: Any, batch: Any, *others: Any) -> Any:
        if sum(each.utterances for each in batch.extents) > utterances:
            raise RuntimeError(REFUSED)
        return encode(self, batch, *others)

    with monkeypatch.context() as patch:
        patch.setattr(BertBackbone, "encode", small)
        yield


def test_evaluation_in_smaller_batches(make_model: Any, make_encoded: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    model, encoded = make_model(), make_encoded(40)
    weights = model.weights(Full(), model.start(Full(), 0))
    weights.head_weight.mul_(50)
    expected = predict(model, weights, encoded)
    assert len(set(expected.tolist())) > 2
    warnings: list[str] = []
    room = Room(warnings.append)
    with scoring(monkeypatch, 5):
        assert np.array_equal(predict(model, weights, encoded, room), expected)
        first = len(warnings)
        assert np.array_equal(predict(model, weights, encoded, room), expected)
    assert len(warnings) == first > 1, "what was found is remembered"
    assert "in evaluation. The limit is now" in warnings[0]
    with scoring(monkeypatch, 0), pytest.raises(MemoryError, match=r"an utterance of \d+ sub-tokens"):
        predict(model, weights, encoded, room)


@pytest.mark.parametrize("fits", [9, 3, 1])
def test_a_population_is_scored_in_smaller_batches(fits: int, four: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory runs out while four learners are scored together: the dev F1 is the same, and all train on together."""
    model, tasks = four(keep="best")
    sizes = (12, 5, 0, 7)
    tasks = [dataclasses.replace(task, dev=task.dev.select(np.arange(n) % 4)) for task, n in zip(tasks, sizes, strict=True)]
    whole, warnings = run(tasks, model), list[str]()
    encode, refused = BertBackbone.encode, 0

    def small(self: Any, batch: Any, *others: Any) -> Any:
        nonlocal refused
        if not torch.is_inference_mode_enabled():
            return encode(self, batch, *others)
        if sum(each.utterances for each in batch.extents) > fits:
            refused += 1
            raise RuntimeError(REFUSED)
        return encode(self, batch, *others)

    monkeypatch.setattr(BertBackbone, "encode", small)
    found = run(tasks, model, room=Room(warnings.append))
    assert refused == len(warnings) > 0
    assert all("in evaluation" in each for each in warnings)
    for name, finished in found.items():
        assert torch.equal(finished.flat, whole[name].flat)
        assert [str(each[:3]) for each in finished.history] == [str(each[:3]) for each in whole[name].history]
        assert not finished.shortage


@pytest.mark.parametrize("where", ["the second", "scoring"])
def test_where_one_epoch_cannot_end_none_has(where: str, four: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """All four end at the same step. Memory refuses the best weights of the second, or scoring of more than two learners."""
    model, tasks = four(epsilon=1e-3, keep="best")
    whole, best, evaluate = run(tasks, model), training._Population._best, training.evaluate_stacked
    refusing = iter([True])

    def full(self: Any, row: int, *others: Any) -> Any:
        if row == 1 and len(self.learners) == 4 and next(refusing, False):
            raise MemoryError
        return best(self, row, *others)

    def crowded(model: Any, stack: Any, sets: Any, *others: Any) -> Any:
        if len(sets) > 2:
            raise MemoryError
        return evaluate(model, stack, sets, *others)

    if where == "scoring":
        monkeypatch.setattr(training, "evaluate_stacked", crowded)
    else:
        monkeypatch.setattr(training._Population, "_best", full)
    found = run(tasks, model)
    for name, finished in found.items():
        assert [each.epoch for each in finished.history] == [1, 2, 3]
        assert finished.shortage == "from step 5 on, no more than 2 learners trained side by side"
        torch.testing.assert_close(finished.flat, whole[name].flat, atol=1e-6, rtol=0)


def test_dev_utterances_that_do_not_fit(make_model: Any, make_encoded: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    model, encoded = make_model(), make_encoded(8)
    task = make_task("a", model, Full(), encoded, encoded)

    def full(*_: Any) -> Any:
        raise MemoryError

    monkeypatch.setattr(training, "evaluate", full)
    with pytest.raises(AttritionError, match="Not enough memory to score the dev utterances"):
        run([task], model)

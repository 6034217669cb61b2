"""Hooks in the training loop: compared with manual torch steps, and alone with side by side."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from torch import Tensor

from attrition.corpus.encoded import Encoded, join
from attrition.methods import Full, Hook, LoRA, Trains
from attrition.methods.decay import RateDecay
from attrition.methods.hook import Rows, Stage, Work
from attrition.methods.replay import Replay
from attrition.training.clock import Clock
from attrition.training.gradient import gradient_at
from attrition.training.learner import Finished, LearnerState, Task
from attrition.training.memory import Room
from attrition.training.model import Model
from attrition.training.settings import TrainingSettings
from attrition.training.train import train_population

PLAIN = TrainingSettings(
    epochs=2, batch_size=8, learning_rate=1e-3, dropout=0.0, keep="last", schedule="constant", warmup=0, max_grad_norm=0
)


class PullByLoss(Hook):
    """L2 to the start as a term of the loss."""

    name: ClassVar[str] = "pull"
    strength: float = 0.5

    def begin(self, stage: Stage) -> Work:
        start = stage.unpack(stage.start_P())

        class Pull(Work):
            def loss(_, step: int, tensors: Mapping[str, Tensor]) -> Tensor:  # noqa: N805
                assert {name: tensor.shape for name, tensor in tensors.items()} == {n: t.shape for n, t in start.items()}
                return self.strength / 2 * torch.stack([((tensors[name] - start[name]) ** 2).sum() for name in start]).sum()

        return Pull()


class PullByGradient(Hook):
    """The same pull, as a gradient."""

    name: ClassVar[str] = "pull"
    strength: float = 0.5

    def begin(self, stage: Stage) -> Work:
        start_P = stage.start_P()

        class Pull(Work):
            def gradient(_, step: int, flat_P: Tensor, grad_P: Tensor) -> None:  # noqa: N805
                grad_P.add_(flat_P - start_P, alpha=self.strength)

        return Pull()


def run(tasks: Sequence[Task], model: Model, **more: Any) -> dict[str, Finished]:
    return {finished.task.name: finished for finished in train_population(tasks, model, Clock(), **more)}


def task(
    name: str,
    model: Model,
    trains: Trains,
    train: Encoded,
    hooks: tuple[Hook, ...],
    earlier: Sequence[Encoded] = (),
    **more: Any,
) -> Task:
    none = train.select(np.zeros(0, np.int64))
    chain = tuple((str(number),) for number in range(len(earlier) + 1))
    first = dataclasses.replace(PLAIN, **more)
    started = Task(name, trains, lambda: model.start(trains, name), train, none, first, (name,), hooks, chain)
    return dataclasses.replace(started, earlier=tuple((lambda each=each: each) for each in earlier))


def test_a_step_with_replay_is_one_on_the_joined_batch(make_model: Any, make_encoded: Any) -> None:
    """One step of AdamW by hand: from zero moments it is lr * g / (|g| + eps), g the gradient of the joined mean loss."""
    model, own, earlier = make_model(), make_encoded(8, 1), make_encoded(20, 2)
    hook = Replay(share=0.5, size=6)
    learner = task("a", model, Full(), own, (hook,), [earlier], epochs=1)
    stage = Stage(("a",), learner.chain, own, learner.earlier, 8, 1, learner.start, {}, model.layout(Full()).unpack, None)  # type: ignore[arg-type]
    extra = hook.begin(stage).extra(0)
    assert extra is not None
    assert len(extra.rows) == 8
    both = join([own, extra.encoded.select(extra.rows)])
    start_P = learner.start()
    sum_P = gradient_at(model, Full())(start_P, Rows(both, np.arange(len(both))), None)
    gradient_P = sum_P / int((both.labels >= 0).sum())
    rate_P = torch.full_like(start_P, PLAIN.learning_rate)
    for group in model.layout(Full()).groups:
        rate_P[group.start : group.end] = PLAIN.head_learning_rate if group.head else PLAIN.learning_rate
    expected_P = start_P - rate_P * gradient_P / (gradient_P.abs() + PLAIN.epsilon)
    clear_P = gradient_P.abs() > 1e-5  # Adam turns rounding noise into full steps
    assert clear_P.float().mean() > 0.2
    found_P = run([learner], model)["a"].flat
    torch.testing.assert_close(found_P[clear_P], expected_P[clear_P], atol=2e-6, rtol=1e-5)


@pytest.mark.parametrize("factor", [1.0, 0.25])
def test_rate_decay_on_the_step_of_adamw(factor: float, make_model: Any, make_encoded: Any) -> None:
    """The first step of AdamW is proportional to the rate; in stage 2 it is factor ** 2 as long."""
    model, own = make_model(), make_encoded(8, 1)
    plain = task("a", model, Full(), own, (), epochs=1)
    slow = task("a", model, Full(), own, (RateDecay(factor=factor),), [own, own], epochs=1)
    start_P = plain.start()
    moved, moved_less = (run([each], model)["a"].flat - start_P for each in (plain, slow))
    torch.testing.assert_close(moved_less, factor**2 * moved, atol=1e-7, rtol=1e-3)


def test_what_is_left_of_an_embedding_without_gradient(make_model: Any, make_encoded: Any) -> None:
    """The product of 1 - lr * decay over the steps, with the rates of hooks."""
    model, own = make_model(), make_encoded(24, 1)
    settings = {"epochs": 2, "learning_rate": 0.01, "weight_decay": 0.5}
    plain = run([task("a", model, LoRA(rank=1, dropout=0.0), own, (), **settings)], model)["a"]
    slow = task("a", model, LoRA(rank=1, dropout=0.0), own, (RateDecay(factor=0.5),), [own], **settings)
    assert plain.untouched == pytest.approx(0.995**6)
    assert run([slow], model)["a"].untouched == pytest.approx(0.9975**6)


@pytest.mark.parametrize("trains", [Full(), LoRA(rank=2, dropout=0.0)], ids=["full", "lora"])
def test_a_loss_equals_its_gradient(trains: Trains, make_model: Any, make_encoded: Any) -> None:
    model, own = make_model(), make_encoded(24, 1)
    by_loss, by_gradient, plain = (
        run([task("a", model, trains, own, hooks)], model)["a"].flat for hooks in ((PullByLoss(),), (PullByGradient(),), ())
    )
    torch.testing.assert_close(by_loss, by_gradient, atol=2e-5, rtol=1e-4)
    start_P = model.start(trains, "a")
    assert (by_loss - start_P).norm() < 0.95 * (plain - start_P).norm(), "it must have pulled"


@pytest.mark.parametrize("kind", [PullByLoss, PullByGradient])
def test_side_by_side_equals_alone(kind: type[Hook], make_model: Any, make_encoded: Any) -> None:
    """Learners of ranks 2 and 5 with different hooks, and one without; each hook gets tensors of its learner's shapes."""
    model, earlier = make_model(), make_encoded(12, 9)
    tasks = [
        task("a", model, LoRA(rank=2, dropout=0.0), make_encoded(20, 1), (kind(), Replay(share=0.4)), [earlier]),
        task("b", model, LoRA(rank=5, dropout=0.0), make_encoded(24, 2), (kind(), RateDecay(factor=0.3)), [earlier, earlier]),
        task("c", model, LoRA(rank=2, dropout=0.0), make_encoded(9, 3), ()),
    ]
    together = run(tasks, model)
    for each in tasks:
        torch.testing.assert_close(together[each.name].flat, run([each], model)[each.name].flat, atol=2e-5, rtol=1e-3)


@pytest.mark.parametrize("pieces", [2, 3])
def test_batches_in_pieces(pieces: int, make_model: Any, make_encoded: Any) -> None:
    """A loss term counts once per step, and replayed utterances are split like the batch."""
    model = make_model()
    learner = task("a", model, Full(), make_encoded(16, 1), (PullByLoss(), Replay(share=0.3)), [make_encoded(12, 2)])
    whole, cut = run([learner], model)["a"], run([learner], model, room=Room(pieces=pieces))["a"]
    assert cut.shortage
    assert not whole.shortage
    ours, theirs = (model.layout(Full()).unpack(each.flat) for each in (cut, whole))
    for name in ours:
        if not name.endswith("key.bias"):  # attention does not depend on them, so Adam makes full steps of rounding noise
            torch.testing.assert_close(ours[name], theirs[name], atol=5e-5, rtol=1e-3)


class Counting(Hook):
    """A hook whose state is the running sum of squared gradients; it ends the stage with this sum and saves it."""

    name: ClassVar[str] = "counting"
    first_stage: ClassVar[bool] = True

    def begin(self, stage: Stage) -> Work:
        return _Counting(stage)


class _Counting(Work):
    def __init__(self, stage: Stage) -> None:
        self.total_P = torch.zeros_like(stage.start_P())

    def gradient(self, step: int, flat_P: Tensor, grad_P: Tensor) -> None:
        self.total_P += grad_P**2

    def after(self, flat_P: Tensor) -> Tensor:
        return flat_P + self.total_P

    def memory(self, flat_P: Tensor) -> Mapping[str, Tensor]:
        return {"total": self.total_P}

    def state(self) -> Mapping[str, Tensor]:
        return {"total": self.total_P}

    def go_on(self, state: Mapping[str, Tensor]) -> None:
        self.total_P = state["total"].clone()


class StoppedError(Exception):
    pass


class KeepsAt:
    """Copies the state at the n-th request, and interrupts."""

    def __init__(self, at: int) -> None:
        self.left, self.states = at, ()

    def wants_state(self, *, leaving: bool) -> bool:
        self.left -= 1
        return self.left < 0

    def keep(self, learners: Sequence[LearnerState]) -> None:
        self.states = tuple(each.set_aside() for each in learners)
        raise StoppedError


@pytest.mark.parametrize("at", [1, 3, 6, 8])
def test_a_hooks_state_goes_on_to_the_bit(at: int, make_model: Any, make_encoded: Any) -> None:
    """Also after the last step (8th request), when only the final action of the hooks remains."""
    model = make_model()
    learner = task("a", model, LoRA(rank=2, dropout=0.0), make_encoded(24, 1), (Counting(),))
    whole = run([learner], model)["a"]
    keeper: Any = KeepsAt(at)
    with pytest.raises(StoppedError):
        run([learner], model, keeper=keeper)
    assert keeper.states[0].hooks["counting.total"].any()
    on = run([learner], model, states=keeper.states)["a"]
    assert on.flat.numpy().tobytes() == whole.flat.numpy().tobytes()
    assert on.memory["counting.total"].numpy().tobytes() == whole.memory["counting.total"].numpy().tobytes()

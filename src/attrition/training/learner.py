"""One learner: what it is to do, where it stands between two steps, and what it has become."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from attrition.corpus.encoded import Encoded
from attrition.encoder.dropout import MaskStream
from attrition.methods import Trains
from attrition.methods.hook import Gradient, Hook, Rows, Stage, Work
from attrition.streams import Part, numpy_stream
from attrition.training.batches import epoch_batches
from attrition.training.layout import Layout
from attrition.training.optimizer import Moments
from attrition.training.settings import TrainingSettings


@dataclass(frozen=True, eq=False)
class Task:
    """One learner's training: what it trains, where it starts, what it reads, how; `seed` names its random streams.

    `start` makes the vector [P] to start from, which is then trained in place: a whole encoder need not be in memory twice.
    It is called when training begins, and again only if not even the first epoch left numbers.
    """

    name: str
    trains: Trains
    start: Callable[[], Tensor]
    train: Encoded
    dev: Encoded
    settings: TrainingSettings
    seed: tuple[Part, ...]
    hooks: tuple[Hook, ...] = ()
    chain: tuple[tuple[str, ...], ...] = ()
    earlier: tuple[Callable[[], Encoded], ...] = ()
    memory: Callable[[], Mapping[str, Tensor]] = dict

    @property
    def steps_an_epoch(self) -> int:
        """Batches in an epoch."""
        return -(-len(self.train) // self.settings.batch_size)

    def utterances_after(self, step: int) -> int:
        """Utterances read in the first `step` steps; of all batches of an epoch, the last is counted as the short one."""
        epochs, steps = divmod(step, self.steps_an_epoch)
        return epochs * len(self.train) + min(steps * self.settings.batch_size, len(self.train))


def in_common(trains: Trains, settings: TrainingSettings) -> Hashable:
    """What learners that train side by side have in common; their ranks, rates and batch sizes may differ.

    >>> from attrition.methods import LoRA
    >>> plain = TrainingSettings()
    >>> in_common(LoRA(rank=2), plain) == in_common(LoRA(rank=8, alpha=1), plain)
    True
    >>> in_common(LoRA(rank=2), plain) == in_common(LoRA(rank=2, dropout=0.2), plain)
    False
    """
    if trains.adapter is not None:
        trains = dataclasses.replace(trains.adapter, rank=1, alpha=None)
    return trains, settings.dropout


class Epoch(NamedTuple):
    """What happened in one epoch of one learner; `dev_f1` is NaN when nothing was evaluated."""

    epoch: int
    train_loss: float
    dev_f1: float
    seconds: float


@dataclass(frozen=True, eq=False)
class Finished:
    """A trained learner: its vector [P], its history, the epoch whose weights were kept (counted from 1; 0: the start).

    `memory` is what its hooks leave for the next stage, as "<hook>.<name>". `untouched` is the factor that weight decay, and
    whatever hooks do, have made of an embedding that was never looked up. `diverged` says what became infinite or no number,
    and when; `shortage` what was made smaller when memory ran out. Both are empty where nothing did.
    """

    task: Task
    flat: Tensor
    history: tuple[Epoch, ...]
    kept_epoch: int
    diverged: str = ""
    shortage: str = ""
    memory: Mapping[str, Tensor] = field(default_factory=dict)
    untouched: float = 1.0


@dataclass(frozen=True, eq=False)
class LearnerState:
    """A learner between two steps: all that is needed to go on as if it had never stopped.

    Its batches follow from its seed and epoch. On a CPU the tensors are those being trained, not copies: use them at once.

    Attributes:
        name: of its task.
        step: steps made, since the beginning; also AdamW's count.
        epoch: epochs ended.
        history, best_f1, best_epoch, diverged: what they have been so far.
        seconds: spent in the epoch under way.
        losses_N: float32, the loss of each step of the epoch under way.
        masks: where its stream of dropout masks stands; empty where none is at work.
        flat_P: the parameters.
        best_P: the parameters of the best epoch; None before there is one.
        moments: AdamW's two; None before the first step.
        turn: 0 for those that train side by side now, 1 for those that will when these have finished, and so on.
        pieces, shortage: what became of its batches, and of the population, when memory ran out.
        hooks: what has changed in its hooks, as "<hook>.<name>".
    """

    name: str
    step: int
    epoch: int
    history: tuple[Epoch, ...]
    best_f1: float
    best_epoch: int
    diverged: str
    seconds: float
    losses_N: Tensor
    masks: Tensor
    flat_P: Tensor
    best_P: Tensor | None
    moments: Moments | None
    turn: int = 0
    pieces: int = 1
    shortage: str = ""
    hooks: Mapping[str, Tensor] = field(default_factory=dict)

    def set_aside(self) -> LearnerState:
        """A copy in the memory of the processor, to go on from later."""

        def own(tensor: Tensor) -> Tensor:
            return tensor.to("cpu", copy=True)

        moments = self.moments and Moments(*map(own, self.moments))
        hooks = {name: own(tensor) for name, tensor in self.hooks.items()}
        return dataclasses.replace(self, flat_P=own(self.flat_P), moments=moments, hooks=hooks)


def in_pieces(task: Task, step: int, pieces: int) -> str:
    """What is said of a learner whose batches are cut after `step` steps."""
    masks = "" if task.settings.dropout == 0 else ", for which other dropout masks are drawn"
    return f"from step {step + 1} on, batches were trained in {pieces} pieces{masks}"


@dataclass(eq=False)
class Learner:
    """A learner at work; `layout` is that of its own parameters, whatever they lie in."""

    task: Task
    layout: Layout
    step: int = 0
    epoch: int = 0
    batches: list[NDArray[np.int64]] = field(default_factory=list)
    masks: MaskStream | None = None
    losses: list[Tensor] = field(default_factory=list)
    history: list[Epoch] = field(default_factory=list)
    best_f1: float = -1.0
    best_epoch: int = 0
    best_flat: Tensor | None = None
    epoch_began: float = 0.0
    diverged: str = ""
    pieces: int = 1
    shortage: str = ""
    works: Mapping[str, Work] = field(default_factory=dict)

    @property
    def total_steps(self) -> int:
        """Steps if it does not stop early."""
        return self.task.steps_an_epoch * self.task.settings.epochs

    def begin_hooks(self, gradient: Gradient) -> None:
        """Have its hooks begin their work in this stage."""
        task = self.task
        left = task.memory() if task.hooks else {}
        for hook in task.hooks:
            stage = Stage(
                seed=task.seed,
                chain=task.chain,
                train=task.train,
                earlier=task.earlier,
                batch_size=task.settings.batch_size,
                total_steps=self.total_steps,
                start_P=task.start,
                memory=_of_hook(left, hook.name),
                unpack=self.layout.unpack,
                gradient=gradient,
            )
            self.works = {**self.works, hook.name: hook.begin(stage)}

    def rate(self, step: int) -> float:
        """What its learning rates are multiplied by at a step."""
        found = self.task.settings.rate(step, self.total_steps)
        for work in self.works.values():
            found *= work.rate(step)
        return found

    def utterances(self) -> list[Rows]:
        """What the next step reads: its batch, and what hooks add."""
        extra = [work.extra(self.step) for work in self.works.values()]
        return [Rows(self.task.train, self.batches[-1]), *(each for each in extra if each is not None)]

    def begin_epoch(self, device: torch.device, seconds: float) -> None:
        """Draw the batches of the next epoch; `seconds` is the time now."""
        name = (*self.task.seed, self.epoch)
        stream = numpy_stream("batches", *name)
        self.batches = epoch_batches(self.task.train.lengths, self.task.settings.batch_size, stream)[::-1]
        self.masks = MaskStream("masks", *name, device=device)
        self.losses = []
        self.epoch_began = seconds

    def go_on(self, state: LearnerState, device: torch.device, seconds: float) -> None:
        """Be where `state` was; the parameters and moments are the population's to take over."""
        assert state.name == self.task.name, "another learner's state"
        self.step, self.epoch, self.history = state.step, state.epoch, list(state.history)
        self.best_f1, self.best_epoch, self.best_flat = state.best_f1, state.best_epoch, state.best_P
        self.diverged, self.pieces, self.shortage = state.diverged, state.pieces, state.shortage
        for name, work in self.works.items():  # also of one that has finished: its hooks have the last word
            if own := _of_hook(state.hooks, name):
                work.go_on({key: tensor.to(device) for key, tensor in own.items()})
        if self.is_finished():
            return
        self.begin_epoch(device, seconds - state.seconds)
        left = (self.epoch + 1) * self.task.steps_an_epoch - self.step
        self.batches = self.batches[:left]
        self.losses = list(state.losses_N.to(device).unbind())
        assert self.masks is not None
        self.masks.set_state(state.masks)

    def state(self, flat_P: Tensor, moments: Moments | None, seconds: float) -> LearnerState:
        """Where it stands, with its parameters and moments from the population; `seconds` is the time now."""
        return LearnerState(
            name=self.task.name,
            step=self.step,
            epoch=self.epoch,
            history=tuple(self.history),
            best_f1=self.best_f1,
            best_epoch=self.best_epoch,
            diverged=self.diverged,
            seconds=seconds - self.epoch_began,
            losses_N=torch.stack(self.losses).cpu() if self.losses else torch.zeros(0),
            masks=torch.zeros(0, dtype=torch.uint8) if self.masks is None else self.masks.state(),
            flat_P=flat_P,
            best_P=self.best_flat,
            moments=moments,
            pieces=self.pieces,
            shortage=self.shortage,
            hooks={f"{name}.{key}": tensor for name, work in self.works.items() for key, tensor in work.state().items()},
        )

    def take_pieces(self, pieces: int) -> None:
        """Cut its batches from here on, for want of memory."""
        self.pieces, self.shortage = pieces, in_pieces(self.task, self.step, pieces)

    def end_epoch(self, epoch: Epoch, best_flat: Tensor, best_epoch: int, diverged: str) -> None:
        """Note an epoch, and the best weights from here on; what belonged to the epoch alone is gone."""
        self.epoch = epoch.epoch
        self.history.append(epoch)
        if best_epoch == epoch.epoch:
            self.best_f1 = epoch.dev_f1
        self.best_flat, self.best_epoch, self.diverged = best_flat, best_epoch, diverged
        self.losses, self.masks = [], None

    def is_better(self, dev_f1: float) -> bool:
        """Whether these weights are to be kept: the best so far, or simply the latest (also where nothing is evaluated)."""
        return self.task.settings.keep == "last" or math.isnan(dev_f1) or dev_f1 > self.best_f1

    def has_read_all(self) -> bool:
        """Whether all steps of the epoch under way are made."""
        return self.step == (self.epoch + 1) * self.task.steps_an_epoch

    def is_finished(self) -> bool:
        """Whether it has learned enough, or cannot learn any more."""
        settings = self.task.settings
        if self.diverged or self.epoch >= settings.epochs:
            return True
        scores = [epoch.dev_f1 for epoch in self.history]
        if settings.patience is None or not scores or math.isnan(scores[-1]):
            return False
        return self.epoch - (scores.index(max(scores)) + 1) >= settings.patience

    def finished(self) -> Finished:
        """What it has become, once its hooks have had the last word."""
        assert self.best_flat is not None
        flat = self.best_flat
        for work in self.works.values():
            flat = work.after(flat)
        memory = {f"{name}.{key}": tensor for name, work in self.works.items() for key, tensor in work.memory(flat).items()}
        about = (self.diverged, self.shortage, memory, self._untouched())
        return Finished(self.task, flat, tuple(self.history), self.best_epoch, *about)

    def _untouched(self) -> float:
        """By what it has multiplied a decayed parameter of the encoder that has no gradient.

        The product of 1 - lr_t * decay over the steps that were kept: Loshchilov and Hutter 2019, Algorithm 2.
        """
        settings, factor = self.task.settings, 1.0
        for step in range(self.task.steps_an_epoch * self.best_epoch if settings.weight_decay else 0):
            factor *= 1 - settings.learning_rate * self.rate(step) * settings.weight_decay
        for work in self.works.values():
            factor = work.untouched(factor)
        return factor


def _of_hook(tensors: Mapping[str, Tensor], name: str) -> dict[str, Tensor]:
    """What belongs to one hook, of tensors called "<hook>.<name>"."""
    return {key.removeprefix(f"{name}."): tensor for key, tensor in tensors.items() if key.startswith(f"{name}.")}

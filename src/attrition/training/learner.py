"""One learner: its task, its state between two steps, and its result."""

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
    """The training of one learner: parameters, start, data and settings; `seed` names its random streams.

    `start` returns the initial parameters [P], which are trained in place to save memory. It is called when training starts,
    and again if the first epoch diverges.
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
        """Return the number of batches in an epoch."""
        return -(-len(self.train) // self.settings.batch_size)

    def utterances_after(self, step: int) -> int:
        """Return the utterances read in the first `step` steps; the last batch of an epoch counts as the short one."""
        epochs, steps = divmod(step, self.steps_an_epoch)
        return epochs * len(self.train) + min(steps * self.settings.batch_size, len(self.train))


def in_common(trains: Trains, settings: TrainingSettings) -> Hashable:
    """Return what learners must share to train side by side; ranks, rates and batch sizes may differ.

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
    """The result of one epoch of one learner; `dev_f1` is NaN without evaluation."""

    epoch: int
    train_loss: float
    dev_f1: float
    seconds: float


@dataclass(frozen=True, eq=False)
class Finished:
    """A trained learner: its parameters [P], its history, and the epoch whose weights were kept (from 1; 0: the start).

    `memory` is what its hooks save for the next stage, as "<hook>.<name>". `untouched` is the factor by which weight decay has
    scaled unused embeddings. `diverged` says what became infinite or NaN, and when. `shortage` says what was reduced when
    memory ran out. Both are usually empty.
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
    """The complete state of a learner between two steps.

    Its batches follow from seed and epoch. On a CPU the tensors are those in training, not copies: use them at once.

    Attributes:
        name: of its task.
        step: number of steps made; also AdamW's count.
        epoch: number of completed epochs.
        history, best_f1, best_epoch, diverged: up to now.
        seconds: spent in the current epoch.
        losses_N: float32, the loss of each step of the current epoch.
        masks: state of its stream of dropout masks; empty without dropout.
        flat_P: the parameters.
        best_P: the parameters of the best epoch; None before the first epoch ends.
        moments: AdamW's two moments; None before the first step.
        turn: 0 for learners in training, 1 for those that train next, and so on.
        pieces, shortage: how batches and population were reduced when memory ran out.
        hooks: the state of its hooks, as "<hook>.<name>".
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
        """Return a copy in CPU memory, to resume from later."""

        def own(tensor: Tensor) -> Tensor:
            return tensor.to("cpu", copy=True)

        moments = self.moments and Moments(*map(own, self.moments))
        hooks = {name: own(tensor) for name, tensor in self.hooks.items()}
        return dataclasses.replace(self, flat_P=own(self.flat_P), moments=moments, hooks=hooks)


def in_pieces(task: Task, step: int, pieces: int) -> str:
    """Return a note on a learner whose batches are split after `step` steps."""
    masks = "" if task.settings.dropout == 0 else ", which changes the dropout masks"
    return f"from step {step + 1} on, each batch was split into {pieces} pieces{masks}"


@dataclass(eq=False)
class Learner:
    """A learner in training; `layout` is the layout of its own parameters."""

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
        """Return the number of steps without early stopping."""
        return self.task.steps_an_epoch * self.task.settings.epochs

    def begin_hooks(self, gradient: Gradient) -> None:
        """Start its hooks for this stage."""
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
        """Return the factor of its learning rates at a step."""
        found = self.task.settings.rate(step, self.total_steps)
        for work in self.works.values():
            found *= work.rate(step)
        return found

    def utterances(self) -> list[Rows]:
        """Return the utterances of the next step: its batch, and those that hooks add."""
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
        """Resume from `state`; the population takes over parameters and moments."""
        assert state.name == self.task.name, "another learner's state"
        self.step, self.epoch, self.history = state.step, state.epoch, list(state.history)
        self.best_f1, self.best_epoch, self.best_flat = state.best_f1, state.best_epoch, state.best_P
        self.diverged, self.pieces, self.shortage = state.diverged, state.pieces, state.shortage
        for name, work in self.works.items():  # even if it has finished: its hooks act once more at the end
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
        """Return its state, with parameters and moments from the population; `seconds` is the time now."""
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
        """Split its batches from now on, to save memory."""
        self.pieces, self.shortage = pieces, in_pieces(self.task, self.step, pieces)

    def end_epoch(self, epoch: Epoch, best_flat: Tensor, best_epoch: int, diverged: str) -> None:
        """Record an epoch and the best weights, and clear the state of the epoch."""
        self.epoch = epoch.epoch
        self.history.append(epoch)
        if best_epoch == epoch.epoch:
            self.best_f1 = epoch.dev_f1
        self.best_flat, self.best_epoch, self.diverged = best_flat, best_epoch, diverged
        self.losses, self.masks = [], None

    def is_better(self, dev_f1: float) -> bool:
        """Return whether to keep these weights: the best so far, or the latest if so set or without evaluation."""
        return self.task.settings.keep == "last" or math.isnan(dev_f1) or dev_f1 > self.best_f1

    def has_read_all(self) -> bool:
        """Return whether all steps of the current epoch are made."""
        return self.step == (self.epoch + 1) * self.task.steps_an_epoch

    def is_finished(self) -> bool:
        """Return whether it has finished, stopped early or diverged."""
        settings = self.task.settings
        if self.diverged or self.epoch >= settings.epochs:
            return True
        scores = [epoch.dev_f1 for epoch in self.history]
        if settings.patience is None or not scores or math.isnan(scores[-1]):
            return False
        return self.epoch - (scores.index(max(scores)) + 1) >= settings.patience

    def finished(self) -> Finished:
        """Return the trained learner, after the final action of its hooks."""
        assert self.best_flat is not None
        flat = self.best_flat
        for work in self.works.values():
            flat = work.after(flat)
        memory = {f"{name}.{key}": tensor for name, work in self.works.items() for key, tensor in work.memory(flat).items()}
        about = (self.diverged, self.shortage, memory, self._untouched())
        return Finished(self.task, flat, tuple(self.history), self.best_epoch, *about)

    def _untouched(self) -> float:
        """Return the factor by which weight decay has scaled an encoder parameter without gradient.

        The product of 1 - lr_t * decay over the steps up to the kept epoch (Loshchilov and Hutter 2019, Algorithm 2).
        """
        settings, factor = self.task.settings, 1.0
        for step in range(self.task.steps_an_epoch * self.best_epoch if settings.weight_decay else 0):
            factor *= 1 - settings.learning_rate * self.rate(step) * settings.weight_decay
        for work in self.works.values():
            factor = work.untouched(factor)
        return factor


def _of_hook(tensors: Mapping[str, Tensor], name: str) -> dict[str, Tensor]:
    """Return the tensors of one hook, from tensors named "<hook>.<name>"."""
    return {key.removeprefix(f"{name}."): tensor for key, tensor in tensors.items() if key.startswith(f"{name}.")}

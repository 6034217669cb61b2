"""The only training loop: a population of learners, one step at a time.

The learners share a frozen base (or the population is one learner that trains everything). Each has its own utterances,
batches, masks, learning rate, step count, clipping and early stopping; what it learns does not depend on who trains beside
it. A learner that has finished leaves, and the population shrinks.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from attrition.corpus.encoded import Encoded
from attrition.encoder import lora
from attrition.encoder.batch import Batch, assemble
from attrition.encoder.dropout import Dropout
from attrition.methods import LoRA, Trains
from attrition.names import AttritionError
from attrition.streams import Part, numpy_stream, torch_stream
from attrition.training.batches import epoch_batches, part
from attrition.training.clock import Clock
from attrition.training.layout import HEAD_BIAS, HEAD_WEIGHT, Layout
from attrition.training.model import Model
from attrition.training.optimizer import PopulationAdamW, clip
from attrition.training.predict import evaluate
from attrition.training.settings import TrainingSettings


@dataclass(frozen=True, eq=False)
class Task:
    """One learner's training: where it starts, what it reads, how; `seed` names its random streams.

    `start` makes the vector [P] to start from. It is called once, when training begins, and the vector is trained in place:
    a whole encoder need not be in memory twice.
    """

    name: str
    start: Callable[[], Tensor]
    train: Encoded
    dev: Encoded
    settings: TrainingSettings
    seed: tuple[Part, ...]

    @property
    def steps_an_epoch(self) -> int:
        """Batches in an epoch."""
        return -(-len(self.train) // self.settings.batch_size)


class Epoch(NamedTuple):
    """What happened in one epoch of one learner; `dev_f1` is NaN when nothing was evaluated."""

    epoch: int
    train_loss: float
    dev_f1: float
    seconds: float


@dataclass(frozen=True, eq=False)
class Finished:
    """A trained learner: its vector [P], its history, the epoch whose weights were kept (counted from 1)."""

    task: Task
    flat: Tensor
    history: tuple[Epoch, ...]
    kept_epoch: int


class Watcher(Protocol):
    """Is told what happens, for progress bars."""

    def trained(self, num_utterances: int) -> None: ...
    def epoch_ended(self, task: Task, epoch: Epoch) -> None: ...


@dataclass(eq=False)
class _Learner:
    """The state of one learner between steps."""

    task: Task
    step: int = 0
    epoch: int = 0
    batches: list[NDArray[np.int64]] = field(default_factory=list)
    masks: torch.Generator | None = None
    losses: list[Tensor] = field(default_factory=list)
    history: list[Epoch] = field(default_factory=list)
    best_f1: float = -1.0
    best_epoch: int = 0
    best_flat: Tensor | None = None
    epoch_began: float = 0.0

    @property
    def total_steps(self) -> int:
        return self.task.steps_an_epoch * self.task.settings.epochs

    def begin_epoch(self, device: torch.device, seconds: float) -> None:
        name = (*self.task.seed, self.epoch)
        stream = numpy_stream("batches", *name)
        self.batches = epoch_batches(self.task.train.lengths, self.task.settings.batch_size, stream)[::-1]
        self.masks = torch_stream("masks", *name, device=device)
        self.losses = []
        self.epoch_began = seconds

    def is_better(self, dev_f1: float) -> bool:
        """Whether these weights are to be kept: the best so far, or simply the latest (also where nothing is evaluated)."""
        return self.task.settings.keep == "last" or math.isnan(dev_f1) or dev_f1 > self.best_f1

    def is_finished(self) -> bool:
        settings = self.task.settings
        if self.epoch >= settings.epochs:
            return True
        scores = [epoch.dev_f1 for epoch in self.history]
        if settings.patience is None or math.isnan(scores[-1]):
            return False
        return self.epoch - (scores.index(max(scores)) + 1) >= settings.patience


def train_population(
    tasks: Sequence[Task], model: Model, trains: Trains, clock: Clock, watcher: Watcher | None = None
) -> Iterator[Finished]:
    """Train learners side by side and yield each as it finishes.

    Args:
        tasks: at least one; more than one only for LoRA over an encoder that takes populations.
        model: the encoder and the classes.
        trains: what all of these learners train.
        clock: told how long data, training and evaluation took.
        watcher: told of every step and epoch.

    Raises:
        AttritionError: `training.dropout` is given for an architecture whose dropout is part of its own module.
    """
    assert tasks, "an empty population"
    assert len(tasks) == 1 or (isinstance(trains, LoRA) and model.backbone.populations), "these learners cannot share a base"
    assert len({task.settings.dropout for task in tasks}) == 1, "learners that differ in dropout cannot share a pass"
    given = tasks[0].settings.dropout
    if given and not model.backbone.populations and (given, given) != (model.dropout, model.attention_dropout):
        raise AttritionError(
            f"training.dropout = {given} has no effect on {model.pretrained.name!r}: its architecture takes dropout from its "
            f"own configuration ({model.dropout:g}). Leave training.dropout out, or set it to 0 to switch dropout off."
        )
    population = _Population([_Learner(task) for task in tasks], model, trains, clock)
    for learner in population.learners:
        learner.begin_epoch(model.device, clock.now())
    while population.learners:
        num_utterances = population.step()
        if watcher:
            watcher.trained(num_utterances)
        done = []
        for row, learner in enumerate(population.learners):
            if not learner.batches:
                population.end_epoch(row)
                if watcher:
                    watcher.epoch_ended(learner.task, learner.history[-1])
                if learner.is_finished():
                    done.append(row)
                else:
                    learner.begin_epoch(model.device, clock.now())
        for row in done:
            learner = population.learners[row]
            assert learner.best_flat is not None
            yield Finished(learner.task, learner.best_flat, tuple(learner.history), learner.best_epoch)
        if done:
            population.leave(done)


def _stacked(starts: Sequence[Callable[[], Tensor]], size: int, device: torch.device) -> Tensor:
    """The starting vectors of a population, [M, P]."""
    if len(starts) == 1:
        return starts[0]().to(device).unsqueeze(0)
    flat_MP = torch.empty(len(starts), size, device=device)
    for row, start in zip(flat_MP, starts, strict=True):
        row.copy_(start())
    return flat_MP


class _Population:
    """The stacked parameters of the learners still training."""

    def __init__(self, learners: list[_Learner], model: Model, trains: Trains, clock: Clock) -> None:
        self.learners = learners
        self._model, self._trains, self._clock = model, trains, clock
        self._layout: Layout = model.layout(trains)
        self._flat = _stacked([learner.task.start for learner in learners], self._layout.size, model.device)
        self._grads = torch.zeros_like(self._flat)
        self._optimizer = PopulationAdamW(
            self._flat, self._grads, self._layout, [learner.task.settings for learner in learners]
        )
        self._leaves = self._make_leaves()

    def _make_leaves(self) -> dict[str, Tensor]:
        """The tensors that autograd sees: views of the matrix, their gradients views of the other."""
        leaves = {}
        gradients = self._layout.views(self._grads)
        for name, view in self._layout.views(self._flat).items():
            is_encoders = not isinstance(self._trains, LoRA) and name not in (HEAD_WEIGHT, HEAD_BIAS)
            leaf = (view[0] if is_encoders else view).detach().requires_grad_()
            leaf.grad = gradients[name][0] if is_encoders else gradients[name]
            leaves[name] = leaf
        return leaves

    def step(self) -> int:
        """One step of every learner; returns the number of utterances."""
        with self._clock.measure("data"):
            rows = [learner.batches.pop() for learner in self.learners]
            parts = [part(learner.task.train, row) for learner, row in zip(self.learners, rows, strict=True)]
            batch = assemble(parts, self._model.device)
        with self._clock.measure("training"):
            self._grads.zero_()
            losses_M = self._losses(batch)
            with warnings.catch_warnings():
                # A population's tensors are views of one matrix; autograd remarks on their strides and adds rightly.
                warnings.filterwarnings("ignore", "grad and param do not obey the gradient layout contract")
                losses_M.sum().backward()
            clip(self._grads, [learner.task.settings.max_grad_norm for learner in self.learners])
            self._optimizer.step([learner.task.settings.rate(learner.step, learner.total_steps) for learner in self.learners])
            for learner, loss in zip(self.learners, losses_M.detach(), strict=True):
                learner.losses.append(loss)
                learner.step += 1
        return sum(len(row) for row in rows)

    def _losses(self, batch: Batch) -> Tensor:
        """Mean cross-entropy over the scored sub-tokens of each learner, [M]."""
        dropout = self._dropout(batch)
        head_weight, head_bias = self._leaves[HEAD_WEIGHT], self._leaves[HEAD_BIAS]
        encoder = {name: leaf for name, leaf in self._leaves.items() if name not in (HEAD_WEIGHT, HEAD_BIAS)}
        if isinstance(self._trains, LoRA):
            scales = torch.full((len(self.learners),), self._trains.scale, device=self._model.device)
            hidden_MWH = self._model.backbone.encode(batch, self._model.base, lora.stacked(encoder, scales), dropout)
        else:
            hidden_MWH = self._model.backbone.encode(batch, encoder, None, dropout)
        counts_M = (batch.labels_MW >= 0).sum(1)
        if dropout is not None:
            hidden_MWH = dropout.on_words(hidden_MWH, counts_M.tolist())
        logits_MWC = torch.baddbmm(head_bias.unsqueeze(1), hidden_MWH, head_weight.transpose(1, 2))
        losses_MW = F.cross_entropy(logits_MWC.flatten(0, 1), batch.labels_MW.flatten(), ignore_index=-1, reduction="none")
        return losses_MW.view_as(batch.labels_MW).sum(1) / counts_M.clamp(min=1)

    def _dropout(self, batch: Batch) -> Dropout | None:
        given = self.learners[0].task.settings.dropout
        hidden = self._model.dropout if given is None else given
        attention = self._model.attention_dropout if given is None else given
        adapter = self._trains.dropout if isinstance(self._trains, LoRA) else 0.0
        if not (hidden or attention or adapter):
            return None
        streams = [learner.masks for learner in self.learners if learner.masks is not None]
        return Dropout(streams, batch.extents, hidden=hidden, attention=attention, adapter=adapter)

    def end_epoch(self, row: int) -> None:
        """Score the learner on its dev utterances and remember its weights if they are to be kept."""
        learner = self.learners[row]
        learner.epoch += 1
        flat = self._flat[row].detach()
        dev_f1 = float("nan")
        if len(learner.task.dev):
            with self._clock.measure("evaluation"):
                dev_f1 = evaluate(self._model, self._model.weights(self._trains, flat), learner.task.dev).f1
        train_loss = float(torch.stack(learner.losses).mean())
        seconds = self._clock.now() - learner.epoch_began
        learner.history.append(Epoch(learner.epoch, train_loss, dev_f1, seconds))
        if learner.is_better(dev_f1) or learner.best_flat is None:
            learner.best_f1, learner.best_epoch = dev_f1, learner.epoch
            learner.best_flat = flat.cpu().clone()

    def leave(self, rows: Sequence[int]) -> None:
        """Drop the learners at `rows`; the others go on with their moments and step counts."""
        keep = [row for row in range(len(self.learners)) if row not in rows]
        self.learners = [self.learners[row] for row in keep]
        if keep:
            self._flat = self._flat[keep].clone()
            self._grads = torch.zeros_like(self._flat)
            self._optimizer = self._optimizer.keep(keep, self._flat, self._grads)
            self._leaves = self._make_leaves()

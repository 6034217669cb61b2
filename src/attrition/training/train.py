"""The only training loop: a population of learners, one step at a time.

The learners share a frozen base (or the population is one learner that trains everything). Each has its own utterances,
batches, masks, learning rate, step count, clipping and early stopping; what it learns does not depend on who trains beside
it. A learner that has finished leaves, and the population shrinks.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional as F

from attrition.encoder import lora
from attrition.encoder.batch import Batch, assemble
from attrition.encoder.dropout import Dropout
from attrition.methods import LoRA, Trains
from attrition.names import AttritionError
from attrition.training.batches import part
from attrition.training.clock import Clock
from attrition.training.layout import HEAD_BIAS, HEAD_WEIGHT, Layout
from attrition.training.learner import Epoch as Epoch
from attrition.training.learner import Finished as Finished
from attrition.training.learner import Learner, LearnerState
from attrition.training.learner import Task as Task
from attrition.training.model import Model
from attrition.training.optimizer import PopulationAdamW, clip
from attrition.training.predict import evaluate


class Watcher(Protocol):
    """Is told what happens, for progress bars."""

    def trained(self, num_utterances: int) -> None: ...
    def epoch_ended(self, task: Task, epoch: Epoch) -> None: ...


class Keeper(Protocol):
    """Is asked between any two steps whether it wants to keep the state of the population; may end the training by raising."""

    def wants_state(self, *, leaving: bool) -> bool:
        """Whether to be given the state now; `leaving` when a learner is about to leave others behind."""

    def keep(self, learners: Sequence[LearnerState]) -> None:
        """The state of all learners; the tensors may be those in training and must be used before this returns."""


def train_population(
    tasks: Sequence[Task],
    model: Model,
    trains: Trains,
    clock: Clock,
    watcher: Watcher | None = None,
    keeper: Keeper | None = None,
    states: Sequence[LearnerState] = (),
) -> Iterator[Finished]:
    """Train learners side by side and yield each as it finishes.

    Args:
        tasks: at least one; more than one only for LoRA over an encoder that takes populations.
        model: the encoder and the classes.
        trains: what all of these learners train.
        clock: told how long data, training and evaluation took.
        watcher: told of every step and epoch.
        keeper: given the state of all learners when it wants to have it.
        states: of each task, as a keeper was given them, to go on from there; the numbers are those of a training that was
            never interrupted, bit for bit, if the population is the same. A learner that had finished is yielded again.

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
    population = _Population([Learner(task) for task in tasks], model, trains, clock, states)
    while population.learners:
        # Between any two of these moves the population is whole, and may be kept.
        read = [row for row, learner in enumerate(population.learners) if not learner.batches]
        ended = [row for row in read if population.learners[row].has_read_all()]
        leaving = bool(read) and not ended
        if keeper and keeper.wants_state(leaving=leaving and len(read) < len(population.learners)):
            keeper.keep(population.states())
        if ended:
            learner = population.learners[ended[0]]
            population.end_epoch(ended[0])
            if watcher:
                watcher.epoch_ended(learner.task, learner.history[-1])
            if not learner.is_finished():
                learner.begin_epoch(model.device, clock.now())
        elif leaving:
            for row in read:
                yield population.learners[row].finished()
            population.leave(read)
        else:
            num_utterances = population.step()
            if watcher:
                watcher.trained(num_utterances)


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

    def __init__(
        self, learners: list[Learner], model: Model, trains: Trains, clock: Clock, states: Sequence[LearnerState]
    ) -> None:
        self.learners = learners
        self._model, self._trains, self._clock = model, trains, clock
        self._layout: Layout = model.layout(trains)
        if states:
            self._flat = torch.empty(len(states), self._layout.size, device=model.device)
            for flat_P, state in zip(self._flat, states, strict=True):
                flat_P.copy_(state.flat_P)
        else:
            self._flat = _stacked([learner.task.start for learner in learners], self._layout.size, model.device)
        self._grads = torch.zeros_like(self._flat)
        self._optimizer = PopulationAdamW(
            self._flat, self._grads, self._layout, [learner.task.settings for learner in learners]
        )
        self._leaves = self._make_leaves()
        now = clock.now()
        if not states:
            for learner in learners:
                learner.begin_epoch(model.device, now)
        for row, state in enumerate(states):
            learners[row].go_on(state, model.device, now)
            self._optimizer.restore(row, state.moments, state.step)

    def states(self) -> tuple[LearnerState, ...]:
        """Where every learner stands."""
        now = self._clock.now()
        return tuple(
            learner.state(flat_P.detach(), self._optimizer.moments(row), now)
            for row, (learner, flat_P) in enumerate(zip(self.learners, self._flat, strict=True))
        )

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
            losses_M = self._losses(batch, [int((each.labels >= 0).sum()) for each in parts])
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

    def _losses(self, batch: Batch, counts: Sequence[int]) -> Tensor:
        """Mean cross-entropy over the scored sub-tokens of each learner, of which there are `counts`, [M]."""
        dropout = self._dropout(batch)
        head_weight, head_bias = self._leaves[HEAD_WEIGHT], self._leaves[HEAD_BIAS]
        encoder = {name: leaf for name, leaf in self._leaves.items() if name not in (HEAD_WEIGHT, HEAD_BIAS)}
        if isinstance(self._trains, LoRA):
            scales = torch.full((len(self.learners),), self._trains.scale, device=self._model.device)
            hidden_MWH = self._model.backbone.encode(batch, self._model.frozen, lora.stacked(encoder, scales), dropout)
        else:
            hidden_MWH = self._model.backbone.encode(batch, encoder, None, dropout)
        counts_M = (batch.labels_MW >= 0).sum(1)
        if dropout is not None:
            hidden_MWH = dropout.on_words(hidden_MWH, counts)
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
        """Score the learner on its dev utterances and remember its weights if they are to be kept.

        What is no number is looked for here and not at each step, for which a GPU would have to wait.
        """
        learner = self.learners[row]
        learner.epoch += 1
        flat = self._flat[row].detach()
        train_loss, dev_f1 = float(torch.stack(learner.losses).mean()), float("nan")
        if not math.isfinite(train_loss):
            learner.diverged = f"the loss was no number in epoch {learner.epoch}"
        elif not torch.isfinite(flat).all():
            learner.diverged = f"a weight was no number after epoch {learner.epoch}"
        elif len(learner.task.dev):
            with self._clock.measure("evaluation"):
                dev_f1 = evaluate(self._model, self._model.weights(self._trains, flat), learner.task.dev).f1
        seconds = self._clock.now() - learner.epoch_began
        learner.end_epoch(Epoch(learner.epoch, train_loss, dev_f1, seconds))
        if not learner.diverged and (learner.is_better(dev_f1) or learner.best_flat is None):
            learner.best_f1, learner.best_epoch = dev_f1, learner.epoch
            learner.best_flat = flat.cpu().clone()
        elif learner.best_flat is None:
            learner.best_flat = learner.task.start().cpu()

    def leave(self, rows: Sequence[int]) -> None:
        """Drop the learners at `rows`; the others go on with their moments and step counts."""
        keep = [row for row in range(len(self.learners)) if row not in rows]
        self.learners = [self.learners[row] for row in keep]
        if keep:
            self._flat = self._flat[keep].clone()
            self._grads = torch.zeros_like(self._flat)
            self._optimizer = self._optimizer.keep(keep, self._flat, self._grads)
            self._leaves = self._make_leaves()

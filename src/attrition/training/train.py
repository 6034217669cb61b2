"""The training loop: a population of learners that train side by side.

The learners share a frozen base, or the population is one learner with full fine-tuning. Each learner has its own utterances,
batches, dropout masks, rank, learning rate, step count, clipping and early stopping. It learns the same as alone, except for
rounding. A finished learner leaves the population. When memory runs out, half of the learners wait for the others, and a single
learner splits its batches.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from attrition.encoder import lora
from attrition.encoder.batch import Batch, assemble
from attrition.encoder.dropout import Dropout, MaskStream
from attrition.methods.hook import Rows
from attrition.names import AttritionError
from attrition.training.batches import part_of
from attrition.training.clock import Clock
from attrition.training.embedding_rows import rows_in_use
from attrition.training.gradient import gradient_at
from attrition.training.groups import LearnerGroup, beginning, groups_of, halved, stacked, states_of, widest
from attrition.training.hooks import added_loss, change_gradients
from attrition.training.layout import HEAD_BIAS, HEAD_WEIGHT
from attrition.training.learner import Epoch as Epoch
from attrition.training.learner import Finished as Finished
from attrition.training.learner import Learner, LearnerState, in_common
from attrition.training.learner import Task as Task
from attrition.training.memory import Room, if_it_fits
from attrition.training.model import Model
from attrition.training.optimizer import Moments, PopulationAdamW, clip
from attrition.training.predict import StackedWeights, evaluate, evaluate_stacked


class Watcher(Protocol):
    """Receives the progress of training."""

    def trained(self, num_utterances: int) -> None: ...
    def epoch_ended(self, name: str, epoch: Epoch) -> None: ...


class Keeper(Protocol):
    """Saves the state of a population between two steps when it wants to; may raise to end the training."""

    def wants_state(self, *, leaving: bool) -> bool:
        """Return whether to save the state now; `leaving`: a learner is about to leave while others continue."""

    def keep(self, learners: Sequence[LearnerState]) -> None:
        """Save the state of all learners; do not use its tensors after the call, they may be in training."""


def train_population(
    tasks: Sequence[Task],
    model: Model,
    clock: Clock,
    watcher: Watcher | None = None,
    keeper: Keeper | None = None,
    states: Sequence[LearnerState] = (),
    room: Room | None = None,
) -> Iterator[Finished]:
    """Train learners side by side and yield each as it finishes.

    Args:
        tasks: at least one; several only for LoRA on an encoder that supports populations. Ranks may differ, targets and
            dropout may not.
        model: the encoder and the classes.
        clock: measures data, training and evaluation.
        watcher: receives every step and epoch.
        keeper: saves the state of all learners.
        states: saved states of each task, to resume from. With the same population the result is the same as without the
            interruption, bit for bit. A finished learner is yielded again.
        room: the known limits of memory; lowered when memory runs out. The step is then repeated.

    Raises:
        AttritionError: `training.dropout` is set for an architecture with its own dropout; or memory does not suffice for one
            utterance.
    """
    assert tasks, "an empty population"
    if (used := rows_in_use(tasks, model)) is None:
        yield from _train(tasks, model, clock, watcher, keeper, states, room or Room())
    else:
        for finished in _train([used.task], used.narrow, clock, watcher, keeper, states, room or Room()):
            yield used.widened(finished)


def _train(
    tasks: Sequence[Task],
    model: Model,
    clock: Clock,
    watcher: Watcher | None,
    keeper: Keeper | None,
    states: Sequence[LearnerState],
    room: Room,
) -> Iterator[Finished]:
    together = tasks[0].trains.adapter is not None and model.backbone.populations
    assert len(tasks) == 1 or together, "these learners cannot share a base"
    assert len({in_common(task.trains, task.settings) for task in tasks}) == 1, "these learners cannot share a pass"
    _refuse_dropout_without_effect(tasks[0], model)
    groups = groups_of(tasks, states, room)
    while groups:
        group = groups.pop(0)
        population = if_it_fits(partial(_Population, group, model, clock, room))
        if population is None:
            if len(group) == 1:
                raise AttritionError(f"Not enough memory for the parameters of one learner. {_ADVICE}")
            begun = [(task, state or beginning(task, model, clock.now())) for task, state in group]
            groups = halved(begun, groups, room)
            continue
        while population.learners:
            # At the start of each pass of this loop the state is consistent and can be saved.
            learners = population.learners
            read = [row for row, learner in enumerate(learners) if not learner.batches]
            ended = [row for row in read if learners[row].has_read_all()]
            leaving = bool(read) and not ended
            leaves_others = leaving and (len(read) < len(learners) or bool(groups))
            if keeper and keeper.wants_state(leaving=leaves_others):
                keeper.keep([*population.states(), *states_of(groups, room, model, clock.now())])
            if leaving:
                with clock.measure("training"):
                    finished = [learners[row].finished() for row in read]
                population.leave(read)  # leave first: storing and scoring need memory too
                yield from finished
            elif ended:
                epochs = if_it_fits(partial(population.end_epochs, ended))
                if epochs is None:
                    groups = population.make_room(groups)
                    continue
                for row, epoch in zip(ended, epochs, strict=True):
                    if watcher:
                        watcher.epoch_ended(learners[row].task.name, epoch)
                    if not learners[row].is_finished():
                        learners[row].begin_epoch(model.device, clock.now())
            else:
                num_utterances = if_it_fits(population.step)
                if num_utterances is None:
                    groups = population.make_room(groups)
                elif watcher:
                    watcher.trained(num_utterances)


_ADVICE = "Lower the rank or encoding.max_tokens, or take a smaller model; finished stages are kept."


def _refuse_dropout_without_effect(task: Task, model: Model) -> None:
    given = task.settings.dropout
    if given and not model.backbone.populations and (given, given) != (model.dropout, model.attention_dropout):
        raise AttritionError(
            f"training.dropout = {given} has no effect on {model.pretrained.name!r}: its architecture takes dropout from its "
            f"own configuration ({model.dropout:g} on hidden states, {model.attention_dropout:g} on attention). "
            "Leave training.dropout out, or set it to 0 to switch dropout off."
        )


class _Population:
    """The stacked parameters of the learners in training, in the layout of the largest rank."""

    def __init__(self, group: LearnerGroup, model: Model, clock: Clock, room: Room) -> None:
        self.learners = [Learner(task, model.layout(task.trains)) for task, _ in group]
        self._model, self._clock, self._room = model, clock, room
        self._adapts = group[0][0].trains.adapter is not None
        self._layout = widest(self.learners)
        self._flat = stacked(self.learners, [state for _, state in group], self._layout, model.device)
        self._grads = torch.zeros_like(self._flat)
        settings = [learner.task.settings for learner in self.learners]
        self._optimizer = PopulationAdamW(self._layout, settings, model.device)
        self._look()
        now = clock.now()
        for row, (learner, (_, state)) in enumerate(zip(self.learners, group, strict=True)):
            learner.begin_hooks(gradient_at(model, learner.task.trains))
            if state is None:
                learner.begin_epoch(model.device, now)
            else:
                learner.go_on(state, model.device, now)
                if state.moments is not None:
                    self._optimizer.restore(row, state.moments, learner.layout, state.step)
        if len(self.learners) == 1:
            (learner,) = self.learners
            if learner.pieces < room.pieces:
                learner.take_pieces(room.pieces)
            room.pieces = learner.pieces

    def states(self) -> tuple[LearnerState, ...]:
        """Return the state of every learner."""
        now = self._clock.now()
        return tuple(learner.state(self._own(row), self._moments(row), now) for row, learner in enumerate(self.learners))

    def _own(self, row: int) -> Tensor:
        """Return a learner's parameters; a view if its rank is the largest."""
        return self._layout.resized(self._flat[row].detach(), self.learners[row].layout)

    def _moments(self, row: int) -> Moments | None:
        learner = self.learners[row]
        return self._optimizer.moments(row, learner.layout) if learner.step else None

    def _look(self) -> None:
        """Create the leaf tensors of autograd: views of the parameters, with views of the gradients as their gradients."""
        self._leaves: dict[str, Tensor] = {}
        trains = [learner.task.trains for learner in self.learners]
        self._scales = torch.tensor([each.adapter.scale for each in trains if each.adapter], device=self._model.device)
        gradients = self._layout.views(self._grads)
        for name, view in self._layout.views(self._flat).items():
            is_encoders = not self._adapts and name not in (HEAD_WEIGHT, HEAD_BIAS)
            leaf = (view[0] if is_encoders else view).detach().requires_grad_()
            leaf.grad = gradients[name][0] if is_encoders else gradients[name]
            self._leaves[name] = leaf

    def step(self) -> int:
        """Make one step of every learner and return the number of utterances. If memory runs out, no learner changes."""
        utterances = [learner.utterances() for learner in self.learners]
        streams = self._streams()
        before = [stream.state() for stream in streams]
        try:
            losses_M = self._add_gradients(utterances)
            with self._clock.measure("training"):
                change_gradients(self.learners, self._layout, self._flat, self._grads)
        except (MemoryError, RuntimeError):
            for stream, state in zip(streams, before, strict=True):
                stream.set_state(state)
            raise
        with self._clock.measure("training"):
            clip(self._grads, [learner.task.settings.max_grad_norm for learner in self.learners])
            self._optimizer.step(self._flat, self._grads, [learner.rate(learner.step) for learner in self.learners])
            for learner, loss in zip(self.learners, losses_M, strict=True):
                learner.batches.pop()
                learner.losses.append(loss)
                learner.step += 1
        return sum(len(own.rows) for own, *_ in utterances)

    def _add_gradients(self, utterances: Sequence[Sequence[Rows]]) -> Tensor:
        """Compute the gradients of each learner's mean loss over its batch; return the losses, [M].

        Pieces of a batch give the same gradients: the sum of each piece is divided by the count of the whole batch.
        """
        pieces = self.learners[0].pieces
        with self._clock.measure("training"):
            self._grads.zero_()
        losses, totals_M = [], None
        if pieces > 1:
            (sets,) = utterances
            totals_M = torch.tensor([int((part_of(sets).labels >= 0).sum())], device=self._model.device)
            pieces = min(pieces, max(len(each.rows) for each in sets))
        for piece in range(pieces):
            with self._clock.measure("data"):
                parts = [part_of([(each.encoded, _piece(each.rows, piece, pieces)) for each in sets]) for sets in utterances]
                batch = assemble(parts, self._model.device, self._model.backbone.multiple)
            with self._clock.measure("training"):
                losses_M = self._losses(batch, [int((each.labels >= 0).sum()) for each in parts], totals_M)
                with warnings.catch_warnings():
                    # The tensors are views of one matrix. Autograd warns about their strides, but the result is right.
                    warnings.filterwarnings("ignore", "grad and param do not obey the gradient layout contract")
                    term = added_loss(self.learners, self._leaves) if piece == 0 else None
                    (losses_M.sum() if term is None else losses_M.sum() + term).backward()
                losses.append(losses_M.detach())
                del losses_M  # frees the activations before the next piece
        return losses[0] if len(losses) == 1 else torch.stack(losses).sum(0)

    def _losses(self, batch: Batch, counts: Sequence[int], totals_M: Tensor | None) -> Tensor:
        """Return the cross-entropy of each learner over its scored sub-tokens, [M]; `counts` is their number.

        The sum is divided by `totals_M`, by default the counts.
        """
        dropout = self._dropout(batch)
        head_weight, head_bias = self._leaves[HEAD_WEIGHT], self._leaves[HEAD_BIAS]
        encoder = {name: leaf for name, leaf in self._leaves.items() if name not in (HEAD_WEIGHT, HEAD_BIAS)}
        if self._adapts:
            hidden_MWH = self._model.backbone.encode(batch, self._model.frozen, lora.stacked(encoder, self._scales), dropout)
        else:
            hidden_MWH = self._model.backbone.encode(batch, encoder, None, dropout)
        if totals_M is None:
            totals_M = (batch.labels_MW >= 0).sum(1)
        if dropout is not None:
            hidden_MWH = dropout.on_words(hidden_MWH, counts)
        logits_MWC = torch.baddbmm(head_bias.unsqueeze(1), hidden_MWH, head_weight.transpose(1, 2))
        losses_MW = F.cross_entropy(logits_MWC.flatten(0, 1), batch.labels_MW.flatten(), ignore_index=-1, reduction="none")
        return losses_MW.view_as(batch.labels_MW).sum(1) / totals_M.clamp(min=1)

    def _dropout(self, batch: Batch) -> Dropout | None:
        task = self.learners[0].task
        given = task.settings.dropout
        hidden = self._model.dropout if given is None else given
        attention = self._model.attention_dropout if given is None else given
        adapter = task.trains.dropout
        if not (hidden or attention or adapter):
            return None
        return Dropout(self._streams(), batch.extents, hidden=hidden, attention=attention, adapter=adapter)

    def _streams(self) -> list[MaskStream]:
        return [learner.masks for learner in self.learners if learner.masks is not None]

    def end_epochs(self, rows: Sequence[int]) -> list[Epoch]:
        """Score the learners at `rows` on their dev utterances and save their best weights.

        NaN is checked here and not at each step, where the check would make the CPU wait for the GPU. If memory runs out, no
        learner changes.
        """
        losses = [float(torch.stack(self.learners[row].losses).mean()) for row in rows]
        diverged = [self._divergence(row, loss) for row, loss in zip(rows, losses, strict=True)]
        scored = [row for row, said in zip(rows, diverged, strict=True) if not said and len(self.learners[row].task.dev)]
        with self._clock.measure("evaluation"):
            f1 = dict(zip(scored, self._dev_f1(scored), strict=True))
        dev_f1 = [f1.get(row, float("nan")) for row in rows]
        best = [self._best(row, score, said) for row, score, said in zip(rows, dev_f1, diverged, strict=True)]
        # All memory is allocated by now, so the rest cannot fail.
        epochs, now = [], self._clock.now()
        for row, loss, score, said, (flat, number) in zip(rows, losses, dev_f1, diverged, best, strict=True):
            learner = self.learners[row]
            epochs.append(Epoch(learner.epoch + 1, loss, score, now - learner.epoch_began))
            learner.end_epoch(epochs[-1], flat, number, said)
        return epochs

    def _divergence(self, row: int, train_loss: float) -> str:
        """Return a note on NaN or infinite numbers of a learner at the end of an epoch; "" without any."""
        number = self.learners[row].epoch + 1
        if not math.isfinite(train_loss):
            return f"the loss was not finite in epoch {number}"
        if not all(math.isfinite(float(end)) for end in torch.aminmax(self._flat[row])):  # isfinite would make copies
            return f"a weight was not finite after epoch {number}"
        return ""

    def _dev_f1(self, rows: Sequence[int]) -> list[float]:
        """Return F1 of each learner on its dev utterances. Several share the frozen encoder; a single one is merged."""
        tasks = [self.learners[row].task for row in rows]
        if len(rows) > 1:
            tensors = self._layout.views(self._flat)
            head_weight_MCH, head_bias_MC = tensors.pop(HEAD_WEIGHT), tensors.pop(HEAD_BIAS)
            stack = StackedWeights(self._model.frozen, lora.stacked(tensors, self._scales), head_weight_MCH, head_bias_MC)
            counts = evaluate_stacked(self._model, stack.at(rows), [task.dev for task in tasks], self._room)
            return [each.f1 for each in counts]
        return [
            evaluate(self._model, self._model.weights(task.trains, self._own(row)), task.dev, self._room).f1
            for task, row in zip(tasks, rows, strict=True)
        ]

    def _best(self, row: int, dev_f1: float, diverged: str) -> tuple[Tensor, int]:
        """Return the weights to keep for a learner at the end of an epoch, and their epoch."""
        learner = self.learners[row]
        if not diverged and (learner.is_better(dev_f1) or learner.best_flat is None):
            # The final weights of a single learner need no copy: nothing changes them later.
            is_last = len(self.learners) == 1 and learner.epoch + 1 == learner.task.settings.epochs
            flat = self._own(row)
            return flat.cpu() if is_last else flat.to("cpu", copy=True), learner.epoch + 1
        if learner.best_flat is None:
            return learner.task.start().cpu(), 0
        return learner.best_flat, learner.best_epoch

    def leave(self, rows: Sequence[int]) -> None:
        """Remove the learners at `rows`; the others keep their moments and step counts."""
        keep = [row for row in range(len(self.learners)) if row not in rows]
        self.learners = [self.learners[row] for row in keep]
        del self._grads, self._leaves
        if not keep:
            del self._flat, self._optimizer
            return
        before, self._layout = self._layout, widest(self.learners)
        self._flat = before.taken(self._flat, keep, self._layout)
        self._optimizer.keep(keep, self._layout)
        self._grads = torch.zeros_like(self._flat)  # last, to reuse the memory of the old gradients
        self._look()

    def make_room(self, groups: Sequence[LearnerGroup]) -> list[LearnerGroup]:
        """Split the population, or the batches of a single learner, after memory ran out; return the groups to train next.

        Raises:
            AttritionError: nothing can be reduced further.
        """
        if len(self.learners) > 1:
            aside = [(learner.task, state.set_aside()) for learner, state in zip(self.learners, self.states(), strict=True)]
            self.leave(range(len(self.learners)))
            return halved(aside, groups, self._room)
        (learner,) = self.learners
        if not learner.batches:
            raise AttritionError(f"Not enough memory to score the dev utterances of one learner. {_ADVICE}")
        sets = learner.utterances()
        if learner.pieces >= max(len(each.rows) for each in sets):
            longest = max(int(each.encoded.lengths[each.rows].max()) for each in sets)
            raise AttritionError(f"Not enough memory to train on one utterance of {longest} sub-tokens. {_ADVICE}")
        self._room.halve_batches(learner.pieces)
        learner.take_pieces(self._room.pieces)
        return list(groups)


def _piece(rows: NDArray[np.int64], piece: int, pieces: int) -> NDArray[np.int64]:
    return rows if pieces == 1 else np.array_split(rows, pieces)[piece]

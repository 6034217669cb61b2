"""The only training loop: a population of learners, one step at a time.

The learners share a frozen base (or the population is one learner that trains everything). Each has its own utterances,
batches, masks, rank, learning rate, step count, clipping and early stopping; what it learns does not depend on who trains
beside it. A learner that has finished leaves, and the population shrinks. When memory runs out, half of the learners wait
until the others have finished; one alone takes its batches in pieces.
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
from attrition.training.crews import Crew, beginning, crews_of, halved, stacked, states_of, widest
from attrition.training.embedding_rows import rows_in_use
from attrition.training.gradient import gradient_at
from attrition.training.hooks import added_loss, change_gradients
from attrition.training.layout import HEAD_BIAS, HEAD_WEIGHT
from attrition.training.learner import Epoch as Epoch
from attrition.training.learner import Finished as Finished
from attrition.training.learner import Learner, LearnerState, in_common
from attrition.training.learner import Task as Task
from attrition.training.memory import Room, if_it_fits
from attrition.training.model import Model
from attrition.training.optimizer import Moments, PopulationAdamW, clip
from attrition.training.predict import Members, evaluate, evaluate_members


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
    clock: Clock,
    watcher: Watcher | None = None,
    keeper: Keeper | None = None,
    states: Sequence[LearnerState] = (),
    room: Room | None = None,
) -> Iterator[Finished]:
    """Train learners side by side and yield each as it finishes.

    Args:
        tasks: at least one; more than one only for LoRA over an encoder that takes populations. Ranks may differ, targets and
            dropout may not.
        model: the encoder and the classes.
        clock: told how long data, training and evaluation took.
        watcher: told of every step and epoch.
        keeper: given the state of all learners when it wants to have it.
        states: of each task, as a keeper was given them, to go on from there; the numbers are those of a training that was
            never interrupted, bit for bit, if the population is the same. A learner that had finished is yielded again.
        room: what is known to fit into memory; it shrinks where something does not. A step that did not fit is made again.

    Raises:
        AttritionError: `training.dropout` is given for an architecture whose dropout is part of its own module; or not even
            one utterance fits into memory.
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
    crews = crews_of(tasks, states, room)
    while crews:
        crew = crews.pop(0)
        population = if_it_fits(partial(_Population, crew, model, clock, room))
        if population is None:
            if len(crew) == 1:
                raise AttritionError(f"There is not enough memory for the parameters of one learner. {_ADVICE}")
            begun = [(task, state or beginning(task, model, clock.now())) for task, state in crew]
            crews = halved(begun, crews, room)
            continue
        while population.learners:
            # Between any two of these moves the population is whole, and may be kept.
            learners = population.learners
            read = [row for row, learner in enumerate(learners) if not learner.batches]
            ended = [row for row in read if learners[row].has_read_all()]
            leaving = bool(read) and not ended
            leaves_others = leaving and (len(read) < len(learners) or bool(crews))
            if keeper and keeper.wants_state(leaving=leaves_others):
                keeper.keep([*population.states(), *states_of(crews, room, model, clock.now())])
            if leaving:
                with clock.measure("training"):
                    finished = [learners[row].finished() for row in read]
                population.leave(read)  # before they are stored and scored, which takes memory too
                yield from finished
            elif ended:
                epochs = if_it_fits(partial(population.end_epochs, ended))
                if epochs is None:
                    crews = population.make_room(crews)
                    continue
                for row, epoch in zip(ended, epochs, strict=True):
                    if watcher:
                        watcher.epoch_ended(learners[row].task, epoch)
                    if not learners[row].is_finished():
                        learners[row].begin_epoch(model.device, clock.now())
            else:
                num_utterances = if_it_fits(population.step)
                if num_utterances is None:
                    crews = population.make_room(crews)
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
    """The stacked parameters of the learners still training, in rows of the layout of the one with the largest rank."""

    def __init__(self, crew: Crew, model: Model, clock: Clock, room: Room) -> None:
        self.learners = [Learner(task, model.layout(task.trains)) for task, _ in crew]
        self._model, self._clock, self._room = model, clock, room
        self._adapts = crew[0][0].trains.adapter is not None
        self._layout = widest(self.learners)
        self._flat = stacked(self.learners, [state for _, state in crew], self._layout, model.device)
        self._grads = torch.zeros_like(self._flat)
        settings = [learner.task.settings for learner in self.learners]
        self._optimizer = PopulationAdamW(self._layout, settings, model.device)
        self._look()
        now = clock.now()
        for row, (learner, (_, state)) in enumerate(zip(self.learners, crew, strict=True)):
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
        """Where every learner stands."""
        now = self._clock.now()
        return tuple(learner.state(self._own(row), self._moments(row), now) for row, learner in enumerate(self.learners))

    def _own(self, row: int) -> Tensor:
        """A learner's parameters; a view where its rank is the largest."""
        return self._layout.resized(self._flat[row].detach(), self.learners[row].layout)

    def _moments(self, row: int) -> Moments | None:
        learner = self.learners[row]
        return self._optimizer.moments(row, learner.layout) if learner.step else None

    def _look(self) -> None:
        """Make the tensors that autograd sees: views of the matrix, their gradients views of the other."""
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
        """One step of every learner; returns the number of utterances. Where memory runs out, none was made."""
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
        """Set the gradients to those of each learner's mean loss over its batch; returns these losses, [M].

        A batch in pieces gives the same gradients: each piece's sum is divided by the number of the whole batch.
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
                    # A population's tensors are views of one matrix; autograd remarks on their strides and adds rightly.
                    warnings.filterwarnings("ignore", "grad and param do not obey the gradient layout contract")
                    term = added_loss(self.learners, self._leaves) if piece == 0 else None
                    (losses_M.sum() if term is None else losses_M.sum() + term).backward()
                losses.append(losses_M.detach())
                del losses_M  # and with it what the pass has kept, before the next one
        return losses[0] if len(losses) == 1 else torch.stack(losses).sum(0)

    def _losses(self, batch: Batch, counts: Sequence[int], totals_M: Tensor | None) -> Tensor:
        """Cross-entropy of each learner over its scored sub-tokens, of which there are `counts`, [M].

        The sum is divided by `totals_M`; None stands for the counts.
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
        """Score the learners at `rows` on their dev utterances and remember the weights of each that are to be kept.

        What is no number is looked for here and not at each step, for which a GPU would have to wait. Where memory runs out,
        no epoch has ended.
        """
        losses = [float(torch.stack(self.learners[row].losses).mean()) for row in rows]
        diverged = [self._divergence(row, loss) for row, loss in zip(rows, losses, strict=True)]
        scored = [row for row, said in zip(rows, diverged, strict=True) if not said and len(self.learners[row].task.dev)]
        with self._clock.measure("evaluation"):
            f1 = dict(zip(scored, self._dev_f1(scored), strict=True))
        dev_f1 = [f1.get(row, float("nan")) for row in rows]
        best = [self._best(row, score, said) for row, score, said in zip(rows, dev_f1, diverged, strict=True)]
        # All memory is taken: from here on nothing is refused.
        epochs, now = [], self._clock.now()
        for row, loss, score, said, (flat, number) in zip(rows, losses, dev_f1, diverged, best, strict=True):
            learner = self.learners[row]
            epochs.append(Epoch(learner.epoch + 1, loss, score, now - learner.epoch_began))
            learner.end_epoch(epochs[-1], flat, number, said)
        return epochs

    def _divergence(self, row: int, train_loss: float) -> str:
        """What of a learner is no number at the end of an epoch; empty if all is well."""
        number = self.learners[row].epoch + 1
        if not math.isfinite(train_loss):
            return f"the loss was no number in epoch {number}"
        if not all(math.isfinite(float(end)) for end in torch.aminmax(self._flat[row])):  # isfinite would make copies
            return f"a weight was no number after epoch {number}"
        return ""

    def _dev_f1(self, rows: Sequence[int]) -> list[float]:
        """F1 of each learner on its dev utterances: several share the frozen encoder, one alone has its factors merged."""
        tasks = [self.learners[row].task for row in rows]
        if len(rows) > 1:
            tensors = self._layout.views(self._flat)
            head_weight_MCH, head_bias_MC = tensors.pop(HEAD_WEIGHT), tensors.pop(HEAD_BIAS)
            members = Members(self._model.frozen, lora.stacked(tensors, self._scales), head_weight_MCH, head_bias_MC)
            counts = evaluate_members(self._model, members.at(rows), [task.dev for task in tasks], self._room)
            return [each.f1 for each in counts]
        return [
            evaluate(self._model, self._model.weights(task.trains, self._own(row)), task.dev, self._room).f1
            for task, row in zip(tasks, rows, strict=True)
        ]

    def _best(self, row: int, dev_f1: float, diverged: str) -> tuple[Tensor, int]:
        """The weights to keep of a learner that ends an epoch, and of which epoch they are."""
        learner = self.learners[row]
        if not diverged and (learner.is_better(dev_f1) or learner.best_flat is None):
            # The last weights of a learner alone are handed over as they are: nobody changes them any more.
            is_last = len(self.learners) == 1 and learner.epoch + 1 == learner.task.settings.epochs
            flat = self._own(row)
            return flat.cpu() if is_last else flat.to("cpu", copy=True), learner.epoch + 1
        if learner.best_flat is None:
            return learner.task.start().cpu(), 0
        return learner.best_flat, learner.best_epoch

    def leave(self, rows: Sequence[int]) -> None:
        """Drop the learners at `rows`; the others go on with their moments and step counts."""
        keep = [row for row in range(len(self.learners)) if row not in rows]
        self.learners = [self.learners[row] for row in keep]
        del self._grads, self._leaves
        if not keep:
            del self._flat, self._optimizer
            return
        before, self._layout = self._layout, widest(self.learners)
        self._flat = before.taken(self._flat, keep, self._layout)
        self._optimizer.keep(keep, self._layout)
        self._grads = torch.zeros_like(self._flat)  # last, in the place of the former ones
        self._look()

    def make_room(self, crews: Sequence[Crew]) -> list[Crew]:
        """After memory ran out: split the population, or cut the batches of the one learner; returns the crews to come.

        Raises:
            AttritionError: there is nothing left to make smaller.
        """
        if len(self.learners) > 1:
            aside = [(learner.task, state.set_aside()) for learner, state in zip(self.learners, self.states(), strict=True)]
            self.leave(range(len(self.learners)))
            return halved(aside, crews, self._room)
        (learner,) = self.learners
        if not learner.batches:
            raise AttritionError(f"There is not enough memory to score the dev utterances of one learner. {_ADVICE}")
        sets = learner.utterances()
        if learner.pieces >= max(len(each.rows) for each in sets):
            longest = max(int(each.encoded.lengths[each.rows].max()) for each in sets)
            raise AttritionError(f"There is not enough memory to train on one utterance of {longest} sub-tokens. {_ADVICE}")
        self._room.halve_batches(learner.pieces)
        learner.take_pieces(self._room.pieces)
        return list(crews)


def _piece(rows: NDArray[np.int64], piece: int, pieces: int) -> NDArray[np.int64]:
    return rows if pieces == 1 else np.array_split(rows, pieces)[piece]

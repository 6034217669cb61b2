"""Splits a population into groups that train one after another, when memory does not suffice for all at once."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import torch
from torch import Tensor

from attrition.training.layout import Layout
from attrition.training.learner import Learner, LearnerState, Task, in_pieces
from attrition.training.memory import Room
from attrition.training.model import Model

LearnerGroup = Sequence[tuple[Task, LearnerState | None]]
"""Tasks that train side by side, each with the state to resume from; None starts from the beginning."""


def groups_of(tasks: Sequence[Task], states: Sequence[LearnerState], room: Room) -> list[LearnerGroup]:
    """Return the groups in order: from the saved states, or as large as memory allows."""
    if not states:
        return _cut([(task, None) for task in tasks], room)
    pairs = list(zip(tasks, states, strict=True))
    turns = sorted({state.turn for state in states})
    return [[(task, state) for task, state in pairs if state.turn == turn] for turn in turns]


def halved(group: LearnerGroup, groups: Sequence[LearnerGroup], room: Room) -> list[LearnerGroup]:
    """Split a group of learners that did not fit in memory, and limit the later groups to the same size."""
    room.halve_learners(len(group))
    found: list[LearnerGroup] = []
    for each in (group, *groups):
        if len(each) > room.learners:
            each = [(task, state and dataclasses.replace(state, shortage=_fewer(state, room))) for task, state in each]
        found += _cut(each, room)
    return found


def states_of(groups: Sequence[LearnerGroup], room: Room, model: Model, now: float) -> list[LearnerState]:
    """Return the states of waiting learners, with their turn and the number of pieces of a batch."""
    found = []
    for turn, group in enumerate(groups, 1):
        for task, before in group:
            state = before or beginning(task, model, now)
            if len(group) == 1 and state.pieces < room.pieces:
                said = in_pieces(task, state.step, room.pieces)
                state = dataclasses.replace(state, pieces=room.pieces, shortage=said)
            found.append(dataclasses.replace(state, turn=turn))
    return found


def beginning(task: Task, model: Model, now: float) -> LearnerState:
    """Return the state of a learner before its first step."""
    learner = Learner(task, model.layout(task.trains))
    learner.begin_epoch(model.device, now)
    return learner.state(task.start(), None, now)


def _cut(group: LearnerGroup, room: Room) -> list[LearnerGroup]:
    size = min(room.learners, len(group))
    return [group[at : at + size] for at in range(0, len(group), size)]


def _fewer(state: LearnerState, room: Room) -> str:
    learners = "1 learner" if room.learners == 1 else f"{room.learners} learners"
    return f"from step {state.step + 1} on, no more than {learners} trained side by side"


def widest(learners: Sequence[Learner]) -> Layout:
    """Return the layout of the learner with the most parameters."""
    return max((learner.layout for learner in learners), key=lambda layout: layout.size)


def stacked(learners: Sequence[Learner], states: Sequence[LearnerState | None], layout: Layout, device: torch.device) -> Tensor:
    """Return the parameters from which the learners start or resume, [M, P]."""
    if len(learners) == 1 and states[0] is None:
        return learners[0].task.start().to(device).unsqueeze(0)
    flat_MP = torch.empty(len(learners), layout.size, device=device)
    for row, learner, state in zip(flat_MP, learners, states, strict=True):
        row.copy_(learner.layout.resized(learner.task.start() if state is None else state.flat_P, layout))
    return flat_MP

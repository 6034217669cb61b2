"""Who trains with whom, and who waits: where memory ran out, not all of a population are in training at once."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import torch
from torch import Tensor

from attrition.training.layout import Layout
from attrition.training.learner import Learner, LearnerState, Task, in_pieces
from attrition.training.memory import Room
from attrition.training.model import Model

Crew = Sequence[tuple[Task, LearnerState | None]]
"""Tasks that are trained side by side, and where each goes on from; None stands for its beginning."""


def crews_of(tasks: Sequence[Task], states: Sequence[LearnerState], room: Room) -> list[Crew]:
    """The crews in their turns: as they were when the states were kept, or as many together as there is room for."""
    if not states:
        return _cut([(task, None) for task in tasks], room)
    pairs = list(zip(tasks, states, strict=True))
    turns = sorted({state.turn for state in states})
    return [[(task, state) for task, state in pairs if state.turn == turn] for turn in turns]


def halved(crew: Crew, crews: Sequence[Crew], room: Room) -> list[Crew]:
    """The crews to come after `crew` was too large: its parts, then the others, none of them larger than these."""
    room.halve_learners(len(crew))
    found: list[Crew] = []
    for each in (crew, *crews):
        if len(each) > room.learners:
            each = [(task, state and dataclasses.replace(state, shortage=_fewer(state, room))) for task, state in each]
        found += _cut(each, room)
    return found


def states_of(crews: Sequence[Crew], room: Room, model: Model, now: float) -> list[LearnerState]:
    """The states of those that wait: with their turn, and in as many pieces as there will be room for."""
    found = []
    for turn, crew in enumerate(crews, 1):
        for task, before in crew:
            state = before or beginning(task, model, now)
            if len(crew) == 1 and state.pieces < room.pieces:
                said = in_pieces(task, state.step, room.pieces)
                state = dataclasses.replace(state, pieces=room.pieces, shortage=said)
            found.append(dataclasses.replace(state, turn=turn))
    return found


def beginning(task: Task, model: Model, now: float) -> LearnerState:
    """The state of a learner that has not begun."""
    learner = Learner(task, model.layout(task.trains))
    learner.begin_epoch(model.device, now)
    return learner.state(task.start(), None, now)


def _cut(crew: Crew, room: Room) -> list[Crew]:
    size = min(room.learners, len(crew))
    return [crew[at : at + size] for at in range(0, len(crew), size)]


def _fewer(state: LearnerState, room: Room) -> str:
    learners = "1 learner" if room.learners == 1 else f"{room.learners} learners"
    return f"from step {state.step + 1} on, no more than {learners} trained side by side"


def widest(learners: Sequence[Learner]) -> Layout:
    """The layout of the learner with the most parameters."""
    return max((learner.layout for learner in learners), key=lambda layout: layout.size)


def stacked(learners: Sequence[Learner], states: Sequence[LearnerState | None], layout: Layout, device: torch.device) -> Tensor:
    """The vectors that the learners start or go on from, [M, P]."""
    if len(learners) == 1 and states[0] is None:
        return learners[0].task.start().to(device).unsqueeze(0)
    flat_MP = torch.empty(len(learners), layout.size, device=device)
    for row, learner, state in zip(flat_MP, learners, states, strict=True):
        row.copy_(learner.layout.resized(learner.task.start() if state is None else state.flat_P, layout))
    return flat_MP

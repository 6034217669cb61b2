"""Applies hooks to a step of a population; each hook gets tensors in its learner's shapes.

Shape letters: M learners, P parameters.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from attrition.training.layout import Layout
from attrition.training.learner import Learner


def added_loss(learners: Sequence[Learner], leaves: Mapping[str, Tensor]) -> Tensor | None:
    """Return the sum of the loss terms of all hooks; None if there are none.

    Args:
        learners: of the population.
        leaves: its tensors by name: [M, *shape], or [*shape] if it can have only one learner.
    """
    terms: list[Tensor] = []
    for row, learner in enumerate(learners):
        if learner.works:
            tensors = {name: _own(leaves[name], row, shape) for name, shape in learner.layout.shapes}
            found = [work.loss(learner.step, tensors) for work in learner.works.values()]
            terms += [term for term in found if term is not None]
    return torch.stack(terms).sum() if terms else None


def change_gradients(learners: Sequence[Learner], layout: Layout, flat_MP: Tensor, grads_MP: Tensor) -> None:
    """Let hooks change the gradients in place.

    Args:
        learners: of the population.
        layout: of its rows; learners of smaller rank are padded with zeros.
        flat_MP: the parameters.
        grads_MP: the gradients.
    """
    for row, learner in enumerate(learners):
        if learner.works:
            own = learner.layout
            flat_P, grad_P = layout.resized(flat_MP[row], own), layout.resized(grads_MP[row], own)
            for work in learner.works.values():
                work.gradient(learner.step, flat_P, grad_P)
            if own != layout:  # they were copies
                grads_MP[row] = own.resized(grad_P, layout)


def _own(leaf: Tensor, row: int, shape: tuple[int, ...]) -> Tensor:
    """Return one learner's part of a population's tensor."""
    return leaf if leaf.dim() == len(shape) else leaf[row][tuple(slice(size) for size in shape)]

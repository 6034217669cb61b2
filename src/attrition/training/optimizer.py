"""AdamW for a population: torch's own fused step, with a learning rate, a step count and clipping for each learner."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from attrition.training.layout import Group, Layout
from attrition.training.settings import TrainingSettings


class Moments(NamedTuple):
    """AdamW's running means for one group of one learner's parameters: of the gradient, and of its square."""

    first: Tensor
    second: Tensor


class PopulationAdamW:
    """Decoupled weight decay (Loshchilov and Hutter 2019) over the rows of `[M, P]`.

    Each learner's columns of one group are one parameter of `torch.optim.AdamW`, so that the arithmetic is torch's, and a
    learner can leave with its moments.
    """

    def __init__(self, flat_MP: Tensor, grads_MP: Tensor, layout: Layout, settings: Sequence[TrainingSettings]) -> None:
        self._layout = layout
        self._settings = list(settings)
        self._parameters = [self._rows(flat_P, grads_P) for flat_P, grads_P in zip(flat_MP, grads_MP, strict=True)]
        self._adamw = torch.optim.AdamW(
            [
                self._group(row, group, learner)
                for learner, rows in enumerate(self._parameters)
                for row, group in self._pairs(rows)
            ],
            fused=True,
        )

    def reserve(self) -> None:
        """Take the memory of all moments, as torch would in the first step; after that a step takes none."""
        for group in self._adamw.param_groups:
            for parameter in group["params"]:
                if parameter not in self._adamw.state:
                    zeros = torch.zeros_like(parameter.detach())
                    step = torch.zeros((), device=parameter.device)
                    self._adamw.state[parameter] = {"step": step, "exp_avg": zeros, "exp_avg_sq": torch.zeros_like(zeros)}

    def step(self, rates_M: Sequence[float]) -> None:
        """One update of every learner, its learning rates multiplied by `rates_M`."""
        groups = iter(self._adamw.param_groups)
        for settings, rate in zip(self._settings, rates_M, strict=True):
            for group in self._layout.groups:
                next(groups)["lr"] = rate * (settings.head_learning_rate if group.head else settings.learning_rate)
        self._adamw.step()

    def keep(self, rows: Sequence[int], flat_MP: Tensor, grads_MP: Tensor, layout: Layout) -> PopulationAdamW:
        """The optimiser of the learners at `rows` only, over their new tensors; moments and step counts go with them.

        `layout` is that of the new tensors, which may be narrower.
        """
        smaller = PopulationAdamW(flat_MP, grads_MP, layout, [self._settings[row] for row in rows])
        for new, row in enumerate(rows):
            if moments := resized(self.moments(row), self._layout, layout):
                smaller._give(new, moments, [self._adamw.state[parameter]["step"] for parameter in self._parameters[row]])
        return smaller

    def moments(self, row: int) -> tuple[Moments, ...]:
        """The moments of the learner at `row`, group by group; empty before its first step. They are not copied."""
        states = [self._adamw.state.get(parameter) for parameter in self._parameters[row]]
        return tuple(Moments(state["exp_avg"], state["exp_avg_sq"]) for state in states if state)

    def restore(self, row: int, moments: Sequence[Moments], num_steps: int) -> None:
        """Give the learner at `row` the moments that it had after `num_steps` steps; they are copied."""
        if not moments:
            return
        device = self._parameters[row][0].device
        own = [Moments(*(each.to(device, copy=True) for each in pair)) for pair in moments]
        self._give(row, own, [torch.tensor(float(num_steps), device=device) for _ in own])

    def _give(self, row: int, moments: Sequence[Moments], steps: Sequence[Tensor]) -> None:
        for parameter, (first, second), step in zip(self._parameters[row], moments, steps, strict=True):
            self._adamw.state[parameter] = {"step": step, "exp_avg": first, "exp_avg_sq": second}

    def _rows(self, flat_P: Tensor, grads_P: Tensor) -> list[Tensor]:
        rows = []
        for group in self._layout.groups:
            row = flat_P[group.start : group.end].detach().requires_grad_()
            row.grad = grads_P[group.start : group.end]
            rows.append(row)
        return rows

    def _pairs(self, rows: list[Tensor]) -> list[tuple[Tensor, Group]]:
        return list(zip(rows, self._layout.groups, strict=True))

    def _group(self, row: Tensor, group: Group, learner: int) -> dict[str, object]:
        settings = self._settings[learner]
        return {
            "params": [row],
            "lr": 0.0,
            "betas": (settings.beta1, settings.beta2),
            "eps": settings.epsilon,
            "weight_decay": settings.weight_decay if group.decayed else 0.0,
        }


def resized(moments: Sequence[Moments], layout: Layout, to: Layout) -> tuple[Moments, ...]:
    """The moments of a learner, group by group, as they are in another layout; see `Layout.resized`."""
    if layout == to or not moments:
        return tuple(moments)
    first_P, second_P = (layout.resized(torch.cat(parts), to) for parts in zip(*moments, strict=True))
    return tuple(Moments(first_P[group.start : group.end], second_P[group.start : group.end]) for group in to.groups)


def clip(grads_MP: Tensor, limits_M: Sequence[float]) -> None:
    """Scale each learner's gradient down to its limit, in place, as `torch.nn.utils.clip_grad_norm_`; 0 means no limit."""
    norms_M = torch.linalg.vector_norm(grads_MP, dim=1)
    if grads_MP.is_cuda:  # looking at the norms would have the processor wait for the GPU at every step
        limits = torch.tensor([limit if limit > 0 else torch.inf for limit in limits_M]).to(grads_MP.device, non_blocking=True)
        grads_MP.mul_((limits / (norms_M + 1e-6)).clamp_(max=1).unsqueeze(1))
        return
    for row, (norm, limit) in enumerate(zip(norms_M.tolist(), limits_M, strict=True)):
        if limit > 0 and norm > limit:
            grads_MP[row].mul_(limit / (norm + 1e-6))

"""AdamW for a population: torch's fused step, with learning rate, step count and clipping for each learner."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.optim.adamw import adamw

from attrition.training.layout import Group, Layout
from attrition.training.settings import TrainingSettings


class Moments(NamedTuple):
    """AdamW's running means of one learner, [P] each: of the gradient and of its square."""

    first_P: Tensor
    second_P: Tensor


class _Options(NamedTuple):
    """The options of one call of `adamw`, for all its parameters."""

    lr: float
    beta1: float
    beta2: float
    eps: float
    weight_decay: float


class PopulationAdamW:
    """AdamW with decoupled weight decay (Loshchilov and Hutter 2019) over the rows of `[M, P]`.

    Each learner's columns of one group are one parameter of torch's functional AdamW, which computes the same as
    `torch.optim.AdamW`. That class is not used because it imports a compiler, which takes 1.5 seconds. All memory is allocated
    at creation.

    Args:
        layout: of a row.
        settings: of each learner.
        device: where the learners' parameters are.
    """

    def __init__(self, layout: Layout, settings: Sequence[TrainingSettings], device: torch.device | str = "cpu") -> None:
        self._layout, self._settings = layout, list(settings)
        self._first_MP = torch.zeros(len(settings), layout.size, device=device)
        self._second_MP = torch.zeros_like(self._first_MP)
        # torch counts steps for each parameter, on the parameter's device.
        self._steps_MG = torch.zeros(len(settings), len(layout.groups), device=device)

    @torch.no_grad()
    def step(self, flat_MP: Tensor, grads_MP: Tensor, rates_M: Sequence[float]) -> None:
        """Update every learner's parameters in place, with its learning rates multiplied by `rates_M`.

        Parameters with equal options share one call, which is one kernel on a GPU.
        """
        calls: dict[_Options, list[tuple[int, int]]] = defaultdict(list)
        for row, (settings, rate) in enumerate(zip(self._settings, rates_M, strict=True)):
            for number, group in enumerate(self._layout.groups):
                calls[_options(settings, group, rate)].append((row, number))
        parameters, grads, firsts, seconds = (
            [each_MP[:, group.start : group.end].unbind() for group in self._layout.groups]
            for each_MP in (flat_MP, grads_MP, self._first_MP, self._second_MP)
        )
        steps = [row.unbind() for row in self._steps_MG.unbind()]
        for options, places in calls.items():
            adamw(
                [parameters[number][row] for row, number in places],
                [grads[number][row] for row, number in places],
                [firsts[number][row] for row, number in places],
                [seconds[number][row] for row, number in places],
                [],
                [steps[row][number] for row, number in places],
                fused=True,
                amsgrad=False,
                maximize=False,
                **options._asdict(),
            )

    def keep(self, rows: Sequence[int], layout: Layout) -> None:
        """Keep only the learners at `rows`, with their moments, now in rows of `layout`."""
        self._settings = [self._settings[row] for row in rows]
        self._steps_MG = self._steps_MG[list(rows)]
        # One after the other, to save memory: only one of them exists twice at a time.
        self._first_MP = self._layout.taken(self._first_MP, rows, layout)
        self._second_MP = self._layout.taken(self._second_MP, rows, layout)
        self._layout = layout

    def moments(self, row: int, layout: Layout) -> Moments:
        """Return the moments of the learner at `row` in its own `layout`; views if that is the population's."""
        return Moments(*(self._layout.resized(each_MP[row], layout) for each_MP in (self._first_MP, self._second_MP)))

    def restore(self, row: int, moments: Moments, layout: Layout, num_steps: int) -> None:
        """Set the moments of the learner at `row` to a copy of `moments` in `layout`, after `num_steps` steps."""
        for own_P, given_P in zip((self._first_MP[row], self._second_MP[row]), moments, strict=True):
            own_P.copy_(layout.resized(given_P, self._layout))
        self._steps_MG[row] = num_steps


def _options(settings: TrainingSettings, group: Group, rate: float) -> _Options:
    return _Options(
        lr=rate * (settings.head_learning_rate if group.head else settings.learning_rate),
        beta1=settings.beta1,
        beta2=settings.beta2,
        eps=settings.epsilon,
        weight_decay=settings.weight_decay if group.decayed else 0.0,
    )


def clip(grads_MP: Tensor, limits_M: Sequence[float]) -> None:
    """Clip each learner's gradient to its largest norm, in place, as `torch.nn.utils.clip_grad_norm_`; 0: no limit."""
    norms_M = torch.linalg.vector_norm(grads_MP, dim=1)
    if grads_MP.is_cuda:  # reading the norms would make the CPU wait for the GPU at every step
        limits = torch.tensor([limit if limit > 0 else torch.inf for limit in limits_M]).to(grads_MP.device, non_blocking=True)
        grads_MP.mul_((limits / (norms_M + 1e-6)).clamp_(max=1).unsqueeze(1))
        return
    for row, (norm, limit) in enumerate(zip(norms_M.tolist(), limits_M, strict=True)):
        if limit > 0 and norm > limit:
            grads_MP[row].mul_(limit / (norm + 1e-6))

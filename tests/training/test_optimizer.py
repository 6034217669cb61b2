"""AdamW of a population against torch's own, one optimiser for each learner."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from attrition.training.layout import HEAD_BIAS, HEAD_WEIGHT, Layout
from attrition.training.optimizer import PopulationAdamW, clip
from attrition.training.settings import TrainingSettings

LAYOUT = Layout.of({"a.weight": (3, 4), "a.bias": (3,), HEAD_WEIGHT: (2, 3), HEAD_BIAS: (2,)})
SETTINGS = [
    TrainingSettings(learning_rate=1e-2, head_learning_rate=1e-1, weight_decay=0.1),
    TrainingSettings(learning_rate=3e-2, head_learning_rate=2e-2, weight_decay=0.0, beta1=0.8, beta2=0.95, epsilon=1e-6),
    TrainingSettings(learning_rate=5e-3, head_learning_rate=1e-2, weight_decay=0.5),
]


class Reference:
    """One learner as torch.optim.AdamW trains it: four parameters in four groups."""

    def __init__(self, flat_P: torch.Tensor, settings: TrainingSettings) -> None:
        self.settings = settings
        self.tensors = {name: tensor.clone().requires_grad_() for name, tensor in LAYOUT.unpack(flat_P).items()}
        self.adamw = torch.optim.AdamW(
            [
                {"params": [tensor], "weight_decay": settings.weight_decay if name.endswith("weight") else 0.0, "name": name}
                for name, tensor in self.tensors.items()
            ],
            betas=(settings.beta1, settings.beta2),
            eps=settings.epsilon,
            foreach=False,
        )

    def step(self, grad_P: torch.Tensor, rate: float) -> None:
        for name, grad in LAYOUT.unpack(grad_P).items():
            self.tensors[name].grad = grad.clone()
        for group in self.adamw.param_groups:
            is_head = group["name"].startswith("classifier")
            group["lr"] = rate * (self.settings.head_learning_rate if is_head else self.settings.learning_rate)
        self.adamw.step()

    def flat(self) -> torch.Tensor:
        return LAYOUT.pack({name: tensor.detach() for name, tensor in self.tensors.items()})


def test_equals_torch_with_a_learner_leaving() -> None:
    """Ten steps of three learners, then ten of the outer two, each with its own rates. Fused arithmetic: within 1e-6."""
    torch.manual_seed(0)
    flat_MP, grads_MP = torch.randn(3, LAYOUT.size), torch.zeros(3, LAYOUT.size)
    references = [Reference(row, settings) for row, settings in zip(flat_MP, SETTINGS, strict=True)]
    optimizer = PopulationAdamW(flat_MP, grads_MP, LAYOUT, SETTINGS)
    for step in range(20):
        if step == 10:
            flat_MP, grads_MP = flat_MP[[0, 2]].clone(), torch.zeros(2, LAYOUT.size)
            optimizer = optimizer.keep([0, 2], flat_MP, grads_MP, LAYOUT)
            references = [references[0], references[2]]
        grads_MP.copy_(torch.randn_like(grads_MP))
        rates = [1.0 / (step + 1 + row) for row in range(len(references))]
        for reference, grad_P, rate in zip(references, grads_MP, rates, strict=True):
            reference.step(grad_P, rate)
        optimizer.step(rates)
        for row, reference in zip(flat_MP, references, strict=True):
            torch.testing.assert_close(row, reference.flat(), atol=1e-6, rtol=1e-6)


def test_leaving_before_the_first_step() -> None:
    torch.manual_seed(0)
    flat_MP = torch.randn(2, LAYOUT.size)
    kept, grads = flat_MP[1:].clone(), torch.randn(1, LAYOUT.size)
    reference = Reference(kept[0], SETTINGS[1])
    optimizer = PopulationAdamW(flat_MP, torch.zeros_like(flat_MP), LAYOUT, SETTINGS[:2]).keep([1], kept, grads, LAYOUT)
    reference.step(grads[0], 1.0)
    optimizer.step([1.0])
    torch.testing.assert_close(kept[0], reference.flat(), atol=1e-6, rtol=1e-6)


def test_rows_without_gradient_only_decay() -> None:
    """A weight that never has a gradient is multiplied by 1 - lr * weight_decay at each step, and a bias stays."""
    settings = dataclasses.replace(SETTINGS[2], weight_decay=0.5)
    flat = torch.ones(1, LAYOUT.size)
    optimizer = PopulationAdamW(flat, torch.zeros_like(flat), LAYOUT, [settings])
    expected = 1.0
    for rate in (0.0, 0.5, 1.0, 0.25):
        optimizer.step([rate])
        expected *= 1 - rate * settings.learning_rate * 0.5
    tensors = LAYOUT.unpack(flat[0])
    torch.testing.assert_close(tensors["a.weight"], torch.full((3, 4), expected))
    assert torch.equal(tensors["a.bias"], torch.ones(3))


@pytest.mark.parametrize("limit", [0.1, 1.0, 3.0])
def test_clipping_equals_torch(limit: float) -> None:
    torch.manual_seed(0)
    grads_MP = torch.randn(3, 20) * torch.tensor([[0.01], [1.0], [10.0]])
    expected = []
    for row in grads_MP:
        parameters = [torch.zeros(8, requires_grad=True), torch.zeros(12, requires_grad=True)]
        parameters[0].grad, parameters[1].grad = row[:8].clone(), row[8:].clone()
        torch.nn.utils.clip_grad_norm_(parameters, limit)
        expected.append(torch.cat([parameter.grad for parameter in parameters if parameter.grad is not None]))
    clipped = grads_MP.clone()
    clip(clipped, [limit] * 3)
    torch.testing.assert_close(clipped, torch.stack(expected), atol=1e-7, rtol=1e-6)
    assert torch.equal(clipped[0], grads_MP[0]), "a small gradient is left alone"


def test_each_learner_is_clipped_to_its_own_limit_and_0_means_none() -> None:
    grads = torch.tensor([[3.0, 4.0], [3.0, 4.0], [3.0, 4.0]])
    clip(grads, [0, 1.0, 100.0])
    torch.testing.assert_close(grads, torch.tensor([[3.0, 4.0], [0.6, 0.8], [3.0, 4.0]]))

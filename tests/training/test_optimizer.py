"""AdamW of a population, compared with one torch optimiser for each learner."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch.optim.adamw import adamw

from attrition.encoder.pretrained import WORD_EMBEDDINGS
from attrition.encoder.sources import load_pretrained
from attrition.training import optimizer as optimizer_module
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
    """One learner with torch.optim.AdamW: the columns of each group are a parameter."""

    def __init__(self, flat_P: torch.Tensor, settings: TrainingSettings, layout: Layout = LAYOUT) -> None:
        self.settings, self.layout = settings, layout
        self.parameters = [flat_P[group.start : group.end].clone().requires_grad_() for group in layout.groups]
        self.adamw = torch.optim.AdamW(
            [
                {"params": [parameter], "weight_decay": settings.weight_decay if group.decayed else 0.0}
                for parameter, group in zip(self.parameters, layout.groups, strict=True)
            ],
            betas=(settings.beta1, settings.beta2),
            eps=settings.epsilon,
            fused=True,
        )

    def step(self, grad_P: torch.Tensor, rate: float) -> None:
        for parameter, group, options in zip(self.parameters, self.layout.groups, self.adamw.param_groups, strict=True):
            parameter.grad = grad_P[group.start : group.end].clone()
            options["lr"] = rate * (self.settings.head_learning_rate if group.head else self.settings.learning_rate)
        self.adamw.step()

    def flat(self) -> torch.Tensor:
        return torch.cat([parameter.detach() for parameter in self.parameters])

    def moments(self) -> list[torch.Tensor]:
        states = [self.adamw.state[parameter] for parameter in self.parameters]
        return [torch.cat([state[name] for state in states]) for name in ("exp_avg", "exp_avg_sq")]


def step_together(
    optimizer: PopulationAdamW, references: Sequence[Reference], flat_MP: torch.Tensor, rates: Sequence[float]
) -> None:
    """Make one step of the population and of each learner alone, with the same random gradients: the same bits."""
    grads_MP = torch.randn_like(flat_MP)
    optimizer.step(flat_MP, grads_MP, rates)
    for row, (reference, rate) in enumerate(zip(references, rates, strict=True)):
        reference.step(grads_MP[row], rate)
        assert torch.equal(flat_MP[row], reference.flat())
        for ours, theirs in zip(optimizer.moments(row, reference.layout), reference.moments(), strict=True):
            assert torch.equal(ours, theirs)


def test_equals_torch_with_a_learner_leaving() -> None:
    """Ten steps of three learners, then ten of the first and the last, each with its own rates: bit for bit."""
    torch.manual_seed(0)
    flat_MP = torch.randn(3, LAYOUT.size)
    references = [Reference(row, settings) for row, settings in zip(flat_MP, SETTINGS, strict=True)]
    optimizer = PopulationAdamW(LAYOUT, SETTINGS)
    for step in range(20):
        if step == 10:
            flat_MP = flat_MP[[0, 2]]
            optimizer.keep([0, 2], LAYOUT)
            references = [references[0], references[2]]
        step_together(optimizer, references, flat_MP, [1.0 / (step + 1 + row) for row in range(len(references))])


def test_a_learner_that_comes_later_counts_its_own_steps() -> None:
    """A learner of another population joins a new one, with its moments and step count: bit for bit.

    A wrong count would be visible, because AdamW divides by 1 - beta^steps.
    """
    torch.manual_seed(0)
    flat_MP = torch.randn(2, LAYOUT.size)
    references = [Reference(row, SETTINGS[0]) for row in flat_MP]
    former = PopulationAdamW(LAYOUT, SETTINGS[:1])
    for _ in range(7):
        step_together(former, references[1:], flat_MP[1:], [0.5])
    optimizer = PopulationAdamW(LAYOUT, [SETTINGS[0], SETTINGS[0]])
    optimizer.restore(1, former.moments(0, LAYOUT), LAYOUT, 7)
    for rate in (0.5, 0.25):
        step_together(optimizer, references, flat_MP, [rate, rate])
    assert [int(reference.adamw.state[reference.parameters[0]]["step"]) for reference in references] == [2, 9]


def test_moments_go_into_a_wider_row_and_back() -> None:
    """A learner of rank 2 beside one of rank 3, which then leaves: bit for bit, and zero beyond its rank."""
    torch.manual_seed(0)
    two = Layout.of({"q.lora_A": (2, 5), "q.lora_B": (4, 2), HEAD_BIAS: (2,)})
    three = Layout.of({"q.lora_A": (3, 5), "q.lora_B": (4, 3), HEAD_BIAS: (2,)})
    own_P = torch.randn(two.size)
    reference, alone = Reference(own_P, SETTINGS[0], two), PopulationAdamW(two, SETTINGS[:1])
    step_together(alone, [reference], own_P.unsqueeze(0), [1.0])
    optimizer = PopulationAdamW(three, [SETTINGS[1], SETTINGS[0]])
    optimizer.restore(1, alone.moments(0, two), two, 1)
    flat_MP, grad_P = torch.randn(2, three.size), torch.randn(two.size)
    flat_MP[1] = two.resized(own_P, three)
    grads_MP = torch.stack([torch.randn(three.size), two.resized(grad_P, three)])
    optimizer.step(flat_MP, grads_MP, [1.0, 0.5])
    reference.step(grad_P, 0.5)
    torch.testing.assert_close(three.resized(flat_MP[1], two), reference.flat(), atol=1e-7, rtol=1e-6)
    assert torch.equal(two.resized(three.resized(flat_MP[1], two), three), flat_MP[1])
    optimizer.keep([1], two)
    for ours, theirs in zip(optimizer.moments(0, two), reference.moments(), strict=True):
        assert ours.shape == (two.size,)
        torch.testing.assert_close(ours, theirs, atol=1e-7, rtol=1e-6)


def test_what_is_in_step_is_one_call(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows in each call: all with the same rates, decay and so on, whatever their step counts."""
    calls: list[int] = []

    def counting(parameters: Sequence[torch.Tensor], *others: Any, **options: Any) -> None:
        calls.append(len(parameters))
        adamw(parameters, *others, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(optimizer_module, "adamw", counting)

    def counted(settings: Sequence[TrainingSettings], rates: Sequence[float]) -> list[int]:
        calls.clear()
        flat_MP = torch.randn(len(settings), LAYOUT.size)
        PopulationAdamW(LAYOUT, settings).step(flat_MP, torch.randn_like(flat_MP), rates)
        return calls

    decayed, plain = SETTINGS[0], dataclasses.replace(SETTINGS[0], weight_decay=0.0)
    assert counted([decayed] * 52, [0.5] * 52) == [52] * 4, "one call a group"
    assert counted([plain] * 52, [0.5] * 52) == [104] * 2, "groups that differ in nothing share a call"
    assert counted([decayed, decayed], [0.5, 0.25]) == [1] * 8
    assert sorted(counted([decayed, plain, decayed], [0.5] * 3)) == [2, 2, 4, 4]
    assert counted([decayed, dataclasses.replace(decayed, beta1=0.5)], [0.5, 0.5]) == [1] * 8
    assert counted([decayed, dataclasses.replace(decayed, beta2=0.5)], [0.5, 0.5]) == [1] * 8
    assert counted([decayed, dataclasses.replace(decayed, epsilon=0.5)], [0.5, 0.5]) == [1] * 8
    assert counted([decayed] * 2, [0.0, 0.0]) == [2 * 2] * 2, "at a rate of 0 the head is as all else"


def test_leaving_before_the_first_step() -> None:
    torch.manual_seed(0)
    flat_MP = torch.randn(1, LAYOUT.size)
    optimizer = PopulationAdamW(LAYOUT, SETTINGS[:2])
    optimizer.keep([1], LAYOUT)
    step_together(optimizer, [Reference(flat_MP[0], SETTINGS[1])], flat_MP, [1.0])


def test_rows_without_gradient_only_decay() -> None:
    """A weight without gradient is multiplied by 1 - lr * weight_decay at each step; a bias does not change."""
    settings = dataclasses.replace(SETTINGS[2], weight_decay=0.5)
    flat = torch.ones(1, LAYOUT.size)
    optimizer = PopulationAdamW(LAYOUT, [settings])
    expected = 1.0
    for rate in (0.0, 0.5, 1.0, 0.25):
        optimizer.step(flat, torch.zeros_like(flat), [rate])
        expected *= 1 - rate * settings.learning_rate * 0.5
    tensors = LAYOUT.unpack(flat[0])
    torch.testing.assert_close(tensors["a.weight"], torch.full((3, 4), expected))
    assert torch.equal(tensors["a.bias"], torch.ones(3))


def test_a_step_takes_no_memory_and_moments_are_two_numbers_a_parameter() -> None:
    """Allocations as counted by torch: two rows and a few bytes at creation, nothing proportional to P in a step."""
    layout = Layout.of({"a.weight": (100, 1000), HEAD_BIAS: (2,)})
    flat, grads = torch.ones(2, 1, layout.size)

    def bytes_taken(work: Callable[[], Any]) -> int:
        with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True) as profile:
            work()
        return sum(max(0, event.self_cpu_memory_usage) for event in profile.events())

    optimizer = PopulationAdamW(layout, SETTINGS[:1])
    optimizer.step(flat, grads, [1.0])
    assert 8 * layout.size <= bytes_taken(lambda: PopulationAdamW(layout, SETTINGS[:1])) < 8 * layout.size + 1000
    assert bytes_taken(lambda: optimizer.step(flat, grads, [1.0])) < 1000


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


_STEP = """
import sys
from safetensors.torch import load_file
from transformers import BertConfig
from attrition.corpus.base import Utterance
from attrition.corpus.encoded import EncodingSettings, encode_utterances
from attrition.encoder.pretrained import Pretrained, split_embeddings
from attrition.encoder.tiny import byte_tokenizer
from attrition.encoder.vocabulary import whole_vocabulary
from attrition.methods import Full, LoRA
from attrition.training.clock import Clock
from attrition.training.model import build_model
from attrition.training.settings import TrainingSettings
from attrition.training.train import Task, train_population

weights, rows = split_embeddings(load_file(sys.argv[1] + "/model.safetensors"))
config = BertConfig.from_pretrained(sys.argv[1])
pretrained = Pretrained("mine", config, byte_tokenizer(), weights, rows, fingerprint="", tokenizer_fingerprint="")
model = build_model(pretrained, whole_vocabulary(pretrained.vocabulary_size), ("O", "B-city", "I-city"))
utterance = Utterance("1", "any", "to rome", ((0, 2), (3, 7)), ())
encoded = encode_utterances([utterance], pretrained.tokenizer, slots=("city",), cut="blanks", settings=EncodingSettings())
for trains in (Full(), LoRA(rank=2)):
    task = Task("a", trains, lambda: model.start(trains), encoded, encoded, TrainingSettings(epochs=2, warmup=0.0), ())
    (finished,) = train_population([task], model, Clock())
    assert (finished.flat != task.start()).any(), "nothing was learned"
assert "torch._dynamo" not in sys.modules, "torch._dynamo was imported"
"""


def test_a_step_does_not_import_torchs_compiler(tmp_path: Path) -> None:
    """In a separate process: the import takes 1.5 seconds, at the first step of every run.

    The encoder is built from its tensors, because modules of transformers import everything.
    """
    tiny = load_pretrained("tiny:bert")
    tiny.config.save_pretrained(tmp_path)
    words = tiny.rows(np.arange(tiny.vocabulary_size))
    save_file({**tiny.weights, WORD_EMBEDDINGS: words}, tmp_path / "model.safetensors")
    subprocess.run([sys.executable, "-c", _STEP, str(tmp_path)], check=True)

"""A compiled layer gives the same result as the plain one."""

from __future__ import annotations

import os
from typing import Any

import pytest
import torch

from attrition.encoder import bert, lora
from attrition.encoder.batch import assemble
from attrition.encoder.bert import BertBackbone
from attrition.encoder.dropout import Dropout, MaskStream
from attrition.encoder.layer import compiled_layer

MINUTES = [
    pytest.mark.torture,
    pytest.mark.skipif(os.environ.get("ATTRITION_TORTURE") != "1", reason="compiles for minutes: ATTRITION_TORTURE=1"),
]
CASES = [
    # Captured and differentiated as in compilation, then run by torch's own kernels.
    pytest.param("aot_eager", False, 1, id="captured"),
    pytest.param("inductor", False, 3, marks=MINUTES, id="LoRA"),
    pytest.param("inductor", True, 1, marks=MINUTES, id="full"),
]


@pytest.fixture(autouse=True)
def _fresh() -> Any:
    yield
    compiled_layer.cache_clear()
    torch.compiler.reset()


def encoded(backbone: BertBackbone, weights: Any, parts: list[Any], trains_all: bool) -> list[torch.Tensor]:
    """Return hidden states and gradients of a pass with dropout everywhere."""
    stream = torch.Generator().manual_seed(0)
    batch = assemble(parts, multiple=backbone.multiple)
    streams = [MaskStream("masks", learner) for learner, _ in enumerate(parts)]
    dropout = Dropout(streams, batch.extents, hidden=0.1, attention=0.1, adapter=0.1)
    adapter = None
    if trains_all:
        trained = {name: tensor.clone().requires_grad_() for name, tensor in weights.items() if name.startswith("encoder.")}
        weights = {**weights, **trained}
    else:
        weights = backbone.rounded(weights)
        shapes = lora.shapes(backbone.linears, ["all-linear"], 2)
        trained = {
            name: torch.randn(len(parts), *shape, generator=stream).mul_(0.3).requires_grad_() for name, shape in shapes.items()
        }
        adapter = lora.stacked(trained, torch.linspace(0.5, 2, len(parts)))
    hidden = backbone.encode(batch, weights, adapter, dropout)
    direction = torch.randn(hidden.shape, generator=stream)
    return [hidden.detach(), *torch.autograd.grad((hidden * direction).sum(), list(trained.values()))]


@pytest.mark.long
@pytest.mark.filterwarnings("default")  # torch warns about its own actions during capture
@pytest.mark.parametrize(("backend", "trains_all", "most_learners"), CASES)
def test_it_equals_the_plain_one(
    backend: str,
    trains_all: bool,
    most_learners: int,
    make_encoder: Any,
    weights_of: Any,
    make_part: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Short and long rows, padded or not, one learner and several: in sequence, as in training."""
    asked: list[str] = []

    def asking() -> Any:
        asked.append(backend)
        return compiled_layer(backend)

    monkeypatch.setattr(bert, "compiled_layer", asking)
    module = make_encoder("bert")
    plain, compiled = BertBackbone(module.config), BertBackbone(module.config, compiled=True)
    weights = weights_of(module)
    populations = [[make_part([3, 9, 2])], [make_part([19, 4, 17])], [make_part([4, 4])]]
    if most_learners > 1:
        populations.append([make_part([3, 9, 2], 1), make_part([4] * 6, 2), make_part([1], 3)])
    for parts in populations:
        exact, found = (encoded(backbone, weights, parts, trains_all) for backbone in (plain, compiled))
        for one, other in zip(exact, found, strict=True):
            torch.testing.assert_close(other, one, atol=2e-5, rtol=2e-5)
    assert len(asked) == len(populations), "the plain ones ask for nothing, the compiled ones once a pass"


def test_without_gradients_nothing_is_compiled(
    make_encoder: Any, weights_of: Any, make_part: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bert, "compiled_layer", lambda: pytest.fail("evaluation asked for a compiled layer"))
    module = make_encoder("bert")
    with torch.inference_mode():
        BertBackbone(module.config, compiled=True).encode(assemble([make_part([3])]), weights_of(module))

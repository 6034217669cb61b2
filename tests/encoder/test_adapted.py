"""Linear layers with LoRA, compared with the formula, and their gradients with autograd, for both kinds of products."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from attrition.encoder.adapted import Columns, Linears, linears

LEARNERS, TOKENS, WIDTH_IN = 2, 5, 7
LAYERS = [Columns(0, 4), Columns(4, 8), Columns(8, 12)]

# In float32 each layer has its own product; in any other precision all layers share one.
PRECISIONS = [(torch.float32, 1e-5), (torch.float64, 1e-12)]


def by_formula(
    x: Tensor, weight: Tensor, bias: Tensor, adapted: list[Columns], factors: list[Tensor], scale: Tensor, kept: Tensor
) -> Tensor:
    out = F.linear(x, weight, bias)
    for columns, a, b in zip(adapted, factors[0::2], factors[1::2], strict=True):
        delta = torch.stack([scale[m] * (x[m] * kept[m]) @ a[m].T.to(x.dtype) @ b[m].T.to(x.dtype) for m in range(LEARNERS)])
        out = out + F.pad(delta, (columns.start, weight.shape[0] - columns.end))
    return out


@pytest.mark.parametrize(("dtype", "tolerance"), PRECISIONS)
@pytest.mark.parametrize("adapted", [LAYERS, LAYERS[:1], LAYERS[1:2], LAYERS[::2]])
@pytest.mark.parametrize("drops", [False, True])
def test_outputs_and_gradients(adapted: list[Columns], drops: bool, dtype: torch.dtype, tolerance: float) -> None:
    """Ranks differ between layers; the factors and their gradients are float32."""
    stream = torch.Generator().manual_seed(0)

    def drawn(*shape: int, of: torch.dtype = dtype) -> Tensor:
        return torch.randn(*shape, generator=stream, dtype=of)

    weight, bias, scale = drawn(12, WIDTH_IN), drawn(12), torch.tensor([0.5, 2.0])
    x = drawn(LEARNERS, TOKENS, WIDTH_IN).requires_grad_()
    factors = []
    for rank, _ in enumerate(adapted, start=2):
        factors += [drawn(LEARNERS, rank, WIDTH_IN, of=torch.float32), drawn(LEARNERS, 4, rank, of=torch.float32)]
    trained = [x, *(factor.requires_grad_() for factor in factors)]
    kept = torch.rand(x.shape, generator=stream) > 0.5
    bits = -kept.to(torch.int32 if dtype == torch.float32 else torch.int64) if drops else None
    pairs = tuple(zip(factors[0::2], factors[1::2], strict=True))
    ours = linears(x, Linears(weight, bias, tuple(adapted), pairs, scale, bits))
    expected = by_formula(x, weight, bias, adapted, factors, scale, kept if drops else torch.ones_like(kept))
    torch.testing.assert_close(ours, expected, atol=tolerance, rtol=tolerance)
    direction = drawn(*ours.shape)
    found, wanted = (torch.autograd.grad((each * direction).sum(), trained) for each in (ours, expected))
    for gradient, other, of in zip(found, wanted, trained, strict=True):
        assert gradient.dtype == of.dtype
        torch.testing.assert_close(gradient, other, atol=max(tolerance, 1e-5), rtol=1e-5)

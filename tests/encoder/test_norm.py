"""The end of a block, compared with autograd's own layer norm and its gradients."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from attrition.encoder.norm import add_and_norm


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("trained_norm", [False, True])
def test_it_equals_its_parts(masked: bool, trained_norm: bool) -> None:
    stream = torch.Generator().manual_seed(0)
    out, residual, weight, bias, direction = (
        torch.randn(shape, generator=stream, dtype=torch.float64) for shape in ((2, 3, 8), (2, 3, 8), (8,), (8,), (2, 3, 8))
    )
    mask = torch.rand(2, 3, 8, generator=stream, dtype=torch.float64) if masked else None
    trained = [each.requires_grad_() for each in ((out, residual, weight, bias) if trained_norm else (out, residual))]
    ours = add_and_norm(out, residual, mask, weight, bias, 1e-5)
    expected = F.layer_norm(residual + (out if mask is None else out * mask), (8,), weight, bias, 1e-5)
    torch.testing.assert_close(ours, expected)
    found, wanted = (torch.autograd.grad((each * direction).sum(), trained) for each in (ours, expected))
    torch.testing.assert_close(found, wanted)


def test_the_stream_stays_float32_and_gradients_are_of_what_they_belong_to() -> None:
    out, residual = torch.randn(2, 8).bfloat16().requires_grad_(), torch.randn(2, 8).requires_grad_()
    normed = add_and_norm(out, residual, None, torch.ones(8), torch.zeros(8), 1e-5)
    normed.square().sum().backward()
    assert normed.dtype == torch.float32
    assert out.grad is not None
    assert residual.grad is not None
    assert (out.grad.dtype, residual.grad.dtype) == (torch.bfloat16, torch.float32)

"""The end of each transformer block: dropout, the residual connection and layer norm as one step of autograd."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


def add_and_norm(
    out: Tensor, residual: Tensor, mask: Tensor | None, weight_H: Tensor, bias_H: Tensor, epsilon: float
) -> Tensor:
    """Return LayerNorm(residual + mask * out) over the last axis (Vaswani et al. 2017, section 3.1; Ba et al. 2016).

    Args:
        out: output of the block, in any precision.
        residual: the residual stream, float32.
        mask: dropout mask with its scale, float32; None without dropout.
        weight_H, bias_H: of the norm.
        epsilon: added to the variance.

    >>> x = torch.tensor([[1.0, 2.0, 4.0]])
    >>> y = add_and_norm(x, x, None, torch.ones(3), torch.zeros(3), 1e-5)
    >>> bool(torch.allclose(y, torch.nn.functional.layer_norm(x + x, (3,))))
    True
    """
    normed: Tensor = _AddAndNorm.apply(out, residual, mask, weight_H, bias_H, epsilon)  # type: ignore[no-untyped-call]
    return normed


class _AddAndNorm(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, out: Tensor, residual: Tensor, mask: Tensor | None, weight_H: Tensor, bias_H: Tensor, epsilon: float
    ) -> Tensor:
        total = residual + out if mask is None else torch.addcmul(residual, out.to(residual.dtype), mask)
        normed, mean, deviation = torch.native_layer_norm(total, weight_H.shape, weight_H, bias_H, epsilon)
        ctx.save_for_backward(total, mask, mean, deviation, weight_H, bias_H)
        ctx.of_out = out.dtype
        return normed

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        total, mask, mean, deviation, weight_H, bias_H = ctx.saved_tensors
        wanted = [True, ctx.needs_input_grad[3], ctx.needs_input_grad[4]]
        d_total, d_weight, d_bias = torch.ops.aten.native_layer_norm_backward(
            gradients[0], total, weight_H.shape, mean, deviation, weight_H, bias_H, wanted
        )
        d_out = d_total if mask is None else d_total * mask
        return d_out.to(ctx.of_out), d_total, None, d_weight, d_bias, None

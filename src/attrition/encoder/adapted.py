"""Frozen linear layers with LoRA factors as one step of autograd.

    y_k = x W_k^T + b_k + s B_k A_k (x * m)          k = 1..K layers that read the same x

Left to autograd, each sum makes a copy of [M, N, out], each of the 2 K consumers of x adds into its gradient, and skinny
products run one by one. Here the products accumulate in place, and the factors A of layers that read the same input (query,
key and value) are one product. The frozen weights have no gradient.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor


class Factored(NamedTuple):
    """One layer: frozen `weight` [out, in] and `bias` [out], stacked factors `a` [M, r, in] and `b` [M, out, r]."""

    weight: Tensor
    bias: Tensor
    a: Tensor
    b: Tensor


def adapted_linears(
    x_MNI: Tensor, mask_MNI: Tensor | None, scale_M: Tensor, layers: Sequence[Factored], dtype: torch.dtype
) -> tuple[Tensor, ...]:
    """The outputs [M, N, out], in `dtype`, of layers that read the same input and share the dropout mask of their factors.

    Args:
        x_MNI: the input of M learners.
        mask_MNI: what the factors' input is multiplied by, in `dtype`, or None.
        scale_M: alpha / r of each learner, float32.
        layers: weights, biases and factors.
        dtype: of the products; factors keep their own, and their gradients are of it.
    """
    flat = [tensor for layer in layers for tensor in layer]
    outputs: tuple[Tensor, ...] = _AdaptedLinears.apply(x_MNI, mask_MNI, scale_M, dtype, *flat)  # type: ignore[no-untyped-call]
    return outputs


class _AdaptedLinears(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x_MNI: Tensor, mask_MNI: Tensor | None, scale_M: Tensor, dtype: torch.dtype, *flat: Tensor
    ) -> tuple[Tensor, ...]:
        ctx.of_x, ctx.of_factors = x_MNI.dtype, flat[2].dtype
        layers = [Factored(*(tensor.to(dtype) for tensor in flat[at : at + 4])) for at in range(0, len(flat), 4)]
        x_MNI, scale_M11 = x_MNI.to(dtype), scale_M.to(dtype)[:, None, None]
        num_learners, num_tokens, _ = x_MNI.shape
        dropped = x_MNI if mask_MNI is None else x_MNI * mask_MNI
        a_MKI = layers[0].a if len(layers) == 1 else torch.cat([layer.a for layer in layers], dim=1)
        low_MNK = torch.bmm(dropped, a_MKI.transpose(1, 2)).mul_(scale_M11)
        x_NI = x_MNI.reshape(-1, x_MNI.shape[-1])
        outputs, start = [], 0
        for layer in layers:
            out = torch.addmm(layer.bias, x_NI, layer.weight.t()).view(num_learners, num_tokens, -1)
            end = start + layer.a.shape[1]
            outputs.append(out.baddbmm_(low_MNK[:, :, start:end], layer.b.transpose(1, 2)))
            start = end
        ctx.save_for_backward(
            dropped, mask_MNI, scale_M11, low_MNK, a_MKI, *(t for layer in layers for t in (layer.weight, layer.b))
        )
        return tuple(outputs)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        dropped, mask_MNI, scale_M11, low_MNK, a_MKI, *rest = ctx.saved_tensors
        weights, factors = rest[0::2], rest[1::2]
        d_low_MNK = torch.empty_like(low_MNK)
        d_factors, start = [], 0
        for gradient, b_MOR in zip(gradients, factors, strict=True):
            end = start + b_MOR.shape[2]
            d_low_MNK[:, :, start:end] = torch.bmm(gradient, b_MOR)
            # The product with few rows is nearly twice as fast as the one with few columns.
            d_factors.append(torch.bmm(low_MNK[:, :, start:end].transpose(1, 2), gradient).transpose(1, 2).to(ctx.of_factors))
            start = end
        d_low_MNK.mul_(scale_M11)
        d_a_MKI = torch.bmm(d_low_MNK.transpose(1, 2), dropped).to(ctx.of_factors)
        d_x = None
        if ctx.needs_input_grad[0]:
            d_x = torch.bmm(d_low_MNK, a_MKI)
            if mask_MNI is not None:
                d_x.mul_(mask_MNI)
            flat = d_x.view(-1, d_x.shape[-1])
            for gradient, weight in zip(gradients, weights, strict=True):
                flat.addmm_(gradient.reshape(-1, gradient.shape[-1]), weight)
            d_x = d_x.to(ctx.of_x)
        results: list[Tensor | None] = [d_x, None, None, None]
        start = 0
        for d_b in d_factors:
            end = start + d_b.shape[2]
            results += [None, None, d_a_MKI[:, start:end], d_b]
            start = end
        return tuple(results)

"""Linear layers; frozen layers with LoRA factors are one step of autograd.

    y_k = x W_k^T + b_k + s B_k A_k (x * m)          k = 1..K layers that read the same x

With plain autograd, each sum would copy [M, N, out], each of the 2 K readers of x would add to its gradient, and small products
would run one by one. Here the frozen weights of all K layers are one product, LoRA's outputs are added in place, and the
factors A are also one product. The frozen weights have no gradient.

Shape letters: M learners, N sub-tokens of a learner, I width of the input, O total width of all outputs, R sum of the ranks.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from attrition.encoder.dropout import with_bits


class Columns(NamedTuple):
    """The output columns of one layer among layers that read the same input: `start:end` of O."""

    start: int
    end: int


class Linears(NamedTuple):
    """Linear layers that read the same input; the `adapted` layers have factors.

    Attributes:
        weight_OI, bias_O: weights of all layers, stacked, in the precision of products; frozen if there are factors.
        adapted: the columns of the layers with factors.
        factors: stacked factors `(A [M, r, I], B [M, out, r])` of each of these layers; their precision may differ.
        scale_M: factor of LoRA's output for each learner, float32.
        bits_MNI: dropout mask of the factors' input, the same for all layers; see `dropout.as_mask`. None without dropout.
    """

    weight_OI: Tensor
    bias_O: Tensor
    adapted: tuple[Columns, ...] = ()
    factors: tuple[tuple[Tensor, Tensor], ...] = ()
    scale_M: Tensor | None = None
    bits_MNI: Tensor | None = None


def linears(x_MNI: Tensor, layers: Linears) -> Tensor:
    """Return the outputs [M, N, O] of the layers, in the precision of their weights."""
    if not layers.factors:
        return F.linear(x_MNI.to(layers.weight_OI.dtype), layers.weight_OI, layers.bias_O)
    weight_OI, bias_O, adapted, factors, scale_M, bits_MNI = layers
    flat = [tensor for pair in factors for tensor in pair]
    out_MNO: Tensor = _AdaptedLinears.apply(x_MNI, weight_OI, bias_O, adapted, scale_M, bits_MNI, *flat)  # type: ignore[no-untyped-call]
    return out_MNO


class _AdaptedLinears(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        x_MNI: Tensor,
        weight_OI: Tensor,
        bias_O: Tensor,
        adapted: tuple[Columns, ...],
        scale_M: Tensor,
        bits_MNI: Tensor | None,
        *flat: Tensor,
    ) -> Tensor:
        dtype, of_x = weight_OI.dtype, x_MNI.dtype
        x_MNI, scale_M11 = x_MNI.to(dtype), scale_M.to(dtype)[:, None, None]
        dropped_MNI = x_MNI if bits_MNI is None else with_bits(x_MNI, bits_MNI)
        a_MRI = (flat[0] if len(adapted) == 1 else torch.cat(flat[0::2], dim=1)).to(dtype)
        columns, b_MORs = _products(adapted, flat[1::2], len(weight_OI), dtype)
        low_MNR = torch.bmm(dropped_MNI, a_MRI.mT).mul_(scale_M11)
        out_MNO = torch.addmm(bias_O, x_MNI.flatten(0, 1), weight_OI.t()).view(*x_MNI.shape[:2], -1)
        for own, low, b_MOR in zip(columns, _split(low_MNR, b_MORs), b_MORs, strict=True):
            out_MNO[:, :, own.start : own.end].baddbmm_(low, b_MOR.mT)
        ctx.of_x, ctx.of_factors = of_x, flat[0].dtype
        ctx.adapted, ctx.columns, ctx.b_shapes = adapted, columns, [each.shape for each in flat[1::2]]
        ctx.save_for_backward(weight_OI, scale_M11, bits_MNI, dropped_MNI, low_MNR, a_MRI, *b_MORs)
        return out_MNO

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        weight_OI, scale_M11, bits_MNI, dropped_MNI, low_MNR, a_MRI, *b_MORs = ctx.saved_tensors
        (d_out_MNO,) = gradients
        d_own = [d_out_MNO[:, :, own.start : own.end] for own in ctx.columns]
        d_lows = [torch.bmm(d_out, b_MOR) for d_out, b_MOR in zip(d_own, b_MORs, strict=True)]
        d_low_MNR = (d_lows[0] if len(d_lows) == 1 else torch.cat(d_lows, dim=2)).mul_(scale_M11)
        # The product with few rows is faster than the one with few columns.
        d_bs = [torch.bmm(low.mT, d_out) for low, d_out in zip(_split(low_MNR, b_MORs), d_own, strict=True)]
        d_a_MRI = torch.bmm(d_low_MNR.mT, dropped_MNI)
        d_x = None
        if ctx.needs_input_grad[0]:
            d_x = torch.bmm(d_low_MNR, a_MRI)
            if bits_MNI is not None:
                d_x = with_bits(d_x, bits_MNI)
            d_x.flatten(0, 1).addmm_(d_out_MNO.flatten(0, 1), weight_OI)
            d_x = d_x.to(ctx.of_x)
        of_factors, start = [], 0
        for number, (layer, shape) in enumerate(zip(ctx.adapted, ctx.b_shapes, strict=True)):
            ranks = slice(start, start + shape[2])
            d_b = d_bs[number] if len(d_bs) == len(ctx.adapted) else d_bs[0][:, ranks, layer.start : layer.end]
            of_factors += [d_a_MRI[:, ranks], d_b.mT]
            start = ranks.stop
        return d_x, None, None, None, None, None, *(each.to(ctx.of_factors) for each in of_factors)


def _products(
    adapted: Sequence[Columns], b_factors: Sequence[Tensor], num_out: int, dtype: torch.dtype
) -> tuple[list[Columns], list[Tensor]]:
    """Return which factors B add to which output columns, in the precision of products.

    If a product is faster than its call, several layers share one product, with zeros for the outputs of other layers. In
    bfloat16 this takes half the time (three layers of 384 by 384 on two cores), in float32 twice the time.
    """
    if len(adapted) == 1 or dtype == torch.float32:
        return list(adapted), [b.to(dtype) for b in b_factors]
    num_learners, ranks = len(b_factors[0]), [b.shape[2] for b in b_factors]
    whole = torch.zeros(num_learners, num_out, sum(ranks), dtype=dtype, device=b_factors[0].device)
    for b, layer, of_ranks in zip(b_factors, adapted, whole.split(ranks, dim=2), strict=True):
        of_ranks[:, layer.start : layer.end] = b
    return [Columns(0, num_out)], [whole]


def _split(low_MNR: Tensor, b_MORs: Sequence[Tensor]) -> Sequence[Tensor]:
    """Return the input of each product, from a tensor with all ranks."""
    return low_MNR.split([b.shape[2] for b in b_MORs], dim=2) if len(b_MORs) > 1 else (low_MNR,)

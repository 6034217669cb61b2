"""Attention of short utterances, for a population of learners.

Scaled dot-product attention (Vaswani et al. 2017, section 3.2.1) for what MASSIVE's utterances are: a dozen sub-tokens. There
torch's own softmax spends its time on calling itself for each row, so rows shorter than a processor's vector are normalised
all at once.

Shape letters: M learners, N sub-tokens of a learner, B its utterances, L sub-tokens of the longest, H width, D width of a
head, G = M * B * heads.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from attrition.encoder.batch import Grid
from attrition.encoder.dropout import Dropout

VECTOR = 16
"""Rows of at least so many float32 numbers are what torch's softmax is made for."""

LONG = 128
"""From this length on, torch's own attention, which never holds all scores, does better where nothing is dropped."""


def attend(
    query_MNH: Tensor, key_MNH: Tensor, value_MNH: Tensor, heads: int, grid: Grid, dropout: Dropout | None = None
) -> Tensor:
    """Mixed values, [M, N, H].

    Args:
        query_MNH, key_MNH, value_MNH: what the three linear layers give.
        heads: their number, a divisor of H.
        grid: which sub-tokens are of one utterance.
        dropout: of attention probabilities.
    """
    longest = grid.shape[-1]
    drops = dropout is not None and dropout.attention > 0
    if not drops and (longest >= LONG or query_MNH.is_cuda):
        return _torchs(query_MNH, key_MNH, value_MNH, heads, grid)
    kept = dropout.attention_mask(grid.shape, heads) if dropout is not None and drops else None
    mixed: Tensor = _Attention.apply(query_MNH, key_MNH, value_MNH, heads, grid, kept)  # type: ignore[no-untyped-call]
    return mixed


class _Attention(torch.autograd.Function):
    """The formula and its gradient; scores and probabilities are float32 whatever the products are."""

    @staticmethod
    def forward(
        ctx: Any, query_MNH: Tensor, key_MNH: Tensor, value_MNH: Tensor, heads: int, grid: Grid, kept_MBHLL: Tensor | None
    ) -> Tensor:
        query, key, value = (_split(grid.spread(each), heads) for each in (query_MNH, key_MNH, value_MNH))
        scale, longest = 1 / math.sqrt(query.shape[-1]), grid.shape[-1]
        scores = torch.baddbmm(query.new_empty(()), query, key.transpose(1, 2), beta=0, alpha=scale).float()
        mask_MBL = grid.mask_MBL()
        if mask_MBL is not None:
            bias = torch.zeros(mask_MBL.shape, device=scores.device).masked_fill_(~mask_MBL, torch.finfo(torch.float32).min)
            scores.view(-1, heads, longest, longest).add_(bias.view(-1, 1, 1, longest))
        chances = _softmax(scores)
        kept = None if kept_MBHLL is None else kept_MBHLL.view_as(chances)
        used = (chances if kept is None else chances * kept).to(value.dtype)
        ctx.save_for_backward(query, key, value, chances, kept, used)
        ctx.heads, ctx.scale, ctx.grid = heads, scale, grid
        return grid.gather(_joined(torch.bmm(used, value), heads))

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        query, key, value, chances, kept, used = ctx.saved_tensors
        # A padded query's row of `used` is not zero, so its gradient must be.
        d_mixed = _split(ctx.grid.spread(gradients[0], clean=True), ctx.heads)
        d_value = torch.bmm(used.transpose(1, 2), d_mixed)
        d_chances = torch.bmm(d_mixed, value.transpose(1, 2)).float()
        if kept is not None:
            d_chances.mul_(kept)
        d_scores = _softmax_gradient(d_chances, chances).mul_(ctx.scale).to(query.dtype)
        d_query, d_key = torch.bmm(d_scores, key), torch.bmm(d_scores.transpose(1, 2), query)
        return *(ctx.grid.gather(_joined(each, ctx.heads)) for each in (d_query, d_key, d_value)), None, None, None


def _softmax(scores: Tensor) -> Tensor:
    """Over the last axis; `scores` may be written over."""
    if scores.shape[-1] >= VECTOR:
        return torch.softmax(scores, dim=-1)
    chances = scores.sub_(scores.amax(-1, keepdim=True)).exp_()
    return chances.div_(chances.sum(-1, keepdim=True))


def _softmax_gradient(d_chances: Tensor, chances: Tensor) -> Tensor:
    """Of chances p with gradient g: p (g - sum p g); `d_chances` may be written over."""
    if chances.shape[-1] >= VECTOR:
        return torch._softmax_backward_data(d_chances, chances, -1, torch.float32)
    return d_chances.sub_((d_chances * chances).sum(-1, keepdim=True)).mul_(chances)


def _split(y_BLH: Tensor, heads: int) -> Tensor:
    """[M * B, L, H] to [G, L, D], each matrix whole in memory: else torch makes one call for each."""
    longest, width = y_BLH.shape[-2:]
    return y_BLH.view(-1, longest, heads, width // heads).transpose(1, 2).reshape(-1, longest, width // heads)


def _joined(y_GLD: Tensor, heads: int) -> Tensor:
    """[G, L, D] to [M * B * L, H]."""
    longest, head_width = y_GLD.shape[1:]
    return y_GLD.view(-1, heads, longest, head_width).transpose(1, 2).reshape(-1, heads * head_width)


def _torchs(query_MNH: Tensor, key_MNH: Tensor, value_MNH: Tensor, heads: int, grid: Grid) -> Tensor:
    longest, width = grid.shape[-1], query_MNH.shape[-1]
    query, key, value = (
        grid.spread(each).view(-1, longest, heads, width // heads).transpose(1, 2) for each in (query_MNH, key_MNH, value_MNH)
    )
    mask_MBL = grid.mask_MBL()
    mask = None if mask_MBL is None else mask_MBL.view(-1, 1, 1, longest)
    mixed = F.scaled_dot_product_attention(query, key, value, attn_mask=mask)
    return grid.gather(mixed.transpose(1, 2).reshape(-1, width))

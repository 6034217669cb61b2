"""Attention of short utterances, for a population of learners.

Scaled dot-product attention (Vaswani et al. 2017, section 3.2.1) for utterances of about a dozen sub-tokens, as in MASSIVE. For
such short rows torch's softmax spends most time on one call per row. So rows shorter than a vector register are normalised all
at once.

Shape letters: M learners, N sub-tokens of a learner, B rows of its grid, L cells of a row, H width, D width of a head.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from attrition.encoder.batch import Grid

VECTOR = 16
"""From this number of float32 values in a row on, torch's softmax is faster."""

LONG = 128
"""From this length on, torch's own attention is faster without dropout, because it never stores all scores."""


@dataclass(frozen=True, eq=False)
class Places:
    """Positions of the heads of sub-tokens, as rows of width D: in the flat layout of linear layers and in the grid.

    Queries, keys and values move together: flat, [M * N, 3, heads]; in the grid, [3, M * B, heads, L].

    Attributes:
        shape: M, B, heads and L.
        three_there, three_back: the source index of each grid place, and of each flat place.
        one_there, one_back: the same for one of queries, keys and values.
        spare: the sub-tokens that are padding, or None without padding.
        bias: added to scores, [M * B, 1, L, L]: 0 between cells of one utterance, the smallest number between different ones;
            None if each row is one utterance. Padding attends only to padding, and its output is not read.
    """

    shape: tuple[int, int, int, int]
    three_there: Tensor
    three_back: Tensor
    one_there: Tensor
    one_back: Tensor
    spare: Tensor | None
    bias: Tensor | None

    @staticmethod
    def of(grid: Grid, heads: int) -> Places:
        """Return the places of a batch's sub-tokens; all layers use them."""
        num_learners, count, longest = grid.shape
        device = grid.tokens_C.device
        parts, head = torch.arange(3, device=device), torch.arange(heads, device=device)
        tokens_BL = grid.tokens_C.view(-1, 1, longest)
        row_T, place_T = grid.cells_T.div(longest, rounding_mode="floor"), grid.cells_T.remainder(longest)
        one_there = tokens_BL * heads + head[:, None]
        one_back = (row_T[:, None] * heads + head) * longest + place_T[:, None]
        bias = None
        if grid.utterances_C is not None:
            own = grid.utterances_C.view(-1, 1, longest)
            bias = torch.zeros(len(own), 1, longest, longest, device=device)
            bias.masked_fill_(own.unsqueeze(-1) != own.unsqueeze(-2), torch.finfo(torch.float32).min)
        return Places(
            shape=(num_learners, count, heads, longest),
            three_there=((tokens_BL * 3 + parts[:, None, None, None]) * heads + head[:, None]).flatten(),
            three_back=(one_back[:, None] + parts[:, None] * one_there.numel()).flatten(),
            one_there=one_there.flatten(),
            one_back=one_back.flatten(),
            spare=grid.spare,
            bias=bias,
        )


def attend(three_MNH: Tensor, places: Places, kept_MBHLL: Tensor | None = None) -> Tensor:
    """Return the mixed values, [M, N, H].

    Args:
        three_MNH: queries, keys and values of each sub-token, concatenated, [M, N, 3 H].
        places: of these sub-tokens.
        kept_MBHLL: factor of the attention probabilities, [M, B, heads, L, L]; None without dropout.
    """
    if kept_MBHLL is None and (places.shape[-1] >= LONG or three_MNH.is_cuda):
        return _torchs(three_MNH, places)
    mixed: Tensor = _Attention.apply(three_MNH, places, kept_MBHLL)  # type: ignore[no-untyped-call]
    return mixed


class _Attention(torch.autograd.Function):
    """The formula and its gradient; scores and probabilities are always float32."""

    @staticmethod
    def forward(ctx: Any, three_MNH: Tensor, places: Places, kept_MBHLL: Tensor | None) -> Tensor:
        *_, heads, longest = places.shape
        width = three_MNH.shape[-1] // (3 * heads)
        three = three_MNH.view(-1, width).index_select(0, places.three_there).view(3, -1, longest, width)
        query, key, value = three.unbind()
        scale = 1 / math.sqrt(width)
        scores = torch.baddbmm(query.new_empty(()), query, key.mT, beta=0, alpha=scale).float()
        if places.bias is not None:
            scores.view(-1, heads, longest, longest).add_(places.bias)
        chances = _softmax(scores)
        kept = None if kept_MBHLL is None else kept_MBHLL.view_as(chances)
        used = (chances if kept is None else chances * kept).to(value.dtype)
        ctx.save_for_backward(three, chances, kept, used)
        ctx.places, ctx.scale = places, scale
        return torch.bmm(used, value).view(-1, width).index_select(0, places.one_back).view(*three_MNH.shape[:2], -1)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        three, chances, kept, used = ctx.saved_tensors
        places: Places = ctx.places
        query, key, value = three.unbind()
        d_mixed = gradients[0].reshape(-1, three.shape[-1]).index_select(0, places.one_there)
        d_mixed = d_mixed.view_as(query)
        d_chances = torch.bmm(d_mixed, value.mT).float()
        if kept is not None:
            d_chances.mul_(kept)
        d_scores = _softmax_gradient(d_chances, chances).mul_(ctx.scale).to(query.dtype)
        d_three = torch.stack([torch.bmm(d_scores, key), torch.bmm(d_scores.mT, query), torch.bmm(used.mT, d_mixed)])
        d_flat = d_three.view(-1, three.shape[-1]).index_select(0, places.three_back)
        d_flat = d_flat.view(*gradients[0].shape[:2], -1)
        if places.spare is not None:
            d_flat.flatten(0, 1).index_fill_(0, places.spare, 0)
        return d_flat, None, None


def _softmax(scores: Tensor) -> Tensor:
    """Return the softmax over the last axis; may overwrite `scores`."""
    if _is_torchs(scores):
        return torch.softmax(scores, dim=-1)
    chances = scores.sub_(scores.amax(-1, keepdim=True)).exp_()
    return chances.div_(chances.sum(-1, keepdim=True))


def _is_torchs(scores: Tensor) -> bool:
    # Compiled, both variants are one kernel, and a variant for short rows would mean a second compilation.
    return torch.compiler.is_compiling() or scores.shape[-1] >= VECTOR


def _softmax_gradient(d_chances: Tensor, chances: Tensor) -> Tensor:
    """Return the gradient for probabilities p with gradient g: p (g - sum p g); may overwrite `d_chances`."""
    if _is_torchs(chances):
        return torch._softmax_backward_data(d_chances, chances, -1, torch.float32)
    return d_chances.sub_((d_chances * chances).sum(-1, keepdim=True)).mul_(chances)


def _torchs(three_MNH: Tensor, places: Places) -> Tensor:
    *_, heads, longest = places.shape
    width = three_MNH.shape[-1] // (3 * heads)
    three = three_MNH.view(-1, width).index_select(0, places.three_there).view(3, -1, heads, longest, width)
    mask = None if places.bias is None else places.bias == 0
    query, key, value = three.unbind()
    mixed = F.scaled_dot_product_attention(query, key, value, attn_mask=mask)
    return mixed.reshape(-1, width).index_select(0, places.one_back).view(*three_MNH.shape[:2], -1)

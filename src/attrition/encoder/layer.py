"""One layer of a post-layer-norm transformer as a pure function of tensors, plain or compiled.

All random numbers, look-ups by name and differences between learners are resolved before the call. So torch can compile the
whole layer once for all layers, learners and lengths.
"""

from __future__ import annotations

import functools
import os
import shutil
import sys
from collections.abc import Callable
from importlib.util import find_spec
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from attrition.encoder.adapted import Linears, linears
from attrition.encoder.attention import Places, attend
from attrition.encoder.norm import add_and_norm
from attrition.names import AttritionError

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {"gelu": F.gelu, "relu": F.relu}

MOST_VARIANTS = 64
"""Limit of compiled variants: with and without dropout, padding and factors, for one learner and several."""


class Norm(NamedTuple):
    """Weight and bias of a layer norm, [H], and its epsilon, added to the variance."""

    weight_H: Tensor
    bias_H: Tensor
    epsilon: float


class Layer(NamedTuple):
    """The tensors of one layer in one pass.

    Attributes:
        attention: query, key and value, joined.
        mixed, wide, narrow: the layers after attention, into the feed-forward's width, and out of it.
        norms: after attention and at the end.
        hidden_masks: factors of the outputs of attention and feed-forward, float32; None without dropout.
        kept_MBHLL: factor of the attention probabilities; None without dropout.
        activation: of the feed-forward, by its name in `ACTIVATIONS`.
    """

    attention: Linears
    mixed: Linears
    wide: Linears
    narrow: Linears
    norms: tuple[Norm, Norm]
    hidden_masks: tuple[Tensor | None, Tensor | None]
    kept_MBHLL: Tensor | None
    activation: str


def transformer_layer(x_MNH: Tensor, layer: Layer, places: Places) -> Tensor:
    """Return the hidden states after a layer, [M, N, H] float32 (Vaswani et al. 2017, section 3.1)."""
    mixed = attend(linears(x_MNH, layer.attention), places, layer.kept_MBHLL)
    x_MNH = add_and_norm(linears(mixed, layer.mixed), x_MNH, layer.hidden_masks[0], *layer.norms[0])
    wide = ACTIVATIONS[layer.activation](linears(x_MNH, layer.wide))
    return add_and_norm(linears(wide, layer.narrow), x_MNH, layer.hidden_masks[1], *layer.norms[1])


@functools.cache
def compiled_layer(backend: str = "inductor") -> Callable[[Tensor, Layer, Places], Tensor]:
    """Return `transformer_layer`, compiled by torch at its first call; a graph break is an error.

    Args:
        backend: a name that `torch.compile` knows.
    """
    torch._dynamo.config.recompile_limit = max(torch._dynamo.config.recompile_limit, MOST_VARIANTS)
    compiled: Callable[[Tensor, Layer, Places], Tensor] = torch.compile(transformer_layer, fullgraph=True, backend=backend)
    return compiled


def refuse_without_compiler(device: torch.device) -> None:
    """Check, before the first step, the requirements of `compiled_layer`.

    Raises:
        AttritionError: there is no C++ compiler, or on a GPU no Triton.
    """
    compiler = os.environ.get("CXX", "clang++" if sys.platform == "darwin" else "g++")  # torch's own choice
    if shutil.which(compiler) is None:
        raise AttritionError(
            f"machine.compile = true needs a C++ compiler, and there is no {compiler!r} on the path. Install it, name another "
            "in the environment variable CXX, or leave machine.compile out."
        )
    if device.type == "cuda" and find_spec("triton") is None:
        raise AttritionError(
            "machine.compile = true needs Triton on a GPU: `pip install triton`, or leave machine.compile out."
        )

"""The BERT family (BERT, RoBERTa, XLM-R) as one function of its weights, for several learners at once.

Post-layer-norm transformer (Vaswani et al. 2017; Devlin et al. 2019), equal to the modules of `transformers`; the tests compare
both. Linear layers read [M, N, in], all sub-tokens of a batch without padding, so one product serves the whole population. LoRA
adds one batched product.

Shape letters: M learners, N sub-tokens of a learner, H hidden width.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from attrition.encoder.adapted import Columns, Linears
from attrition.encoder.attention import Places
from attrition.encoder.backbone import at_words
from attrition.encoder.batch import Batch
from attrition.encoder.dropout import Dropout
from attrition.encoder.layer import ACTIVATIONS, Layer, Norm, compiled_layer, transformer_layer
from attrition.encoder.lora import Adapter
from attrition.encoder.precision import DTYPES, Precision
from attrition.encoder.pretrained import WORD_EMBEDDINGS

_BLOCKS: dict[str, tuple[str, ...]] = {
    "attention.self.": ("query", "key", "value"),
    "attention.output.": ("dense",),
    "intermediate.": ("dense",),
    "output.": ("dense",),
}
"""The linear layers in each block of a layer that read the same input and form one product."""
FAMILY = ("bert", "roberta", "xlm-roberta")
"""The names of the architectures in transformers."""


def supports(config: Any) -> bool:
    """Return True if `BertBackbone` supports all settings of this configuration."""
    return (
        config.model_type in FAMILY
        and config.hidden_act in ACTIVATIONS
        and getattr(config, "position_embedding_type", "absolute") in (None, "absolute")
        and not getattr(config, "is_decoder", False)
    )


@dataclass(frozen=True, eq=False)
class BertBackbone:
    """The encoder of one configuration, without weights.

    `compiled`: torch compiles its layers for training.
    """

    config: Any
    precision: Precision = "float32"
    compiled: bool = False
    populations: bool = True

    @property
    def hidden_size(self) -> int:
        """Return the width of the hidden states."""
        return int(self.config.hidden_size)

    @property
    def multiple(self) -> int:
        """Return 16 if matrix units process 16 rows at a time, else 1: in float32 padding only costs time."""
        return 1 if self.precision == "float32" else 16

    @property
    def linears(self) -> dict[str, tuple[int, int]]:
        """Return `(out, in)` of each linear layer, by name; without the pooler, which token classification does not use."""
        width, wide = self.config.hidden_size, self.config.intermediate_size
        shapes: dict[str, tuple[int, int]] = {}
        for layer in range(self.config.num_hidden_layers):
            prefix = f"encoder.layer.{layer}."
            for part in ("query", "key", "value"):
                shapes[f"{prefix}attention.self.{part}"] = (width, width)
            shapes[f"{prefix}attention.output.dense"] = (width, width)
            shapes[f"{prefix}intermediate.dense"] = (wide, width)
            shapes[f"{prefix}output.dense"] = (width, wide)
        return shapes

    @property
    def first_position(self) -> int:
        """Return the row of the position table for the first sub-token: RoBERTa counts from its padding id + 1."""
        return 0 if self.config.model_type == "bert" else int(self.config.pad_token_id) + 1

    def encode(
        self, batch: Batch, weights: Mapping[str, Tensor], adapter: Adapter | None = None, dropout: Dropout | None = None
    ) -> Tensor:
        """Return hidden states of the scored sub-tokens, [M, W, H]; see `Backbone`."""
        pass_ = _Pass(self.config, DTYPES[self.precision], weights, adapter, dropout)
        places = Places.of(batch.grid, self.config.num_attention_heads)
        run = compiled_layer() if self.compiled and torch.is_grad_enabled() else transformer_layer
        x_MNH = pass_.embed(batch.ids_MN, batch.positions_MN + self.first_position)
        for number in range(self.config.num_hidden_layers):
            x_MNH = run(x_MNH, pass_.layer(f"encoder.layer.{number}.", x_MNH, places), places)
        return at_words(x_MNH, batch.words_MW)

    def rounded(self, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return the weights ready for products: linear layers in their precision, joined if they read the same input."""
        dtype, found = DTYPES[self.precision], dict(weights)
        for layer in range(self.config.num_hidden_layers):
            for block, parts in _BLOCKS.items():
                prefix = f"encoder.layer.{layer}.{block}"
                whole = {kind: _joined(weights, prefix, parts, kind).to(dtype) for kind in ("weight", "bias")}
                for part in parts:
                    del found[f"{prefix}{part}.weight"], found[f"{prefix}{part}.bias"]
                found |= {f"{prefix}{'+'.join(parts)}.{kind}": tensor for kind, tensor in whole.items()}
        return found


def _joined(weights: Mapping[str, Tensor], prefix: str, parts: Sequence[str], kind: str) -> Tensor:
    """Return the stacked weights or biases of layers that read the same input."""
    whole = weights.get(f"{prefix}{'+'.join(parts)}.{kind}")
    return torch.cat([weights[f"{prefix}{part}.{kind}"] for part in parts]) if whole is None else whole


@dataclass(frozen=True, eq=False)
class _Pass:
    """One pass: the weights, and the adapter and dropout that change them."""

    config: Any
    dtype: torch.dtype
    weights: Mapping[str, Tensor]
    adapter: Adapter | None
    dropout: Dropout | None

    def embed(self, ids_MN: Tensor, positions_MN: Tensor) -> Tensor:
        x_MNH = F.embedding(ids_MN, self.weights[WORD_EMBEDDINGS])
        places = (
            self.weights["embeddings.position_embeddings.weight"] + self.weights["embeddings.token_type_embeddings.weight"][0]
        )
        norm = self.norm("embeddings.")
        x_MNH = F.layer_norm(
            x_MNH + F.embedding(positions_MN, places), x_MNH.shape[-1:], norm.weight_H, norm.bias_H, norm.epsilon
        )
        mask = self.hidden_mask(x_MNH)
        return x_MNH if mask is None else x_MNH * mask

    def layer(self, prefix: str, x_MNH: Tensor, places: Places) -> Layer:
        """Return the tensors of a layer that reads `x_MNH`."""
        num_learners, count, heads, longest = places.shape
        narrow, wide = tuple(x_MNH.shape), (*x_MNH.shape[:2], self.config.intermediate_size)
        dropout = self.dropout
        return Layer(
            attention=self.linears(f"{prefix}attention.self.", narrow),
            kept_MBHLL=None if dropout is None else dropout.attention_mask((num_learners, count, longest), heads),
            mixed=self.linears(f"{prefix}attention.output.", narrow),
            wide=self.linears(f"{prefix}intermediate.", narrow),
            narrow=self.linears(f"{prefix}output.", wide),
            norms=(self.norm(f"{prefix}attention.output."), self.norm(f"{prefix}output.")),
            hidden_masks=(self.hidden_mask(x_MNH), self.hidden_mask(x_MNH)),
            activation=self.config.hidden_act,
        )

    def linears(self, prefix: str, shape_MNI: tuple[int, ...]) -> Linears:
        """Return the layers of a block that read the same input; those with factors share one dropout mask."""
        parts = _BLOCKS[prefix.partition("encoder.layer.")[2].partition(".")[2]]
        weight, bias = (_joined(self.weights, prefix, parts, kind).to(self.dtype) for kind in ("weight", "bias"))
        factors = {} if self.adapter is None else self.adapter.factors
        adapted = [number for number, part in enumerate(parts) if prefix + part in factors]
        if self.adapter is None or not adapted:
            return Linears(weight, bias)
        width, scale_M, bits = len(bias) // len(parts), self.adapter.scale_M, None
        if self.dropout is not None:
            bits = self.dropout.adapter_bits(shape_MNI, self.dtype)
            scale_M = scale_M * self.dropout.adapter_scale
        return Linears(
            weight,
            bias,
            tuple(Columns(number * width, (number + 1) * width) for number in adapted),
            tuple(factors[prefix + parts[number]] for number in adapted),
            scale_M,
            bits,
        )

    def norm(self, prefix: str) -> Norm:
        weight_H, bias_H = (self.weights[f"{prefix}LayerNorm.{kind}"] for kind in ("weight", "bias"))
        return Norm(weight_H, bias_H, self.config.layer_norm_eps)

    def hidden_mask(self, x_MNH: Tensor) -> Tensor | None:
        return None if self.dropout is None else self.dropout.hidden_mask(tuple(x_MNH.shape))

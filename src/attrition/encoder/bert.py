"""The BERT family (BERT, RoBERTa, XLM-R) as one function of its weights, for a population of learners at once.

Post-layer-norm transformer (Vaswani et al. 2017; Devlin et al. 2019): equal to `transformers`' own modules, which are the
oracle in the tests. Linear layers see [M, B * L, in], so one product serves the whole population, and LoRA's factors are one
batched product more.

Shape letters: M learners, B utterances, L sub-tokens, N = B * L, H hidden width, D width of a head.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from attrition.encoder.adapted import Factored, adapted_linears
from attrition.encoder.attention import attend
from attrition.encoder.backbone import at_words
from attrition.encoder.batch import Batch
from attrition.encoder.dropout import Dropout
from attrition.encoder.lora import Adapter
from attrition.encoder.precision import DTYPES, Precision
from attrition.encoder.pretrained import WORD_EMBEDDINGS

_ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {"gelu": F.gelu, "relu": F.relu}
_ATTENTION = ("query", "key", "value")
_MODEL_TYPES = ("bert", "roberta", "xlm-roberta")


def supports(config: Any) -> bool:
    """Whether `BertBackbone` computes what this configuration asks for."""
    return (
        config.model_type in _MODEL_TYPES
        and config.hidden_act in _ACTIVATIONS
        and getattr(config, "position_embedding_type", "absolute") in (None, "absolute")
        and not getattr(config, "is_decoder", False)
    )


@dataclass(frozen=True, eq=False)
class BertBackbone:
    """The encoder of one configuration. Holds no weights."""

    config: Any
    precision: Precision = "float32"
    populations: bool = True

    @property
    def hidden_size(self) -> int:
        """Width of the hidden states."""
        return int(self.config.hidden_size)

    @property
    def linears(self) -> dict[str, tuple[int, int]]:
        """Every linear layer of the encoder's layers, `(out, in)`; the pooler takes no part in token classification."""
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
        """Row of the position table for the first sub-token: RoBERTa counts from its padding id + 1."""
        return 0 if self.config.model_type == "bert" else int(self.config.pad_token_id) + 1

    def encode(
        self, batch: Batch, weights: Mapping[str, Tensor], adapter: Adapter | None = None, dropout: Dropout | None = None
    ) -> Tensor:
        """Hidden states of the scored sub-tokens, [M, W, H]; see `Backbone`."""
        pass_ = _Pass(self.config, DTYPES[self.precision], weights, adapter, dropout)
        x_MBLH = pass_.embed(batch.ids_MBL, self.first_position)
        for layer in range(self.config.num_hidden_layers):
            x_MBLH = pass_.layer(f"encoder.layer.{layer}.", x_MBLH, batch.mask_MBL)
        return at_words(x_MBLH, batch.words_MW)

    def rounded(self, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The same weights with those of linear layers in the precision of products, so that no pass need round them."""
        dtype = DTYPES[self.precision]
        ours = {f"{name}.{part}" for name in self.linears for part in ("weight", "bias")}
        return {name: tensor.to(dtype) if name in ours else tensor for name, tensor in weights.items()}


@dataclass(frozen=True, eq=False)
class _Pass:
    """One pass: the weights and what changes them."""

    config: Any
    dtype: torch.dtype
    weights: Mapping[str, Tensor]
    adapter: Adapter | None
    dropout: Dropout | None

    def embed(self, ids_MBL: Tensor, first_position: int) -> Tensor:
        longest = ids_MBL.shape[-1]
        positions = self.weights["embeddings.position_embeddings.weight"][first_position : first_position + longest]
        x_MBLH = F.embedding(ids_MBL, self.weights[WORD_EMBEDDINGS])
        x_MBLH = x_MBLH + (positions + self.weights["embeddings.token_type_embeddings.weight"][0])
        x_MBLH = self.norm("embeddings.LayerNorm", x_MBLH)
        return x_MBLH if self.dropout is None else self.dropout.on_hidden(x_MBLH)

    def layer(self, prefix: str, x_MBLH: Tensor, mask_MBL: Tensor | None) -> Tensor:
        query, key, value = self.linears([f"{prefix}attention.self.{part}" for part in _ATTENTION], x_MBLH)
        mixed = attend(query, key, value, self.config.num_attention_heads, mask_MBL, self.dropout)
        out = self.linear(f"{prefix}attention.output.dense", mixed)
        x_MBLH = self.norm(f"{prefix}attention.output.LayerNorm", self.dropped(out, x_MBLH))
        wide = _ACTIVATIONS[self.config.hidden_act](self.linear(f"{prefix}intermediate.dense", x_MBLH))
        out = self.linear(f"{prefix}output.dense", wide)
        return self.norm(f"{prefix}output.LayerNorm", self.dropped(out, x_MBLH))

    def linear(self, name: str, x_MBLI: Tensor) -> Tensor:
        return self.linears([name], x_MBLI)[0]

    def linears(self, names: Sequence[str], x_MBLI: Tensor) -> list[Tensor]:
        """Layers that read the same input; those with factors share one dropout mask."""
        adapted = [name for name in names if self.adapter is not None and name in self.adapter.factors]
        x_MBLI = x_MBLI.to(self.dtype)
        out = {
            name: F.linear(x_MBLI, *(self.weights[f"{name}.{part}"].to(self.dtype) for part in ("weight", "bias")))
            for name in names
            if name not in adapted
        }
        if self.adapter is not None and adapted:
            layers = [
                Factored(self.weights[f"{name}.weight"], self.weights[f"{name}.bias"], *self.adapter.factors[name])
                for name in adapted
            ]
            mask, scale_M = None, self.adapter.scale_M
            if self.dropout is not None:
                mask, scale_M = self.dropout.adapter_mask(x_MBLI, self.dtype), scale_M * self.dropout.adapter_scale
            mask_MNI = None if mask is None else mask.flatten(1, 2)
            results = adapted_linears(x_MBLI.flatten(1, 2), mask_MNI, scale_M, layers, self.dtype)
            out |= {name: result.unflatten(1, x_MBLI.shape[1:3]) for name, result in zip(adapted, results, strict=True)}
        return [out[name] for name in names]

    def norm(self, name: str, x: Tensor) -> Tensor:
        return F.layer_norm(
            x, (x.shape[-1],), self.weights[f"{name}.weight"], self.weights[f"{name}.bias"], self.config.layer_norm_eps
        )

    def dropped(self, out: Tensor, residual: Tensor) -> Tensor:
        """The residual stream after a block: what enters is in the precision of products, what leaves in float32."""
        return residual + out if self.dropout is None else self.dropout.on_hidden(out, residual)

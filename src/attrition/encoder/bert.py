"""The BERT family (BERT, RoBERTa, XLM-R) as one function of its weights, for a population of learners at once.

Post-layer-norm transformer (Vaswani et al. 2017; Devlin et al. 2019): equal to `transformers`' own modules, which are the
oracle in the tests. Linear layers see [M, N, in], all sub-tokens of a batch without padding, so one product serves the whole
population, and LoRA's factors are one batched product more.

Shape letters: M learners, N sub-tokens of a learner, H hidden width.
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
from attrition.encoder.batch import Batch, Grid
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
        x_MNH = pass_.embed(batch.ids_MN, batch.positions_MN + self.first_position)
        for layer in range(self.config.num_hidden_layers):
            x_MNH = pass_.layer(f"encoder.layer.{layer}.", x_MNH, batch.grid)
        return at_words(x_MNH, batch.words_MW)

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

    def embed(self, ids_MN: Tensor, positions_MN: Tensor) -> Tensor:
        x_MNH = F.embedding(ids_MN, self.weights[WORD_EMBEDDINGS])
        places = (
            self.weights["embeddings.position_embeddings.weight"] + self.weights["embeddings.token_type_embeddings.weight"][0]
        )
        x_MNH = self.norm("embeddings.LayerNorm", x_MNH + F.embedding(positions_MN, places))
        return x_MNH if self.dropout is None else self.dropout.on_hidden(x_MNH)

    def layer(self, prefix: str, x_MNH: Tensor, grid: Grid) -> Tensor:
        query, key, value = self.linears([f"{prefix}attention.self.{part}" for part in _ATTENTION], x_MNH)
        mixed = attend(query, key, value, self.config.num_attention_heads, grid, self.dropout)
        out = self.linear(f"{prefix}attention.output.dense", mixed)
        x_MNH = self.norm(f"{prefix}attention.output.LayerNorm", self.dropped(out, x_MNH))
        wide = _ACTIVATIONS[self.config.hidden_act](self.linear(f"{prefix}intermediate.dense", x_MNH))
        out = self.linear(f"{prefix}output.dense", wide)
        return self.norm(f"{prefix}output.LayerNorm", self.dropped(out, x_MNH))

    def linear(self, name: str, x_MNI: Tensor) -> Tensor:
        return self.linears([name], x_MNI)[0]

    def linears(self, names: Sequence[str], x_MNI: Tensor) -> list[Tensor]:
        """Layers that read the same input; those with factors share one dropout mask."""
        adapted = [name for name in names if self.adapter is not None and name in self.adapter.factors]
        x_MNI = x_MNI.to(self.dtype)
        out = {
            name: F.linear(x_MNI, *(self.weights[f"{name}.{part}"].to(self.dtype) for part in ("weight", "bias")))
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
                mask, scale_M = self.dropout.adapter_mask(x_MNI, self.dtype), scale_M * self.dropout.adapter_scale
            out |= dict(zip(adapted, adapted_linears(x_MNI, mask, scale_M, layers, self.dtype), strict=True))
        return [out[name] for name in names]

    def norm(self, name: str, x: Tensor) -> Tensor:
        return F.layer_norm(
            x, (x.shape[-1],), self.weights[f"{name}.weight"], self.weights[f"{name}.bias"], self.config.layer_norm_eps
        )

    def dropped(self, out: Tensor, residual: Tensor) -> Tensor:
        """The residual stream after a block: what enters is in the precision of products, what leaves in float32."""
        return residual + out if self.dropout is None else self.dropout.on_hidden(out, residual)

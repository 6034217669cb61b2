"""Runs any other Hugging Face encoder: its own module, called with our weights, one learner at a time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from attrition.encoder.backbone import at_words
from attrition.encoder.batch import Batch
from attrition.encoder.dropout import Dropout, draw_mask
from attrition.encoder.families import to_theirs
from attrition.encoder.lora import Adapter
from attrition.encoder.precision import DTYPES, Precision


class WrappedBackbone:
    """A `transformers` encoder as a function of its weights; LoRA acts through hooks on its linear layers.

    The module's own dropout layers use torch's global stream, which each pass seeds from the learner's stream. Their
    probabilities come from the configuration, because they are part of the module.
    """

    populations = False
    multiple = 1

    def __init__(self, module: nn.Module, precision: Precision = "float32") -> None:
        self._module = module
        self._precision = precision
        self._adapter: Adapter | None = None
        self._dropout: Dropout | None = None
        self._linears: dict[str, tuple[int, int]] = {}
        for name, layer in module.named_modules():
            if isinstance(layer, nn.Linear) and "pooler" not in name:
                self._linears[name] = (layer.out_features, layer.in_features)
                layer.register_forward_hook(self._hook(name))

    @property
    def hidden_size(self) -> int:
        """Return the width of the hidden states."""
        config: Any = self._module.config
        return int(config.hidden_size)

    @property
    def linears(self) -> Mapping[str, tuple[int, int]]:
        """Return `(out, in)` of each `torch.nn.Linear` of the module outside a pooler, by name."""
        return self._linears

    def encode(
        self, batch: Batch, weights: Mapping[str, Tensor], adapter: Adapter | None = None, dropout: Dropout | None = None
    ) -> Tensor:
        """Return hidden states of the scored sub-tokens, [1, W, H]; see `Backbone`."""
        assert batch.num_learners == 1, "this architecture takes one learner at a time"
        (extent,) = batch.extents
        position_N = batch.positions_MN[0, : extent.tokens]
        utterance_N = (position_N == 0).cumsum(0) - 1
        ids_BL = position_N.new_zeros(extent.utterances, extent.longest)
        ids_BL[utterance_N, position_N] = batch.ids_MN[0, : extent.tokens]
        mask_BL = torch.zeros_like(ids_BL)
        mask_BL[utterance_N, position_N] = 1
        rounds = self._precision != "float32"
        cast = torch.autocast(ids_BL.device.type, DTYPES[self._precision], enabled=rounds)
        with self._mode(adapter, dropout), cast:
            output = functional_call(
                self._module, self._named(weights), (), {"input_ids": ids_BL, "attention_mask": mask_BL}, strict=False
            )
        hidden_NH = output.last_hidden_state.float()[utterance_N, position_N]
        return at_words(hidden_NH.unsqueeze(0), batch.words_MW)

    def rounded(self, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return the weights unchanged: autocast rounds them."""
        return dict(weights)

    def _named(self, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return to_theirs(weights, self._module.config)

    @contextmanager
    def _mode(self, adapter: Adapter | None, dropout: Dropout | None) -> Iterator[None]:
        # Without dropout, switch off the module's own too; LoRA's dropout is drawn here, in the hooks.
        self._module.train(dropout is not None and (dropout.hidden > 0 or dropout.attention > 0))
        self._adapter, self._dropout = adapter, dropout
        try:
            if dropout is None:
                yield
            else:
                with torch.random.fork_rng(devices=[]):
                    torch.manual_seed(dropout.streams[0].seed())
                    yield
        finally:
            self._adapter = self._dropout = None

    def _hook(self, name: str) -> Any:
        def add_delta(_module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
            if self._adapter is None or name not in self._adapter.factors:
                return output
            x_MBLI = inputs[0].unsqueeze(0)
            dropout = self._dropout
            if dropout is not None and dropout.adapter > 0:
                # Not every linear layer reads utterances: DeBERTa's layers also read its table of relative positions.
                mask = draw_mask(tuple(x_MBLI.shape), dropout.adapter, dropout.streams[0], x_MBLI.dtype)
                x_MBLI = x_MBLI * mask.mul_(dropout.adapter_scale)
            return output + self._adapter.delta(name, x_MBLI.flatten(1, -2)).view_as(output)

        return add_delta

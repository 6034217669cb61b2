"""The interface of an encoder for the training loop."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from torch import Tensor

from attrition.encoder.batch import Batch
from attrition.encoder.dropout import Dropout
from attrition.encoder.lora import Adapter


class Backbone(Protocol):
    """An encoder as a function of its weights.

    `linears`: the linear layers that LoRA may adapt, each with `(out, in)`. `populations`: True if several learners may go
    through at once (else M = 1). `multiple`: pad a learner's sub-tokens to a multiple of this number for speed.
    """

    @property
    def hidden_size(self) -> int: ...
    @property
    def linears(self) -> Mapping[str, tuple[int, int]]: ...
    @property
    def populations(self) -> bool: ...
    @property
    def multiple(self) -> int: ...

    def encode(
        self, batch: Batch, weights: Mapping[str, Tensor], adapter: Adapter | None = None, dropout: Dropout | None = None
    ) -> Tensor:
        """Return hidden states of the scored sub-tokens, [M, W, hidden].

        Args:
            batch: M learners' utterances.
            weights: the encoder's parameters by Hugging Face name (the word embeddings in the batch's vocabulary).
            adapter: stacked LoRA factors of the M learners.
            dropout: None for evaluation.
        """
        ...

    def rounded(self, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return frozen weights, rounded in advance if this saves time in each pass."""
        ...


def at_words(hidden_MNH: Tensor, words_MW: Tensor) -> Tensor:
    """Return the hidden states at the scored sub-tokens: [M, N, H] and [M, W] to [M, W, H]."""
    if len(hidden_MNH) == 1:
        return hidden_MNH[0].index_select(0, words_MW[0]).unsqueeze(0)
    return hidden_MNH.gather(1, words_MW.unsqueeze(-1).expand(-1, -1, hidden_MNH.shape[-1]))

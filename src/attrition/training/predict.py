"""The classes that a model gives to every scored sub-token."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as F

from attrition.corpus.encoded import Encoded, gather_ranges, join
from attrition.encoder.batch import assemble
from attrition.training.batches import budget_batches, part
from attrition.training.model import Model, Weights
from attrition.training.score import Counts, count_spans, word_predictions

TOKENS_A_BATCH = 1024


@torch.inference_mode()
def predict(model: Model, weights: Weights, encoded: Encoded, *, tokens_a_batch: int = TOKENS_A_BATCH) -> NDArray[np.int16]:
    """The likeliest class of each sub-token that is scored, int16 [N]; 0 ("O") at all others."""
    predicted_N = np.zeros(encoded.num_tokens, dtype=np.int16)
    for rows in budget_batches(encoded.lengths, tokens_a_batch):
        piece = part(encoded, rows)
        scored = piece.labels >= 0
        if not scored.any():
            continue
        batch = assemble([piece], model.device)
        hidden_WH = model.backbone.encode(batch, weights.encoder)[0]
        classes = F.linear(hidden_WH, weights.head_weight, weights.head_bias).argmax(-1)
        tokens, _ = gather_ranges(encoded.offsets, rows)
        predicted_N[tokens[scored]] = classes.cpu().numpy()
    return predicted_N


def evaluate(model: Model, weights: Weights, encoded: Encoded) -> Counts:
    """Predict a set of utterances and count spans."""
    predicted_W = word_predictions(encoded, predict(model, weights, encoded), model.table)
    return count_spans(encoded.gold, predicted_W, encoded.word_offsets, model.table)


def evaluate_each(model: Model, weights: Weights, sets: Mapping[str, Encoded]) -> dict[str, Counts]:
    """Count spans in several sets of utterances, predicted together so that batches are full."""
    together = join(list(sets.values()))
    predicted_W = word_predictions(together, predict(model, weights, together), model.table)
    counts, word = {}, 0
    for name, encoded in sets.items():
        end = word + len(encoded.gold)
        counts[name] = count_spans(encoded.gold, predicted_W[word:end], encoded.word_offsets, model.table)
        word = end
    return counts

"""The classes that a model gives to every scored sub-token."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as F

from attrition.corpus.encoded import Encoded, gather_ranges, join
from attrition.encoder.batch import Part, assemble
from attrition.training.batches import budget_batches, part
from attrition.training.memory import TOKENS_A_BATCH, Room, if_it_fits
from attrition.training.model import Model, Weights
from attrition.training.score import Counts, count_spans, word_predictions


@torch.inference_mode()
def predict(
    model: Model, weights: Weights, encoded: Encoded, room: Room | None = None, *, tokens_a_batch: int = TOKENS_A_BATCH
) -> NDArray[np.int16]:
    """The likeliest class of each sub-token that is scored, int16 [N]; 0 ("O") at all others.

    Where memory runs out, batches become smaller from there on, and `room` remembers it.

    Raises:
        MemoryError: not even one utterance fits.
    """
    room = room or Room()
    predicted_N = np.zeros(encoded.num_tokens, dtype=np.int16)
    batches = budget_batches(encoded.lengths, min(tokens_a_batch, room.tokens))[::-1]
    while batches:
        rows = batches[-1]
        classes = if_it_fits(partial(_classes, model, weights, part(encoded, rows)))
        if classes is not None:
            tokens, _ = gather_ranges(encoded.offsets, rows)
            predicted_N[tokens[encoded.labels[tokens] >= 0]] = classes
            batches.pop()
            continue
        longest = int(encoded.lengths[rows].max())
        if len(rows) == 1:
            raise MemoryError(f"an utterance of {longest} sub-tokens does not fit")
        room.halve_tokens(len(rows) * longest)
        left = np.concatenate(batches[::-1])
        batches = [left[each] for each in budget_batches(encoded.lengths[left], room.tokens)][::-1]
    return predicted_N


def _classes(model: Model, weights: Weights, piece: Part) -> NDArray[np.int64]:
    """The likeliest class of each sub-token of one batch that is scored."""
    if not (piece.labels >= 0).any():
        return np.zeros(0, np.int64)
    hidden_WH = model.backbone.encode(assemble([piece], model.device), weights.encoder)[0]
    classes: NDArray[np.int64] = F.linear(hidden_WH, weights.head_weight, weights.head_bias).argmax(-1).cpu().numpy()
    return classes


def evaluate(model: Model, weights: Weights, encoded: Encoded, room: Room | None = None) -> Counts:
    """Predict a set of utterances and count spans."""
    predicted_W = word_predictions(encoded, predict(model, weights, encoded, room), model.table)
    return count_spans(encoded.gold, predicted_W, encoded.word_offsets, model.table)


def evaluate_each(model: Model, weights: Weights, sets: Mapping[str, Encoded], room: Room | None = None) -> dict[str, Counts]:
    """Count spans in several sets of utterances, predicted together so that batches are full."""
    together = join(list(sets.values()))
    predicted_W = word_predictions(together, predict(model, weights, together, room), model.table)
    counts, word = {}, 0
    for name, encoded in sets.items():
        end = word + len(encoded.gold)
        counts[name] = count_spans(encoded.gold, predicted_W[word:end], encoded.word_offsets, model.table)
        word = end
    return counts

"""Predicts the class of every scored sub-token.

One model is a whole encoder with a classifier. Learners that share a frozen encoder predict together in one pass; their LoRA
factors are not merged into the weights.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from attrition.corpus.encoded import Encoded, gather_ranges, join
from attrition.encoder.batch import assemble
from attrition.encoder.lora import Adapter
from attrition.problem.base import word_predictions
from attrition.problem.counts import Counts
from attrition.training.batches import next_batch, part
from attrition.training.memory import TOKENS_A_BATCH, Room, if_it_fits
from attrition.training.model import Model, Weights


@dataclass(frozen=True, eq=False)
class StackedWeights:
    """The weights of M learners: a shared encoder, LoRA factors (None: M = 1), classifiers [M, C, H] and [M, C].

    Create it outside inference mode: training reads the same encoder weights.
    """

    encoder: Mapping[str, Tensor]
    adapter: Adapter | None
    head_weight_MCH: Tensor
    head_bias_MC: Tensor

    @staticmethod
    def of_one(weights: Weights) -> StackedWeights:
        """Return the stack of a single model."""
        return StackedWeights(weights.encoder, None, weights.head_weight.unsqueeze(0), weights.head_bias.unsqueeze(0))

    def at(self, rows: Sequence[int]) -> StackedWeights:
        """Return a copy of some learners, or itself for all."""
        if list(rows) == list(range(len(self.head_bias_MC))):
            return self
        assert self.adapter is not None, "a single model has no others"
        index = torch.tensor(rows, device=self.head_bias_MC.device)
        factors = {name: (a[index], b[index]) for name, (a, b) in self.adapter.factors.items()}
        adapter = Adapter(factors, self.adapter.scale_M[index])
        return StackedWeights(self.encoder, adapter, self.head_weight_MCH[index], self.head_bias_MC[index])


def predict(
    model: Model, weights: Weights, encoded: Encoded, room: Room | None = None, *, tokens_a_batch: int = TOKENS_A_BATCH
) -> NDArray[np.int16]:
    """Return the most likely class of each scored sub-token, int16 [N]; 0 ("O") at all others. See `predict_stacked`."""
    return predict_stacked(model, StackedWeights.of_one(weights), [encoded], room, tokens_a_batch=tokens_a_batch)[0]


@torch.inference_mode()
def predict_stacked(
    model: Model,
    stack: StackedWeights,
    sets: Sequence[Encoded],
    room: Room | None = None,
    *,
    tokens_a_batch: int = TOKENS_A_BATCH,
) -> list[NDArray[np.int16]]:
    """Return the predictions of each learner for its own set of utterances, as in `predict`.

    If memory runs out, batches become smaller, and `room` records it.

    Args:
        model: of the study.
        stack: weights of M learners.
        sets: M sets; they may differ in size and be empty.
        room: the known limits of memory.
        tokens_a_batch: sub-tokens, including padding, that are predicted at a time, over all learners.

    Raises:
        MemoryError: not even one utterance fits.
    """
    room = room or Room()
    tokens_a_batch = min(tokens_a_batch, room.tokens)
    predicted = [np.zeros(encoded.num_tokens, dtype=np.int16) for encoded in sets]
    left = [np.argsort(-encoded.lengths, kind="stable") for encoded in sets]
    lengths = [encoded.lengths[rows] for encoded, rows in zip(sets, left, strict=True)]
    while counts := next_batch(lengths, tokens_a_batch):
        batch = {number: left[number][:count] for number, count in counts.items()}
        classes = if_it_fits(partial(_classes, model, stack, sets, batch))
        if classes is None:
            longest = max(int(lengths[number][0]) for number in batch)
            if sum(counts.values()) == 1:
                raise MemoryError(f"an utterance of {longest} sub-tokens does not fit")
            room.halve_tokens(len(counts) * max(counts.values()) * longest)
            tokens_a_batch = room.tokens
            continue
        for (number, rows), found in zip(batch.items(), classes, strict=True):
            tokens, _ = gather_ranges(sets[number].offsets, rows)
            predicted[number][tokens[sets[number].labels[tokens] >= 0]] = found
            left[number], lengths[number] = left[number][len(rows) :], lengths[number][len(rows) :]
    return predicted


def _classes(
    model: Model, stack: StackedWeights, sets: Sequence[Encoded], batch: Mapping[int, NDArray[np.int64]]
) -> list[NDArray[np.int64]]:
    """Return the most likely class of each scored sub-token of a batch; `batch`: rows of utterances by learner."""
    parts = [part(sets[number], rows) for number, rows in batch.items()]
    counts = [int((each.labels >= 0).sum()) for each in parts]
    if not any(counts):
        return [np.zeros(0, np.int64) for _ in parts]
    readers = stack.at(list(batch))
    hidden_MWH = model.backbone.encode(assemble(parts, model.device, model.backbone.multiple), readers.encoder, readers.adapter)
    logits_MWC = torch.baddbmm(readers.head_bias_MC.unsqueeze(1), hidden_MWH, readers.head_weight_MCH.transpose(1, 2))
    classes_MW = logits_MWC.argmax(-1).cpu().numpy()
    return [found[:count] for found, count in zip(classes_MW, counts, strict=True)]


def evaluate(model: Model, weights: Weights, encoded: Encoded, room: Room | None = None) -> Counts:
    """Predict a set of utterances and return the counts of correct and wrong spans."""
    return evaluate_stacked(model, StackedWeights.of_one(weights), [encoded], room)[0]


def evaluate_stacked(model: Model, stack: StackedWeights, sets: Sequence[Encoded], room: Room | None = None) -> list[Counts]:
    """Predict a set of utterances with each learner and return the counts; see `predict_stacked`."""
    counts = []
    for encoded, predicted_N in zip(sets, predict_stacked(model, stack, sets, room), strict=True):
        predicted_W = word_predictions(encoded, predicted_N, model.counter.inside)
        counts.append(model.counter.count(encoded.gold, predicted_W, encoded.word_offsets))
    return counts


def evaluate_each(model: Model, weights: Weights, sets: Mapping[str, Encoded], room: Room | None = None) -> dict[str, Counts]:
    """Return the counts of several sets of utterances, predicted together so that batches are full."""
    together = join(list(sets.values()))
    predicted_W = word_predictions(together, predict(model, weights, together, room), model.counter.inside)
    counts, word = {}, 0
    for name, encoded in sets.items():
        end = word + len(encoded.gold)
        counts[name] = model.counter.count(encoded.gold, predicted_W[word:end], encoded.word_offsets)
        word = end
    return counts

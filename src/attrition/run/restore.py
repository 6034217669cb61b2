"""A stored learner as a vector of today's model."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from attrition.encoder.pretrained import WORD_EMBEDDINGS
from attrition.methods import Full, Trains
from attrition.run.store import KEPT, Store
from attrition.training.model import Model


def restored(store: Store, model: Model, trains: Trains, key: str) -> Tensor:
    """A stored learner's vector [P] in the model's vocabulary: rows that it never looked up are the base's, decayed.

    Raises:
        AttritionError: the stage is missing, damaged, or of a newer format.
    """
    stored = store.load_tensors(key)
    tensors = {name: torch.from_numpy(np.array(array)) for name, array in stored.items() if name != KEPT}
    if isinstance(trains, Full):
        table = model.base[WORD_EMBEDDINGS].cpu() * store.load_history(key).decay
        _, here, there = np.intersect1d(model.vocabulary.kept, stored[KEPT], assume_unique=True, return_indices=True)
        table[torch.from_numpy(here)] = tensors[WORD_EMBEDDINGS][torch.from_numpy(there)]
        tensors[WORD_EMBEDDINGS] = table
    return model.layout(trains).pack(tensors)

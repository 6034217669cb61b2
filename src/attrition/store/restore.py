"""Loads stored learners into the current model."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from attrition.encoder.pretrained import WORD_EMBEDDINGS
from attrition.methods import Full, Trains
from attrition.store.stages import KEPT, Store
from attrition.study.plan import Job, Made
from attrition.training.layout import Layout
from attrition.training.merged import merge
from attrition.training.model import Model


def restored(store: Store, model: Model, trains: Trains, key: str) -> Tensor:
    """Return a stored learner's parameters [P] in the model's vocabulary; unused rows are those of the base, decayed.

    Raises:
        AttritionError: the stage is missing, damaged, or of a newer format.
    """
    stored = store.load_tensors(key)
    tensors = {name: torch.from_numpy(np.array(array)) for name, array in stored.items() if not is_beside(name)}
    if trains.adapter is None:
        table = model.base[WORD_EMBEDDINGS].cpu() * store.load_history(key).decay
        _, here, there = np.intersect1d(model.vocabulary.kept, stored[KEPT], assume_unique=True, return_indices=True)
        table[torch.from_numpy(here)] = tensors[WORD_EMBEDDINGS][torch.from_numpy(there)]
        tensors[WORD_EMBEDDINGS] = table
    return model.layout(trains).pack(tensors)


def left_by_hooks(store: Store, model: Model, trains: Trains, key: str) -> dict[str, Tensor]:
    """Return the tensors that the hooks of a stored stage saved, as "<hook>.<name>".

    Vectors [P] of the whole encoder are mapped to the model's vocabulary; rows that the stage did not have are zero.

    Raises:
        AttritionError: the stage is missing, damaged, or of a newer format.
    """
    stored = store.load_tensors(key)
    left = {name.removeprefix(HOOK): torch.from_numpy(np.array(stored[name])) for name in stored if name.startswith(HOOK)}
    if trains.adapter is not None or not left:
        return left
    shapes = model.shapes(trains)
    before = Layout.of({**shapes, WORD_EMBEDDINGS: (len(stored[KEPT]), *shapes[WORD_EMBEDDINGS][1:])})
    _, here, there = np.intersect1d(model.vocabulary.kept, stored[KEPT], assume_unique=True, return_indices=True)

    def moved(vector: Tensor) -> Tensor:
        if vector.shape != (before.size,):
            return vector
        tensors = before.unpack(vector)
        table = vector.new_zeros(shapes[WORD_EMBEDDINGS])
        table[torch.from_numpy(here)] = tensors[WORD_EMBEDDINGS][torch.from_numpy(there)]
        return model.layout(trains).pack({**tensors, WORD_EMBEDDINGS: table})

    return {name: moved(tensor) for name, tensor in left.items()}


def made_model(store: Store, model: Model, made: Made) -> tuple[Trains, Tensor]:
    """Return the trained part and the parameters [P] of a step: a stored learner or a merge of stored learners.

    Raises:
        AttritionError: a stage is missing, damaged, or of a newer format.
    """
    if isinstance(made, Job):
        trains = made.choice.method.trains
        return trains, restored(store, model, trains, made.key)
    flats = [restored(store, model, made.trains, key) for key in made.inputs]
    return Full(), merge(model, made.trains, flats, made.languages, made.how)


HOOK = "hook."
"""Prefix of tensors that hooks save for the next stage: "hook.<hook>.<name>"."""


def is_beside(name: str) -> bool:
    """Return whether a stored tensor is something other than a weight."""
    return name == KEPT or name.startswith(HOOK)

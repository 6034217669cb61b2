"""Full fine-tuning of the word embeddings that a stage reads, and of no others.

A row of the word embeddings that no utterance of the stage looks up has gradient 0 at every step. AdamW leaves its moments at 0
and multiplies it by 1 - lr_t * weight_decay (Loshchilov and Hutter 2019, Algorithm 2). The product of these factors is known
beforehand. So such rows stay out of the optimiser, the gradient and checkpoints, and are multiplied once at the end: the same
numbers but for the rounding of that product. In a study of 52 languages they are nine rows of ten.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from attrition.corpus.encoded import Encoded
from attrition.encoder.pretrained import WORD_EMBEDDINGS
from attrition.encoder.vocabulary import Vocabulary
from attrition.training.learner import Finished, Task
from attrition.training.model import Model


@dataclass(frozen=True, eq=False)
class RowsInUse:
    """A task that trains the whole encoder, over the rows of word embeddings that its utterances look up.

    Attributes:
        given: the task, whose vectors hold the rows of all sub-tokens of `model`.
        model: of the study.
        rows_R: the rows in use, ascending.
    """

    given: Task
    model: Model
    rows_R: NDArray[np.int64]

    @property
    def task(self) -> Task:
        """Return the same task in the ids of `narrow`."""
        return dataclasses.replace(
            self.given, start=self._start, train=self._renumbered(self.given.train), dev=self._renumbered(self.given.dev)
        )

    @cached_property
    def narrow(self) -> Model:
        """Return the model with the rows in use alone."""
        base, vocabulary = self.model.base, self.model.vocabulary
        return dataclasses.replace(
            self.model,
            base={**base, WORD_EMBEDDINGS: base[WORD_EMBEDDINGS][torch.from_numpy(self.rows_R)]},
            vocabulary=Vocabulary(vocabulary.kept[self.rows_R], vocabulary.full_size),
        )

    def widened(self, finished: Finished) -> Finished:
        """Return what training left, with the rows that were not in use: as they began, times the decay."""
        trains = self.given.trains
        tensors = self.narrow.layout(trains).unpack(finished.flat)
        layout = self.model.layout(trains)
        flat_P = self.given.start()
        all_rows = layout.unpack(flat_P)[WORD_EMBEDDINGS]
        all_rows.mul_(finished.untouched)
        all_rows[torch.from_numpy(self.rows_R)] = tensors[WORD_EMBEDDINGS].cpu()
        widened_P = layout.pack({**tensors, WORD_EMBEDDINGS: all_rows})
        return dataclasses.replace(finished, task=self.given, flat=widened_P)

    def _start(self) -> Tensor:
        tensors = self.model.layout(self.given.trains).unpack(self.given.start())
        rows = tensors[WORD_EMBEDDINGS][torch.from_numpy(self.rows_R)]
        return self.narrow.layout(self.given.trains).pack({**tensors, WORD_EMBEDDINGS: rows})

    def _renumbered(self, encoded: Encoded) -> Encoded:
        return dataclasses.replace(encoded, ids=np.searchsorted(self.rows_R, encoded.ids).astype(np.int32))


def rows_in_use(tasks: Sequence[Task], model: Model) -> RowsInUse | None:
    """Return the one task over the rows that it reads; None if it reads all, or must train all.

    Adapters train no rows. Hooks may look at all parameters and change them. An architecture that runs as its own module has
    a table of embeddings of fixed size.
    """
    task = tasks[0]
    if len(tasks) > 1 or task.trains.adapter is not None or task.hooks or not model.backbone.populations:
        return None
    rows_R = np.unique(np.concatenate([task.train.ids, task.dev.ids])).astype(np.int64)
    return RowsInUse(task, model, rows_R) if len(rows_R) < len(model.vocabulary) else None

"""Unused rows of word embeddings, compared with torch.optim.AdamW on the whole table."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
import torch

from attrition.encoder.pretrained import WORD_EMBEDDINGS
from attrition.methods import Full, LoRA
from attrition.methods.ewc import EWC
from attrition.training import train as training
from attrition.training.clock import Clock
from attrition.training.embedding_rows import rows_in_use
from attrition.training.settings import TrainingSettings
from attrition.training.train import Finished, Task, train_population

SETTINGS = TrainingSettings(
    epochs=3, batch_size=8, learning_rate=1e-2, head_learning_rate=2e-2, weight_decay=0.1, warmup=0.2, dropout=0.1
)


def task_of(model: Any, make_encoded: Any, settings: TrainingSettings = SETTINGS) -> Task:
    return Task(
        "mine", Full(), lambda: model.start(Full(), "mine"), make_encoded(30), make_encoded(7, seed=1), settings, ("mine",)
    )


def trained(task: Task, model: Any) -> Finished:
    (finished,) = train_population([task], model, Clock())
    return finished


@pytest.mark.parametrize("keep", ["last", "best"])
def test_the_whole_table_trained_gives_the_same(
    keep: Any, make_model: Any, make_encoded: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The reference trains all rows with torch's AdamW; only the rounding of the decays' product may differ."""
    model = make_model()
    task = task_of(model, make_encoded, dataclasses.replace(SETTINGS, keep=keep))
    ours = trained(task, model)
    monkeypatch.setattr(training, "rows_in_use", lambda tasks, model: None)
    whole = trained(task, model)
    assert ours.kept_epoch == whole.kept_epoch
    assert ours.task is task
    assert 0 < ours.untouched == whole.untouched < 1
    torch.testing.assert_close(ours.flat, whole.flat, rtol=3e-6, atol=1e-7)
    unread = np.setdiff1d(np.arange(len(model.vocabulary)), np.concatenate([task.train.ids, task.dev.ids]))
    assert len(unread) > 10
    before, after = (model.layout(Full()).unpack(flat)[WORD_EMBEDDINGS][unread] for flat in (task.start(), ours.flat))
    assert not torch.equal(before, after), "a row that is not read decays all the same"


def test_who_trains_all_rows(make_model: Any, make_encoded: Any) -> None:
    model = make_model()
    task = task_of(model, make_encoded)
    used = rows_in_use([task], model)
    assert used is not None
    assert np.array_equal(used.narrow.vocabulary.kept[used.task.train.ids], model.vocabulary.kept[task.train.ids])
    assert used.task.start().numel() < task.start().numel()
    assert rows_in_use([dataclasses.replace(task, trains=LoRA(rank=2))], model) is None
    assert rows_in_use([dataclasses.replace(task, hooks=(EWC(),))], model) is None
    assert rows_in_use([used.task], used.narrow) is None, "it reads all its rows"

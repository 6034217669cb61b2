"""A tagger as `transformers` saves it, and an adapter over it, both tiny and random."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from attrition.encoder.sources import load_pretrained
from attrition.encoder.vocabulary import whole_vocabulary
from attrition.export.formats import export_model
from attrition.methods import Full, LoRA, Trains
from attrition.training.model import build_model

LABELS = ("O", "B-PER", "I-PER", "B-time", "I-time")


def saved(folder: Path, name: str, trains: Trains, labels: tuple[str, ...] = LABELS, seed: int = 0) -> Path:
    """A random model of these labels, written as other programs read it."""
    base = load_pretrained(name)
    model = build_model(base, whole_vocabulary(base.vocabulary_size), labels)
    flat = model.start(trains, seed)
    flat += 0.3 * torch.randn(flat.shape, generator=torch.Generator().manual_seed(seed))
    export_model(folder, model, trains, flat)
    return folder


@pytest.fixture(scope="session")
def save() -> Callable[..., Path]:
    """`saved`, for tests with labels of their own."""
    return saved


@pytest.fixture(scope="session")
def tagger(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return saved(tmp_path_factory.mktemp("ship") / "tagger", "tiny:xlm-roberta", Full())


@pytest.fixture(scope="session")
def adapter(tagger: Path) -> Path:
    """One with a class that its base does not have."""
    return saved(tagger.parent / "adapter", f"hub:{tagger}", LoRA(rank=2), (*LABELS, "B-PLACE", "I-PLACE"), seed=1)

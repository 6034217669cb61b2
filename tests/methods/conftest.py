"""Stages for hooks, without a model."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from attrition.corpus.encoded import Encoded, EncodingSettings, encode_utterances
from attrition.corpus.memory import tagged
from attrition.encoder.sources import load_pretrained
from attrition.methods.hook import Stage


def utterances(count: int, of: str) -> Encoded:
    """As many utterances, all different, which say of which set they are."""
    words = [[of, *str(number)] for number in range(count)]
    return encode_utterances(
        [tagged(each, ["O"] * len(each)) for each in words],
        load_pretrained("tiny:bert").tokenizer,
        slots=(),
        cut="blanks",
        settings=EncodingSettings(),
    )


@pytest.fixture(scope="session")
def make_utterances() -> Callable[[int, str], Encoded]:
    return utterances


@pytest.fixture(scope="session")
def stage_of() -> Callable[..., Stage]:
    """A stage of a learner that has learned `earlier`, in languages called 0, 1, ..."""

    def make(
        train: Encoded, earlier: Sequence[Encoded] = (), start: Tensor | None = None,
        memory: Mapping[str, Tensor] | None = None, gradient: Any = None, batch_size: int = 8, seed: int = 0,
    ) -> Stage:  # fmt: skip
        chain = tuple((str(number),) for number in range(len(earlier) + 1))
        begins = torch.zeros(3) if start is None else start

        def reader(encoded: Encoded) -> Callable[[], Encoded]:
            return lambda: encoded

        return Stage(
            seed=(seed, *chain),
            chain=chain,
            train=train,
            earlier=tuple(reader(each) for each in earlier),
            batch_size=batch_size,
            total_steps=100,
            start_P=lambda: begins.clone(),
            memory=memory or {},
            unpack=lambda flat_P: {"w": flat_P},
            gradient=gradient,
        )

    return make


@pytest.fixture(scope="session")
def texts() -> Callable[[Encoded], list[tuple[int, ...]]]:
    """The sub-tokens of each utterance."""

    def of(encoded: Encoded) -> list[tuple[int, ...]]:
        return [tuple(each.tolist()) for each in np.split(encoded.ids, encoded.offsets[1:-1])]

    return of

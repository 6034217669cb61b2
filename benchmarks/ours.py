"""Our side: the calls that the program itself makes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from torch import Tensor

from attrition.corpus.encoded import Encoded
from attrition.methods import Trains
from attrition.problem.counts import Counts
from attrition.training.clock import Clock
from attrition.training.model import Model
from attrition.training.predict import evaluate_each
from attrition.training.settings import TrainingSettings
from attrition.training.train import Finished, Task, train_population


def train(
    model: Model,
    trains: Trains,
    utterances: Sequence[Encoded],
    starts: Sequence[Callable[[], Tensor]],
    settings: TrainingSettings,
    *,
    seed: int = 0,
    clock: Clock | None = None,
) -> list[Finished]:
    """Train one learner on each set of utterances, side by side, without dev utterances."""
    tasks = [
        Task(str(number), trains, start, each, each.select(np.arange(0)), settings, ("benchmark", seed, number))
        for number, (each, start) in enumerate(zip(utterances, starts, strict=True))
    ]
    return list(train_population(tasks, model, clock or Clock()))


def evaluate(model: Model, trains: Trains, flat_P: Tensor, tests: Mapping[str, Encoded]) -> dict[str, Counts]:
    """Merge, predict and score, as after a stage."""
    return evaluate_each(model, model.weights(trains, flat_P.to(model.device)), tests)

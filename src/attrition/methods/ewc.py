"""Online elastic weight consolidation: a penalty on changes of parameters that matter for earlier languages."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np
from pydantic import Field

from attrition.methods.hook import Cost, Hook, Rows, Stage, Work
from attrition.streams import numpy_stream, torch_stream

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Generator, Tensor


class EWC(Hook):
    """Online EWC: adds `strength` / 2 * sum_i F_i (w_i - w*_i)^2 to the loss; w* are the weights of the previous stage.

    F is the diagonal of the Fisher information. One stage gives the mean over its utterances of the squared gradient of an
    utterance's summed log likelihood. It accumulates as F <- `decay` * F + F of the stage. With `estimator = "sampled"` labels
    are drawn from the model's predictions, which gives the Fisher information; with "observed" they are the gold labels
    (empirical Fisher). The gradient of the penalty, `strength` * F_i (w_i - w*_i), is added before clipping.

    Kirkpatrick et al. (2017), Overcoming catastrophic forgetting in neural networks, equation 3; Schwarz et al. (2018),
    Progress and Compress, equation 9; Kunstner et al. (2019) on the two estimators.
    """

    name: ClassVar[str] = "ewc"
    first_stage: ClassVar[bool] = True  # the Fisher information of the first stage is stored with it
    populations: ClassVar[bool] = False
    strength: float = Field(default=100.0, gt=0, description="Weight of the quadratic term.")
    decay: float = Field(default=0.95, ge=0, le=1, description="Factor of the earlier Fisher information at each stage.")
    estimator: Literal["sampled", "observed"] = Field(default="sampled", description="Source of the labels for the gradients.")
    utterances: int = Field(default=200, ge=1, description="Largest number of random utterances for the estimate of F.")

    def cost(self) -> Cost:
        return Cost(vectors=3, utterances=self.utterances)

    def begin(self, stage: Stage) -> Work:
        return _EWC(self, stage)


class _EWC(Work):
    def __init__(self, settings: EWC, stage: Stage) -> None:
        self._settings, self._stage = settings, stage
        self._fisher_P = stage.memory.get("fisher")
        self._anchor_P = None if self._fisher_P is None else stage.start_P()

    def gradient(self, step: int, flat_P: Tensor, grad_P: Tensor) -> None:
        if self._fisher_P is None or self._anchor_P is None:
            return
        if self._fisher_P.device != grad_P.device:
            self._fisher_P, self._anchor_P = self._fisher_P.to(grad_P.device), self._anchor_P.to(grad_P.device)
        grad_P.addcmul_(self._fisher_P, flat_P - self._anchor_P, value=self._settings.strength)

    def memory(self, flat_P: Tensor) -> Mapping[str, Tensor]:
        stage, settings = self._stage, self._settings
        generator = torch_stream("fisher", *stage.seed) if settings.estimator == "sampled" else None
        order = numpy_stream("fisher utterances", *stage.seed).permutation(len(stage.train))
        rows = np.sort(order[: settings.utterances])
        fisher_P = sum_of_squares(stage, flat_P, rows, generator) / len(rows)
        if self._fisher_P is not None:
            fisher_P += settings.decay * self._fisher_P.to(fisher_P.device)
        return {"fisher": fisher_P.cpu()}


def sum_of_squares(stage: Stage, flat_P: Tensor, rows: NDArray[np.int64], generator: Generator | None) -> Tensor:
    """Return the sum over utterances of their squared gradients, [P]."""
    total_P = flat_P.new_zeros(flat_P.shape)
    for row in rows:
        gradient_P = stage.gradient(flat_P, Rows(stage.train, np.array([row])), generator)
        total_P.addcmul_(gradient_P, gradient_P)
    return total_P

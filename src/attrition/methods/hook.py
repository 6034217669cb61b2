"""Hooks: additions of a method to the training loop.

A `Hook` is a frozen table of settings, as in the study file. At the start of every stage it makes a `Work`, which the loop
calls at every step. A new hook is one file: a subclass of each, and an entry in the table of methods.

Shape letters: P parameters of a learner.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, NamedTuple

from pydantic import BaseModel, ConfigDict

if TYPE_CHECKING:  # a list of methods must not wait for torch
    import numpy as np
    from numpy.typing import NDArray
    from torch import Generator, Tensor

    from attrition.corpus.encoded import Encoded
    from attrition.streams import Part


class Cost(NamedTuple):
    """The cost of a hook in addition to plain training.

    `vectors`: number of additional vectors [P] in memory. `share`: additional training utterances, as a share of the stage's
    own. `utterances`: largest number of the stage's utterances that need one more forward and backward pass.
    """

    vectors: int = 0
    share: float = 0.0
    utterances: int = 0


class Rows(NamedTuple):
    """Some utterances of a set."""

    encoded: Encoded
    rows: NDArray[np.int64]


Gradient = Callable[["Tensor", Rows, "Generator | None"], "Tensor"]


@dataclass(frozen=True, eq=False)
class Stage:
    """The facts that a hook gets at the start of a stage.

    Attributes:
        seed: names the random streams of this stage; use it in the name of every stream.
        chain: the languages of all stages of this learner so far, this one last.
        train: the utterances of this stage.
        earlier: the utterances of each earlier stage, in order; read them only if needed.
        batch_size: utterances in a step.
        total_steps: of this stage, if it does not stop early.
        start_P: the initial parameters of the stage.
        memory: the tensors that this hook saved at the end of the previous stage; empty in the first stage, or if it was not
        active.
        unpack: returns a vector of parameters as tensors by name, which are views of it.
        gradient: returns the gradient of the summed loss over some utterances at given parameters, [P], without dropout. With a
            generator the labels are drawn from the model's own predictions; without it they are the gold labels.
    """

    seed: tuple[Part, ...]
    chain: tuple[tuple[str, ...], ...]
    train: Encoded
    earlier: Sequence[Callable[[], Encoded]]
    batch_size: int
    total_steps: int
    start_P: Callable[[], Tensor]
    memory: Mapping[str, Tensor]
    unpack: Callable[[Tensor], Mapping[str, Tensor]]
    gradient: Gradient

    @property
    def number(self) -> int:
        """Return the number of earlier stages of this learner."""
        return max(0, len(self.chain) - 1)


class Work:
    """An active hook in one stage of one learner. All methods are optional.

    For one step, `extra` and `loss` may be called several times, if memory runs out or batches are split: they must not change
    any state. `gradient` is called once in each step. `rate` must depend only on the step. All tensors have the learner's own
    shapes, also in a population.
    """

    def extra(self, step: int) -> Rows | None:
        """Return utterances to add to the batch of a step, counted from 0 in each stage."""
        return None

    def loss(self, step: int, tensors: Mapping[str, Tensor]) -> Tensor | None:
        """Return a term to add to the loss, from the parameters by name; autograd computes its gradient."""
        return None

    def gradient(self, step: int, flat_P: Tensor, grad_P: Tensor) -> None:
        """Change the gradient in place, before clipping."""

    def rate(self, step: int) -> float:
        """Return the factor of the learning rates."""
        return 1.0

    def after(self, flat_P: Tensor) -> Tensor:
        """Return the final parameters of the stage, from the parameters at the end of training."""
        return flat_P

    def untouched(self, factor: float) -> float:
        """Return the factor of the whole stage for a parameter without gradient, if training multiplies it by `factor`.

        Weight decay gives unused embeddings such a factor. If you override `after`, override this method too.
        """
        return factor

    def memory(self, flat_P: Tensor) -> Mapping[str, Tensor]:
        """Return the tensors for the hook at the next stage; they are stored with this stage's weights, `flat_P`.

        If the encoder's vocabulary grows before then, vectors [P] get zeros for the new embeddings.
        """
        return {}

    def state(self) -> Mapping[str, Tensor]:
        """Return all state that changed since the start of the stage; it is stored in checkpoints."""
        return {}

    def go_on(self, state: Mapping[str, Tensor]) -> None:
        """Restore `state`."""


class Hook(BaseModel):
    """The settings of a hook, and its properties before it is active.

    Attributes:
        name: of its table in a study file.
        first_stage: True if it acts in a learner's first stage; otherwise that stage is plain training.
        populations: True if learners with it can train side by side.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    name: ClassVar[str]
    first_stage: ClassVar[bool] = False
    populations: ClassVar[bool] = True

    def cost(self) -> Cost:
        """Return its cost in addition to plain training."""
        return Cost()

    @abstractmethod
    def begin(self, stage: Stage) -> Work:
        """Return the active hook of a stage."""

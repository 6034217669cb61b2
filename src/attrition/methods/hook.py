"""Hooks: what a method adds to the one training loop.

A `Hook` is a frozen table of settings, as the study file gives them. At the beginning of every stage it makes a `Work`, which
the loop asks at every step. A new hook is one file: a subclass of each, and an entry in the table of methods.

Shape letters: P parameters of a learner.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, NamedTuple

from pydantic import BaseModel, ConfigDict

if TYPE_CHECKING:  # a list of methods need not wait for torch
    import numpy as np
    from numpy.typing import NDArray
    from torch import Generator, Tensor

    from attrition.corpus.encoded import Encoded
    from attrition.streams import Part


class Cost(NamedTuple):
    """What a hook costs beside plain training.

    `vectors` is how many more vectors [P] are held in memory; `share` how many more utterances are trained on, as a share of
    the stage's own; `utterances` how many of the stage's utterances, at most, are passed forwards and backwards once more.
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
    """What a hook knows of the stage that begins.

    Attributes:
        seed: names the random streams of this stage; draw from streams called by it.
        chain: the languages of all stages of this learner so far, this one last.
        train: the utterances of this stage.
        earlier: those of each stage before it, the first one first; read them only if they are needed.
        batch_size: utterances in a step.
        total_steps: of this stage, if it does not stop early.
        start_P: the parameters that the stage starts from.
        memory: what this hook left at the end of the stage before; empty in the first, and where it was not at work.
        unpack: a vector of parameters as tensors by name, which are views of it.
        gradient: the gradient of the summed loss over some utterances at given parameters, [P], without dropout. With a
            generator the labels are drawn from the model's own predictions; without, they are those of the data.
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
        """Stages of this learner before this one."""
        return max(0, len(self.chain) - 1)


class Work:
    """A hook at work in one stage of one learner. Every method may be overridden; none needs to be.

    `extra` and `loss` may be asked several times for one step, where memory runs out or batches are cut into pieces: they must
    not change anything. `gradient` is called once a step. `rate` must depend on the step alone. All tensors are of the
    learner's own shapes, whoever trains beside it.
    """

    def extra(self, step: int) -> Rows | None:
        """Utterances to add to the batch of a step, counted from 0 in each stage."""
        return None

    def loss(self, step: int, tensors: Mapping[str, Tensor]) -> Tensor | None:
        """A term to add to the loss, from the parameters by name; its gradient is taken."""
        return None

    def gradient(self, step: int, flat_P: Tensor, grad_P: Tensor) -> None:
        """Change the gradient in place, before it is clipped."""

    def rate(self, step: int) -> float:
        """What the learning rates are multiplied by."""
        return 1.0

    def after(self, flat_P: Tensor) -> Tensor:
        """The parameters that the stage ends with, from those that training ended with."""
        return flat_P

    def untouched(self, factor: float) -> float:
        """By what the whole stage multiplies a parameter that has no gradient, if training multiplies it by `factor`.

        Weight decay makes such a factor of embeddings that are never looked up. Whoever overrides `after` says it here.
        """
        return factor

    def memory(self, flat_P: Tensor) -> Mapping[str, Tensor]:
        """What the hook is to be given at the next stage: stored with this one's weights, which are `flat_P`.

        Should the encoder's vocabulary grow until then, vectors [P] get zeros for the embeddings that are new.
        """
        return {}

    def state(self) -> Mapping[str, Tensor]:
        """All that has changed in this object since the stage began; kept in checkpoints."""
        return {}

    def go_on(self, state: Mapping[str, Tensor]) -> None:
        """Be where `state` was."""


class Hook(BaseModel):
    """The settings of a hook, and what is known of it before it is at work.

    Attributes:
        name: of the table of settings in a study file.
        first_stage: whether it does something in a learner's first stage; if not, that stage is one with plain training.
        populations: whether learners with it can train side by side.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    name: ClassVar[str]
    first_stage: ClassVar[bool] = False
    populations: ClassVar[bool] = True

    def cost(self) -> Cost:
        """What it costs beside plain training."""
        return Cost()

    @abstractmethod
    def begin(self, stage: Stage) -> Work:
        """The hook at work in a stage."""

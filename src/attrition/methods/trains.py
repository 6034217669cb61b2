"""The parameters that a method trains: the whole encoder, or LoRA over a frozen encoder. The classifier is always trained."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from attrition.names import AttritionError


@dataclass(frozen=True)
class Full:
    """Every parameter of the encoder."""

    kind: ClassVar[str] = "full"
    adapter: ClassVar[None] = None
    dropout: ClassVar[float] = 0.0


@dataclass(frozen=True)
class LoRA:
    """Low-rank factors on linear layers (Hu et al. 2021); `alpha` defaults to the rank, as in the paper.

    `targets` are ends of layer names, as in PEFT; "all-linear" means every linear layer of the encoder's layers.

    >>> LoRA(rank=64).scale
    1.0
    """

    rank: int = 32
    alpha: float | None = None
    dropout: float = 0.1
    targets: tuple[str, ...] = ("all-linear",)
    kind: ClassVar[str] = "lora"

    def __post_init__(self) -> None:
        if self.rank < 1:
            raise AttritionError(f"LoRA rank {self.rank} is not allowed: give a whole number of at least 1.")
        if not 0 <= self.dropout < 1:
            raise AttritionError(f"LoRA dropout {self.dropout} is not allowed: give a number from 0 up to, not including, 1.")
        if self.alpha is not None and self.alpha <= 0:
            raise AttritionError(
                f"LoRA alpha {self.alpha} is not allowed: give a positive number, or leave it out for the rank."
            )
        if not self.targets:
            raise AttritionError("LoRA needs at least one target: leave `targets` out for all linear layers.")

    @property
    def adapter(self) -> LoRA:
        """Return these factors: the trained parameters besides the classifier."""
        return self

    @property
    def effective_alpha(self) -> float:
        """Return `alpha`, or the rank if `alpha` is not given."""
        return float(self.rank if self.alpha is None else self.alpha)

    @property
    def scale(self) -> float:
        """Return alpha / rank, the factor of `B A x`."""
        return self.effective_alpha / self.rank


Trains = Full | LoRA

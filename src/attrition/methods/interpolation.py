"""Interpolation of the weights before and after a stage."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from attrition.methods.hook import Cost, Hook, Stage, Work

if TYPE_CHECKING:
    from torch import Tensor


class Interpolation(Hook):
    """A stage ends with (1 - `weight`) * w0 + `weight` * w: w0 are its initial weights, w its trained weights.

    With LoRA the factors A and B are interpolated, not their product. The first stage does not change. Wortsman et al. (2022),
    Robust fine-tuning of zero-shot models (WiSE-FT), between the weights before and after fine-tuning.
    """

    name: ClassVar[str] = "interpolation"
    weight: float = Field(default=0.5, ge=0, le=1, description="Share of the trained weights.")

    def cost(self) -> Cost:
        return Cost(vectors=1)

    def begin(self, stage: Stage) -> Work:
        return _Interpolation(self.weight, stage) if stage.number else Work()


class _Interpolation(Work):
    def __init__(self, weight: float, stage: Stage) -> None:
        self._weight, self._stage = weight, stage

    def after(self, flat_P: Tensor) -> Tensor:
        return self._stage.start_P().to(flat_P.device).lerp(flat_P, self._weight)

    def untouched(self, factor: float) -> float:
        return 1 - self._weight + self._weight * factor

"""A learning rate that falls from language to language."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from attrition.methods.hook import Hook, Stage, Work


class RateDecay(Hook):
    """Learning rates fall from stage to stage: in a learner's stage s, from 0, they are the set rates times `factor` ** s.

    They do not fall below `floor` times the set rates. Winata et al. (2023), Overcoming Catastrophic Forgetting in Massively
    Multilingual Continual Learning (LR ADJUST, which multiplies the learning rate by a factor at each new language).
    """

    name: ClassVar[str] = "rate_decay"
    factor: float = Field(default=0.9, gt=0, le=1, description="Factor of the rates at each further stage.")
    floor: float = Field(default=0.0, ge=0, le=1, description="Smallest share of the set rates.")

    def begin(self, stage: Stage) -> Work:
        return _RateDecay(max(self.floor, self.factor**stage.number))


class _RateDecay(Work):
    def __init__(self, factor: float) -> None:
        self._factor = factor

    def rate(self, step: int) -> float:
        return self._factor

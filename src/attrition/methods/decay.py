"""Slower learning from language to language."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from attrition.methods.hook import Hook, Stage, Work


class RateDecay(Hook):
    """Learning rates fall from stage to stage: in a learner's stage number s, from 0, they are `factor` ** s of what is set.

    They do not fall below `floor` of it. Winata et al. (2023), Overcoming Catastrophic Forgetting in Massively Multilingual
    Continual Learning (LR ADJUST, which multiplies the learning rate by a factor at each new language).
    """

    name: ClassVar[str] = "rate_decay"
    factor: float = Field(default=0.9, gt=0, le=1, description="What the rates are multiplied by at each further stage.")
    floor: float = Field(default=0.0, ge=0, le=1, description="Share of the set rates below which they do not fall.")

    def begin(self, stage: Stage) -> Work:
        return _RateDecay(max(self.floor, self.factor**stage.number))


class _RateDecay(Work):
    def __init__(self, factor: float) -> None:
        self._factor = factor

    def rate(self, step: int) -> float:
        return self._factor

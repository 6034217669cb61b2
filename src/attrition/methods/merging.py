"""Merge several models into one without training.

Every model is the encoder plus a difference (its task vector), and a classifier. Differences are merged tensor by tensor.
Classifiers are averaged, because they have no common start.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import BaseModel, ConfigDict, Field

if TYPE_CHECKING:
    from torch import Tensor


class Merging(BaseModel):
    """A way to merge models."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    name: ClassVar[str]

    def merge(self, differences: Sequence[Tensor], languages: Sequence[str]) -> Tensor:
        """Return the merged difference of one tensor from the base; `differences` are in the order of `languages`."""
        raise NotImplementedError

    def shares(self, languages: Sequence[str]) -> list[float]:
        """Return the share of each model in a mean; they sum to 1."""
        return [1 / len(languages)] * len(languages)

    def factors(self, languages: Sequence[str]) -> list[float] | None:
        """Return the factor of each difference if `merge` is their weighted sum; None if it is another function."""
        return None


class Mean(Merging):
    """The mean of all models, times `scale`: w = w0 + scale * sum_k (w_k - w0) / n.

    With `scale` = n this is task arithmetic (Ilharco et al. 2023); with 1, model averaging (Wortsman et al. 2022). `weights`
    changes the shares of languages: weight / sum of weights; a language without a weight has 1.
    """

    name: ClassVar[str] = "mean"
    scale: float = Field(default=1.0, gt=0, description="Factor of the mean difference.")
    weights: Mapping[str, Annotated[float, Field(gt=0)]] = Field(
        default_factory=dict, description="Weight of each language; 1 if not named."
    )

    def shares(self, languages: Sequence[str]) -> list[float]:
        given = [self.weights.get(language, 1.0) for language in languages]
        return [each / sum(given) for each in given]

    def factors(self, languages: Sequence[str]) -> list[float]:
        return [self.scale * share for share in self.shares(languages)]

    def merge(self, differences: Sequence[Tensor], languages: Sequence[str]) -> Tensor:
        total = differences[0].new_zeros(differences[0].shape)
        for share, difference in zip(self.shares(languages), differences, strict=True):
            total.add_(difference, alpha=share)
        return total.mul_(self.scale)


class Ties(Merging):
    """TIES: trim, elect a sign, and average the values with this sign (Yadav et al. 2023, Algorithm 1).

    Each tensor of each model keeps its `density` largest differences. At each parameter the sign of their sum is elected. The
    mean of the differences with this sign, times `scale`, is added to the base. Trimming is by tensor, as in PEFT.
    """

    name: ClassVar[str] = "ties"
    density: float = Field(default=0.2, gt=0, le=1, description="Share of each tensor's differences to keep.")
    scale: float = Field(default=1.0, gt=0, description="Factor of the merged difference.")

    def merge(self, differences: Sequence[Tensor], languages: Sequence[str]) -> Tensor:
        import torch

        trimmed = torch.stack([_largest(each, self.density) for each in differences])
        sign = torch.sign(trimmed.sum(0))
        agrees = (torch.sign(trimmed) == sign) & (trimmed != 0)
        return (trimmed * agrees).sum(0) / agrees.sum(0).clamp(min=1) * self.scale


def _largest(difference: Tensor, density: float) -> Tensor:
    """Return the given share of a tensor's numbers, those with the largest magnitude; the others are 0."""
    import torch

    count = int(density * difference.numel())
    flat = difference.flatten()
    kept = torch.zeros_like(flat)
    at = flat.abs().topk(count).indices
    kept[at] = flat[at]
    return kept.view_as(difference)


MERGING = {each.name: each for each in (Mean, Ties)}

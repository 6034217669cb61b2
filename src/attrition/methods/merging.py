"""One model made of several without training.

Every model is the encoder plus a difference (its task vector), and a classifier. Differences are merged tensor by tensor;
classifiers, which start from no common point, are averaged as they are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import BaseModel, ConfigDict, Field

if TYPE_CHECKING:
    from torch import Tensor


class Merging(BaseModel):
    """How models become one."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    name: ClassVar[str]

    def merge(self, differences: Sequence[Tensor], languages: Sequence[str]) -> Tensor:
        """One tensor's difference from the base, of the differences of several models in the order of `languages`."""
        raise NotImplementedError

    def shares(self, languages: Sequence[str]) -> list[float]:
        """What part each model has in a mean; they sum to 1."""
        return [1 / len(languages)] * len(languages)

    def factors(self, languages: Sequence[str]) -> list[float] | None:
        """What each difference is multiplied by where `merge` is their weighted sum; None where it is another function."""
        return None


class Mean(Merging):
    """The mean of all models, times `scale`: w = w0 + scale * sum_k (w_k - w0) / n.

    With `scale` = n this is task arithmetic (Ilharco et al. 2023); with 1, model averaging (Wortsman et al. 2022). `weights`
    gives languages a part of their own: their shares are weights / sum of weights, 1 for a language that is not named.
    """

    name: ClassVar[str] = "mean"
    scale: float = Field(default=1.0, gt=0, description="What the mean difference is multiplied by.")
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
    """TIES: trim, elect a sign, and average what agrees with it (Yadav et al. 2023, Algorithm 1).

    Of each model the `density` largest differences of each tensor are kept; at each parameter the sign of their sum is elected;
    the mean of the differences of that sign, times `scale`, is added to the base. Trimming is by tensor, as in PEFT.
    """

    name: ClassVar[str] = "ties"
    density: float = Field(default=0.2, gt=0, le=1, description="Share of each tensor's differences that are kept.")
    scale: float = Field(default=1.0, gt=0, description="What the merged difference is multiplied by.")

    def merge(self, differences: Sequence[Tensor], languages: Sequence[str]) -> Tensor:
        import torch

        trimmed = torch.stack([_largest(each, self.density) for each in differences])
        sign = torch.sign(trimmed.sum(0))
        agrees = (torch.sign(trimmed) == sign) & (trimmed != 0)
        return (trimmed * agrees).sum(0) / agrees.sum(0).clamp(min=1) * self.scale


def _largest(difference: Tensor, density: float) -> Tensor:
    """The share of a tensor's numbers with the largest magnitude; the others 0."""
    import torch

    count = int(density * difference.numel())
    flat = difference.flatten()
    kept = torch.zeros_like(flat)
    at = flat.abs().topk(count).indices
    kept[at] = flat[at]
    return kept.view_as(difference)


MERGING = {each.name: each for each in (Mean, Ties)}

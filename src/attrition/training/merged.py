"""Merges several learners of one encoder into one model, tensor by tensor to save memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from attrition.encoder.lora import A_SUFFIX, B_SUFFIX
from attrition.methods import Full, LoRA, Trains
from attrition.methods.merging import Merging
from attrition.training.layout import HEAD_BIAS, HEAD_WEIGHT
from attrition.training.model import Model


def merge(model: Model, trains: Trains, flats: Sequence[Tensor], languages: Sequence[str], how: Merging) -> Tensor:
    """Return the parameters of the merged model, in the layout of `Full`; all learners train the same parameters.

    The encoder is the base plus the merged differences. The classifier is the mean of the classifiers, weighted by `how`.

    Args:
        model: of the study.
        trains: the parameters that the learners train.
        flats: the learners' parameters, [P] each.
        languages: the last language of each learner.
        how: the way to merge.
    """
    learners = [model.layout(trains).unpack(flat.cpu()) for flat in flats]
    base = {name: tensor.cpu() for name, tensor in model.base.items()}
    merged: dict[str, Tensor] = dict(base)
    for name, weight in base.items():
        differences = [found for each in learners if (found := _difference(each, name, weight, trains)) is not None]
        if differences:
            merged[name] = weight + how.merge(differences, languages)
    return model.layout(Full()).pack({**merged, **_head(learners, languages, how)})


def merged_adapter(
    model: Model, trains: LoRA, flats: Sequence[Tensor], languages: Sequence[str], how: Merging
) -> tuple[LoRA, Tensor] | None:
    """Return the same merge as one adapter and its vector, or None if no small adapter is equal to it.

    A weighted sum of products B_k A_k is one product: the rows of all A_k, and the columns of all B_k side by side, each times
    its weight. Its rank is the sum of the ranks. If this reaches the encoder's width, the adapter is larger than the matrix
    that it changes. TIES is not a sum.

    Args:
        model: of the study.
        trains: the learners' adapters.
        flats: their parameters, [P] each.
        languages: the language of each learner.
        how: the way to merge.
    """
    factors, rank = how.factors(languages), trains.rank * len(flats)
    if factors is None or rank >= model.backbone.hidden_size:
        return None
    learners = [model.layout(trains).unpack(flat.cpu()) for flat in flats]
    whole = LoRA(rank=rank, dropout=trains.dropout, targets=trains.targets)
    tensors = _head(learners, languages, how)
    for name in learners[0]:
        if name.endswith(A_SUFFIX):
            tensors[name] = torch.cat([each[name] for each in learners])
        elif name.endswith(B_SUFFIX):
            weighted = [factor * trains.scale * each[name] for factor, each in zip(factors, learners, strict=True)]
            tensors[name] = torch.cat(weighted, dim=1)
    return whole, model.layout(whole).pack(tensors)


def _head(learners: Sequence[Mapping[str, Tensor]], languages: Sequence[str], how: Merging) -> dict[str, Tensor]:
    """Return the mean of the learners' classifiers."""
    shares = torch.tensor(how.shares(languages))
    return {
        name: torch.tensordot(shares, torch.stack([each[name] for each in learners]), dims=1)
        for name in (HEAD_WEIGHT, HEAD_BIAS)
    }


def _difference(learner: Mapping[str, Tensor], name: str, weight: Tensor, trains: Trains) -> Tensor | None:
    """Return a learner's change of one tensor of the base; None if it does not train that tensor."""
    if trains.adapter is None:
        return learner[name] - weight
    layer = name.removesuffix(".weight")
    if layer + A_SUFFIX not in learner:
        return None
    return trains.adapter.scale * (learner[layer + B_SUFFIX] @ learner[layer + A_SUFFIX])

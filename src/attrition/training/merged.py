"""Merges several learners of one encoder into one model, tensor by tensor to save memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from attrition.encoder.lora import A_SUFFIX, B_SUFFIX
from attrition.methods import Full, Trains
from attrition.methods.merging import Merging
from attrition.training.layout import HEAD_BIAS, HEAD_WEIGHT
from attrition.training.model import Model


def merge(model: Model, trains: Trains, flats: Sequence[Tensor], languages: Sequence[str], how: Merging) -> Tensor:
    """Return the parameters of the merged model, in the layout of `Full`; all learners train the same parameters.

    The encoder is the base plus the merged differences. The classifier is the mean of the classifiers, weighted by `how`.

    Args:
        model: of the study.
        trains: what the learners train.
        flats: their parameters, [P] each.
        languages: that each learned last.
        how: the way to merge.
    """
    learners = [model.layout(trains).unpack(flat.cpu()) for flat in flats]
    base = {name: tensor.cpu() for name, tensor in model.base.items()}
    shares = torch.tensor(how.shares(languages))
    merged: dict[str, Tensor] = dict(base)
    for name, weight in base.items():
        differences = [found for each in learners if (found := _difference(each, name, weight, trains)) is not None]
        if differences:
            merged[name] = weight + how.merge(differences, languages)
    for name in (HEAD_WEIGHT, HEAD_BIAS):
        merged[name] = torch.tensordot(shares, torch.stack([each[name] for each in learners]), dims=1)
    return model.layout(Full()).pack(merged)


def _difference(learner: Mapping[str, Tensor], name: str, weight: Tensor, trains: Trains) -> Tensor | None:
    """Return a learner's change of one tensor of the base; None if it does not train that tensor."""
    if trains.adapter is None:
        return learner[name] - weight
    layer = name.removesuffix(".weight")
    if layer + A_SUFFIX not in learner:
        return None
    return trains.adapter.scale * (learner[layer + B_SUFFIX] @ learner[layer + A_SUFFIX])

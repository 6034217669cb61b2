"""Computes the gradient of one learner at given parameters, for hooks."""

from __future__ import annotations

import torch
from torch import Generator, Tensor
from torch.nn import functional as F

from attrition.encoder import lora
from attrition.encoder.batch import assemble
from attrition.methods import Trains
from attrition.methods.hook import Gradient, Rows
from attrition.training.batches import part
from attrition.training.layout import HEAD_BIAS, HEAD_WEIGHT
from attrition.training.model import Model


def gradient_at(model: Model, trains: Trains) -> Gradient:
    """Return the function of `attrition.methods.hook.Stage.gradient` for learners that train the same parameters."""
    layout = model.layout(trains)

    def gradient(flat_P: Tensor, rows: Rows, generator: Generator | None) -> Tensor:
        leaf_P = flat_P.detach().to(model.device).requires_grad_()
        tensors = layout.views(leaf_P.unsqueeze(0))
        head_weight, head_bias = tensors.pop(HEAD_WEIGHT), tensors.pop(HEAD_BIAS)
        batch = assemble([part(rows.encoded, rows.rows)], model.device, model.backbone.multiple)
        if trains.adapter is None:
            encoder = {name: tensor[0] for name, tensor in tensors.items()}
            hidden_MWH = model.backbone.encode(batch, encoder, None, None)
        else:
            scale_M = torch.tensor([trains.adapter.scale], device=model.device)
            hidden_MWH = model.backbone.encode(batch, model.frozen, lora.stacked(tensors, scale_M), None)
        logits_WC = torch.baddbmm(head_bias.unsqueeze(1), hidden_MWH, head_weight.transpose(1, 2))[0]
        labels_W = batch.labels_MW[0]
        if generator is not None and len(labels_W):
            drawn_W = torch.multinomial(logits_WC.detach().softmax(-1).cpu(), 1, generator=generator)[:, 0]
            labels_W = torch.where(labels_W >= 0, drawn_W.to(labels_W.device), labels_W)
        loss = F.cross_entropy(logits_WC, labels_W, ignore_index=-1, reduction="sum")
        return torch.autograd.grad(loss, leaf_P)[0]

    return gradient

"""The gradient for hooks, compared with autograd on a plain transformers model."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from torch.nn import functional as F

from attrition.corpus.encoded import Encoded
from attrition.encoder.lora import encoder_attribute
from attrition.methods import Full
from attrition.methods.ewc import EWC, sum_of_squares
from attrition.methods.hook import Rows, Stage
from attrition.streams import torch_stream
from attrition.training.gradient import gradient_at
from attrition.training.layout import HEAD_BIAS, HEAD_WEIGHT
from attrition.training.model import Model


def plain_module(model: Model, flat_P: torch.Tensor) -> Any:
    config = copy.deepcopy(model.pretrained.config)
    config.num_labels = len(model.labels)
    module = transformers.AutoModelForTokenClassification.from_config(config)
    tensors = model.layout(Full()).unpack(flat_P)
    encoder = {name: tensor for name, tensor in tensors.items() if name not in (HEAD_WEIGHT, HEAD_BIAS)}
    missing = getattr(module, encoder_attribute(config)).load_state_dict(encoder, strict=False)
    assert not missing.unexpected_keys
    with torch.no_grad():
        module.classifier.weight.copy_(tensors[HEAD_WEIGHT])
        module.classifier.bias.copy_(tensors[HEAD_BIAS])
    return module.eval()


def logits_of(module: Any, encoded: Encoded, row: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return logits and labels of the scored sub-tokens of one utterance."""
    piece = slice(encoded.offsets[row], encoded.offsets[row + 1])
    labels = torch.from_numpy(encoded.labels[piece].astype(np.int64))
    logits = module(input_ids=torch.from_numpy(encoded.ids[piece].astype(np.int64))[None]).logits[0]
    return logits[labels >= 0], labels[labels >= 0]


def flat_gradient(module: Any, model: Model) -> torch.Tensor:
    prefix = encoder_attribute(module.config)
    grads = {name: parameter.grad for name, parameter in module.named_parameters()}
    named = {
        name: grads[name if name in (HEAD_WEIGHT, HEAD_BIAS) else f"{prefix}.{name}"] for name, _ in model.layout(Full()).shapes
    }
    return model.layout(Full()).pack(
        {name: torch.zeros(shape) if named[name] is None else named[name] for name, shape in model.layout(Full()).shapes}
    )


@pytest.mark.parametrize("kind", ["bert", "xlm-roberta"])
def test_the_summed_gradient_and_the_observed_fisher(kind: str, make_model: Any, make_encoded: Any) -> None:
    """By utterance; float32: within 1e-4 of the largest number."""
    model, encoded = make_model(kind), make_encoded(5, 3)
    flat_P = model.start(Full(), "a")
    module = plain_module(model, flat_P)
    total_P, squares_P = torch.zeros_like(flat_P), torch.zeros_like(flat_P)
    for row in range(5):
        module.zero_grad()
        logits, labels = logits_of(module, encoded, row)
        F.cross_entropy(logits, labels, reduction="sum").backward()
        alone_P = flat_gradient(module, model)
        total_P += alone_P
        squares_P += alone_P**2
    gradient = gradient_at(model, Full())
    found_P = gradient(flat_P, Rows(encoded, np.arange(5)), None)
    torch.testing.assert_close(found_P, total_P, atol=1e-4 * float(total_P.abs().max()), rtol=1e-3)
    stage = Stage((0,), (("x",),), encoded, (), 8, 1, lambda: flat_P, {}, model.layout(Full()).unpack, gradient)
    fisher_P = EWC(estimator="observed").begin(stage).memory(flat_P)["fisher"]
    torch.testing.assert_close(fisher_P, squares_P / 5, atol=1e-4 * float(squares_P.max()), rtol=1e-3)


def test_sampled_labels_give_the_fisher_information_in_expectation(make_model: Any, make_encoded: Any) -> None:
    """For the classifier's bias: sum over words of diag(p) - p p', because labels are drawn independently. 800 draws: 15%."""
    model, encoded = make_model(), make_encoded(1, 3)
    flat_P = model.start(Full(), "a")
    with torch.no_grad():
        logits, _ = logits_of(plain_module(model, flat_P), encoded, 0)
        p = logits.softmax(-1)
    expected = (p * (1 - p)).sum(0)
    gradient, generator = gradient_at(model, Full()), torch_stream("test")
    stage = Stage((0,), (("x",),), encoded, (), 8, 1, lambda: flat_P, {}, model.layout(Full()).unpack, gradient)
    total_P = sum_of_squares(stage, flat_P, np.zeros(800, np.int64), generator) / 800
    found = model.layout(Full()).unpack(total_P)[HEAD_BIAS]
    torch.testing.assert_close(found, expected, rtol=0.15, atol=0.0)

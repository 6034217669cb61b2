"""The encoder of a study with its classifier, and the model that a learner's parameters define."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn

from attrition.encoder import bert, lora
from attrition.encoder.backbone import Backbone
from attrition.encoder.bert import BertBackbone
from attrition.encoder.families import build_encoder
from attrition.encoder.layer import refuse_without_compiler
from attrition.encoder.own_dropout import own_dropout
from attrition.encoder.precision import Precision
from attrition.encoder.pretrained import WORD_EMBEDDINGS, Pretrained
from attrition.encoder.vocabulary import Vocabulary
from attrition.encoder.wrapped import WrappedBackbone
from attrition.methods import Trains
from attrition.names import AttritionError
from attrition.problem.base import Counter, Problem
from attrition.problem.slots import SLOTS
from attrition.streams import Part, torch_stream
from attrition.training.layout import HEAD_BIAS, HEAD_WEIGHT, Layout

HEAD_STANDARD_DEVIATION = 0.02


@dataclass(frozen=True, eq=False)
class Weights:
    """A model for evaluation: the encoder's weights by name, in the precision of products; the classifier's [C, H] and [C]."""

    encoder: Mapping[str, Tensor]
    head_weight: Tensor
    head_bias: Tensor


@dataclass(frozen=True, eq=False)
class Model:
    """The model that all learners of a study share; immutable.

    `base` holds the pretrained weights, with word embeddings for `vocabulary` only. `counter` counts predictions of `labels`.
    `dropout` (hidden states) and `attention_dropout` come from the model's configuration.
    """

    pretrained: Pretrained
    backbone: Backbone
    base: Mapping[str, Tensor]
    vocabulary: Vocabulary
    labels: tuple[str, ...]
    counter: Counter
    device: torch.device
    dropout: float
    attention_dropout: float

    @cached_property
    def frozen(self) -> Mapping[str, Tensor]:
        """Return `base` with linear layers in the precision of products, for LoRA."""
        return self.backbone.rounded(self.base)

    def shapes(self, trains: Trains) -> dict[str, tuple[int, ...]]:
        """Return name and shape of every parameter that a learner trains."""
        head = {HEAD_WEIGHT: (len(self.labels), self.backbone.hidden_size), HEAD_BIAS: (len(self.labels),)}
        if trains.adapter is None:
            return {name: tuple(tensor.shape) for name, tensor in self.base.items()} | head
        return lora.shapes(self.backbone.linears, trains.adapter.targets, trains.adapter.rank) | head

    def layout(self, trains: Trains) -> Layout:
        """Return the layout of a learner's parameters."""
        return Layout.of(self.shapes(trains))

    def start(self, trains: Trains, *seed: Part) -> Tensor:
        """Return the parameters [P] of a new learner: the base or new LoRA factors, and a classifier.

        The classifier starts with weights from N(0, 0.02) and biases of 0. Classes of the checkpoint's classifier start with
        its weights.
        """
        layout = self.layout(trains)
        head = {
            HEAD_WEIGHT: torch.empty(len(self.labels), self.backbone.hidden_size).normal_(
                0, HEAD_STANDARD_DEVIATION, generator=torch_stream("head", *seed)
            ),
            HEAD_BIAS: torch.zeros(len(self.labels)),
        }
        if (own := self.pretrained.head) is not None:
            rows = [self.labels.index(label) for label in own.labels]
            head[HEAD_WEIGHT][rows], head[HEAD_BIAS][rows] = own.weight_CH, own.bias_C
        if trains.adapter is None:
            return layout.pack({**self.base, **head})
        factors = {name: shape for name, shape in layout.shapes if name not in head}
        return layout.pack({**lora.initial(factors, torch_stream("lora", *seed)), **head})

    def weights(self, trains: Trains, flat_P: Tensor) -> Weights:
        """Return the model of one learner, with LoRA factors merged into the frozen weights."""
        tensors = self.layout(trains).unpack(flat_P)
        head_weight, head_bias = tensors.pop(HEAD_WEIGHT), tensors.pop(HEAD_BIAS)
        if trains.adapter is not None:
            tensors = lora.merged(self.base, tensors, trains.adapter.scale)
        return Weights(self.backbone.rounded(tensors), head_weight, head_bias)


def build_model(
    pretrained: Pretrained,
    vocabulary: Vocabulary,
    labels: tuple[str, ...],
    device: torch.device | str = "cpu",
    precision: Precision = "float32",
    compiled: bool = False,
    problem: Problem = SLOTS,
) -> Model:
    """Return the model of a study.

    `precision` is for matrix products, `compiled` compiles the layers for training, `problem` says how predictions are counted.
    The BERT family runs in our own implementation, other architectures as modules of `transformers`.

    Raises:
        AttritionError: `compiled` is not supported by the architecture, or there is no compiler.
    """
    base = {name: tensor.float().to(device) for name, tensor in pretrained.weights.items()}
    base[WORD_EMBEDDINGS] = pretrained.rows(vocabulary.kept).float().to(device)
    config = pretrained.config
    if bert.supports(config):
        if compiled:
            refuse_without_compiler(torch.device(device))
        backbone: Backbone = BertBackbone(config, precision, compiled)
    elif compiled:
        raise AttritionError(
            f"machine.compile = true has no effect on {pretrained.name!r}: its architecture is {config.model_type!r}, and only "
            f"layers of the BERT family ({', '.join(bert.FAMILY)}) are compiled. Leave it out."
        )
    else:
        backbone = WrappedBackbone(_module(config, vocabulary).to(device), precision)
    hidden_dropout, attention_dropout = own_dropout(config)
    return Model(
        pretrained=pretrained,
        backbone=backbone,
        base=base,
        vocabulary=vocabulary,
        labels=labels,
        counter=problem.counter(labels),
        device=torch.device(device),
        dropout=hidden_dropout,
        attention_dropout=attention_dropout,
    )


def _module(config: Any, vocabulary: Vocabulary) -> nn.Module:
    # RoBERTa and its relatives count positions from the padding id, so keep that id, or use None if it was dropped.
    pad = config.pad_token_id
    stays = pad is not None and pad < len(vocabulary) and vocabulary.kept[pad] == pad
    small = type(config).from_dict({**config.to_dict(), "vocab_size": len(vocabulary), "pad_token_id": pad if stays else None})
    return build_encoder(small)

"""Writes a learner in formats of other programs: a PEFT adapter, or a full `transformers` checkpoint."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from transformers import AutoModel, AutoModelForTokenClassification, PreTrainedTokenizerFast

from attrition.encoder.families import tensors_of, to_theirs
from attrition.encoder.hub import quiet_transformers
from attrition.encoder.lora import A_SUFFIX, B_SUFFIX, encoder_attribute, save_peft
from attrition.encoder.pretrained import WORD_EMBEDDINGS, Pretrained
from attrition.methods import Trains
from attrition.names import AttritionError
from attrition.training.layout import HEAD_BIAS, HEAD_WEIGHT
from attrition.training.model import Model

# The base model of an adapter whose encoder has no folder.
_ON_HUB = {"embedded:e5-small": "intfloat/multilingual-e5-small"}
_SPECIAL_TOKENS = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "pad_token": "<pad>", "mask_token": "<mask>"}
# No segment ids: in training they are all 0, which is a model's default, and some architectures have none.
_INPUTS = ["input_ids", "attention_mask"]
_BERT_TOKENS = {"cls_token": "[CLS]", "sep_token": "[SEP]", "unk_token": "[UNK]", "pad_token": "[PAD]", "mask_token": "[MASK]"}


def export_model(
    folder: Path, model: Model, trains: Trains, flat_P: Tensor, *, decay: float = 1.0, first: Sequence[str] = ()
) -> None:
    """Write one learner for other programs, with the tokeniser and the class names.

    - LoRA: a PEFT adapter with its classifier, and `labels.json`, the classes in order. Load it with
      `PeftModel.from_pretrained` over the base's token classification model; `adapter_config.json` has the base's name.
      For an embedded encoder the base is the same encoder on the Hub, without its rounding to 4 bits. A random encoder is
      written to the folder `base` beside the adapter.
    - Full: a checkpoint for `AutoModelForTokenClassification.from_pretrained`, with the whole vocabulary: word embeddings
      that were not kept have their pretrained values.

    Args:
        folder: created if missing.
        model: the learner's model.
        trains: the trained part of the model.
        flat_P: the learner's parameters, [P].
        decay: factor for rows that were not kept: the effect of decoupled weight decay without gradient, the product of
            `1 - lr_t * weight_decay` over all steps t (Loshchilov and Hutter 2019).
        first: classes that come first, in this order, such as the classes of a checkpoint whose classifier has grown. They
            keep their numbers.

    Raises:
        AttritionError: transformers has no token classification model with this architecture and a linear head.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if trains.adapter is not None:
        _refuse_other_head(model)
        tensors, head, labels = _parts(model, trains, flat_P, first)
        save_peft(
            folder,
            tensors,
            rank=trains.adapter.rank,
            alpha=trains.adapter.effective_alpha,
            dropout=trains.adapter.dropout,
            base=base_on_hub(model.pretrained) or _base_folder(folder, model),
            config=model.pretrained.config,
            head=head,
        )
        (folder / "labels.json").write_text(json.dumps(labels, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    else:
        module = token_classifier(model, trains, flat_P, decay=decay, first=first)
        with quiet_transformers():
            module.save_pretrained(folder)
    _save_tokenizer(folder, model.pretrained)


def token_classifier(model: Model, trains: Trains, flat_P: Tensor, *, decay: float = 1.0, first: Sequence[str] = ()) -> Any:
    """Return one learner as a token classification model of `transformers`; an adapter is merged into its base.

    Arguments and errors: see `export_model`.
    """
    tensors, head, labels = _parts(model, trains, flat_P, first)
    if trains.adapter is None:
        encoder = {**tensors, WORD_EMBEDDINGS: whole_table(model, tensors[WORD_EMBEDDINGS], decay)}
    else:
        encoder = _whole_encoder(model.pretrained)
        for layer in (name.removesuffix(A_SUFFIX) for name in tensors if name.endswith(A_SUFFIX)):
            delta = trains.adapter.scale * tensors[layer + B_SUFFIX] @ tensors[layer + A_SUFFIX]
            encoder[f"{layer}.weight"] = encoder[f"{layer}.weight"] + delta
    config = copy.deepcopy(model.pretrained.config)
    config.id2label = dict(enumerate(labels))
    config.label2id = {label: index for index, label in enumerate(labels)}
    with torch.random.fork_rng(devices=[]), quiet_transformers():
        module = AutoModelForTokenClassification.from_config(config, trust_remote_code=False)
    state = _named(config, encoder)
    state["classifier.weight"], state["classifier.bias"] = head
    _refuse_other_model(model, module, state)
    module.load_state_dict(state, strict=False)
    return module


def base_on_hub(pretrained: Pretrained) -> str:
    """Return the Hub's name, or the folder, of an encoder; "" for a random encoder.

    >>> from attrition.encoder.sources import load_pretrained
    >>> base_on_hub(load_pretrained("tiny:bert"))
    ''
    """
    source, _, name = pretrained.name.partition(":")
    if source == "hub":
        return str(Path(name).absolute()) if Path(name).is_dir() else name
    return _ON_HUB.get(pretrained.name, "")


def whole_table(model: Model, kept_VH: Tensor, decay: float = 1.0) -> Tensor:
    """Return the word embeddings of the whole vocabulary: kept rows as trained, other rows pretrained times `decay`."""
    table = model.pretrained.rows(np.arange(model.pretrained.vocabulary_size)).float() * decay
    table[torch.from_numpy(model.vocabulary.kept)] = kept_VH
    return table


def _parts(
    model: Model, trains: Trains, flat_P: Tensor, first: Sequence[str]
) -> tuple[dict[str, Tensor], tuple[Tensor, Tensor], tuple[str, ...]]:
    """Return the encoder's trained tensors, the classifier's weight and bias, and the classes in order."""
    tensors = model.layout(trains).unpack(flat_P.detach().cpu())
    labels = (*first, *(label for label in model.labels if label not in first))
    rows = [model.labels.index(label) for label in labels]
    head = tensors.pop(HEAD_WEIGHT)[rows], tensors.pop(HEAD_BIAS)[rows]
    return tensors, head, labels


def _whole_encoder(pretrained: Pretrained) -> dict[str, Tensor]:
    table = pretrained.rows(np.arange(pretrained.vocabulary_size)).float()
    return {**pretrained.weights, WORD_EMBEDDINGS: table}


def _base_folder(folder: Path, model: Model) -> str:
    """Write the encoder to a folder beside its adapter, and return that folder."""
    base, config = (folder / "base").absolute(), model.pretrained.config
    with torch.random.fork_rng(devices=[]), quiet_transformers():
        module = AutoModel.from_config(config, trust_remote_code=False)
        module.load_state_dict(to_theirs(_whole_encoder(model.pretrained), config), strict=False)
        module.save_pretrained(base)
    return str(base)


def _named(config: Any, encoder: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the encoder's tensors with their names in the token classification model."""
    prefix = encoder_attribute(config)
    return {f"{prefix}.{name}": tensor for name, tensor in to_theirs(encoder, config).items()}


def _refuse_other_model(model: Model, module: nn.Module, names: Iterable[str]) -> None:
    """Refuse if the tensors of transformers' token classification model differ from these."""
    if odd := sorted(tensors_of(module).keys() ^ set(names)):
        raise AttritionError(
            f"{model.pretrained.name!r} cannot be exported: transformers' token classification model for "
            f"{model.pretrained.config.model_type!r} is not this encoder with one linear classifier (see {odd[0]!r})."
        )


def _refuse_other_head(model: Model) -> None:
    config = copy.deepcopy(model.pretrained.config)
    encoder_attribute(config)  # raises if there is no such model
    with torch.device("meta"), quiet_transformers():
        module = AutoModelForTokenClassification.from_config(config, trust_remote_code=False)
    names = {"classifier.weight", "classifier.bias", *_named(config, model.base)}
    _refuse_other_model(model, module, names)


def _save_tokenizer(folder: Path, pretrained: Pretrained) -> None:
    known = pretrained.tokenizer.get_vocab()
    special = {role: token for tokens in (_BERT_TOKENS, _SPECIAL_TOKENS) for role, token in tokens.items() if token in known}
    with quiet_transformers():
        tokenizer = PreTrainedTokenizerFast(tokenizer_object=pretrained.tokenizer, model_input_names=_INPUTS, **special)
        tokenizer.save_pretrained(folder)

"""The other side: Hugging Face `Trainer`, `peft` and `seqeval`, as their own documentation and a careful user have them.

The model, start, utterances, optimiser (the Trainer's default: torch's fused AdamW), schedule, clipping and dropout are those
of our side. Utterances are tokenised beforehand and lie in memory; padding is dynamic; nothing is logged, saved or evaluated
while training is timed; the classes are taken on the way (`preprocess_logits_for_metrics`), so no logits are collected.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from peft import LoraConfig, TaskType, get_peft_model, set_peft_model_state_dict
from seqeval.metrics import f1_score
from torch import Tensor, nn
from transformers import (
    AutoModelForTokenClassification,
    DataCollatorForTokenClassification,
    PreTrainedTokenizerFast,
    PrinterCallback,
    Trainer,
    TrainingArguments,
)

from attrition.corpus.encoded import Encoded
from attrition.encoder.hub import quiet_transformers
from attrition.encoder.lora import A_SUFFIX, B_SUFFIX, encoder_attribute
from attrition.encoder.pretrained import WORD_EMBEDDINGS, Pretrained
from attrition.methods import LoRA
from attrition.training.layout import HEAD_BIAS, HEAD_WEIGHT
from attrition.training.settings import TrainingSettings

IGNORED = -100
TARGETS = ("query", "key", "value", "dense")

Features = list[dict[str, list[int]]]


def classifier(pretrained: Pretrained, labels: Sequence[str]) -> nn.Module:
    """transformers' token classification model of this configuration, untrained, with its whole vocabulary; see `set_full`."""
    config = copy.deepcopy(pretrained.config)
    config.id2label = dict(enumerate(labels))
    config.label2id = {label: index for index, label in enumerate(labels)}
    with torch.random.fork_rng(devices=[]), quiet_transformers():
        module: nn.Module = AutoModelForTokenClassification.from_config(config)
    return module


def with_lora(module: nn.Module, trains: LoRA) -> nn.Module:
    """The model under PEFT: LoRA on all linear layers of the encoder, the classifier trained too."""
    config = LoraConfig(
        task_type=TaskType.TOKEN_CLS,
        r=trains.rank,
        lora_alpha=trains.effective_alpha,
        lora_dropout=trains.dropout,
        target_modules=list(TARGETS),
    )
    wrapped: nn.Module = get_peft_model(module, config)
    return wrapped


def set_lora(module: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """Give a PEFT model the factors and classifier of one of our learners, by our names."""
    inner: Any = module
    prefix = f"base_model.model.{encoder_attribute(inner.config)}."
    state = {
        (f"base_model.model.{name}" if name in (HEAD_WEIGHT, HEAD_BIAS) else prefix + _peft_name(name)): tensor.clone()
        for name, tensor in tensors.items()
    }
    unexpected = set_peft_model_state_dict(module, state).unexpected_keys
    assert not unexpected, f"PEFT knows no {unexpected[:3]}"


def _peft_name(name: str) -> str:
    for suffix in (A_SUFFIX, B_SUFFIX):
        name = f"{name}.weight" if name.endswith(suffix) else name
    return name


def set_full(module: nn.Module, pretrained: Pretrained, tensors: Mapping[str, Tensor]) -> None:
    """Put a whole model back to the pretrained encoder, with the classifier of one of our learners."""
    inner: Any = module
    prefix = encoder_attribute(inner.config)
    state = {f"{prefix}.{name}": tensor for name, tensor in pretrained.weights.items()}
    state[f"{prefix}.{WORD_EMBEDDINGS}"] = pretrained.rows(np.arange(pretrained.vocabulary_size))
    state |= {name: tensors[name] for name in (HEAD_WEIGHT, HEAD_BIAS)}
    found = module.load_state_dict(state, strict=False)
    assert not found.unexpected_keys, f"the encoder has no {found.unexpected_keys}"
    left = [name for name in found.missing_keys if not name.endswith("position_ids")]
    assert not left, f"the encoder lacks {left}"


def trainable(module: nn.Module) -> int:
    """Parameters that are trained."""
    return sum(parameter.numel() for parameter in module.parameters() if parameter.requires_grad)


def features(encoded: Encoded) -> Features:
    """Utterances as the Trainer takes them."""
    rows: Features = []
    for start, end in zip(encoded.offsets[:-1].tolist(), encoded.offsets[1:].tolist(), strict=True):
        labels = encoded.labels[start:end]
        rows.append(
            {
                "input_ids": encoded.ids[start:end].tolist(),
                "attention_mask": [1] * (end - start),
                "labels": np.where(labels < 0, IGNORED, labels).tolist(),
            }
        )
    return rows


def padder(pretrained: Pretrained) -> PreTrainedTokenizerFast:
    """The model's tokeniser as transformers wraps it."""
    return PreTrainedTokenizerFast(
        tokenizer_object=pretrained.tokenizer,
        pad_token=pretrained.tokenizer.id_to_token(int(pretrained.config.pad_token_id)),
        model_input_names=["input_ids", "attention_mask"],
    )


def make_trainer(
    module: nn.Module,
    tokenizer: PreTrainedTokenizerFast,
    labels: Sequence[str],
    train: Features,
    settings: TrainingSettings,
    folder: Path,
    *,
    grouped: bool = False,
    steps: int = -1,
    device: torch.device | None = None,
    bf16: bool = False,
) -> Any:
    """A Trainer over a model.

    Args:
        module: from `classifier` or `with_lora`.
        tokenizer: which pads.
        labels: the classes.
        train: utterances to learn.
        settings: epochs, batch, rate, schedule, warm-up, decay and clipping are taken from here.
        folder: for the Trainer's own files; it writes none.
        grouped: batch utterances of like length (`group_by_length` of older versions), for training and evaluation.
        steps: stop after so many.
        device: a GPU is used only where it is given.
        bf16: mixed precision.
    """
    assert settings.learning_rate == settings.head_learning_rate, "the Trainer has one learning rate"
    arguments = TrainingArguments(
        output_dir=str(folder),
        num_train_epochs=settings.epochs,
        max_steps=steps,
        per_device_train_batch_size=settings.batch_size,
        per_device_eval_batch_size=settings.batch_size,
        learning_rate=settings.learning_rate,
        lr_scheduler_type="linear",
        warmup_steps=settings.warmup,  # below 1 it is a share of all steps
        weight_decay=settings.weight_decay,
        max_grad_norm=settings.max_grad_norm,
        train_sampling_strategy="group_by_length" if grouped else "random",
        eval_strategy="no",
        save_strategy="no",
        logging_strategy="no",
        report_to=[],
        disable_tqdm=True,
        label_names=["labels"],
        use_cpu=device is None or device.type == "cpu",
        bf16=bf16,
    )
    trainer = Trainer(
        model=module,
        args=arguments,
        train_dataset=train,
        data_collator=DataCollatorForTokenClassification(tokenizer),
        processing_class=tokenizer,
        compute_metrics=lambda prediction: {"f1": _f1(prediction, labels)},
        preprocess_logits_for_metrics=lambda logits, _labels: logits.argmax(-1),
    )
    trainer.remove_callback(PrinterCallback)
    return trainer


def _f1(prediction: Any, labels: Sequence[str]) -> float:
    """seqeval's F1 of the sub-tokens that carry a label, as in the token classification examples of transformers."""
    predicted, gold = prediction.predictions, prediction.label_ids
    kept = [row != IGNORED for row in gold]
    gold_names = [[labels[index] for index in row[keep]] for row, keep in zip(gold, kept, strict=True)]
    found_names = [[labels[index] for index in row[keep]] for row, keep in zip(predicted, kept, strict=True)]
    return float(f1_score(gold_names, found_names))

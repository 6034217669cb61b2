"""Low-rank adaptation (LoRA, Hu et al. 2021) of several learners at once, and PEFT's file format.

A linear layer `y = W x + b` becomes `y = W x + b + (alpha / r) B A x` with `A [r, in]` and `B [out, r]`. For M learners over
one frozen `W` the factors are stacked: `A [M, r, in]` and `B [M, out, r]`. As in PEFT, `A` starts uniform in +-1/sqrt(in)
(Kaiming with a = sqrt(5)) and `B` at zero, so a new adapter changes nothing.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor
from transformers import MODEL_FOR_TOKEN_CLASSIFICATION_MAPPING

from attrition.names import AttritionError, unknown

A_SUFFIX, B_SUFFIX = ".lora_A", ".lora_B"
ALL_LINEAR = "all-linear"


@dataclass(frozen=True, eq=False)
class Adapter:
    """Stacked factors by the name of their linear layer: `(A [M, r, in], B [M, out, r])`, and `alpha / r`, [M]."""

    factors: Mapping[str, tuple[Tensor, Tensor]]
    scale_M: Tensor

    def delta(self, name: str, x_MNI: Tensor) -> Tensor:
        """Return `(alpha / r) B A x` for every learner: [M, N, in] to [M, N, out]."""
        a_MRI, b_MOR = self.factors[name]
        low_MNR = torch.bmm(x_MNI, a_MRI.transpose(1, 2)) * self.scale_M[:, None, None]
        return torch.bmm(low_MNR, b_MOR.transpose(1, 2))


def match_targets(targets: Sequence[str], linears: Mapping[str, tuple[int, int]]) -> list[str]:
    """Return the linear layers whose names end in one of `targets`, as PEFT matches them; "all-linear" means all.

    Raises:
        AttritionError: a target that matches no layer.

    >>> match_targets(["dense"], {"layer.0.query": (4, 4), "layer.0.output.dense": (4, 8)})
    ['layer.0.output.dense']
    """
    if ALL_LINEAR in targets:
        return list(linears)
    for target in targets:
        if not any(_matches(name, target) for name in linears):
            ends = {name.rpartition(".")[2] for name in linears}
            raise unknown(target, {*ends, ALL_LINEAR}, kind="LoRA target")
    return [name for name in linears if any(_matches(name, target) for target in targets)]


def _matches(name: str, target: str) -> bool:
    return name == target or name.endswith(f".{target}")


def shapes(linears: Mapping[str, tuple[int, int]], targets: Sequence[str], rank: int) -> dict[str, tuple[int, ...]]:
    """Return name and shape of every factor of one learner."""
    found: dict[str, tuple[int, ...]] = {}
    for name in match_targets(targets, linears):
        num_out, num_in = linears[name]
        found[name + A_SUFFIX] = (rank, num_in)
        found[name + B_SUFFIX] = (num_out, rank)
    return found


def initial(shape_of: Mapping[str, tuple[int, ...]], stream: torch.Generator) -> dict[str, Tensor]:
    """Return new factors of one learner: A uniform in +-1/sqrt(in), B zero.

    >>> fresh = initial({"q.lora_A": (2, 4), "q.lora_B": (4, 2)}, torch.Generator().manual_seed(0))
    >>> bool(fresh["q.lora_A"].abs().max() <= 0.5), fresh["q.lora_B"].abs().max().item()
    (True, 0.0)
    """
    values = {}
    for name, shape in shape_of.items():
        if name.endswith(B_SUFFIX):
            values[name] = torch.zeros(shape)
        else:
            bound = 1 / math.sqrt(shape[1])
            values[name] = torch.empty(shape).uniform_(-bound, bound, generator=stream)
    return values


def stacked(tensors: Mapping[str, Tensor], scale_M: Tensor) -> Adapter:
    """Return an `Adapter` from stacked tensors, with names as in `shapes`."""
    names = [name.removesuffix(A_SUFFIX) for name in tensors if name.endswith(A_SUFFIX)]
    return Adapter({name: (tensors[name + A_SUFFIX], tensors[name + B_SUFFIX]) for name in names}, scale_M)


def merged(weights: Mapping[str, Tensor], tensors: Mapping[str, Tensor], scale: float) -> dict[str, Tensor]:
    """Return the base weights plus one learner's factors: `W + (alpha / r) B A`. The base does not change."""
    result = dict(weights)
    for name, a_RI in tensors.items():
        if name.endswith(A_SUFFIX):
            layer = name.removesuffix(A_SUFFIX)
            result[f"{layer}.weight"] = torch.addmm(weights[f"{layer}.weight"], tensors[layer + B_SUFFIX], a_RI, alpha=scale)
    return result


def encoder_attribute(config: Any) -> str:
    """Return the attribute name of the encoder in transformers' token classification model of this configuration.

    >>> from transformers import XLMRobertaConfig
    >>> encoder_attribute(XLMRobertaConfig())
    'roberta'
    """
    if type(config) not in MODEL_FOR_TOKEN_CLASSIFICATION_MAPPING:
        raise AttritionError(f"transformers has no token classification model for the architecture {config.model_type!r}.")
    return str(MODEL_FOR_TOKEN_CLASSIFICATION_MAPPING[type(config)].base_model_prefix)


def save_peft(
    folder: Path,
    tensors: Mapping[str, Tensor],
    *,
    rank: int,
    alpha: float,
    dropout: float,
    base: str,
    config: Any,
    head: tuple[Tensor, Tensor] | None = None,
) -> None:
    """Write one learner's adapter in PEFT's format: `adapter_config.json` and `adapter_model.safetensors`.

    Load it with `PeftModel.from_pretrained(AutoModelForTokenClassification..., folder)`, or over the bare encoder if `head` is
    None.

    Args:
        folder: created if missing.
        tensors: `<layer>.lora_A` [r, in] and `<layer>.lora_B` [out, r].
        rank, alpha, dropout: as trained.
        base: name or path of the base model, as information in the file.
        config: of the base model.
        head: weight [classes, hidden] and bias [classes] of the classifier.

    Raises:
        AttritionError: no factors, or transformers has no token classification model of this architecture.
    """
    layers = [name.removesuffix(A_SUFFIX) for name in tensors if name.endswith(A_SUFFIX)]
    if not layers:
        raise AttritionError("There are no LoRA factors to save: this learner was trained in full.")
    prefix = "base_model.model." if head is None else f"base_model.model.{encoder_attribute(config)}."
    stored: dict[str, Tensor] = {}
    for layer in layers:
        stored[f"{prefix}{layer}.lora_A.weight"] = tensors[layer + A_SUFFIX]
        stored[f"{prefix}{layer}.lora_B.weight"] = tensors[layer + B_SUFFIX]
    if head is not None:
        stored["base_model.model.classifier.weight"], stored["base_model.model.classifier.bias"] = head
    described = {
        "peft_type": "LORA",
        "task_type": None if head is None else "TOKEN_CLS",
        "base_model_name_or_path": base,
        "r": rank,
        "lora_alpha": alpha,
        "lora_dropout": dropout,
        "bias": "none",
        "fan_in_fan_out": False,
        "init_lora_weights": True,
        "inference_mode": True,
        "target_modules": sorted(layers),
        "modules_to_save": None if head is None else ["classifier"],
    }
    folder.mkdir(parents=True, exist_ok=True)
    whole = {name: tensor.detach().cpu().clone() for name, tensor in stored.items()}  # views of one vector cannot be stored
    save_file(whole, folder / "adapter_model.safetensors", metadata={"format": "pt"})
    (folder / "adapter_config.json").write_text(json.dumps(described, indent=2) + "\n", encoding="utf-8")

"""In which numbers matrix products are computed.

"float32" is exact to single precision. "bfloat16" rounds what enters the linear layers to 8 significant bits; sums are kept
in float32, and so are parameters, gradients that are added up, norms, softmax, loss and optimiser (Micikevicius et al. 2018;
Kalamkar et al. 2019). "auto" measures which is faster here.
"""

from __future__ import annotations

import time
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

Precision = Literal["float32", "bfloat16"]
PrecisionChoice = Literal["auto", "float32", "bfloat16"]
DTYPES: dict[Precision, torch.dtype] = {"float32": torch.float32, "bfloat16": torch.bfloat16}

WORTH = 1.5
"""How many times as fast products in bfloat16 must be to be chosen: the rest of a pass is no faster."""


def choose_precision(choice: PrecisionChoice, device: torch.device) -> Precision:
    """The precision asked for; "auto" takes bfloat16 where `bfloat16_gain` is at least `WORTH`.

    >>> choose_precision("float32", torch.device("cpu"))
    'float32'
    """
    if choice != "auto":
        return choice
    return "bfloat16" if bfloat16_gain(device) >= WORTH else "float32"


def bfloat16_gain(device: torch.device) -> float:
    """How many times as fast a linear layer of an encoder is in bfloat16 on this machine, its input's rounding included.

    The best of several turns of each: processors with bfloat16 units gain three times and more, others lose.
    """
    x, weight = torch.ones(512, 768, device=device), torch.ones(768, 768, device=device)
    rounded = weight.bfloat16()
    return _best(x, weight, device) / _best(x, rounded, device)


def _best(x: Tensor, weight: Tensor, device: torch.device, turns: int = 8) -> float:
    spent = []
    with torch.inference_mode():
        for _ in range(turns):
            began = time.perf_counter()
            F.linear(x.to(weight.dtype), weight)
            if device.type == "cuda":
                torch.cuda.synchronize(device)
            spent.append(time.perf_counter() - began)
    return min(spent)

"""In which numbers matrix products are computed.

"float32" is exact to single precision. "bfloat16" rounds what enters the linear layers to 8 significant bits; sums are kept
in float32, and so are parameters, gradients that are added up, norms, softmax, loss and optimiser (Micikevicius et al. 2018;
Kalamkar et al. 2019). "auto" measures which is faster here.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

Precision = Literal["float32", "bfloat16"]
PrecisionChoice = Literal["auto", "float32", "bfloat16"]
DTYPES: dict[Precision, torch.dtype] = {"float32": torch.float32, "bfloat16": torch.bfloat16}

WORTH = 1.5
"""How many times as fast products in bfloat16 must be to be chosen: the rest of a pass is no faster."""

TURNS = 20


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

    Processors with bfloat16 units gain three times and more, others lose. The best of many turns of each, in turn and by one
    thread: several would wait for each other on a busy machine, and the answer has to be the same on a busy one.
    """
    x, weight = torch.ones(384, 512, device=device), torch.ones(512, 512, device=device)
    rounded = weight.bfloat16()
    with torch.inference_mode(), _one_thread():
        spent = [(_seconds(x, weight), _seconds(x, rounded)) for _ in range(TURNS)]
    return min(exact for exact, _ in spent) / min(cheap for _, cheap in spent)


@contextmanager
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _seconds(x: Tensor, weight: Tensor) -> float:
    began = time.perf_counter()
    F.linear(x.to(weight.dtype), weight)
    if x.is_cuda:
        torch.cuda.synchronize(x.device)
    return time.perf_counter() - began

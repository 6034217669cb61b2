"""The numeric precision of matrix products.

"float32" is exact to single precision. "bfloat16" rounds the inputs of linear layers to 8 significant bits. Sums stay in
float32, and so do parameters, accumulated gradients, norms, softmax, loss and optimiser (Micikevicius et al. 2018; Kalamkar et
al. 2019). "auto" measures which is faster on this machine.
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
"""The smallest speed-up of products for which bfloat16 is chosen: the rest of a pass gets no faster."""

TURNS = 20


def choose_precision(choice: PrecisionChoice, device: torch.device) -> Precision:
    """Return the requested precision; "auto" chooses bfloat16 if `bfloat16_gain` is at least `WORTH`.

    >>> choose_precision("float32", torch.device("cpu"))
    'float32'
    """
    if choice != "auto":
        return choice
    return "bfloat16" if bfloat16_gain(device) >= WORTH else "float32"


def bfloat16_gain(device: torch.device) -> float:
    """Return the speed-up of an encoder's linear layer in bfloat16 on this machine, with the rounding of its input.

    Processors with bfloat16 units are three or more times as fast; others are slower. Both are measured alternately, many
    times, by one thread, and the best time counts. Several threads would wait for each other on a busy machine, and the result
    must be the same there.
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

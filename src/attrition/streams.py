"""Random streams named by what they are for, so that nothing depends on what was drawn before or beside it.

A stream's seed is a hash of its name: the same learner draws the same batches and masks alone, in a population, in another
order of stages, and after an interruption.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:  # whoever only draws with numpy need not wait for torch
    import torch

Part = str | int | tuple["Part", ...]


def seed_of(*name: Part) -> int:
    """A whole number below 2**63 from the parts of a name, the same on every machine.

    >>> seed_of("batches", 0, "en-US") == seed_of("batches", 0, "en-US") != seed_of("batches", 1, "en-US")
    True
    """
    digest = hashlib.sha256(json.dumps(name, ensure_ascii=True).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def numpy_stream(*name: Part) -> np.random.Generator:
    """A numpy generator (PCG64) for the named purpose."""
    return np.random.Generator(np.random.PCG64(seed_of(*name)))


def torch_stream(*name: Part) -> torch.Generator:
    """A torch generator for the named purpose, of the CPU."""
    import torch

    return torch.Generator().manual_seed(seed_of(*name))

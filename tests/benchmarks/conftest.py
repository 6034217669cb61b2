"""The benchmarks are no part of the package: they are found from the root of the repository."""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).resolve().parents[2]
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))


@pytest.fixture(autouse=True)
def _one_thread(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """One thread and a cache of its own, for this process and those it starts."""
    monkeypatch.setenv("ATTRITION_CACHE", str(tmp_path / "cache"))
    before = torch.get_num_threads(), torch.get_float32_matmul_precision()
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setattr(gc, "collect", lambda: 0)  # only keeps garbage out of what is timed, and is slow in a large process
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before[0])
    torch.set_float32_matmul_precision(before[1])

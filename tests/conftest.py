"""What holds for all tests: no network, a cache folder of their own, few threads, no argument taken from the outside."""

from __future__ import annotations

import os
from collections.abc import Iterator

os.environ.update({"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"})

import pytest
import torch

THREADS = 2


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str | None]:
    """A fresh cache folder; gives the user's own one, which tests with real data may read."""
    users = os.environ.get("ATTRITION_CACHE")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ATTRITION_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield users


@pytest.fixture(autouse=True)
def _users_cache(request: pytest.FixtureRequest, _own_cache: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.node.get_closest_marker("massive"):
        if _own_cache is None:
            monkeypatch.delenv("ATTRITION_CACHE")
        else:
            monkeypatch.setenv("ATTRITION_CACHE", _own_cache)


@pytest.fixture(scope="session", autouse=True)
def _few_threads() -> None:
    torch.set_num_threads(THREADS)

"""What holds for all tests: no network, a cache folder of their own, few threads, no argument taken from the outside."""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

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


def _load(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("attrition_tests_simulate", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def simulate() -> ModuleType:
    """The module that writes simulated studies (`simulate.write_study`)."""
    return _load(Path(__file__).with_name("simulate.py"))


@pytest.fixture(scope="session")
def study(simulate: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished study of four languages, four methods and two orders; read only."""
    folder: Path = simulate.write_study(tmp_path_factory.mktemp("study"), num_languages=4, num_orders=2)
    return folder

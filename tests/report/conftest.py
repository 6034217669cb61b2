"""Simulated results folders for the tests of the report."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest


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

"""One seed on one machine gives the same bits. With another number of threads nothing is promised or tested."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from attrition.engine.run import run_study
from attrition.store.stages import Store
from attrition.study.spec import Study

Make = Callable[..., Study]
Run = Callable[[Study, Path], Any]

EN, DE = "en-US", "de-DE"
METHODS = ["MULTI", "VANILLA", "SHARED LoRA", "NON-SHARED LoRA"]


def bits(folder: Path) -> dict[str, bytes]:
    """Return weights, counts, R, tables and metrics, by path."""
    files = [path for kind in ("stages", "evaluations") for path in folder.glob(f"{kind}/*/*.safetensors")]
    files += [path for name in ("*matrix.csv", "metrics.json", "*.parquet") for path in folder.glob(f"runs/*/{name}")]
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def losses(folder: Path) -> dict[str, list[float]]:
    """Return the training loss of every epoch: the place where bits first differ."""
    store = Store(folder)
    return {key: [epoch.train_loss for epoch in store.load_history(key).history] for key in store.keys("stages")}


@pytest.fixture(scope="module")
def again(make_study: Make) -> Callable[..., Study]:
    def make(*changes: str) -> Study:
        return make_study(f'languages=["{EN}", "{DE}"]', *changes, methods=METHODS)

    return make


@pytest.fixture(scope="module")
def first(again: Callable[..., Study], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return run_study(again(), tmp_path_factory.mktemp("first"))


def test_two_runs_have_the_same_bits(again: Callable[..., Study], first: Path, tmp_path: Path) -> None:
    expected = bits(first)
    assert len(expected) > 30
    assert bits(run_study(again(), tmp_path)) == expected
    assert losses(tmp_path) == losses(first)


def test_two_runs_of_populations_have_the_same_bits(again: Callable[..., Study], tmp_path: Path) -> None:
    study = again("machine.population=2")
    one, two = (bits(run_study(study, tmp_path / name)) for name in ("one", "two"))
    assert one == two


def test_on_a_cpu_determinism_need_not_be_asked_for(again: Callable[..., Study], first: Path, tmp_path: Path) -> None:
    folder = run_study(again("machine.deterministic=true"), tmp_path)
    assert bits(folder) == bits(first)
    assert json.loads((folder / "environment.json").read_text())["deterministic"] is True


def test_another_seed_has_other_bits(again: Callable[..., Study], first: Path, tmp_path: Path) -> None:
    """Without this the other tests would prove nothing."""
    folder = run_study(again("seeds=[1]"), tmp_path)
    assert not set(losses(folder)) & set(losses(first))
    assert not any(one == two for one in losses(folder).values() for two in losses(first).values())


def test_two_threads_twice_have_the_same_bits_and_nearly_those_of_one(make_study: Make, first: Path, tmp_path: Path) -> None:
    study = make_study(f'languages=["{EN}"]', "machine.threads=2")
    one, two = (run_study(study, tmp_path / name) for name in ("one", "two"))
    assert bits(one) == bits(two)
    ((key, together),) = losses(one).items()
    np.testing.assert_allclose(together, losses(first)[key], rtol=1e-3)

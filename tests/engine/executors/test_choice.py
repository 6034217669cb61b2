"""Unusable executors are refused with a clear message, before the preparation."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path

import pytest

from attrition.engine.run import run_study
from attrition.names import AttritionError
from attrition.study.spec import Study

Make = Callable[..., Study]


@pytest.mark.parametrize("name", ["ray", "slurm"])
def test_a_missing_package_is_named_by_its_extra(
    name: str, make_study: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(
        AttritionError, match=rf'machine\.executor = "{name}" needs an extra: pip install "attrition\[{name}\]"'
    ):
        run_study(make_study(f"machine.executor={name}"), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_machine_that_does_not_train_chooses_no_precision(
    make_study: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: object())
    with pytest.raises(AttritionError, match=r'model\.precision = "auto" is not possible.*Set it to "float32" or "bfloat16"'):
        run_study(make_study("machine.executor=slurm", "model.precision=auto"), tmp_path / "out")


@pytest.mark.parametrize(
    ("setting", "named"),
    [
        ("executor=kubernetes", "machine.executor"),
        ("workers=0", "machine.workers = 0"),
        ("slurm.walltime=1", "machine.slurm.walltime = 1"),
        ("slurm.cpus=0", "machine.slurm"),
        ("ray.gpus=-1", "machine.ray"),
        ("ray.adress=auto", "address"),
    ],
)
def test_settings_that_are_refused(setting: str, named: str, make_study: Make) -> None:
    with pytest.raises(AttritionError) as caught:
        make_study(f"machine.{setting}")
    assert named in str(caught.value)

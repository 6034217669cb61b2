"""The measurement before a study, with a clock that only work advances: no test waits for a real one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from attrition.encoder.batch import Batch, Part, assemble
from attrition.engine.measure import FEWEST, Kind, Line, Rates, fit, measure
from attrition.methods import Full, LoRA
from attrition.prepare.prepare import Prepared
from attrition.study.spec import Study
from attrition.training import predict as predicting
from attrition.training import train as training

Make = Callable[..., Study]
Ready = Callable[[Study], Prepared]


class Worked:
    """A clock that only passes advance: training takes `call` + `token` per sub-token, scoring 0.002 per sub-token."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, call: float = 0.25, token: float = 0.01) -> None:
        self.seconds, self.steps, self.learners = 0.0, 0, set[int]()
        self.threads = set[int]()

        def trained(parts: Sequence[Part], *rest: Any) -> Batch:
            self.steps += 1
            self.learners.add(len(parts))
            self.threads.add(torch.get_num_threads())
            interrupted = 50.0 if self.steps % 7 == 3 else 0.0
            self.seconds += call + token * sum(len(part.ids) for part in parts) + interrupted
            return assemble(parts, *rest)

        def scored(parts: Sequence[Part], *rest: Any) -> Batch:
            self.seconds += 0.002 * sum(len(part.ids) for part in parts)
            return assemble(parts, *rest)

        monkeypatch.setattr(training, "assemble", trained)
        monkeypatch.setattr(predicting, "assemble", scored)

    def now(self) -> float:
        return self.seconds


def measured(prepared: Prepared, clock: Worked, folder: Path, seconds: float = 1e6) -> Rates:
    said: list[tuple[int, int]] = []
    jobs = list(prepared.plan.jobs.values())
    rates = measure(prepared, folder, jobs, lambda _, done, total: said.append((done, total)), seconds, clock.now)
    assert said == sorted(said)
    assert said[-1][0] == said[-1][1]
    return rates


def test_rates_are_those_of_the_steps(
    make_study: Make, prepared_of: Ready, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Each step counts the sub-tokens that it really read, also over several epochs and side by side."""
    methods = ["VANILLA", {"method": "NON-SHARED LoRA", "rank": 4, "alpha": 2}]
    prepared = prepared_of(make_study("machine.population=2", methods=methods))
    clock, before = Worked(monkeypatch), torch.get_num_threads()
    monkeypatch.setattr("attrition.engine.measure.SECONDS_A_KIND", 1e6)
    monkeypatch.setattr("attrition.engine.measure.MOST", 15)
    torch.set_num_threads(2)
    rates = measured(prepared, clock, tmp_path / "not there")
    assert torch.get_num_threads() == 2
    torch.set_num_threads(before)
    assert clock.threads == {1}, "those that the study asks for"
    assert clock.learners == {1, 2}
    assert list(rates.training) == [Kind(Full(), 8, None, 1), Kind(LoRA(rank=4), 8, None, 2)]
    for line in rates.training.values():
        assert (line.call, line.token) == (pytest.approx(0.25), pytest.approx(0.01))
    assert rates.scoring == Line(0.0, pytest.approx(0.002))
    assert set(rates.weights) == set(rates.saving) == set(rates.loading) == {Full(), LoRA(rank=4)}
    assert clock.steps == 2 * (15 + 1)
    assert not list(tmp_path.iterdir()), "nothing is left"


def test_the_budget_ends_it(make_study: Make, prepared_of: Ready, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    prepared = prepared_of(make_study())
    slow = Worked(monkeypatch, call=1000.0)
    measured(prepared, slow, tmp_path, seconds=20.0)
    assert slow.steps == FEWEST + 1


def test_what_is_stored_is_not_measured(
    make_study: Make, prepared_of: Ready, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    prepared, clock = prepared_of(make_study()), Worked(monkeypatch)
    rates = measure(prepared, tmp_path, [], lambda *_: None, 20.0, clock.now)
    assert (clock.steps, dict(rates.training)) == (0, {})
    assert rates.scoring.token == pytest.approx(0.002)


def test_a_disk_that_takes_nothing(
    make_study: Make, prepared_of: Ready, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The run reports the full disk; the dry run still reports everything else."""

    def full(*_: Any, **__: Any) -> None:
        raise OSError("no space")

    monkeypatch.setattr("attrition.store.stages.save_file", full)
    rates = measure(prepared_of(make_study()), tmp_path, [], lambda *_: None, 20.0, Worked(monkeypatch).now)
    assert rates.saving == rates.loading == {Full(): 0.0}
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("spoiled", [0, 1, 2])
def test_the_line_through_steps(spoiled: int) -> None:
    tokens = np.array([80, 90, 120, 150, 151, 200, 260, 330])
    seconds = 0.5 + 0.004 * tokens
    seconds[:spoiled] += 17.0
    found = fit(tokens, seconds)
    assert (found.call, found.token) == (pytest.approx(0.5, abs=1e-6), pytest.approx(0.004))


def test_lines_that_would_fall_are_level() -> None:
    """No part is ever negative, and equal steps have no slope."""
    assert fit(np.array([100, 200]), np.array([3.0, 2.0])) == Line(2.5, 0.0)
    assert fit(np.array([100, 100]), np.array([1.0, 3.0])) == Line(0.0, 0.02)
    assert fit(np.array([100, 200]), np.array([1.0, 3.0])) == Line(0.0, 0.0125)
    assert fit(np.array([0]), np.array([1.0])) == Line(0.0, 1.0)

"""The warning of a run that has learned nothing in its first stages, while it still runs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from attrition.engine.run import run_study
from attrition.study.plan import Job
from attrition.study.spec import Study
from attrition.study.watcher import Watcher

LANGUAGES = ["en-US", "de-DE", "zh-CN", "fr-FR", "es-ES"]
STUCK = {"learning_rate": 1e-9, "head_learning_rate": 5e-2, "epochs": 1}
"""The head learns that most words are in no slot."""
METHODS = [
    {"method": "VANILLA", "name": "stuck", "training": STUCK},
    {"method": "NON-SHARED LoRA", "training": STUCK},
    {"method": "VANILLA", "training": {"learning_rate": 1e-2, "epochs": 12}},
    {"method": "MULTI", "training": STUCK},
]


class Noting(Watcher):
    """Remembers the stages, and the warnings between them."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def started(self, job: Job) -> None:
        self.said.append(job.label)

    def warned(self, message: str) -> None:
        if "the first 3 stages" in message:
            self.said.append(message.partition(":")[0])


@pytest.mark.parametrize("machine", [{}, {"executor": "processes", "workers": 2}], ids=["local", "processes"])
def test_a_run_that_learns_nothing_is_named_after_three_stages(
    machine: dict[str, Any], make_study: Callable[..., Study], tiny: dict[str, Any], tmp_path: Path
) -> None:
    notes = Noting()
    study = make_study(languages=LANGUAGES, methods=METHODS, machine={**tiny["machine"], **machine})
    run_study(study, tmp_path, notes)
    warned = [each for each in notes.said if "/" in each]
    assert sorted(warned) == ["NON-SHARED LoRA/as-listed/s0", "stuck/as-listed/s0"], "once each; one model alone has no stages"
    if not machine:
        before = notes.said[: notes.said.index("stuck/as-listed/s0")]
        assert [each for each in before if each.startswith("stuck")] == [f"stuck: {each}" for each in LANGUAGES[:3]]
    again = Noting()
    run_study(study, tmp_path, again)
    assert again.said == [], "nothing was scored"


def test_a_resumed_run_that_has_learned_nothing_is_named_before_it_goes_on(
    make_study: Callable[..., Study], tiny: dict[str, Any], tmp_path: Path
) -> None:
    class StopsAfterFour(Noting):
        def finished(self, job: Job, left: int) -> None:
            if sum(each.startswith("stuck: ") for each in self.said) == 4:
                raise KeyboardInterrupt

    study = make_study(languages=LANGUAGES, methods=METHODS[:1], machine=tiny["machine"])
    with pytest.raises(KeyboardInterrupt):
        run_study(study, tmp_path, StopsAfterFour())
    notes = Noting()
    run_study(study, tmp_path, notes)
    assert notes.said[0] == "stuck/as-listed/s0"
    assert len(notes.said) > 1, "it goes on"
    assert [each for each in notes.said if "/" in each] == ["stuck/as-listed/s0"], "once"

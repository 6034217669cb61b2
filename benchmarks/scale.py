"""What limits 10, 100 and 1,000 workers: the real scheduler against simulated steps, and what the driver does, timed.

    python -m benchmarks.scale

A stage's time is counted in forward passes of one utterance: a training pass is three of them (forward, and twice as much
backward), a scored utterance one. So that no machine's speed is assumed, times are given as multiples of one worker's.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from attrition.engine.makespan import makespan
from attrition.engine.schedule import Population, Schedule
from attrition.problem.counts import Counts
from attrition.results.at_work import WORKING, pulses
from attrition.store.stages import Store, StoredEvaluation, StoredHistory
from attrition.training.learner import Epoch
from benchmarks.common import RESULTS, console, facts, write_result

WORKERS = (1, 10, 100, 1000)
TRAIN, TEST, EPOCHS = 11_514, 2_974, 5
"""Utterances of a language of MASSIVE 1.1, and the default number of epochs."""
BACKWARD = 2
SLOTS = 55


@dataclass(frozen=True)
class Design:
    """A study: so many languages in so many orders and seeds, by methods with one chain or with a stage for each language.

    `scored` is how many utterances of each language a stage is scored on; `costs` are the encoders, by the time of a pass.
    """

    name: str
    languages: int
    orders: int
    seeds: int = 1
    scored: int = TEST
    chained: int = 2
    costs: tuple[float, ...] = (1.0,)

    def plan(self) -> tuple[list[Population], dict[str, str | None], dict[str, float], dict[str, float]]:
        """Populations, parents, and the times of training and scoring. Orders begin with different languages."""
        parents: dict[str, str | None] = {}
        training: dict[str, float] = {}
        scoring: dict[str, float] = {}

        def add(key: str, parent: str | None, cost: float, languages: int = 1) -> None:
            parents[key] = parent
            training[key] = cost * (1 + BACKWARD) * EPOCHS * TRAIN * languages
            scoring[key] = cost * self.scored * self.languages

        for model, cost in enumerate(self.costs):
            for seed in range(self.seeds):
                for method in range(self.chained):
                    for order in range(self.orders):
                        for place in range(self.languages):
                            chain = f"{model}.{seed}.{method}.{order}."
                            add(f"{chain}{place}", f"{chain}{place - 1}" if place else None, cost)
                for language in range(self.languages):  # NON-SHARED LoRA: the orders have these stages in common
                    add(f"{model}.{seed}.own.{language}", None, cost)
                add(f"{model}.{seed}.joint", None, cost, self.languages)
        return [(key,) for key in parents], parents, training, scoring


DESIGNS = (
    Design("the paper: 52 languages, 5 orders, 4 methods", 52, 5),
    Design("the same with 5 seeds", 52, 5, 5),
    Design("the same with 5 seeds, three encoders", 52, 5, 5, costs=(1.0, 3.0, 9.0)),
    Design("500 languages, 5 orders, 4 methods", 500, 5),
    Design("500 languages, scored on 200 utterances of each", 500, 5, scored=200),
)


def simulate(design: Design) -> dict[str, object]:
    """Times of a design with each number of workers, as speed-ups over one worker; and what the schedule itself took."""
    populations, parents, training, scoring = design.plan()
    found: dict[str, object] = {"stages": len(populations), "scoring": sum(scoring.values()) / sum({**training}.values())}
    seconds = {}
    for workers in WORKERS:
        began = time.perf_counter()
        schedule = Schedule(populations, parents, cost=None if workers == 1 else training)
        length = makespan(schedule, training, scoring, workers)
        found["milliseconds a stage"] = 1000 * (time.perf_counter() - began) / len(populations)
        seconds[workers] = length
    in_sequence = makespan(Schedule(populations, parents), training, scoring, 10)
    found |= {"speed-up": {workers: seconds[1] / each for workers, each in seconds.items()}}
    found |= {"speed-up of 10 in the plan's sequence": seconds[1] / in_sequence}
    whole = makespan(Schedule(populations, parents, cost=training), training, scoring, 10**6)
    return found | {"speed-up of any number": seconds[1] / whole}


def timed(work: Callable[[], object], times: int = 20) -> float:
    """The median of so many times, in milliseconds."""
    spent = []
    for _ in range(times):
        began = time.perf_counter()
        work()
        spent.append(1000 * (time.perf_counter() - began))
    return float(np.median(spent))


def driver() -> dict[str, float]:
    """What the driver does for each stage, and at each look, on this disk; in milliseconds."""
    found = {}
    with tempfile.TemporaryDirectory() as temporary:
        store = Store(Path(temporary))
        history = StoredHistory(tuple(Epoch(n, 1.0, 0.5, 1.0) for n in range(EPOCHS)), 1, {"training": 1.0})
        store.save_stage("stage", {}, {"x": np.zeros(1_000_000, np.float32)}, history)
        found["see that a stage is stored, and read its history"] = timed(
            lambda: (store.has("stages", "stage"), store.load_history("stage"))
        )
        for languages in (52, 500):
            each = Counts(*np.zeros((3, TEST), np.int64), np.zeros((SLOTS, 3), np.int64))
            key = f"evaluation-{languages}"
            store.save_evaluation(key, {}, StoredEvaluation({f"l{n}": each for n in range(languages)}, 1.0))
            found[f"read the scores of {languages} languages"] = timed(lambda key=key: store.load_evaluation(key), 5)
        said = {
            "executor": "slurm", "host": "n", "pid": 1, "place": "", "what": "training", "stages": ["a"], "unit_read": 1,
            "read": 1, "began": 1.0, "seen": 1.0,
        }  # fmt: skip
        (Path(temporary) / WORKING).mkdir()
        for number in range(max(WORKERS)):
            (Path(temporary) / WORKING / f"n-{number}.json").write_text(json.dumps(said))
        found[f"look at {max(WORKERS):,} workers"] = timed(lambda: pulses(Path(temporary)), 5)
    return found


def main() -> None:
    """Simulate all designs, time the driver, write and print the result."""
    result = {
        **facts("python -m benchmarks.scale"),
        "driver": driver(),
        "designs": {each.name: simulate(each) for each in DESIGNS},
    }
    write_result(RESULTS / "scale.json", result)
    console.print_json(data=result)


if __name__ == "__main__":
    main()

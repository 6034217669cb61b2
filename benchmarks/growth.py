"""Time and memory against languages, orders, ranks and learners in a population: `python -m benchmarks.growth`.

Every point is measured in a process of its own. Languages and orders are whole studies (SHARED LoRA on generated utterances),
whose overhead is what the engine spends outside training and evaluation; ranks and learners are one training.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
from rich.table import Table

from attrition.engine.run import run_study
from attrition.languages import LANGUAGES
from attrition.methods import LoRA
from attrition.store.stages import Store
from attrition.study.plan import StudyPlan
from attrition.study.spec import build_study
from attrition.study.watcher import Watcher
from attrition.training.clock import Clock
from attrition.training.model import build_model
from attrition.training.settings import TrainingSettings
from benchmarks import common, ours
from benchmarks.workload import load_workload

Axis = Literal["languages", "orders", "rank", "learners"]
VALUES: dict[Axis, tuple[int, ...]] = {
    "languages": (2, 4, 8, 16),
    "orders": (1, 2, 4),
    "rank": (8, 32, 64),
    "learners": (1, 2, 4, 8),
}
ORDER_LANGUAGES = 4


@dataclass(frozen=True, kw_only=True)
class Size:
    """How much one point does; utterances are for each language or learner."""

    model: str = "embedded:e5-small"
    num_train: int = 320
    num_test: int = 200
    rank: int = 32
    threads: int | None = None


QUICK = Size(num_train=64, num_test=32)
TOY = Size(model="tiny:bert", num_train=16, num_test=4, rank=4, threads=1)


class _Stopwatch(Watcher):
    """Notes when the engine begins, after corpus, model and plan are ready."""

    began = 0.0

    def planned(self, plan: StudyPlan, work: int, done: int) -> None:
        self.began = time.perf_counter()


def measure(axis: Axis, value: int, size: Size) -> dict[str, Any]:
    """One point, in this process."""
    threads = common.set_threads(size.threads)
    if axis == "languages":
        point = _study(value, 1, size, threads)
    elif axis == "orders":
        point = _study(ORDER_LANGUAGES, value, size, threads)
    else:
        point = _training(value if axis == "rank" else size.rank, value if axis == "learners" else 1, size)
    return {"axis": axis, "value": value, **point, "peak_bytes": common.peak_memory()}


def _study(num_languages: int, num_orders: int, size: Size, threads: int) -> dict[str, Any]:
    languages = list(LANGUAGES)[:num_languages]
    study = build_study(
        {
            "name": "growth",
            "languages": languages,
            "methods": [{"method": "SHARED LoRA", "rank": size.rank}],
            "orders": [f"random:{number}" for number in range(num_orders)],
            "corpus": {"name": "phrasebook", "sizes": {"train": size.num_train, "dev": 0, "test": size.num_test}},
            "model": {"name": size.model},
            "training": {"epochs": 1, "keep": "last", "head_learning_rate": 1e-2, "learning_rate": 5e-4},
            "machine": {"device": "cpu", "threads": threads, "population": num_orders},
        },
        where="benchmarks/growth.py",
    )
    watcher = _Stopwatch()
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        store = Store(run_study(study, Path(folder), watcher))
        ended = time.perf_counter()
        histories = [store.load_history(key).seconds for key in store.keys("stages")]
        scoring = sum(store.load_evaluation(key).seconds for key in store.keys("evaluations"))
    training = sum(each["training"] for each in histories)
    evaluation = scoring + sum(each["evaluation"] for each in histories)
    engine = ended - watcher.began
    return {
        "seconds": engine,
        "prepare_seconds": watcher.began - began,
        "training_seconds": training,
        "evaluation_seconds": evaluation,
        "overhead": 1 - (training + evaluation) / engine,
        "stages": len(histories),
        "utterances": len(histories) * size.num_train,
    }


def _training(rank: int, learners: int, size: Size) -> dict[str, Any]:
    work = load_workload(size.model, ("en-US", "de-DE"), size.num_train, 2, phrasebook=True)
    model, trains = build_model(work.pretrained, work.vocabulary, work.labels), LoRA(rank=rank)
    settings = TrainingSettings(epochs=1, keep="last")
    starts = [model.start(trains, "growth", number).clone for number in range(learners)]
    compact = work.compact(work.train)
    first = compact.select(np.arange(min(32, len(compact))))
    ours.train(model, trains, [first] * learners, starts, settings)  # warms up; not timed
    clock = Clock()
    seconds = common.seconds_of(lambda: ours.train(model, trains, [compact] * learners, starts, settings, clock=clock))
    training = clock.seconds()["training"]
    utterances = learners * len(compact)
    return {
        "seconds": seconds,
        "training_seconds": training,
        "overhead": 1 - training / seconds,
        "utterances": utterances,
        "utterances_a_second": utterances / seconds,
        "parameters": learners * model.layout(trains).size,
    }


def run(size: Size, values: dict[Axis, tuple[int, ...]], *, own_processes: bool = True) -> dict[str, Any]:
    """All points of all axes."""
    points: dict[str, list[dict[str, Any]]] = {}
    for axis, each in values.items():
        points[axis] = []
        for value in each:
            common.console.print(f"{axis}: {value} ...")
            if own_processes:
                with tempfile.TemporaryDirectory() as cache:
                    point = json.dumps([axis, value, asdict(size)])
                    points[axis].append(
                        common.in_process_of_its_own("growth", "--point", point, env={"ATTRITION_CACHE": cache})
                    )
            else:
                points[axis].append(measure(axis, value, size))
    studies = [point for axis in ("languages", "orders") for point in points.get(axis, [])]
    return {"overhead": max((point["overhead"] for point in studies), default=None), "points": points, "size": asdict(size)}


def show(result: dict[str, Any]) -> None:
    """Print a result as a table."""
    table = Table(title=f"growth, {result['size']['model']}")
    for column in ("", "value", "seconds", "training", "evaluation", "overhead", "utterances/s", "peak MB"):
        table.add_column(column, justify="right" if column else "left")
    for axis, points in result["points"].items():
        for point in points:
            evaluation = f"{point['evaluation_seconds']:.1f}" if "evaluation_seconds" in point else ""
            table.add_row(
                axis,
                str(point["value"]),
                f"{point['seconds']:.1f}",
                f"{point['training_seconds']:.1f}",
                evaluation,
                f"{point['overhead']:.1%}",
                f"{point['utterances'] / point['training_seconds']:.1f}",
                f"{point['peak_bytes'] / 1e6:.0f}",
            )
    common.console.print(table)


def main(arguments: list[str]) -> dict[str, Any]:
    """Measure, write and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.growth", description=__doc__)
    scale = parser.add_mutually_exclusive_group()
    scale.add_argument("--quick", action="store_true", help="fewer utterances")
    scale.add_argument("--toy", action="store_true", help="a tiny model, few points, all in this process: for tests")
    parser.add_argument("--point", help="one point, in this process: JSON [axis, value, size]")
    parser.add_argument("--out", type=Path, default=common.RESULTS / "growth.json")
    given = parser.parse_args(arguments)
    if given.point:
        axis, value, size = json.loads(given.point)
        assert axis in get_args(Axis), axis
        point = measure(axis, value, Size(**size))
        common.answer(point)
        return point
    if given.toy:
        result = run(TOY, {axis: values[:2] for axis, values in VALUES.items()}, own_processes=False)
    else:
        result = run(QUICK if given.quick else Size(), VALUES)
    result |= common.facts(common.command_of("growth", arguments))
    common.write_result(given.out, result)
    show(result)
    return result


if __name__ == "__main__":
    main(sys.argv[1:])

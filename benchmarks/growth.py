"""Time and memory against languages, orders, ranks, learners in a population and workers: `python -m benchmarks.growth`.

Every point is measured in a process of its own. Languages and orders are whole studies (SHARED LoRA on generated utterances),
whose overhead is what the engine spends outside training and evaluation; ranks and learners are one training. `--workers`
trains a study of `--languages` with four seeds by so many processes of one thread each, and writes `growth_workers.json`.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Sequence
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
WORKER_SEEDS = 4


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


def measure_workers(workers: int, num_languages: int, size: Size) -> dict[str, Any]:
    """Return seconds of a study, from the plan to its end, with so many worker processes of one thread."""
    point = _study(num_languages, 1, size, common.set_threads(1), WORKER_SEEDS, workers)
    return {"workers": workers, "languages": num_languages, **point}


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


def _study(
    num_languages: int, num_orders: int, size: Size, threads: int, num_seeds: int = 1, workers: int = 0
) -> dict[str, Any]:
    languages = list(LANGUAGES)[:num_languages]
    processes = {"executor": "processes", "workers": workers, "population": 1}
    where = processes if workers else {"population": num_orders}
    study = build_study(
        {
            "name": "growth",
            "languages": languages,
            "methods": [{"method": "SHARED LoRA", "rank": size.rank}],
            "orders": [f"random:{number}" for number in range(num_orders)],
            "corpus": {"name": "phrasebook", "sizes": {"train": size.num_train, "dev": 0, "test": size.num_test}},
            "model": {"name": size.model},
            "training": {"epochs": 1, "keep": "last", "head_learning_rate": 1e-2, "learning_rate": 5e-4},
            "seeds": list(range(num_seeds)),
            "machine": {"device": "cpu", "threads": threads, **where},
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


def run_workers(workers: Sequence[int], languages: Sequence[int], size: Size) -> dict[str, Any]:
    """All pairs of a number of workers and a number of languages; the same languages are measured one after another."""
    points = []
    for number in languages:
        for each in workers:
            common.console.print(f"{number} languages, {each} workers ...")
            points.append(measure_workers(each, number, size))
    return {"workers": points, "size": asdict(size)}


def show_workers(result: dict[str, Any]) -> None:
    """Print the times of workers as a table."""
    table = Table(title=f"workers, {result['size']['model']}")
    for column in ("languages", "workers", "stages", "seconds", "times as fast as the first"):
        table.add_column(column, justify="right")
    for point in result["workers"]:
        first = next(each for each in result["workers"] if each["languages"] == point["languages"])
        numbers = [str(point[name]) for name in ("languages", "workers", "stages")]
        table.add_row(*numbers, f"{point['seconds']:.1f}", f"{first['seconds'] / point['seconds']:.2f}")
    common.console.print(table)


def main(arguments: list[str]) -> dict[str, Any]:
    """Measure, write and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.growth", description=__doc__)
    scale = parser.add_mutually_exclusive_group()
    scale.add_argument("--quick", action="store_true", help="fewer utterances")
    scale.add_argument("--toy", action="store_true", help="a tiny model, few points, all in this process: for tests")
    parser.add_argument("--point", help="one point, in this process: JSON [axis, value, size]")
    parser.add_argument(
        "--workers", type=int, nargs="+", choices=range(1, 5), help="worker processes, 1 to 4, instead of the axes"
    )
    parser.add_argument("--languages", type=int, nargs="+", choices=range(2, 53), default=[2, 12, 52], help="with --workers")
    parser.add_argument("--out", type=Path)
    given = parser.parse_args(arguments)
    out = given.out or common.RESULTS / ("growth_workers.json" if given.workers else "growth.json")
    if given.point:
        axis, value, size = json.loads(given.point)
        assert axis in get_args(Axis), axis
        point = measure(axis, value, Size(**size))
        common.answer(point)
        return point
    if given.workers:
        size = TOY if given.toy else QUICK if given.quick else Size()
        result = run_workers(given.workers, given.languages, size)
    elif given.toy:
        result = run(TOY, {axis: values[:2] for axis, values in VALUES.items()}, own_processes=False)
    else:
        result = run(QUICK if given.quick else Size(), VALUES)
    result |= common.facts(common.command_of("growth", arguments))
    common.write_result(out, result)
    (show_workers if given.workers else show)(result)
    return result


if __name__ == "__main__":
    main(sys.argv[1:])

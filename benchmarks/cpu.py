"""Ours against Hugging Face Trainer + PEFT + seqeval on one machine, in turns: `make bench`, or `python -m benchmarks.cpu`.

Same model, utterances, start, LoRA (r = 32 on all linear layers), batch, dropout, AdamW, schedule and clipping. A second
baseline batches utterances of like length (and, for evaluation, merges LoRA first): what the Trainer can do when asked.
"""

from __future__ import annotations

import argparse
import dataclasses
import statistics
import sys
import tempfile
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from seqeval.metrics import f1_score
from torch import Tensor

from attrition.encoder.precision import Precision, choose_precision
from attrition.methods import Full, LoRA, Trains
from attrition.problem.base import word_predictions
from attrition.training.model import Model, build_model
from attrition.training.predict import predict
from attrition.training.settings import TrainingSettings
from benchmarks import baseline, common, in_processes, memory, ours, table
from benchmarks.workload import LANGUAGES, Workload, load_workload

TRAINER, TRAINER_BFLOAT16, STRONGER = "trainer", "trainer_bfloat16", "trainer_stronger"
OURS, OURS_FLOAT32, OURS_PROCESSES = "ours", "ours_float32", "ours_processes"
SCORER_CALLS = 20

LORA_SETTINGS = TrainingSettings(epochs=1, learning_rate=5e-4, head_learning_rate=5e-4, keep="last")
FULL_SETTINGS = dataclasses.replace(LORA_SETTINGS, learning_rate=1e-4, head_learning_rate=1e-4)
# Trains the model that both sides evaluate, so that there are spans to score; not timed.
LEARN_SETTINGS = dataclasses.replace(LORA_SETTINGS, learning_rate=1e-3, head_learning_rate=1e-2)


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How much of what is measured; `learn_epochs` is how long the model is trained that both sides evaluate."""

    model: str = "embedded:e5-small"
    languages: tuple[str, ...] = LANGUAGES
    num_train: int = 640
    num_test: int = 600
    repeats: int = 5
    rank: int = 32
    learn_epochs: int = 8
    phrasebook: bool = False
    memory: bool = True


WHOLE = Plan()
QUICK = Plan(num_train=96, num_test=120, repeats=2, learn_epochs=10)
TOY = Plan(
    model="tiny:bert",
    languages=("en-US", "de-DE"),
    num_train=40,
    num_test=8,
    repeats=1,
    rank=4,
    learn_epochs=1,
    phrasebook=True,
    memory=False,
)


@dataclass(frozen=True, eq=False)
class Bench:
    """One comparison at work."""

    plan: Plan
    work: Workload
    models: dict[str, Model]
    lora: LoRA
    folder: Path
    precision: Precision
    threads: int

    @property
    def theirs(self) -> tuple[str, ...]:
        """The Trainer's sides. Where this machine gains nothing from bfloat16 it is emulated, many times slower: left out."""
        return (TRAINER, STRONGER) if self.precision == "float32" else (TRAINER, TRAINER_BFLOAT16, STRONGER)

    def in_processes(
        self, trains: Trains, settings: TrainingSettings, flat_P: Tensor | None = None
    ) -> AbstractContextManager[Callable[[], None]]:
        """A pass in each of as many processes as one process has threads."""
        plan = self.plan
        job = in_processes.Pass(
            model=plan.model, languages=plan.languages, num_train=plan.num_train, num_test=plan.num_test,
            phrasebook=plan.phrasebook, precision=self.precision, trains=trains, settings=settings, flat_P=flat_P,
        )  # fmt: skip
        return in_processes.processes(job, self.threads)

    def shared(self, seconds: dict[str, list[float]]) -> dict[str, list[float]]:
        """Seconds with those of processes for one pass: so many were made in that time."""
        return {**seconds, OURS_PROCESSES: [spent / self.threads for spent in seconds[OURS_PROCESSES]]}

    @property
    def model(self) -> Model:
        """As the program runs by default on this machine."""
        return self.models[OURS]

    def trainer(self, module: torch.nn.Module, settings: TrainingSettings, **options: Any) -> Any:
        """A fresh Trainer over the sample's training utterances."""
        train = options.pop("train", None) or baseline.features(self.work.train)
        tokenizer = baseline.padder(self.work.pretrained)
        return baseline.make_trainer(module, tokenizer, self.work.labels, train, settings, self.folder, **options)


def compare_training(
    bench: Bench, trains: Trains, settings: TrainingSettings, between: Callable[[], object] = lambda: None
) -> dict[str, Any]:
    """Seconds and losses of passes over the training utterances, each from the same start."""
    model, work = bench.model, bench.work
    start = model.start(trains, "benchmark")
    tensors = model.layout(trains).unpack(start)
    compact = work.compact(work.train)
    rows = baseline.features(work.train)
    module = baseline.classifier(work.pretrained, work.labels)
    baseline.set_full(module, work.pretrained, model.layout(Full()).unpack(model.start(Full(), "benchmark")))
    if isinstance(trains, LoRA):
        module = baseline.with_lora(module, trains)
    _check_sizes(model, trains, baseline.trainable(module))
    losses: dict[str, list[float]] = {side: [] for side in (*bench.models, *bench.theirs)}

    def back() -> None:
        if isinstance(trains, LoRA):
            baseline.set_lora(module, tensors)
        else:
            baseline.set_full(module, work.pretrained, tensors)

    def prepare_ours(side: str) -> Callable[[], object]:
        seed = len(losses[side])

        def timed() -> None:
            (finished,) = ours.train(bench.models[side], trains, [compact], [start.clone], settings, seed=seed)
            losses[side].append(finished.history[-1].train_loss)

        return timed

    def prepare_theirs(name: str) -> Callable[[], object]:
        back()
        trainer = bench.trainer(module, settings, train=rows, grouped=name == STRONGER, bf16=name == TRAINER_BFLOAT16)
        return lambda: losses[name].append(float(trainer.train().training_loss))

    sides = {side: partial(prepare_ours, side) for side in bench.models}
    sides |= {side: partial(prepare_theirs, side) for side in bench.theirs}
    with bench.in_processes(trains, settings) as at_once:
        seconds = common.interleave({**sides, OURS_PROCESSES: lambda: at_once}, bench.plan.repeats, between=between)
    # The very first step, on the same batch from the same start: only dropout and precision differ.
    first = np.arange(min(settings.batch_size, len(compact)))
    first_loss = {}
    for side, each in bench.models.items():
        (finished,) = ours.train(each, trains, [compact.select(first)], [start.clone], settings)
        first_loss[side] = finished.history[-1].train_loss
    back()
    single = bench.trainer(module, settings, train=[rows[row] for row in first], steps=1)
    first_loss[TRAINER] = float(single.train().training_loss)
    return {"seconds": bench.shared(seconds), "first_step_loss": first_loss, "mean_loss": losses}


def _check_sizes(model: Model, trains: Trains, theirs: int) -> None:
    """Both sides must train the same parameters; ours leaves out rows of the word embeddings that are never looked up."""
    size = model.layout(trains).size
    if not isinstance(trains, LoRA):
        size += (model.vocabulary.full_size - len(model.vocabulary)) * model.backbone.hidden_size
    assert size == theirs, f"we train {size} parameters, they {theirs}"


def learned(bench: Bench) -> Tensor:
    """A learner that has seen enough to predict spans."""
    settings = dataclasses.replace(LEARN_SETTINGS, epochs=bench.plan.learn_epochs)
    start = bench.model.start(bench.lora, "benchmark")
    return ours.train(bench.model, bench.lora, [bench.work.compact(bench.work.train)], [start.clone], settings)[0].flat


def compare_evaluation(bench: Bench, flat_P: Tensor) -> dict[str, Any]:
    """Seconds and F1 of predicting and scoring the test utterances with one trained learner."""
    work, model = bench.work, bench.model
    tests = {language: work.compact(encoded) for language, encoded in work.tests.items()}
    rows = [row for encoded in work.tests.values() for row in baseline.features(encoded)]
    module: Any = baseline.classifier(work.pretrained, work.labels)
    tensors = model.layout(bench.lora).unpack(flat_P)
    baseline.set_full(module, work.pretrained, tensors)
    module = baseline.with_lora(module, bench.lora)
    baseline.set_lora(module, tensors)
    merged = baseline.classifier(work.pretrained, work.labels)
    baseline.set_full(merged, work.pretrained, tensors)
    merged = baseline.with_lora(merged, bench.lora)
    baseline.set_lora(merged, tensors)
    merged = merged.merge_and_unload()  # type: ignore[operator]
    f1: dict[str, float] = {}

    def prepare_ours(side: str) -> Callable[[], object]:
        def timed() -> None:
            counts = ours.evaluate(bench.models[side], bench.lora, flat_P, tests)
            per_language = [each.f1 for each in counts.values()]
            assert len(per_language) == len(tests)
            f1[side] = _pooled_f1(counts)

        return timed

    def prepare_theirs(name: str) -> Callable[[], object]:
        stronger = name == STRONGER
        model, rounds = merged if stronger else module, name == TRAINER_BFLOAT16
        trainer = bench.trainer(model, LORA_SETTINGS, train=rows, grouped=stronger, bf16=rounds)

        def timed() -> None:
            f1[name] = trainer.predict(rows).metrics["test_f1"]

        return timed

    sides = {side: partial(prepare_ours, side) for side in bench.models}
    sides |= {side: partial(prepare_theirs, side) for side in bench.theirs}
    with bench.in_processes(bench.lora, LORA_SETTINGS, flat_P) as at_once:
        seconds = common.interleave({**sides, OURS_PROCESSES: lambda: at_once}, bench.plan.repeats)
    return {"seconds": bench.shared(seconds), "f1": f1}


def _pooled_f1(counts: Any) -> float:
    tp, fp, fn = (sum(int(getattr(each, part).sum()) for each in counts.values()) for part in ("tp", "fp", "fn"))
    return 2 * tp / (2 * tp + fp + fn) if tp else 0.0


def compare_scorers(bench: Bench, flat_P: Tensor) -> dict[str, Any]:
    """Seconds of one F1 over a whole test set, from arrays of classes and from lists of labels, each side's own form.

    For information also seqeval from the classes that a model gives, which have to become labels first.
    """
    model, labels, encoded = bench.model, bench.work.labels, bench.work.compact(bench.work.scored)
    predicted_W = word_predictions(encoded, predict(model, model.weights(bench.lora, flat_P), encoded), model.counter.inside)
    edges = encoded.word_offsets[1:-1]

    def names(classes_W: NDArray[np.integer]) -> list[list[str]]:
        return [[labels[index] for index in row] for row in np.split(classes_W, edges)]

    gold_names, found_names = names(encoded.gold), names(predicted_W)

    def our_f1() -> float:
        return model.counter.count(encoded.gold, predicted_W, encoded.word_offsets).f1

    def many() -> None:
        for _ in range(SCORER_CALLS):
            our_f1()

    seconds = common.interleave(
        {
            OURS: lambda: many,
            "seqeval": lambda: lambda: f1_score(gold_names, found_names),
            "seqeval_from_classes": lambda: lambda: f1_score(names(encoded.gold), names(predicted_W)),
        },
        bench.plan.repeats,
    )
    seconds[OURS] = [spent / SCORER_CALLS for spent in seconds[OURS]]
    f1 = {OURS: our_f1(), "seqeval": float(f1_score(gold_names, found_names))}
    assert abs(f1[OURS] - f1["seqeval"]) < 1e-9, f"the scorers disagree: {f1}"
    return {"seconds": seconds, "f1": f1}


def compare_memory(bench: Bench, threads: int) -> dict[str, Any]:
    """What each side says of its own process."""
    start = bench.model.layout(Full()).unpack(bench.model.start(Full(), "benchmark"))
    memory.write_job(bench.folder, bench.work, FULL_SETTINGS, threads, start, bench.precision)
    return {side: common.in_process_of_its_own("memory", side, str(bench.folder)) for side in memory.SIDES}


def run(plan: Plan, threads: int | None = None) -> dict[str, Any]:
    """All comparisons; the keys of the result are described in `benchmarks/README.md`."""
    used = common.set_threads(threads)
    work = load_workload(plan.model, plan.languages, plan.num_train, plan.num_test, phrasebook=plan.phrasebook)
    parts_of_model = (work.pretrained, work.vocabulary, work.labels, "cpu")
    precision = choose_precision("auto", torch.device("cpu"))
    models = {OURS: build_model(*parts_of_model, precision)}
    if precision != "float32":
        models[OURS_FLOAT32] = build_model(*parts_of_model)
    in_float32 = OURS if precision == "float32" else OURS_FLOAT32
    lora = LoRA(rank=plan.rank)
    products: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(plan, work, models, lora, Path(folder), precision, used)
        common.console.print("LoRA training ...")
        train_lora = compare_training(bench, lora, LORA_SETTINGS, lambda: products.append(common.product_rate()))
        common.console.print("evaluation and scorer ...")
        flat_P = learned(bench)
        evaluation, scorer = compare_evaluation(bench, flat_P), compare_scorers(bench, flat_P)
        common.console.print("full fine-tuning ...")
        train_full = compare_training(bench, Full(), FULL_SETTINGS)
        common.console.print("memory ...")
        needed = compare_memory(bench, used) if plan.memory else None
    rate = statistics.median(products)
    operations = common.operations_a_token(models[OURS], lora)[0] * work.train.num_tokens
    fractions = {side: operations / statistics.median(spent) / rate for side, spent in train_lora["seconds"].items()}
    parts = {"train_lora": train_lora, "eval": evaluation, "train_full": train_full}
    counts = {"train_lora": plan.num_train, "train_full": plan.num_train, "eval": work.describe()["test_utterances"]}
    return {
        **{f"{name}_ratio": _ratio(part["seconds"], TRAINER) for name, part in parts.items()},
        "scorer_ratio": _ratio(scorer["seconds"], "seqeval"),
        "scorer_from_classes_ratio": _ratio(scorer["seconds"], "seqeval_from_classes"),
        "full_memory_ratio": None if needed is None else needed[OURS]["peak_bytes"] / needed[TRAINER]["peak_bytes"],
        "gemm_fraction": fractions[OURS],
        "gemm_fractions": fractions,
        "precision": precision,
        "float32_ratios": {name: _ratio(part["seconds"], TRAINER, in_float32) for name, part in parts.items()},
        "processes_ratios": {name: _ratio(part["seconds"], TRAINER, OURS_PROCESSES) for name, part in parts.items()},
        "bfloat16_ratios": {
            name: _ratio(part["seconds"], TRAINER_BFLOAT16) for name, part in parts.items() if TRAINER_BFLOAT16 in bench.theirs
        },
        "stronger_ratios": {name: _ratio(part["seconds"], STRONGER) for name, part in parts.items()},
        "utterances_a_second": {
            name: {side: counts[name] / statistics.median(spent) for side, spent in part["seconds"].items()}
            for name, part in parts.items()
        },
        **parts,
        "scorer": scorer,
        "memory": needed,
        "comparable": {
            "first_step_loss_differs_by": max(_apart(part["first_step_loss"]) for part in (train_lora, train_full)),
            "float32_first_step_loss_differs_by": max(
                _apart(part["first_step_loss"], in_float32) for part in (train_lora, train_full)
            ),
            "f1_differs_by": abs(evaluation["f1"][OURS] - evaluation["f1"][TRAINER]),
            "float32_f1_differs_by": abs(evaluation["f1"][in_float32] - evaluation["f1"][TRAINER]),
        },
        "product_operations_a_second": {"median": rate, "all": products},
        "operations_a_subtoken": operations / work.train.num_tokens,
        "workload": work.describe(),
        "plan": dataclasses.asdict(plan),
    }


def _ratio(seconds: dict[str, list[float]], theirs: str, ours_: str = OURS) -> float:
    return common.ratio(seconds[ours_], seconds[theirs])


def _apart(losses: dict[str, float], side: str = OURS) -> float:
    """How far two losses differ, as a share of theirs."""
    return abs(losses[side] / losses[TRAINER] - 1)


def show(result: dict[str, Any]) -> None:
    """Print a result's tables, and how far losses and F1 of the two sides differ."""
    sys.stdout.write(table.cpu(result) + "\n\n")
    same = result["comparable"]
    common.console.print(
        f"Loss of the first step: differs by {same['first_step_loss_differs_by']:.1%}; F1: by {same['f1_differs_by']:.4f}; "
        f"mean loss of the passes: LoRA {_means(result['train_lora'])}, full {_means(result['train_full'])}."
    )


def _means(part: dict[str, Any]) -> str:
    return ", ".join(f"{side} {statistics.mean(losses):.2f}" for side, losses in part["mean_loss"].items())


def main(arguments: list[str]) -> dict[str, Any]:
    """Measure, write and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.cpu", description=__doc__)
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--quick", action="store_true", help="a fifth of the work: to see that it runs")
    size.add_argument("--toy", action="store_true", help="a model of a few thousand parameters: for tests")
    parser.add_argument("--threads", type=int, help="of both sides; all cores by default")
    parser.add_argument("--rounds", type=int, help="timed rounds; 5 by default")
    parser.add_argument("--out", type=Path, default=common.RESULTS / "cpu.json")
    given = parser.parse_args(arguments)
    plan = QUICK if given.quick else TOY if given.toy else WHOLE
    if given.rounds:
        plan = dataclasses.replace(plan, repeats=given.rounds)
    result = run(plan, given.threads) | common.facts(common.command_of("cpu", arguments))
    common.write_result(given.out, result)
    show(result)
    return result


if __name__ == "__main__":
    main(sys.argv[1:])

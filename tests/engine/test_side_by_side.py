"""The number of learners side by side: the requested number, or as many as fit."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch.autograd.graph import saved_tensors_hooks

from attrition.engine import side_by_side
from attrition.engine.estimate import parameter_bytes
from attrition.engine.side_by_side import (
    BYTES,
    Need,
    Widths,
    first_population,
    in_words,
    largest_populations,
    learner_bytes,
    most_that_fit,
)
from attrition.names import AttritionError
from attrition.prepare.prepare import Prepared
from attrition.study.plan import Job
from attrition.study.spec import Study, resolved
from attrition.training import train as training
from attrition.training.clock import Clock
from attrition.training.train import Task, train_population

EN, DE, ZH = "en-US", "de-DE", "zh-CN"
LORA = {"method": "NON-SHARED LoRA", "rank": 4}
E5_SMALL = Widths(layers=12, hidden=384, intermediate=1536, heads=12, classes=111, product=2, base=21_233_664)

Make = Callable[..., Study]
Ready = Callable[[Study], Prepared]


def of_gpu(prepared: Prepared, free: int, monkeypatch: pytest.MonkeyPatch) -> Prepared:
    """Return the study on a GPU with this much free memory; nothing here uses the GPU."""
    monkeypatch.setattr(side_by_side, "free_bytes", lambda _: free)
    there = copy.copy(prepared)  # with the model already made, on a device that exists
    vars(there)["device"] = torch.device("cuda")
    return there


def test_on_a_cpu_one_at_a_time(make_study: Make, prepared_of: Ready) -> None:
    prepared = prepared_of(make_study(methods=[LORA]))
    ready = list(prepared.plan.jobs.values())
    assert prepared.study.machine.population == "auto"
    assert first_population(prepared, ready) == ready[:1]
    assert (
        in_words(prepared)
        == 'Learners train one at a time: on a CPU several at once are not faster (machine.population = "auto").'
    )
    assert in_words(prepared_of(make_study())) == "", "full training knows no other way"


def test_a_number_is_taken_at_its_word(make_study: Make, prepared_of: Ready) -> None:
    prepared = prepared_of(make_study("machine.population=2", methods=[LORA, "VANILLA"]))
    ready = list(prepared.plan.jobs.values())
    assert first_population(prepared, ready) == ready[:2]
    assert in_words(prepared) == "Up to 2 learners train side by side (machine.population = 2)."
    alone = sum(tensor.numel() for tensor in prepared.model.base.values()) * BYTES
    sizes = [prepared.model.layout(job.choice.method.trains).size for job in ready]
    assert parameter_bytes(prepared) == alone + 4 * BYTES * max(sizes[-1], 2 * sizes[0])


def test_ranks_stand_together_and_other_kinds_do_not(make_study: Make, prepared_of: Ready) -> None:
    """The nearest ranks first, so that fewer zeros fill a row."""
    methods = [
        {**LORA, "rank": 8},
        {**LORA, "name": "far", "rank": 64},
        {**LORA, "name": "near", "rank": 16, "alpha": 3, "training": {"batch_size": 4, "epochs": 1}},
        {**LORA, "name": "other layers", "targets": ["query"]},
        {**LORA, "name": "other dropout", "dropout": 0.3},
        {**LORA, "name": "other hidden dropout", "training": {"dropout": 0.3}},
        "MONO",
    ]
    prepared = prepared_of(make_study("machine.population=8", methods=methods))
    ready = list(prepared.plan.jobs.values())
    names = [job.choice.method.name for job in first_population(prepared, ready)]
    assert names == ["NON-SHARED LoRA"] * 3 + ["near"] * 3 + ["far"] * 2
    assert [len(each) for each in largest_populations(prepared, ready)] == [8, 3, 3, 3, 1]
    assert len(first_population(prepared, [job for job in ready if job.choice.method.name == "MONO"])) == 1


def test_chains_are_counted_by_their_ends(make_study: Make, prepared_of: Ready) -> None:
    """Two orders start with English and then differ: two at a time, whatever the number of stages."""
    methods = [{"method": "SHARED LoRA", "rank": 4}]
    prepared = prepared_of(make_study("machine.population=9", methods=methods, orders=[[EN, DE, ZH], [EN, ZH, DE]]))
    assert len(prepared.plan.jobs) == 5
    assert in_words(prepared) == "Up to 2 learners train side by side (machine.population = 9)."


def test_on_a_gpu_as_many_as_fit(make_study: Make, prepared_of: Ready, monkeypatch: pytest.MonkeyPatch) -> None:
    ready_made = prepared_of(make_study(methods=[LORA]))
    jobs = list(ready_made.plan.jobs.values())
    assert ready_made.model.backbone.populations
    widths, need = Widths.of(ready_made), Need.of(ready_made, jobs[0])
    for other in jobs[1:]:
        need = need.beside(Need.of(ready_made, other))
    overhead = (BYTES + widths.product) * widths.base
    for count, expected in ((0, 1), (2, 2), (3, 3), (50, 3)):
        free = int((count * learner_bytes(need, widths) + overhead) / (1 - side_by_side.RESERVE)) + 10
        prepared = of_gpu(ready_made, free, monkeypatch)
        assert len(first_population(prepared, jobs)) == expected
        if expected == 3:
            why = f'{free / 1e9:,.1f} GB of GPU memory are free (machine.population = "auto").'
            assert in_words(prepared) == f"Up to 3 learners train side by side: {why}"


def test_the_largest_of_each_counts_for_all() -> None:
    """Rows are as wide as the largest rank's, batches as long as the longest utterance: one large learner halves the number."""
    small = Need(parameters=1_000_000, rank=8, batch_size=32, longest=20)
    large = Need(parameters=4_000_000, rank=32, batch_size=32, longest=40)
    together = small.beside(dataclasses.replace(large, batch_size=8))
    assert together == Need(parameters=4_000_000, rank=32, batch_size=32, longest=40)
    free = 8_000_000_000
    alone = most_that_fit([small] * 99, E5_SMALL, free)
    mixed = most_that_fit([small, large, *[small] * 97], E5_SMALL, free)
    assert 1 < mixed < alone / 1.5
    assert most_that_fit([large] * 99, E5_SMALL, free) == mixed
    assert most_that_fit([large] * 99, E5_SMALL, 2 * free) > 1.9 * mixed


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_the_estimate_covers_what_a_step_keeps(
    precision: str, make_study: Make, prepared_of: Ready, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Compared with torch: the memory that autograd keeps in one pass of two learners, each storage once, without parameters.

    The estimate also includes memory for the backward pass, and the longest utterance for all. It may be up to three times as
    large, and must not be smaller.
    """
    prepared = prepared_of(make_study(f"model.precision={precision}", methods=[LORA]))
    model, jobs = prepared.model, list(prepared.plan.jobs.values())[:2]
    kept: dict[int, int] = {}
    parameters = {_storage(tensor) for tensor in (*model.base.values(), *model.frozen.values())}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        kept[_storage(tensor)] = tensor.untyped_storage().nbytes()
        return tensor

    original = training._Population._losses

    def losses(self: Any, *arguments: Any) -> Any:
        parameters.add(_storage(self._flat))
        with saved_tensors_hooks(keep, lambda tensor: tensor):
            return original(self, *arguments)

    def task(job: Job) -> Task:
        utterances, trains = prepared.encoded[job.languages[0], "train"], job.choice.method.trains
        settings = dataclasses.replace(job.choice.training, epochs=1, batch_size=24, keep="last")
        none = utterances.select(np.zeros(0, np.int64))
        return Task(job.key, trains, lambda: model.start(trains, 0), utterances, none, settings, job.seed)

    monkeypatch.setattr(training._Population, "_losses", losses)
    list(train_population([task(job) for job in jobs], model, Clock()))
    measured = sum(size for storage, size in kept.items() if storage not in parameters)
    need = dataclasses.replace(Need.of(prepared, jobs[0]).beside(Need.of(prepared, jobs[1])), batch_size=24)
    estimated = 2 * (learner_bytes(need, Widths.of(prepared)) - 4 * BYTES * need.parameters)
    assert measured <= estimated <= 3 * measured


def _storage(tensor: torch.Tensor) -> int:
    return tensor.untyped_storage().data_ptr()


@pytest.mark.parametrize("value", ["0", "-1", "2.5", "all"])
def test_what_is_no_population(value: str, make_study: Make) -> None:
    with pytest.raises(AttritionError, match=r"machine\.population"):
        make_study(f"machine.population={value}")


def test_auto_reads_back_as_itself(make_study: Make) -> None:
    machine: Any = resolved(make_study())["machine"]
    assert machine["population"] == "auto"
    assert resolved(make_study("machine.population=auto"))["machine"] == machine

"""A study as stages: what is shared, and what names a stage."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable
from typing import Any

import pytest

from attrition.encoder.bert import BertBackbone
from attrition.names import AttritionError
from attrition.prepare.prepare import Prepared
from attrition.study.plan import Job, StudyPlan
from attrition.study.spec import Study
from attrition.training.settings import TrainingSettings

Make = Callable[..., Study]
Ready = Callable[[Study], Prepared]

EN, DE, ZH = "en-US", "de-DE", "zh-CN"
TWO_ORDERS = [[EN, DE, ZH], [EN, ZH, DE]]


@pytest.fixture
def plan_of(make_study: Make, prepared_of: Ready) -> Callable[..., StudyPlan]:
    return lambda *changes, **parts: prepared_of(make_study(*changes, **parts)).plan


def by_chain(plan: StudyPlan) -> dict[tuple[Any, ...], str]:
    return {(job.choice.method.trains.kind, job.chain): key for key, job in plan.jobs.items()}


def test_a_common_beginning_is_trained_once(plan_of: Callable[..., StudyPlan]) -> None:
    plan = plan_of(methods=["VANILLA"], orders=TWO_ORDERS)
    first, second = plan.runs
    assert first.jobs[0].key == second.jobs[0].key
    assert len({job.key for run in plan.runs for job in run.jobs[1:]}) == 4
    assert (plan.num_stages, len(plan.jobs)) == (6, 5)


@pytest.mark.parametrize(
    ("method", "num_runs", "num_stages", "num_jobs"),
    [
        ("MULTI", 1, 1, 1),  # one run stands for all orders
        ("MULTI LoRA", 1, 1, 1),
        ("MONO", 2, 6, 3),
        ("NON-SHARED LoRA", 2, 6, 3),
        ("GROUPED LoRA", 2, 6, 3),  # Latin: en, de in both orders; Han: zh
    ],
)
def test_what_does_not_depend_on_the_order(
    method: str, num_runs: int, num_stages: int, num_jobs: int, plan_of: Callable[..., StudyPlan]
) -> None:
    plan = plan_of(methods=[method], orders=TWO_ORDERS)
    assert (len(plan.runs), plan.num_stages, len(plan.jobs)) == (num_runs, num_stages, num_jobs)


def test_joint_runs_come_once_for_each_seed(plan_of: Callable[..., StudyPlan]) -> None:
    plan = plan_of(methods=["MULTI"], orders=TWO_ORDERS, seeds=[0, 7])
    assert [(run.order_name, run.seed) for run in plan.runs] == [("joint", 0), ("joint", 7)]
    assert len(plan.jobs) == 2


def test_methods_that_begin_alike_share_that_stage(plan_of: Callable[..., StudyPlan]) -> None:
    plan = plan_of(methods=["VANILLA", "MONO", "SHARED LoRA", "NON-SHARED LoRA"])
    runs = {run.method.name: run for run in plan.runs}
    assert runs["VANILLA"].jobs[0].key == runs["MONO"].jobs[0].key
    assert runs["SHARED LoRA"].jobs[0].key == runs["NON-SHARED LoRA"].jobs[0].key
    assert len(plan.jobs) == 10


def test_parents_come_before_their_children(plan_of: Callable[..., StudyPlan]) -> None:
    plan = plan_of(methods=["VANILLA", "GROUPED LoRA"], orders=TWO_ORDERS)
    seen: set[str | None] = {None}
    for job in plan.jobs.values():
        assert job.parent in seen
        seen.add(job.key)


# What names a stage

DIFFERENT: dict[str, Any] = {
    "epochs": 3, "batch_size": 4, "learning_rate": 0.02, "head_learning_rate": 0.5, "schedule": "constant", "warmup": 0.2,
    "weight_decay": 0.1, "max_grad_norm": 2.0, "patience": 1, "keep": "last", "dropout": 0.3, "beta1": 0.8, "beta2": 0.99,
    "epsilon": 1e-6,
}  # fmt: skip


def test_every_setting_of_training_is_tried() -> None:
    assert set(DIFFERENT) == {field.name for field in dataclasses.fields(TrainingSettings)}


@pytest.mark.parametrize("name", DIFFERENT)
def test_each_setting_of_training_names_the_stage(name: str, plan_of: Callable[..., StudyPlan]) -> None:
    before, after = (
        plan_of(),
        plan_of(
            training={"epochs": 2, "batch_size": 8, "learning_rate": 1e-2, "head_learning_rate": 3e-2} | {name: DIFFERENT[name]}
        ),
    )
    assert not before.jobs.keys() & after.jobs.keys()
    assert [run.key for run in before.runs] != [run.key for run in after.runs]


@pytest.mark.parametrize(
    "change",
    [
        "seeds=[1]",
        "corpus.sizes.train=23",
        "corpus.sizes.dev=5",
        "corpus.sizes.seed=1",
        "encoding.scheme=io",
        "encoding.max_tokens=12",  # short enough to cut
        "model.name=tiny:xlm-roberta",
        'corpus.cuts={"zh-CN"="blanks", "en-US"="characters", "de-DE"="characters"}',
    ],
)
def test_what_decides_numbers_names_the_stage(change: str, plan_of: Callable[..., StudyPlan]) -> None:
    assert not plan_of().jobs.keys() & plan_of(change).jobs.keys()


@pytest.mark.parametrize(
    "change", ["rank=33", "alpha=2", "dropout=0.0", 'targets=["query"]'], ids=["rank", "alpha", "dropout", "targets"]
)
def test_what_an_adapter_is_names_the_stage(change: str, plan_of: Callable[..., StudyPlan]) -> None:
    before = plan_of('methods=[{method="SHARED LoRA"}]')
    assert not before.jobs.keys() & plan_of('methods=[{method="SHARED LoRA", ' + change + "}]").jobs.keys()


@pytest.mark.parametrize(
    "change",
    [
        "name=other",
        "description=words",
        "machine.threads=2",
        "machine.population=3",
        "machine.compile=true",
        "model.compact=false",
        "corpus.sizes.test=9",
        "encoding.max_tokens=127",  # longer than any utterance
        "encoding.max_tokens=500",  # longer than the model
        'methods=[{method="SHARED LoRA", name="mine", alpha=32}]',  # the default, spelled out
    ],
)
def test_what_decides_no_numbers_does_not(change: str, plan_of: Callable[..., StudyPlan]) -> None:
    lora = 'methods=["SHARED LoRA"]'
    assert plan_of(lora).jobs.keys() == plan_of(lora, change).jobs.keys()


def test_a_further_language_leaves_the_stages_before_it(plan_of: Callable[..., StudyPlan]) -> None:
    three = plan_of(methods=["VANILLA", "NON-SHARED LoRA"])
    four = plan_of(methods=["VANILLA", "NON-SHARED LoRA"], languages=[EN, DE, ZH, "sw-KE"])
    assert three.jobs.keys() < four.jobs.keys()
    assert not {run.key for run in three.runs} & {run.key for run in four.runs}


def test_the_study_decides_the_random_streams_alone(plan_of: Callable[..., StudyPlan]) -> None:
    streams: dict[str, tuple[Any, ...]] = {key: job.seed for key, job in plan_of(seeds=[5]).jobs.items()}
    assert list(streams.values()) == [(5, (EN,)), (5, (EN,), (DE,)), (5, (EN,), (DE,), (ZH,))]


@pytest.mark.parametrize(
    ("languages", "label"), [((EN, DE), "VANILLA: en-US, de-DE"), ((EN, DE, ZH, "ru-RU"), "VANILLA: 4 languages")]
)
def test_labels_for_people(languages: tuple[str, ...], label: str, make_study: Make) -> None:
    assert Job("k", None, make_study().methods[0], languages, (), ()).label == label


def test_the_machine_says_whether_layers_are_compiled(
    make_study: Make, prepared_of: Callable[[Study], Prepared], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CXX", sys.executable)  # something that can be called; nothing is compiled here
    for change, compiled in (("machine.threads=1", False), ("machine.compile=true", True)):
        backbone = prepared_of(make_study(change)).model.backbone
        assert isinstance(backbone, BertBackbone)
        assert backbone.compiled is compiled
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(AttritionError, match=r"needs a C\+\+ compiler, and there is no 'no-such-compiler'"):
        _ = prepared_of(make_study("machine.compile=true")).model

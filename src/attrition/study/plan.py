"""Expands a study into runs and steps; steps that runs share are made once."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from attrition.corpus.base import Split
from attrition.corpus.dataset import content_key
from attrition.corpus.encoded import Encoded
from attrition.encoder.precision import Precision
from attrition.encoder.pretrained import Pretrained
from attrition.languages.portions import language_of_portion, languages_of_portions
from attrition.methods import Hook, Method, Steps, Train, Trains
from attrition.methods.merging import Merging
from attrition.metrics.matrix import JOINED_BY
from attrition.problem.problems import identity
from attrition.streams import Part
from attrition.study.keys import StepInputs, merge_key, run_key, step_key
from attrition.study.spec import Study, resolve_orders
from attrition.study.spec_methods import MethodChoice


@dataclass(frozen=True)
class Job:
    """One training. `key` is a hash of everything its numbers depend on.

    `parent` is the key of the step it starts from; `seed` names its random streams.
    """

    key: str
    parent: str | None
    choice: MethodChoice
    languages: tuple[str, ...]
    chain: tuple[tuple[str, ...], ...]
    seed: tuple[Part, ...]

    @property
    def label(self) -> str:
        """Return a name for people."""
        if len(self.languages) > 3:
            return f"{self.choice.method.name}: {len(languages_of_portions(self.languages))} languages"
        return f"{self.choice.method.name}: {', '.join(self.languages)}"

    @property
    def hooks(self) -> tuple[Hook, ...]:
        """Return the hooks that act in this stage."""
        return tuple(hook for hook in self.choice.method.hooks if hook.first_stage or len(self.chain) > 1)


@dataclass(frozen=True)
class MergeJob:
    """One merge of trained models. The merged model is not stored: it is computed when needed.

    `inputs` are keys of trainings, and `languages` what each of them learned last.
    """

    key: str
    inputs: tuple[str, ...]
    languages: tuple[str, ...]
    trains: Trains
    how: Merging
    chain: tuple[tuple[str, ...], ...]
    name: str

    @property
    def label(self) -> str:
        """Return a name for people."""
        return f"{self.name}: {len(self.inputs)} merged"


Made = Job | MergeJob
"""A step whose model can be scored."""


@dataclass(frozen=True)
class RunPlan:
    """A run: one method, order and seed, with its steps and, in the same sequence, their jobs.

    `order` names what each stage trains, as the rows of R: "en-US", or "de-DE+en-US" for several languages.
    """

    key: str
    choice: MethodChoice
    order_name: str
    order: tuple[str, ...]
    seed: int
    steps: Steps
    made: tuple[Made, ...]

    @property
    def jobs(self) -> tuple[Job, ...]:
        """Return the trainings in their order."""
        return tuple(each for each in self.made if isinstance(each, Job))

    @property
    def method(self) -> Method:
        """Return the run's method."""
        return self.choice.method

    @property
    def label(self) -> str:
        """Return the run's name for people: "METHOD/ORDER/sSEED"."""
        return f"{self.method.name}/{self.order_name}/s{self.seed}"


@dataclass(frozen=True)
class StudyPlan:
    """All runs of a study, and every job once, parents before children."""

    runs: tuple[RunPlan, ...]
    jobs: Mapping[str, Job]

    @property
    def num_stages(self) -> int:
        """Return the number of stages of all runs; a shared stage counts in each."""
        return sum(len(run.jobs) for run in self.runs)


class _Common(NamedTuple):
    """The inputs that all trainings of a study share."""

    model: str
    labels: tuple[str, ...]
    precision: Precision
    problem: str
    learned: tuple[str, ...]


def plan_study(
    study: Study,
    pretrained: Pretrained,
    labels: Sequence[str],
    encoded: Mapping[tuple[str, Split], Encoded],
    precision: Precision = "float32",
) -> StudyPlan:
    """Return the plan of a study; a step that several runs share gets one key.

    Args:
        study: as read.
        pretrained: its encoder.
        labels: the classes.
        encoded: its utterances, by language and split.
        precision: of matrix products; part of every key.
    """
    data = {place: content_key(each) for place, each in encoded.items() if place[1] in ("train", "dev")}
    # `data` holds keys of the encoded utterances, so the encoding settings need no key.
    common = _Common(pretrained.fingerprint, tuple(labels), precision, identity(study.problem), study.model.learned)
    runs: list[RunPlan] = []
    for choice in study.methods:
        at_once: list[frozenset[str]] = []
        for name, stages in resolve_orders(study).items():
            steps, sequence = choice.method.steps(stages, study.own).watching(study.watch), tuple(map(JOINED_BY.join, stages))
            if steps.joint:
                if (learned := frozenset(steps.rows[0].trained)) in at_once:
                    continue  # joint training has no order: one run stands for all
                at_once.append(learned)
            for seed in study.seeds:
                made = _made(steps, choice, seed, common, data)
                order_name = "joint" if steps.joint and len(at_once) == 1 else name
                key = run_key(choice.method.name, order_name, sequence, seed, [each.key for each in made])
                runs.append(RunPlan(key, choice, order_name, sequence, seed, steps, made))
    return plan_of(runs)


def plan_of(runs: Sequence[RunPlan]) -> StudyPlan:
    """Return the plan of some runs; a training that they share is named after the first of them."""
    jobs: dict[str, Job] = {}
    for run in runs:
        for job in run.jobs:
            jobs.setdefault(job.key, job)
    return StudyPlan(tuple(runs), jobs)


def _made(
    steps: Steps, choice: MethodChoice, seed: int, common: _Common, data: Mapping[tuple[str, Split], str]
) -> tuple[Made, ...]:
    made: list[Made] = []
    for index, step in enumerate(steps.steps):
        if isinstance(step, Train):
            parent = None if step.start is None else made[step.start].key
            made.append(_job(step, steps.chain(index), choice, seed, parent, common, data))
        else:
            inputs = tuple(made[each].key for each in step.inputs)
            languages = tuple(language_of_portion(made[each].chain[-1][0], steps.languages) for each in step.inputs)
            names = (choice.method.trains, step.how, steps.chain(index), choice.method.name)
            made.append(MergeJob(merge_key(inputs, step.how), inputs, languages, *names))
    return tuple(made)


def _job(
    step: Train,
    chain: tuple[tuple[str, ...], ...],
    choice: MethodChoice,
    seed: int,
    parent: str | None,
    common: _Common,
    data: Mapping[tuple[str, Split], str],
) -> Job:
    chain = (common.learned, *chain) if common.learned else chain
    job = Job("", parent, choice, step.languages, chain, (seed, *chain))
    key = step_key(
        StepInputs(
            model=common.model,
            labels=common.labels,
            precision=common.precision,
            problem=common.problem,
            trains=choice.method.trains,
            training=choice.training,
            data=tuple((language, data[language, "train"], data[language, "dev"]) for language in step.languages),
            seed=seed,
            chain=chain,
            parent=parent,
            hooks=job.hooks,
        )
    )
    return dataclasses.replace(job, key=key)

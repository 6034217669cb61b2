"""A study as runs, and runs as stages that are each trained once."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from attrition.corpus.base import Split
from attrition.corpus.dataset import content_key
from attrition.corpus.encoded import Encoded
from attrition.encoder.own_dropout import own_dropout
from attrition.encoder.precision import Precision
from attrition.encoder.pretrained import Pretrained
from attrition.methods import LoRA, Method, Stage, Trains, plan
from attrition.run.keys import key_of, run_key
from attrition.run.spec import MethodChoice, Study, resolve_orders
from attrition.streams import Part


@dataclass(frozen=True)
class Job:
    """A stage with its name: everything its numbers depend on is in `key`.

    `parent` is the key of the stage it starts from; `seed` names its random streams.
    """

    key: str
    parent: str | None
    choice: MethodChoice
    languages: tuple[str, ...]
    chain: tuple[tuple[str, ...], ...]
    seed: tuple[Part, ...]

    @property
    def label(self) -> str:
        """For people."""
        if len(self.languages) > 3:
            return f"{self.choice.method.name}: {len(self.languages)} languages"
        return f"{self.choice.method.name}: {', '.join(self.languages)}"


@dataclass(frozen=True)
class RunPlan:
    """One method, order and seed: its stages in the order of training, `jobs[i]` the job of `stages[i]`."""

    key: str
    choice: MethodChoice
    order_name: str
    order: tuple[str, ...]
    seed: int
    stages: tuple[Stage, ...]
    jobs: tuple[Job, ...]

    @property
    def method(self) -> Method:
        """The run's method."""
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
        """Stages of all runs, before shared ones are counted once."""
        return sum(len(run.stages) for run in self.runs)


def plan_study(
    study: Study,
    pretrained: Pretrained,
    labels: Sequence[str],
    encoded: Mapping[tuple[str, Split], Encoded],
    precision: Precision = "float32",
) -> StudyPlan:
    """Expand a study; stages that several runs have in common get one key.

    Args:
        study: as read.
        pretrained: its encoder.
        labels: the classes.
        encoded: its utterances, by language and split.
        precision: of matrix products, which shows in the numbers.
    """
    data = {place: content_key(each) for place, each in encoded.items() if place[1] in ("train", "dev")}
    # How utterances were encoded shows in `data`, and only as far as it matters.
    common: dict[str, Any] = {"model": pretrained.fingerprint, "labels": list(labels)}
    if precision != "float32":
        common["precision"] = precision
    if not hasattr(pretrained.config, "hidden_dropout_prob"):
        # Earlier versions read no dropout from these configurations, and their stages must not pass for stages of this one.
        common["own_dropout"] = own_dropout(pretrained.config)
    runs: list[RunPlan] = []
    jobs: dict[str, Job] = {}
    for choice in study.methods:
        for number, (name, sequence) in enumerate(resolve_orders(study).items()):
            if choice.method.joint and number > 0:
                continue  # what is learned at once has no order: one run stands for all of them
            for seed in study.seeds:
                stages = plan(choice.method, sequence, study.own)
                made: list[Job] = []
                for stage in stages:
                    parent = None if stage.parent is None else made[stage.parent].key
                    made.append(_job(stage, choice, seed, parent, common, data))
                jobs |= {job.key: job for job in made}
                order_name = "joint" if choice.method.joint else name
                key = run_key(choice.method.name, order_name, sequence, seed, [job.key for job in made])
                runs.append(RunPlan(key, choice, order_name, sequence, seed, stages, tuple(made)))
    return StudyPlan(tuple(runs), jobs)


def _job(
    stage: Stage,
    choice: MethodChoice,
    seed: int,
    parent: str | None,
    common: Mapping[str, Any],
    data: Mapping[tuple[str, Split], str],
) -> Job:
    decides = {
        **common,
        "trains": _trains(choice.method.trains),
        "training": dataclasses.asdict(choice.training),
        "data": [[language, data[language, "train"], data[language, "dev"]] for language in stage.languages],
        "seed": seed,
        "chain": stage.chain,
        "parent": parent,
    }
    streams: tuple[Part, ...] = (seed, *stage.chain)
    return Job(key_of(decides), parent, choice, stage.languages, stage.chain, streams)


def _trains(trains: Trains) -> dict[str, Any]:
    """What is trained, with alpha as the number that it comes to."""
    own = {"alpha": trains.effective_alpha} if isinstance(trains, LoRA) else {}
    return {"kind": trains.kind, **dataclasses.asdict(trains), **own}

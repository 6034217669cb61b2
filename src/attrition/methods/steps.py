"""The steps of a run, and the step that serves each language after each stage.

Training data are named by portions (`attrition.languages.portions`). The first portion of a language has the language's name;
it is the only portion if the language gets no further data later.

R, the transfer matrix and the meaning of "not yet trained" follow only from this module: `R[i, j]` is the score on language j
of the step that row i reads for it, and NaN if row i reads none.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from attrition.languages.portions import language_of_portion, languages_of_portions
from attrition.names import AttritionError


@dataclass(frozen=True, kw_only=True)
class Train:
    """One training: a learner on portions of some languages at once, from the output of the step `start`, or from the base."""

    learner: str
    languages: tuple[str, ...]
    start: int | None = None


@dataclass(frozen=True, kw_only=True)
class Merge:
    """A merge of models without training: `how` has a method `merge`; see `attrition.methods.merging`."""

    inputs: tuple[int, ...]
    how: Any


Step = Train | Merge


@dataclass(frozen=True)
class Row:
    """A row of R: the portions trained since the previous row, and by language the step that serves it."""

    trained: tuple[str, ...]
    reads: Mapping[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "reads", MappingProxyType(dict(self.reads)))


@dataclass(frozen=True)
class Steps:
    """The steps of a run, each after the steps that it starts from, and the rows of R.

    >>> steps = sequential([("en-US",), ("de-DE",)], {"en-US": "all", "de-DE": "all"})
    >>> [(step.languages, step.start) for step in steps.trainings], steps.order_matters
    ([(('en-US',), None), (('de-DE',), 0)], True)
    """

    steps: tuple[Step, ...]
    rows: tuple[Row, ...]

    def __post_init__(self) -> None:
        for index, step in enumerate(self.steps):
            before = step.inputs if isinstance(step, Merge) else () if step.start is None else (step.start,)
            if not all(0 <= each < index for each in before):
                raise AttritionError(f"steps[{index}] starts from {before}: give numbers of earlier steps, from 0.")
            if any(isinstance(self.steps[each], Merge) for each in before):
                raise AttritionError(f"steps[{index}] starts from a merge. Start from trainings: a merged model is not stored.")
        if not self.rows:
            raise AttritionError("The steps have no row. Give a row for each language, or one for all.")
        for number, row in enumerate(self.rows):
            if not all(0 <= each < len(self.steps) for each in row.reads.values()):
                raise AttritionError(f"rows[{number}] reads {dict(row.reads)}: give steps from 0 to {len(self.steps) - 1}.")

    @property
    def trainings(self) -> tuple[Train, ...]:
        """Return only the trainings, in order."""
        return tuple(step for step in self.steps if isinstance(step, Train))

    @property
    def languages(self) -> tuple[str, ...]:
        """Return the languages that at least one row serves."""
        return tuple(dict.fromkeys(language for row in self.rows for language in row.reads))

    def trained_by(self, row: Row) -> set[str]:
        """Return the languages of the portions that a row trained."""
        return {language_of_portion(name, self.languages) for name in row.trained}

    @property
    def joint(self) -> bool:
        """True if R is one row: all languages are learned at once, without an order."""
        return len(self.rows) == 1

    @property
    def shared(self) -> bool:
        """True if one model serves all languages in every row. R then has a row before training."""
        roots = [step for step in self.trainings if step.start is None]
        languages = {language for row in self.rows for language in self.trained_by(row)}
        return len(roots) == 1 and all(languages <= row.reads.keys() for row in self.rows)

    @property
    def order_matters(self) -> bool:
        """True if scores can depend on the order: a training starts from another, or models are merged."""
        return not self.joint and any(isinstance(step, Merge) or step.start is not None for step in self.steps)

    def watching(self, languages: Sequence[str]) -> Steps:
        """Return the same steps with rows that also read untrained languages, if one model serves all other languages.

        >>> steps = sequential([("en-US",), ("de-DE",)], {"en-US": "all", "de-DE": "all"}).watching(["th-TH"])
        >>> [row.reads["th-TH"] for row in steps.rows], steps.shared
        ([0, 1], True)
        """
        trained = {each for row in self.rows for each in self.trained_by(row)}
        rows = []
        for row in self.rows:
            models = set(row.reads.values())
            more = dict.fromkeys(languages, *models) if len(models) == 1 and row.reads.keys() == trained else {}
            rows.append(Row(row.trained, {**row.reads, **more}))
        return Steps(self.steps, tuple(rows))

    def chain(self, step: int) -> tuple[tuple[str, ...], ...]:
        """Return the portions of all trainings that led to a step's output, in order."""
        at = self.steps[step]
        if isinstance(at, Merge):
            return tuple(dict.fromkeys(each for before in at.inputs for each in self.chain(before)))
        return (*(() if at.start is None else self.chain(at.start)), at.languages)

    def shown(self, step: int) -> int:
        """Return the step that represents a training: the step that serves its languages in the row where they are new."""
        at = self.steps[step]
        assert isinstance(at, Train)
        row = next(row for row in self.rows if at.languages[0] in row.trained)
        return row.reads[language_of_portion(at.languages[0], self.languages)]


Stages = Sequence[tuple[str, ...]]
"""The portions of data that each stage trains, sorted within a stage, because one stage has no order."""

LearnerOf = Mapping[str, str]
"""The learner of each language, in the order of learning."""

Expand = Callable[[Stages, LearnerOf], Steps]
"""Returns the steps for the stages of a method."""


def checked_stages(order: Sequence[str | Sequence[str]]) -> tuple[tuple[str, ...], ...]:
    """Return an order as stages: each entry is the portion, or the portions, of a stage.

    Raises:
        AttritionError: no stage, an empty stage, a repeated portion, or further data before their language.

    >>> checked_stages(["en-US", ["th-TH", "de-DE"], "en-US (2)"])
    (('en-US',), ('de-DE', 'th-TH'), ('en-US (2)',))
    """
    stages = tuple((each,) if isinstance(each, str) else tuple(sorted(each)) for each in order)
    names = [name for stage in stages for name in stage]
    if not all(stages) or not names:
        raise AttritionError("An order needs at least one language, and at least one in each stage.")
    if len(set(names)) < len(names):
        raise AttritionError(f"An order names a language twice: {', '.join(names)}.")
    languages = languages_of_portions(names)
    learned: set[str] = set()
    for stage in stages:
        for name in stage:
            if (language := language_of_portion(name, languages)) not in (name, *learned):
                raise AttritionError(
                    f"{name!r} comes before the stage of {language} is over. Put {language} into an earlier stage."
                )
        learned |= set(stage)
    return stages


def sequential(stages: Stages, learner_of: LearnerOf) -> Steps:
    """Return one stage after another; each learner continues from its last state, with all its data of a stage at once.

    >>> steps = sequential([("en-US",), ("de-DE", "zh-CN"), ("en-US (2)",)], {"en-US": "a", "de-DE": "a", "zh-CN": "b"})
    >>> [(step.languages, step.start) for step in steps.trainings]
    [(('en-US',), None), (('de-DE',), 0), (('zh-CN',), None), (('en-US (2)',), 1)]
    >>> steps.rows[0].reads, steps.rows[1].trained
    (mappingproxy({'en-US': 0, 'de-DE': 0}), ('de-DE', 'zh-CN'))
    """
    steps: list[Train] = []
    rows: list[Row] = []
    latest: dict[str, int] = {}
    for stage in stages:
        groups: dict[str, list[str]] = {}
        for name in stage:
            groups.setdefault(learner_of[language_of_portion(name, learner_of)], []).append(name)
        for learner, group in groups.items():
            steps.append(Train(learner=learner, languages=tuple(group), start=latest.get(learner)))
            latest[learner] = len(steps) - 1
        rows.append(Row(tuple(stage), {each: latest[its] for each, its in learner_of.items() if its in latest}))
    return Steps(tuple(steps), tuple(rows))


def joint(stages: Stages, learner_of: LearnerOf) -> Steps:
    """Return one training for each learner, on all its languages at once, from whichever stage.

    >>> [step.languages for step in joint([("en-US",), ("de-DE",)], {"en-US": "all", "de-DE": "all"}).trainings]
    [('de-DE', 'en-US')]
    """
    found = sequential([tuple(sorted(name for stage in stages for name in stage))], learner_of)
    trained = tuple(name for step in found.trainings for name in step.languages)
    reads = found.rows[0].reads
    return Steps(found.steps, (Row(trained, {each: reads[each] for each in trained if each in reads}),))


@dataclass(frozen=True)
class Merged:
    """Each language trains its own learner; after each stage all learners so far are merged into the model that serves."""

    how: Any

    def __call__(self, stages: Stages, learner_of: LearnerOf) -> Steps:
        """Return the steps: for each stage a training of each portion, and a merge."""
        steps: list[Step] = []
        rows: list[Row] = []
        latest: dict[str, int] = {}
        for stage in stages:
            for name in stage:
                language = language_of_portion(name, learner_of)
                steps.append(Train(learner=language, languages=(name,), start=latest.get(language)))
                latest[language] = len(steps) - 1
            steps.append(Merge(inputs=tuple(latest.values()), how=self.how))
            rows.append(Row(stage, dict.fromkeys(learner_of, len(steps) - 1)))
        return Steps(tuple(steps), tuple(rows))

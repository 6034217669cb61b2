"""What a run is made of: steps, and which step's output serves which language after which of them.

R, the transfer matrix and what counts as "not yet trained" follow from here and from nothing else: `R[i, j]` is the score on
language j of the step that row i reads for it, and NaN where row i reads none.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from attrition.names import AttritionError


@dataclass(frozen=True, kw_only=True)
class Train:
    """One training: a learner on some languages at once, from the output of the step `start`, or afresh."""

    learner: str
    languages: tuple[str, ...]
    start: int | None = None


@dataclass(frozen=True, kw_only=True)
class Merge:
    """One model made of others without training: `how` has a method `merge`; see `attrition.methods.merging`."""

    inputs: tuple[int, ...]
    how: Any


Step = Train | Merge


@dataclass(frozen=True)
class Row:
    """A row of R: the languages trained since the row before, and by language the step that serves it."""

    trained: tuple[str, ...]
    reads: Mapping[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "reads", MappingProxyType(dict(self.reads)))


@dataclass(frozen=True)
class Steps:
    """The steps of a run, each after those that it starts from, and the rows of R.

    >>> steps = sequential({"en-US": "all", "de-DE": "all"})
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
        """The trainings alone, in their order."""
        return tuple(step for step in self.steps if isinstance(step, Train))

    @property
    def joint(self) -> bool:
        """Whether R is one row: everything is learned at once, and there is no order."""
        return len(self.rows) == 1

    @property
    def shared(self) -> bool:
        """Whether one model serves all languages in every row: what it was before training is then a row of its own."""
        roots = [step for step in self.trainings if step.start is None]
        languages = {language for row in self.rows for language in row.trained}
        return len(roots) == 1 and all(languages <= row.reads.keys() for row in self.rows)

    @property
    def order_matters(self) -> bool:
        """Whether scores can depend on the order: some training starts from another, or models are merged."""
        return not self.joint and any(isinstance(step, Merge) or step.start is not None for step in self.steps)

    def watching(self, languages: Sequence[str]) -> Steps:
        """Return the same steps, whose rows also read languages that no step trains, where one model serves all others.

        >>> steps = sequential({"en-US": "all", "de-DE": "all"}).watching(["th-TH"])
        >>> [row.reads["th-TH"] for row in steps.rows], steps.shared
        ([0, 1], True)
        """
        trained = {each for row in self.rows for each in row.trained}
        rows = []
        for row in self.rows:
            models = set(row.reads.values())
            more = dict.fromkeys(languages, *models) if len(models) == 1 and row.reads.keys() == trained else {}
            rows.append(Row(row.trained, {**row.reads, **more}))
        return Steps(self.steps, tuple(rows))

    def chain(self, step: int) -> tuple[tuple[str, ...], ...]:
        """The languages of all trainings that led to a step's output, in their order."""
        at = self.steps[step]
        if isinstance(at, Merge):
            return tuple(dict.fromkeys(each for before in at.inputs for each in self.chain(before)))
        return (*(() if at.start is None else self.chain(at.start)), at.languages)

    def shown(self, step: int) -> int:
        """The step that stands for a training after it: that which serves what it trained, in the row where it is new."""
        at = self.steps[step]
        assert isinstance(at, Train)
        row = next(row for row in self.rows if at.languages[0] in row.trained)
        return row.reads[at.languages[0]]


LearnerOf = Mapping[str, str]
"""Languages in the order in which they are learned, and the learner that serves each."""

Expand = Callable[[LearnerOf], Steps]
"""How a method's languages become steps."""


def checked_order(order: Sequence[str]) -> tuple[str, ...]:
    """Return an order that names a language, and none twice."""
    if not order:
        raise AttritionError("An order needs at least one language.")
    if len(set(order)) < len(order):
        raise AttritionError(f"An order names a language twice: {', '.join(order)}.")
    return tuple(order)


def sequential(learner_of: LearnerOf) -> Steps:
    """One language after another; each learner goes on from where it stands.

    >>> sequential({"en-US": "a", "zh-CN": "b"}).rows[0].reads
    mappingproxy({'en-US': 0})
    """
    steps: list[Train] = []
    rows: list[Row] = []
    latest: dict[str, int] = {}
    for index, (language, learner) in enumerate(learner_of.items()):
        steps.append(Train(learner=learner, languages=(language,), start=latest.get(learner)))
        latest[learner] = index
        rows.append(Row((language,), {each: latest[its] for each, its in learner_of.items() if its in latest}))
    return Steps(tuple(steps), tuple(rows))


def joint(learner_of: LearnerOf) -> Steps:
    """Every learner gets all its languages at once. They are sorted: what is learned at once has no order.

    >>> [step.languages for step in joint({"en-US": "all", "de-DE": "all"}).trainings]
    [('de-DE', 'en-US')]
    """
    groups: dict[str, list[str]] = {}
    for language in sorted(learner_of):
        groups.setdefault(learner_of[language], []).append(language)
    steps = tuple(Train(learner=learner, languages=tuple(group)) for learner, group in groups.items())
    number = {learner: index for index, learner in enumerate(groups)}
    trained = tuple(language for step in steps for language in step.languages)
    return Steps(steps, (Row(trained, {language: number[learner_of[language]] for language in trained}),))


@dataclass(frozen=True)
class Merged:
    """Each language trains a learner of its own; after each, all learners so far are merged into the one model that serves."""

    how: Any

    def __call__(self, learner_of: LearnerOf) -> Steps:
        """The steps: a training and a merge for each language."""
        steps: list[Step] = []
        rows: list[Row] = []
        trained: list[int] = []
        for language in learner_of:
            trained.append(len(steps))
            steps.append(Train(learner=language, languages=(language,)))
            steps.append(Merge(inputs=tuple(trained), how=self.how))
            rows.append(Row((language,), dict.fromkeys(learner_of, len(steps) - 1)))
        return Steps(tuple(steps), tuple(rows))

"""A method is a value: what is trained, which languages share a learner, and whether they come at once or in turn.

The paper's six methods are six such values (section 2.2); GROUPED LoRA is the "partially shared" setting that the paper
promises and never defines.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from attrition.languages import NONE_OF_ONES_OWN, OwnLanguages, grouping
from attrition.methods.trains import Full, LoRA, Trains
from attrition.names import AttritionError, look_up


@dataclass(frozen=True, kw_only=True)
class Method:
    """How languages are learned.

    Attributes:
        name: shown everywhere; two methods of one study must differ in it.
        trains: `Full()` or `LoRA(...)`.
        shared_by: which languages share a learner: "all", "language" (each its own), an attribute of languages such as
            "script", "family", "branch" or "vitality", or the path of a file of a user's own groups.
        joint: whether a learner gets all its languages at once rather than one after another.
        about: one sentence for people.
    """

    name: str
    trains: Trains = Full()
    shared_by: str = "all"
    joint: bool = False
    about: str = ""

    def learner_of(self, languages: Sequence[str], own: OwnLanguages = NONE_OF_ONES_OWN) -> dict[str, str]:
        """The learner that serves each language, by name.

        >>> METHODS["NON-SHARED LoRA"].learner_of(["en-US", "de-DE"])
        {'en-US': 'en-US', 'de-DE': 'de-DE'}
        >>> METHODS["VANILLA"].learner_of(["en-US", "de-DE"])
        {'en-US': 'all', 'de-DE': 'all'}
        """
        if self.shared_by == "all":
            return dict.fromkeys(languages, "all")
        if self.shared_by == "language":
            return {language: language for language in languages}
        return dict(grouping(self.shared_by, languages, own=own))


@dataclass(frozen=True)
class Stage:
    """One training: `learner` is trained on `languages` (at once), starting from the stage `parent`, or afresh.

    `chain` holds the languages of all stages of this learner so far, this one last: what the stage depends on.
    """

    index: int
    learner: str
    languages: tuple[str, ...]
    parent: int | None
    chain: tuple[tuple[str, ...], ...]


def plan(method: Method, order: Sequence[str], own: OwnLanguages = NONE_OF_ONES_OWN) -> tuple[Stage, ...]:
    """The stages of one run, in the order of training.

    >>> [(stage.learner, stage.languages, stage.parent) for stage in plan(METHODS["VANILLA"], ["en-US", "de-DE"])]
    [('all', ('en-US',), None), ('all', ('de-DE',), 0)]
    >>> [(stage.learner, stage.languages, stage.parent) for stage in plan(METHODS["MULTI"], ["en-US", "de-DE"])]
    [('all', ('de-DE', 'en-US'), None)]
    """
    if not order:
        raise AttritionError("An order needs at least one language.")
    if len(set(order)) < len(order):
        raise AttritionError(f"An order names a language twice: {', '.join(order)}.")
    learner_of = method.learner_of(order, own)
    if method.joint:
        # Sorted: what is learned at once has no order, and every order of a study shares the stage.
        groups = {
            learner: tuple(sorted(lang for lang in order if learner_of[lang] == learner)) for learner in learner_of.values()
        }
        return tuple(Stage(index, learner, group, None, (group,)) for index, (learner, group) in enumerate(groups.items()))
    stages: list[Stage] = []
    latest: dict[str, Stage] = {}
    for index, language in enumerate(order):
        learner = learner_of[language]
        before = latest.get(learner)
        chain = (*(before.chain if before else ()), (language,))
        stages.append(Stage(index, learner, (language,), before.index if before else None, chain))
        latest[learner] = stages[-1]
    return tuple(stages)


_ALL = (
    Method(name="MULTI", joint=True, about="One model, all languages at once: what a model that need not wait can learn."),
    Method(name="MULTI LoRA", trains=LoRA(), joint=True, about="One LoRA adapter, all languages at once."),
    Method(name="MONO", shared_by="language", about="A whole model for each language."),
    Method(name="VANILLA", about="One model, one language after another: plain sequential fine-tuning."),
    Method(name="SHARED LoRA", trains=LoRA(), about="One LoRA adapter, one language after another, over a frozen encoder."),
    Method(name="NON-SHARED LoRA", trains=LoRA(), shared_by="language", about="A LoRA adapter for each language."),
    Method(
        name="GROUPED LoRA",
        trains=LoRA(),
        shared_by="script",
        about="A LoRA adapter for each script (or family, branch, vitality), its languages one after another.",
    ),
)
METHODS: Mapping[str, Method] = MappingProxyType({method.name: method for method in _ALL})


def method(name: str) -> Method:
    """The published method called `name`; lower case and hyphens instead of blanks will do.

    >>> method("shared-lora").name
    'SHARED LoRA'
    """
    folded = {_fold(known): known for known in METHODS}
    return METHODS[folded[_fold(name)]] if _fold(name) in folded else look_up(name, METHODS, kind="method")


def _fold(name: str) -> str:
    return name.casefold().replace(" ", "-").replace("_", "-")


def renamed_for_rank(value: Method) -> Method:
    """The method with its rank in its name, so that several ranks stand side by side in one table.

    >>> renamed_for_rank(METHODS["SHARED LoRA"]).name
    'SHARED LoRA r=32'
    """
    if not isinstance(value.trains, LoRA):
        return value
    return dataclasses.replace(value, name=f"{value.name} r={value.trains.rank}")

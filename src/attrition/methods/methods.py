"""Methods as values, in one table.

A method defines the trained parameters, the languages that share a learner, and the steps of an order. The paper has six
methods (section 2.2). GROUPED LoRA is the "partially shared" setting that the paper mentions but does not define. A user's own
method is a `Method` in a Python file: `method = "my_method.py"` in a study file.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from attrition.languages import NONE_OF_ONES_OWN, OwnLanguages, grouping
from attrition.languages.portions import languages_of_portions
from attrition.methods.decay import RateDecay
from attrition.methods.ewc import EWC
from attrition.methods.hook import Hook
from attrition.methods.interpolation import Interpolation
from attrition.methods.merging import Mean, Ties
from attrition.methods.replay import Replay
from attrition.methods.steps import Expand, Merged, Steps, checked_stages, joint, sequential
from attrition.methods.trains import Full, LoRA, Trains
from attrition.names import AttritionError, look_up
from attrition.registry import Registry, is_file_of_a_user


@dataclass(frozen=True, kw_only=True)
class Method:
    """A way to learn languages.

    Attributes:
        name: shown in all output; methods of one study need different names.
        of: the name of this method in the table, whatever name a study gives it; "" if it is not in the table.
        trains: `Full()` or `LoRA(...)`.
        shared_by: the languages that share a learner: "all", "language" (one learner each), an attribute of languages such as
            "script", "family", "branch" or "vitality", or the path of a file of the user's own groups.
        expand: returns the steps, from the stages and the learner of each language.
        hooks: additions to the training loop.
        about: a one-sentence description.
        source: the user's file of the method.
    """

    name: str
    of: str = ""
    trains: Trains = Full()
    shared_by: str = "all"
    expand: Expand = sequential
    hooks: tuple[Hook, ...] = ()
    about: str = ""
    source: str | None = None

    def __post_init__(self) -> None:
        names = [hook.name for hook in self.hooks]
        if twice := [name for name in names if names.count(name) > 1]:
            raise AttritionError(f"{self.name}: two hooks are called {twice[0]!r}. Give a method each hook once.")

    def learner_of(self, languages: Sequence[str], own: OwnLanguages = NONE_OF_ONES_OWN) -> dict[str, str]:
        """Return the name of each language's learner.

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

    def steps(self, order: Sequence[str | Sequence[str]], own: OwnLanguages = NONE_OF_ONES_OWN) -> Steps:
        """Return the steps of one run, and the rows of R; an entry of `order` is a language, or all languages of a stage.

        >>> steps = METHODS["VANILLA"].steps(["en-US", "de-DE"])
        >>> [(step.languages, step.start) for step in steps.trainings]
        [(('en-US',), None), (('de-DE',), 0)]
        >>> [step.languages for step in METHODS["MULTI"].steps(["en-US", "de-DE"]).trainings]
        [('de-DE', 'en-US')]
        """
        stages = checked_stages(order)
        names = [name for stage in stages for name in stage]
        languages = languages_of_portions(names)
        steps = self.expand(stages, self.learner_of(languages, own))
        trained = {*languages, *(name for step in steps.trainings for name in step.languages)}
        if left_out := [name for name in names if name not in trained]:
            raise AttritionError(
                f"{self.name} has no training for {left_out[0]!r}: its `expand` must train all that stages bring."
            )
        return steps


_ALL = (
    Method(name="MULTI", expand=joint, about="One model, all languages at once: an upper reference for sequential training."),
    Method(name="MULTI LoRA", trains=LoRA(), expand=joint, about="One LoRA adapter, all languages at once."),
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
    Method(name="REPLAY", hooks=(Replay(),), about="VANILLA with some utterances of earlier languages in every batch."),
    Method(name="EWC", hooks=(EWC(),), about="VANILLA with a penalty on changes of weights that matter for earlier languages."),
    Method(name="RATE DECAY", hooks=(RateDecay(),), about="VANILLA with a learning rate that falls from language to language."),
    Method(
        name="INTERPOLATION",
        hooks=(Interpolation(),),
        about="VANILLA; each stage ends half-way between its initial and its trained weights.",
    ),
    Method(
        name="MERGED LoRA",
        trains=LoRA(),
        shared_by="language",
        expand=Merged(Mean()),
        about="A LoRA adapter for each language; the mean of all adapters so far serves every language.",
    ),
    Method(
        name="TIES LoRA",
        trains=LoRA(),
        shared_by="language",
        expand=Merged(Ties()),
        about="A LoRA adapter for each language, merged by TIES.",
    ),
)
METHODS = Registry[Method](
    "method", "attrition.methods", {each.name: dataclasses.replace(each, of=each.name) for each in _ALL}, Method
)
"""All methods by name, including those of installed packages."""

HOOKS: Mapping[str, type[Hook]] = {each.name: each for each in (Replay, EWC, RateDecay, Interpolation)}
"""The hooks that a study file may add to any method, by the name of their table."""


def method(name: str, folder: Path = Path()) -> Method:
    """Return the method called `name`, or the method of a Python file; lower case and hyphens for blanks are accepted.

    >>> method("shared-lora").name
    'SHARED LoRA'
    """
    if is_file_of_a_user(name):
        found, source = METHODS.from_file(name, folder)
        for hook in found.hooks:
            if HOOKS.get(hook.name, type(hook)) is not type(hook):
                raise AttritionError(
                    f"{source}: the hook name {hook.name!r} is taken. Give {type(hook).__name__} another name."
                )
        return dataclasses.replace(found, source=source)
    folded = {_fold(known): known for known in METHODS}
    return METHODS[folded[_fold(name)]] if _fold(name) in folded else look_up(name, METHODS, kind="method")


def known_as(value: Method) -> str:
    """Return the name in the table of a method, whatever its own name, rank and hook settings; "" if it is not in the table.

    >>> known_as(dataclasses.replace(METHODS["VANILLA"], name="mine", shared_by="language"))
    'MONO'
    """
    return next((name for name, known in METHODS.items() if _kind(known) == _kind(value)), "")


def _kind(value: Method) -> tuple[object, ...]:
    shared_by = value.shared_by if value.shared_by in ("all", "language") else "group"
    expand = (Merged, type(value.expand.how)) if isinstance(value.expand, Merged) else value.expand
    return value.trains.kind, shared_by, expand, frozenset(hook.name for hook in value.hooks)


def _fold(name: str) -> str:
    return name.casefold().replace(" ", "-").replace("_", "-")


def renamed_for_rank(value: Method) -> Method:
    """Return the method with its rank in its name, so that one table can have several ranks.

    >>> renamed_for_rank(METHODS["SHARED LoRA"]).name
    'SHARED LoRA r=32'
    """
    if value.trains.adapter is None:
        return value
    return dataclasses.replace(value, name=f"{value.name} r={value.trains.adapter.rank}")

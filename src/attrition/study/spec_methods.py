"""Reads the `methods` of a study file: each entry names a built-in or user's method and changes some of its settings."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from attrition.languages import OwnLanguages
from attrition.methods import HOOKS, METHODS, Hook, LoRA, Method, method
from attrition.methods.merging import MERGING, Mean, Merging
from attrition.methods.methods import known_as, renamed_for_rank
from attrition.methods.steps import Merged, Stages, joint, sequential
from attrition.names import AttritionError, look_up
from attrition.reading import is_there
from attrition.study.tables import as_dataclass, as_model, as_table, as_value, fields_of, known_keys, names_of, plain
from attrition.training.settings import TrainingSettings

METHOD_KEYS = (
    "method", "name", "rank", "alpha", "dropout", "targets", "shared_by", "joint", "merge", "training", *HOOKS,
)  # fmt: skip
_LORA_KEYS = ("rank", "alpha", "dropout", "targets")
_OVERLAYS = ("full", "lora")


@dataclass(frozen=True, kw_only=True)
class MethodChoice:
    """A method of the study and its training settings."""

    method: Method
    training: TrainingSettings


def read_methods(
    raw: list[Any],
    training: Any,
    languages: Sequence[str],
    orders: Sequence[Stages],
    where: str,
    folder: Path,
    own: OwnLanguages,
) -> tuple[MethodChoice, ...]:
    """Return the methods of a study, each with its training settings.

    Raises:
        AttritionError: a key, name or value is not allowed; `where` is named.
    """
    common = as_table(training, f"{where}: training")
    shared = {key: item for key, item in common.items() if key not in _OVERLAYS}
    known_keys(common, (*names_of(TrainingSettings), *_OVERLAYS), f"{where}: training")
    as_dataclass(shared, TrainingSettings, f"{where}: training")
    for kind in _OVERLAYS:  # check also those that no method of this study reads
        as_dataclass(common.get(kind, {}), TrainingSettings, f"{where}: training.{kind}")
    choices = []
    for number, each in enumerate(raw):
        place = f"{where}: methods[{number}]"
        given: Mapping[str, Any] = {"method": each} if isinstance(each, str) else as_table(each, place)
        value = _method(given, place, folder)
        try:
            value.learner_of(languages, own)
        except AttritionError as error:
            raise AttritionError(f"{place}.shared_by: {error}") from error
        _refuse_without_effect(value, given, languages, orders, own, place)
        special = as_table(given.get("training", {}), f"{place}.training")
        settings = {**shared, **common.get(value.trains.kind, {}), **special}
        choices.append(MethodChoice(method=value, training=as_dataclass(settings, TrainingSettings, f"{place}.training")))
    return _told_apart(choices, [isinstance(each, Mapping) and "name" in each for each in raw], where)


def _refuse_without_effect(
    value: Method, given: Mapping[str, Any], languages: Sequence[str], orders: Sequence[Stages], own: OwnLanguages, where: str
) -> None:
    """Refuse hooks if no learner trains a second stage, and merge weights for languages outside the study."""
    if isinstance(value.expand, Merged) and isinstance(value.expand.how, Mean):
        for language in value.expand.how.weights:
            look_up(language, dict.fromkeys(languages), kind="language", where=f"{where}.merge.weights")
    hooks = [name for name in HOOKS if name in given]
    trainings = (each for stages in orders for each in value.steps(stages, own).trainings)
    if hooks and len(languages) > 1 and all(each.start is None for each in trainings):
        raise AttritionError(
            f"{where}: {', '.join(hooks)} has no effect: no learner of {value.name} trains on one language after another. "
            "Remove it, or start from a method such as VANILLA or SHARED LoRA."
        )


def _method(given: Mapping[str, Any], where: str, folder: Path) -> Method:
    """Return the method of one entry of `methods`."""
    if "method" not in given:
        known_keys(given, METHOD_KEYS, where)
        raise AttritionError(f'{where}: name the method to start from, such as method = "SHARED LoRA".')
    try:
        base = method(as_value(given["method"], str, f"{where}.method"), folder)
    except AttritionError as error:
        raise AttritionError(f"{where}: {error}") from error
    known_keys(given, (*METHOD_KEYS, *(hook.name for hook in base.hooks if hook.name not in HOOKS)), where)
    hints = {"name": str, "shared_by": str}
    changes = {key: as_value(given[key], hint, f"{where}.{key}") for key, hint in hints.items() if key in given}
    if not changes.get("name", "x").strip():
        raise AttritionError(f"{where}.name is empty. Leave it out for the method's own name.")
    if Path(changes.get("shared_by", "")).suffix in (".toml", ".csv"):
        changes["shared_by"] = located(changes["shared_by"], folder)
    lora = {key: given[key] for key in _LORA_KEYS if key in given}
    if base.trains.adapter is not None:
        changes["trains"] = as_dataclass({**fields_of(base.trains.adapter), **lora}, LoRA, where)
    elif lora:
        raise AttritionError(f"{where}: {', '.join(lora)} has no effect: {base.name} trains the whole encoder. Remove it.")
    if "joint" in given:
        changes["expand"] = joint if as_value(given["joint"], bool, f"{where}.joint") else sequential
    if "merge" in given:
        for key, item in (("joint", True), ("shared_by", "language")):
            if key in given and (key == "joint" or given[key] != item):
                raise AttritionError(f"{where}: {key} has no effect: with merge each language has a learner. Remove it.")
        changes |= {"expand": Merged(_merging(given["merge"], f"{where}.merge")), "shared_by": "language"}
    changes["hooks"] = _hooks(base, given, where)
    value = dataclasses.replace(base, **changes)
    found = known_as(value)
    if "name" not in given and (added := _added(base, value)):  # a method with replay must not be named VANILLA
        value = dataclasses.replace(value, name=found or " + ".join([base.name, *added]))
    about = METHODS[found].about if found and base.source is None else base.about
    return dataclasses.replace(value, of=found, about=about)


def _added(base: Method, value: Method) -> list[str]:
    """Return the names of the hooks and the way to merge that `value` adds to `base`."""
    there = {hook.name for hook in base.hooks}
    ours, theirs = (each.expand.how.name if isinstance(each.expand, Merged) else "" for each in (value, base))
    return [*([ours] if ours != theirs else []), *(hook.name for hook in value.hooks if hook.name not in there)]


def _hooks(base: Method, given: Mapping[str, Any], where: str) -> tuple[Hook, ...]:
    """Return the hooks of `base` with the given settings; missing hooks are added."""
    there = {hook.name: hook for hook in base.hooks}
    for name, kind in {**HOOKS, **{name: type(hook) for name, hook in there.items()}}.items():
        if name in given:
            before = there[name].model_dump() if name in there else {}
            there[name] = as_model({**before, **as_table(given[name], f"{where}.{name}")}, kind, f"{where}.{name}")
    return tuple(there.values())


def _merging(raw: Any, where: str) -> Merging:
    table = dict(as_table(raw, where))
    name = as_value(table.pop("name", ""), str, f"{where}.name")
    return as_model(table, look_up(name, MERGING, kind="way to merge", where=f"{where}.name"), where)


def _told_apart(choices: Sequence[MethodChoice], named: Sequence[bool], where: str) -> tuple[MethodChoice, ...]:
    """Add the rank to equal names of methods, unless the study file sets them; refuse names that stay equal."""
    names = [choice.method.name for choice in choices]
    renamed = [
        choice
        if is_named or names.count(choice.method.name) == 1
        else dataclasses.replace(choice, method=renamed_for_rank(choice.method))
        for choice, is_named in zip(choices, named, strict=True)
    ]
    names = [choice.method.name for choice in renamed]
    for number, name in enumerate(names):
        if name in names[:number]:
            raise AttritionError(
                f"{where}: methods[{number}]: the name {name!r} is used twice. Set `name` for one of the two methods."
            )
    return tuple(renamed)


def entry_of(choice: MethodChoice) -> dict[str, Any]:
    """Return the study file's entry for this method, with all defaults."""
    value = choice.method
    entry: dict[str, Any] = {"method": _origin(value), "name": value.name, "shared_by": value.shared_by}
    if isinstance(value.expand, Merged) and type(value.expand.how) in MERGING.values():
        entry["merge"] = {"name": value.expand.how.name, **value.expand.how.model_dump()}
    elif value.expand in (joint, sequential):
        entry["joint"] = value.expand is joint
    # All settings are written, except None: TOML has no null.
    entry |= {hook.name: hook.model_dump(mode="json", exclude_none=True) for hook in value.hooks}
    return {**entry, **plain(value.trains), "training": plain(choice.training)}


def _origin(value: Method) -> str:
    """Return the published method, or the user's file, that `value` starts from."""
    alike = [known for known in METHODS.values() if known.trains.kind == value.trains.kind]
    return value.source or value.of or next((known.name for known in alike if known.about == value.about), alike[0].name)


def located(path: str, folder: Path) -> str:
    """Return the absolute form of `path`, relative to the working folder, or to `folder` if only `folder` has it."""
    given = Path(path).expanduser()
    return str((folder / given if not is_there(given) and is_there(folder / given) else given).absolute())

"""Names stages, evaluations and runs by a hash of everything that determines their numbers."""

from __future__ import annotations

import dataclasses
import hashlib
import inspect
import json
import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FORMAT = 3
"""Increase it when the same settings give different numbers, for example after a change of the dropout masks."""

LENGTH = 16


def key_of(decides: Mapping[str, Any]) -> str:
    """Return a short hash of a table; equal tables give equal keys.

    >>> key_of({"a": 1, "b": [2]}) == key_of({"b": [2], "a": 1})
    True
    """
    text = json.dumps({"format": FORMAT, **decides}, sort_keys=True, ensure_ascii=True, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:LENGTH]


def settings_key(settings: Any) -> dict[str, Any]:
    """Return the fields of a frozen dataclass that differ from their default.

    Defaults are not part of a key, so a new setting with a neutral default changes no existing key.

    >>> from attrition.training.settings import TrainingSettings
    >>> settings_key(TrainingSettings(epochs=3, warmup=0.1))
    {'epochs': 3}
    """
    fields = dataclasses.fields(settings)
    return {each.name: getattr(settings, each.name) for each in fields if getattr(settings, each.name) != each.default}


@dataclass(frozen=True, kw_only=True)
class StepInputs:
    """Everything that determines the numbers of one training.

    Attributes:
        model: the encoder's fingerprint.
        labels: the classes.
        trains: a frozen dataclass with a `kind`; LoRA has an `adapter` with a `scale`.
        training: its settings.
        data: each language with the content keys of its train and dev utterances.
        seed: of the run.
        chain: the languages of this learner's trainings so far, this one last.
        parent: the key of the step that it starts from.
        hooks: those that act in it.
        precision: of matrix products.
        problem: what is learned, as `attrition.problem.problems.identity` names it; empty for slots.
    """

    model: str
    labels: tuple[str, ...]
    trains: Any
    training: Any
    data: tuple[tuple[str, str, str], ...]
    seed: int
    chain: tuple[tuple[str, ...], ...]
    parent: str | None = None
    hooks: tuple[Any, ...] = ()
    precision: str = "float32"
    problem: str = ""


def step_key(inputs: StepInputs) -> str:
    """Return the key of a training."""
    trains = {"kind": inputs.trains.kind, **settings_key(inputs.trains)}
    if inputs.trains.adapter is not None and inputs.trains.adapter.scale == 1:
        trains.pop("alpha", None)  # alpha = rank is the default
    decides: dict[str, Any] = {
        "model": inputs.model,
        "labels": inputs.labels,
        "trains": trains,
        "training": settings_key(inputs.training),
        "data": inputs.data,
        "seed": inputs.seed,
        "chain": inputs.chain,
        "parent": inputs.parent,
    }
    if inputs.precision != "float32":
        decides["precision"] = inputs.precision
    if inputs.problem:
        decides["problem"] = inputs.problem
    if inputs.hooks:
        decides["hooks"] = [_named(hook) for hook in inputs.hooks]
    return key_of(decides)


def merge_key(inputs: Sequence[str], how: Any) -> str:
    """Return the key of a merge of the steps with these keys."""
    return key_of({"merge": list(inputs), "how": _named(how)})


def _named(value: Any) -> list[Any]:
    """Return the name and settings of a hook or a way to merge, and a hash of its code if it is the user's."""
    code = code_of(type(value))
    return [value.name, value.model_dump(mode="json", exclude_defaults=True), *([] if code is None else [code])]


def code_of(kind: type) -> str | None:
    """Return a hash of the file that defines a class; None for classes of attrition, which `FORMAT` covers.

    Files that it imports are not included.

    >>> from attrition.methods.replay import Replay
    >>> code_of(Replay) is None
    True
    """
    if kind.__module__.partition(".")[0] == "attrition":
        return None
    try:
        content = Path(inspect.getfile(kind)).read_bytes()
    except (OSError, TypeError):  # defined in an interactive session
        content = f"{kind.__module__}.{kind.__qualname__}".encode()
    return hashlib.sha256(content).hexdigest()[:LENGTH]


def evaluation_key(stage: str, tests: Mapping[str, str], *, before: bool = False) -> str:
    """Return the key of the scores of a stage's model on test sets.

    Args:
        stage: key of the stage.
        tests: `attrition.corpus.dataset.content_key` of each language's test utterances.
        before: whether the scores are those of the untrained model from which this stage starts.
    """
    return key_of({"of": stage, "before": before, "tests": tests})


def run_key(method: str, order_name: str, order: Sequence[str], seed: int, stages: Sequence[str]) -> str:
    """Return the name of a run's folder: readable, and ending in a short hash of its stages, languages and method.

    >>> run_key("SHARED LoRA", "as-listed", ["en-US"], 0, ["0123456789abcdef"])
    'shared-lora--as-listed--s0--9853ce14'
    """
    decides = {"jobs": list(stages), "languages": list(order), "method": method}
    return f"{slug(method)}--{slug(order_name)}--s{seed}--{key_of(decides)[:8]}"


def slug(text: str) -> str:
    """Return a name that is valid on any file system; with a short hash if the text is not all ASCII.

    >>> slug("SHARED LoRA r=32"), slug("日本")
    ('shared-lora-r-32', 'x-cf2abf')
    """
    plain = "".join(each for each in unicodedata.normalize("NFKD", text) if not unicodedata.combining(each)).casefold()
    name = re.sub(r"[^a-z0-9]+", "-", plain).strip("-") or "x"
    return f"{name}-{hashlib.sha256(text.encode()).hexdigest()[:6]}" if not text.isascii() else name

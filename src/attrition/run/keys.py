"""Stages and runs are named by what decides their numbers."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

FORMAT = 3
"""Raised when the program trains to other numbers by the same settings, such as by masks drawn in another sequence."""

LENGTH = 16


def key_of(decides: Mapping[str, Any]) -> str:
    """A short hash of everything that decides a result; equal tables give equal keys.

    >>> key_of({"a": 1, "b": [2]}) == key_of({"b": [2], "a": 1})
    True
    """
    text = json.dumps({"format": FORMAT, **decides}, sort_keys=True, ensure_ascii=True, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:LENGTH]


def settings_key(settings: Any) -> dict[str, Any]:
    """Return those fields of a frozen dataclass that differ from their default.

    A setting at its default is not part of a key: a new setting whose default changes no number leaves every key as it was.

    >>> from attrition.training.settings import TrainingSettings
    >>> settings_key(TrainingSettings(epochs=3, warmup=0.1))
    {'epochs': 3}
    """
    fields = dataclasses.fields(settings)
    return {each.name: getattr(settings, each.name) for each in fields if getattr(settings, each.name) != each.default}


def evaluation_key(stage: str, tests: Mapping[str, str], *, before: bool = False) -> str:
    """The name of what a stage's model scores on test sets, or the model `before` that stage.

    Args:
        stage: its key.
        tests: `attrition.corpus.dataset.content_key` of each language's test utterances.
        before: whether it is the untrained model that this stage began with.
    """
    return key_of({"of": stage, "before": before, "tests": tests})


def run_key(method: str, order_name: str, order: Sequence[str], seed: int, stages: Sequence[str]) -> str:
    """The name of a run: for people, and with the beginning of a hash of its stages, languages and method.

    >>> run_key("SHARED LoRA", "as-listed", ["en-US"], 0, ["0123456789abcdef"])
    'shared-lora--as-listed--s0--9853ce14'
    """
    decides = {"jobs": list(stages), "languages": list(order), "method": method}
    return f"{slug(method)}--{slug(order_name)}--s{seed}--{key_of(decides)[:8]}"


def slug(text: str) -> str:
    """A name that any file system takes.

    >>> slug("SHARED LoRA r=32")
    'shared-lora-r-32'
    """
    return re.sub(r"[^a-z0-9]+", "-", text.casefold()).strip("-") or "x"

"""Labels of runs, models and languages."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from hashlib import sha256

from attrition.results.spec import Series

LONGEST = 20
"""The largest number of characters of a setting's value in a label."""


def short_models(models: Iterable[str]) -> dict[str, str]:
    """Return short names of models, without their source, if these are different.

    >>> short_models(["hub:intfloat/multilingual-e5-large-instruct", "embedded:e5-small"])
    {'hub:intfloat/multilingual-e5-large-instruct': 'multilingual-e5-large-instruct', 'embedded:e5-small': 'e5-small'}
    >>> short_models(["hub:a/bert", "hub:b/bert"])
    {'hub:a/bert': 'hub:a/bert', 'hub:b/bert': 'hub:b/bert'}
    """
    names = {model: re.split(r"[:/\\]", model.rstrip("/\\"))[-1] or model for model in models}
    return names if len(set(names.values())) == len(names) else {model: model for model in names}


def telling_labels(parts: Sequence[tuple[str, ...]]) -> list[str]:
    """Return labels: the first part, and each other part that distinguishes items whose labels are equal without it.

    What distinguishes nothing more is left out, so labels stay short.

    >>> telling_labels([("LoRA", "r = 8", "bert"), ("LoRA", "r = 32", "bert"), ("MULTI", "", "bert")])
    ['LoRA · r = 8', 'LoRA · r = 32', 'MULTI']
    """
    telling = [0]
    for i in range(1, len(parts[0]) if parts else 1):
        so_far = {tuple(row[place] for place in telling) for row in parts}
        if len({tuple(row[place] for place in (*telling, i)) for row in parts}) > len(so_far):
            telling.append(i)
    return [" · ".join([row[0], *(row[i] for i in telling[1:] if row[i])]) for row in parts]


def series_parts(series: Sequence[Series]) -> list[tuple[str, ...]]:
    """Return the parts of each series' label: its method, and whatever may distinguish it from others."""
    models = short_models(each.setup.model for each in series)
    settings = [each.further for each in series]
    names = list(dict.fromkeys(name for each in settings for name in each))
    short = {name: name.rpartition(".")[2] for name in names}
    # A run has a seed too, and a name: those of settings keep their table.
    clear = [name for name in names if list(short.values()).count(short[name]) == 1 and short[name] not in ("seed", "name")]
    shown = {name: short[name] if name in clear else name for name in names}
    return [
        (
            each.method,
            "" if each.rank is None else f"r = {each.rank}",
            models[each.setup.model],
            each.setup.corpus,
            each.setup.cuts,
            *(f"{shown[name]} = {short_value(own[name])}" if name in own else "" for name in names),
            each.kind,
        )
        for each, own in zip(series, settings, strict=True)
    ]


def short_value(value: str) -> str:
    """Return a short text that differs if a long value differs.

    >>> short_value("0.001"), short_value("af-ZA, am-ET, ar-SA, az-AZ, bn-BD")
    ('0.001', 'af-ZA, am-E… (e97a)')
    """
    return value if len(value) <= LONGEST else f"{value[:11]}… ({sha256(value.encode()).hexdigest()[:4]})"

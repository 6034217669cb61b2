"""Labels of runs, models and languages."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from attrition.results.spec import Series


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
    """Return labels: the first part, and those other parts that differ between items with the same first part.

    An order or seed that distinguishes nothing is left out, so labels stay short.

    >>> telling_labels([("LoRA", "r = 8", "bert"), ("LoRA", "r = 32", "bert"), ("MULTI", "", "bert")])
    ['LoRA · r = 8', 'LoRA · r = 32', 'MULTI']
    """
    others = list(range(1, len(parts[0]))) if parts else []
    names = {row[0] for row in parts}
    telling = [i for i in others if any(len({row[i] for row in parts if row[0] == name}) > 1 for name in names)]
    return [" · ".join([row[0], *(row[i] for i in telling if row[i])]) for row in parts]


def series_parts(series: Sequence[Series]) -> list[tuple[str, ...]]:
    """Return the parts of each series' label: its method, and whatever may distinguish it from others."""
    models = short_models(each.setup.model for each in series)
    settings = [dict(each.setup.data) | dict(each.training) for each in series]
    names = list(dict.fromkeys(name for each in settings for name in each))
    return [
        (
            each.method,
            "" if each.rank is None else f"r = {each.rank}",
            models[each.setup.model],
            each.setup.corpus,
            each.setup.cuts,
            *(f"{_short_name(name)} = {own[name]}" if name in own else "" for name in names),
        )
        for each, own in zip(series, settings, strict=True)
    ]


def _short_name(setting: str) -> str:
    """Return a setting's name without its table. The seed of the data keeps it, as runs have a seed too."""
    name = setting.rpartition(".")[2]
    return setting if name == "seed" else name

"""All metrics of matrices in files as one JSON object, with the conventions behind the numbers."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np

from attrition.languages.portions import language_of_portion
from attrition.metrics import donors, hops, shift, single
from attrition.metrics.matrix import RMatrix
from attrition.metrics.several import PerLanguage, one_per_order
from attrition.names import AttritionError, look_up, unknown

Cbt = Literal["last_row", "literal"]
Cft = Literal["rows", "cells"]
Hops = Literal["averages", "pairwise"]
ShiftSign = Literal["gain", "loss"]

_CHOICES: Mapping[str, tuple[str, ...]] = {
    "cbt": get_args(Cbt),
    "cft": get_args(Cft),
    "hops": get_args(Hops),
    "shift_sign": get_args(ShiftSign),
}

_MEANING: Mapping[tuple[str, str], str] = {
    ("cbt", "last_row"): "cbt compares with the last row: mean over i < T of R[T, i] - R[i, i], equal to bwt.",
    ("cbt", "literal"): "cbt is eq. 12 as printed, with row T-1, equal to cbt_literal; bwt still compares with the last row.",
    ("cft", "rows"): "cft gives every stage the same weight (eq. 10-11 as printed).",
    ("cft", "cells"): "cft gives every cell above the diagonal the same weight, equal to cft_cells.",
    ("hops", "averages"): "mft and mbt are changes of P (eq. 13-14 with i the position of the language).",
    ("hops", "pairwise"): "mft and mbt, and their counts, are the pairwise reading, equal to mft_pairwise and mbt_pairwise.",
    ("shift_sign", "gain"): "shift_growing, shift_fixed and composition are positive for a gain.",
    ("shift_sign", "loss"): "shift_growing, shift_fixed and composition are positive for a loss.",
}

_ALWAYS = (
    "p_avg is eq. 9 as printed: positive is a loss.",
    "forgetting never lets the last row join the maximum; positive is forgetting.",
    "A hop or shift that needs a stage outside 1...T is left out of the mean over files, never counted as 0.",
    "The pairwise hops, donor and receiver leave out the first stage of an order.",
    "Languages never trained count as not yet learned.",
    "A cell that was not measured is left out of means, never counted as 0; null is a mean of nothing.",
)


@dataclass(frozen=True, kw_only=True)
class Conventions:
    """The chosen reading for the keys `cbt`, `cft`, `mft`, `mbt` and `shift_*`, which the paper leaves open."""

    cbt: Cbt = "last_row"
    cft: Cft = "rows"
    hops: Hops = "averages"
    shift_sign: ShiftSign = "gain"

    @classmethod
    def of(cls, settings: Mapping[str, str] | None = None) -> Conventions:
        """Return the conventions of the given settings, others by default.

        Raises:
            UnknownNameError: a setting, or its value, is unknown.

        >>> Conventions.of({"cbt": "literal"}).cbt
        'literal'
        >>> Conventions.of({"cbt": "litteral"})
        Traceback (most recent call last):
        attrition.names.UnknownNameError: Unknown value of the setting cbt 'litteral'. Did you mean 'literal'? Known: ...
        """
        chosen: dict[str, Any] = {}
        for name, value in (settings or {}).items():
            choices = look_up(name, _CHOICES, kind="setting of metrics")
            if value not in choices:
                raise unknown(str(value), choices, kind=f"value of the setting {name}")
            chosen[name] = value
        return cls(**chosen)

    def as_dict(self) -> dict[str, Any]:
        """Return the settings by name, and sentences that explain them and the fixed conventions."""
        settings = {field.name: getattr(self, field.name) for field in fields(self)}
        return {**settings, "statements": [*(_MEANING[choice] for choice in settings.items()), *_ALWAYS]}


def metrics_json(paths: Iterable[str | Path], *, settings: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Return all metrics of the matrices in CSV files, one file per order; None if undefined.

    Args:
        paths: files in the layout of `RMatrix.to_csv`.
        settings: conventions by name, such as `{"cbt": "literal"}`; see `Conventions`.

    Raises:
        AttritionError: no file was given, one is malformed, two have different languages, or a setting is unknown.
    """
    files = [paths] if isinstance(paths, str | Path) else list(paths)
    if not files:
        raise AttritionError(
            "No matrix was given. Name one CSV file per order: header 'trained,<language>,...', a row per stage."
        )
    conventions = Conventions.of(settings)
    matrices, names = [RMatrix.from_csv(path) for path in files], [str(path) for path in files]
    _refuse_different_languages(matrices, names)
    return metrics_of(matrices, files=names, conventions=conventions)


def _refuse_different_languages(matrices: Sequence[RMatrix], files: Sequence[str]) -> None:
    """Refuse files with different sets of languages, because their means would not be comparable."""
    first = set(matrices[0].languages)
    for R, file in zip(matrices[1:], files[1:], strict=True):
        if first == set(R.languages):
            continue
        lacking = [
            f"{name} has no {', '.join(languages)}"
            for name, languages in (
                (file, [each for each in matrices[0].languages if each not in R.languages]),
                (files[0], [each for each in R.languages if each not in first]),
            )
            if languages
        ]
        raise AttritionError(
            f"{files[0]} and {file} have different languages: {'; '.join(lacking)}. Means over files need the same languages "
            "in every file. Call `attrition metrics` once for each set of languages."
        )


def metrics_of(matrices: Sequence[RMatrix], *, files: Sequence[str], conventions: Conventions | None = None) -> dict[str, Any]:
    """Return all metrics of matrices, with the names of `metrics_json`. Means are over orders; seeds of one are averaged first.

    >>> R = RMatrix.sequential("ab", [[.75, .25], [.5, .875]])
    >>> metrics_of([R], files=["R.csv"])["mft"]["b"][:2]
    [-0.0625, None]
    """
    chosen = conventions or Conventions()
    orders = one_per_order(matrices)
    averages = {"mft": hops.mft(orders), "mbt": hops.mbt(orders)}
    pairwise = {"mft": hops.mft_pairwise(orders), "mbt": hops.mbt_pairwise(orders)}
    reading = averages if chosen.hops == "averages" else pairwise
    sign = 1.0 if chosen.shift_sign == "gain" else -1.0
    settings, notes = chosen.as_dict(), dict.fromkeys(note for R in matrices for note in stage_notes(R))
    whole = {
        "matrices": [_one(R, file, chosen) for R, file in zip(matrices, files, strict=True)],
        "mft": reading["mft"].as_dict(),
        "mbt": reading["mbt"].as_dict(),
        "mft_n": reading["mft"].counts_as_dict(),
        "mbt_n": reading["mbt"].counts_as_dict(),
        "mft_pairwise": pairwise["mft"].as_dict(),
        "mbt_pairwise": pairwise["mbt"].as_dict(),
        "shift_growing": _signed(shift.shift_growing(orders), sign),
        "shift_fixed": _signed(shift.shift_fixed(orders), sign),
        "composition": _signed(shift.composition(orders), sign),
        "p_avg": shift.average_p_avg(orders),
        "donor": donors.donor(orders).as_dict(),
        "receiver": donors.receiver(orders).as_dict(),
        "receiver_learned": donors.receiver_learned(orders).as_dict(),
        "donor_learned": donors.donor_learned(orders).as_dict(),
        "donor_unlearned": donors.donor_unlearned(orders).as_dict(),
        "partial": [note for R, file in zip(matrices, files, strict=True) for note in _partial(R, file)],
        "conventions": {**settings, "statements": [*settings["statements"], *notes]},
    }
    return {key: nulls_for_nan(value) for key, value in whole.items()}


def _one(R: RMatrix, file: str, conventions: Conventions) -> dict[str, Any]:
    return {
        "file": file,
        "order": list(R.order),
        "learned_mean": single.learned_mean(R).tolist(),
        "final_mean": single.final_mean(R),
        "cft": single.cft(R) if conventions.cft == "rows" else single.cft_cells(R),
        "cft_cells": single.cft_cells(R),
        "cbt": single.cbt(R) if conventions.cbt == "last_row" else single.cbt_literal(R),
        "cbt_literal": single.cbt_literal(R),
        "bwt": single.bwt(R),
        "fwt": single.fwt(R),
        "forgetting": single.forgetting(R),
        "learning_accuracy": single.learning_accuracy(R),
    }


def _partial(R: RMatrix, file: str) -> list[dict[str, Any]]:
    """Return the metrics of R that are means over only some of their terms, because the others were not measured."""
    notes = []
    for name in single.TERMS:
        terms, of = single.num_terms(R, name)
        if 0 < terms < of:
            notes.append({"file": file, "metric": name, "terms": terms, "of": of})
    return notes


def stage_notes(R: RMatrix) -> tuple[str, ...]:
    """Return the metrics that the stages of a matrix leave undefined, or change in meaning, with reasons.

    Empty if each stage trains one language, and for a joint run, which has no order.

    >>> R = RMatrix([[.5, .5, .1], [.6, .4, .7]], ("a", "b", "c"), (("a", "b"), ("a (2)", "c")))
    >>> print(*stage_notes(R), sep="\\n")
    MBT, MFT, shifts, donor and position are not defined for a, b, c: each was trained in one stage with other data, so ...
    Changes from the own stage to the end (CBT, BWT, forgetting) of a include what its further data taught.
    """
    together = [name for alone, new in zip(R.alone_S, R.new, strict=True) if not alone for name in new]
    later = [language_of_portion(name, R.languages) for stage in R.trained for name in stage if name not in R.languages]
    notes = []
    if together and not R.joint:
        notes.append(
            f"MBT, MFT, shifts, donor and position are not defined for {', '.join(together)}: each was trained in one stage "
            "with other data, so the effect of the stage is not the effect of one language."
        )
    if later and not R.joint:
        notes.append(
            f"Changes from the own stage to the end (CBT, BWT, forgetting) of {', '.join(dict.fromkeys(later))} include what "
            "its further data taught."
        )
    return tuple(notes)


def _signed(means: PerLanguage, sign: float) -> dict[str, Any]:
    return PerLanguage(means.languages, np.multiply(sign, means.values), means.counts).as_dict()


def nulls_for_nan(value: Any) -> Any:
    """Return the same nested lists and dictionaries with None for every NaN, because JSON has no NaN.

    >>> nulls_for_nan({"fwt": float("nan"), "P": [0.5, float("nan")]})
    {'fwt': None, 'P': [0.5, None]}
    """
    if isinstance(value, dict):
        return {key: nulls_for_nan(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [nulls_for_nan(entry) for entry in value]
    return None if isinstance(value, float) and math.isnan(value) else value

"""The table behind the drivers of forgetting: each stage's change on each language, and covariates of both languages.

Shape letters: N rows (a stage and a receiver), S stages, L languages.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from attrition.languages import NONE_OF_ONES_OWN, Language, OwnLanguages, language_of
from attrition.metrics.donors import Which
from attrition.metrics.matrix import RMatrix
from attrition.metrics.several import Floats, Matrices, as_orders, changes_SL, languages_of
from attrition.names import AttritionError, look_up

SCOPES: tuple[Which, ...] = ("learned", "unlearned", "all")

LEAST_OWN = 1e-3
"""A column is left out if the part of its norm that is independent of earlier columns is below this share.

Values rounded to six digits are rarely exact copies. At this share the variance of an effect is a million times larger than
for the column alone, so the effect is unknown, and the model's equations lose half of their digits.
"""

POSITION = "log_num_learned"

Codes = NDArray[np.int64]


@dataclass(frozen=True, eq=False, kw_only=True)
class Changes:
    """One row per stage and receiver.

    `points_N` is D, the change of the receiver's score in points. `donor_N` and `receiver_N` are indices into `languages`,
    `order_N` and `seed_N` into their labels. `run_N` counts the matrices from 0, `stage_N` the stages from 1. `learned_N` is
    True if the receiver was learned before the stage; `num_learned_N` is the number of languages learned before.
    """

    scope: Which
    languages: tuple[str, ...]
    orders: tuple[str, ...]
    seeds: tuple[str, ...]
    points_N: Floats
    run_N: Codes
    order_N: Codes
    seed_N: Codes
    stage_N: Codes
    donor_N: Codes
    receiver_N: Codes
    learned_N: NDArray[np.bool_]
    num_learned_N: Codes

    def __len__(self) -> int:
        return len(self.points_N)


@dataclass(frozen=True, eq=False, kw_only=True)
class Covariate:
    """A column of the model: 0 or 1 (`binary`), or standardised; `mean` and `sd` are from before."""

    name: str
    values_N: Floats
    binary: bool
    mean: float
    sd: float


@dataclass(frozen=True, eq=False, kw_only=True)
class Covariates:
    """`position` (log of the number of languages learned before) and the others; `notes` lists omitted columns with reasons."""

    position: Covariate | None
    columns: tuple[Covariate, ...]
    notes: tuple[str, ...]


def changes(
    matrices: Matrices,
    orders: Sequence[str] | None = None,
    seeds: Sequence[str] | None = None,
    *,
    scope: Which = "learned",
) -> Changes:
    """Return D = 100 (R[s, b] - R[s-1, b]) for every stage s from the second on and every language b that s did not train.

    Stages that trained several languages have no rows. Cells not measured before or after the stage have none either.

    Args:
        matrices: one per run.
        orders: each run's order; by default, runs that trained the same sequence share an order.
        seeds: each run's seed; by default, runs of one order have the seeds 0, 1, 2, ...
        scope: "learned" keeps the b learned before s, "unlearned" the others, "all" both.

    Raises:
        AttritionError: no matrix; the numbers of labels and matrices differ; an unknown scope; no row.

    >>> R = RMatrix.sequential("abc", [[.75, .25, .125], [.5, .875, .25], [.625, .5, 1]])
    >>> found = changes(R)
    >>> [(R.languages[a], R.languages[b], d) for a, b, d in zip(found.donor_N, found.receiver_N, found.points_N.tolist())]
    [('b', 'a', -25.0), ('c', 'a', 12.5), ('c', 'b', -37.5)]
    """
    look_up(scope, dict.fromkeys(SCOPES), kind="scope")
    runs = as_orders(matrices)
    order_labels, seed_labels = _labels(runs, orders, seeds)
    order_names, seed_names = tuple(dict.fromkeys(order_labels)), tuple(dict.fromkeys(seed_labels))
    languages = languages_of(runs)
    parts: list[Codes] = []
    points: list[Floats] = []
    for run, R in enumerate(runs):
        columns_L = np.array([languages.index(language) for language in R.languages])
        donor_S = np.array([R.languages.index(new[0]) if alone else -1 for new, alone in zip(R.new, R.alone_S, strict=True)])
        stages_S = np.arange(R.num_stages)
        change_SL = changes_SL(R, from_before=False)
        learned_SL = R.stage_L[None, :] < stages_S[:, None]
        wanted_SL = ~np.isnan(change_SL) & (donor_S >= 0)[:, None] & (R.stage_L[None, :] != stages_S[:, None])
        if scope != "all":
            wanted_SL &= learned_SL == (scope == "learned")
        stage_n, column_n = np.nonzero(wanted_SL)
        ones_n = np.ones(len(stage_n), dtype=np.int64)
        labels = (run, order_names.index(order_labels[run]), seed_names.index(seed_labels[run]))
        parts.append(
            np.stack(
                [
                    *(label * ones_n for label in labels),
                    stage_n + 1,
                    columns_L[donor_S[stage_n]],
                    columns_L[column_n],
                    learned_SL[stage_n, column_n],
                    learned_SL.sum(axis=1)[stage_n],
                ]
            )
        )
        points.append(100 * change_SL[stage_n, column_n])
    run_N, order_N, seed_N, stage_N, donor_N, receiver_N, learned_N, num_learned_N = np.concatenate(parts, axis=1)
    if not len(run_N):
        raise AttritionError(
            f"No change in scope {scope!r} was measured. Give a run of two stages or more, each of one language, with scores "
            "on other languages before and after a stage."
        )
    return Changes(
        scope=scope,
        languages=languages,
        orders=order_names,
        seeds=seed_names,
        points_N=np.concatenate(points),
        run_N=run_N,
        order_N=order_N,
        seed_N=seed_N,
        stage_N=stage_N,
        donor_N=donor_N,
        receiver_N=receiver_N,
        learned_N=learned_N.astype(bool),
        num_learned_N=num_learned_N,
    )


def _labels(
    runs: Sequence[RMatrix], orders: Sequence[str] | None, seeds: Sequence[str] | None
) -> tuple[Sequence[str], Sequence[str]]:
    for name, given in (("orders", orders), ("seeds", seeds)):
        if given is not None and len(given) != len(runs):
            raise AttritionError(f"{name} has {len(given)} labels for {len(runs)} matrices. Give one label per matrix.")
    if orders is None:
        sequences = list(dict.fromkeys(R.trained for R in runs))
        orders = [str(sequences.index(R.trained) + 1) for R in runs]
    if seeds is None:
        seeds = [str(list(orders[:run]).count(order)) for run, order in enumerate(orders)]
    return orders, seeds


_LANGUAGE: Mapping[str, Callable[[Language], float]] = {  # NaN if unknown
    "latin": lambda language: _number(language.latin),
    "log_tokens": lambda language: math.log(_number(language.cc100_tokens_m)),
    "joshi": lambda language: _number(language.joshi_class),
}

_SAME = ("script", "family", "branch")


def covariates(
    of: Changes,
    *,
    extra_language: Mapping[str, Mapping[str, float]] | None = None,
    extra_pair: Mapping[str, Mapping[tuple[str, str], float]] | None = None,
    own: OwnLanguages = NONE_OF_ONES_OWN,
) -> Covariates:
    """Return the columns that may explain the changes, each known for every row.

    Per pair, 0 or 1: `same_script`, `same_family`, `same_branch`. Per language, once for the donor and once for the receiver
    (`donor_...`, `receiver_...`): `latin` (0 or 1), `log_tokens` (log of millions of CC-100 tokens), `joshi` (class 0 to 5).
    Values and doubts about them: `attrition.languages`. A column with other values than 0 and 1 has mean 0 and standard
    deviation 1 over the rows, so that its effect is in points per standard deviation.

    A column is left out, with a note, if a language or pair of the table has no value, if all values are equal, or if it
    depends on the intercept, the position and earlier columns (`LEAST_OWN`).

    Args:
        of: the table of changes.
        extra_language: name to values by locale, such as fertility; gives a column for donors and one for receivers.
        extra_pair: name to values by (donor, receiver), such as the overlap of sub-tokens. A name that is
            there already is replaced.
        own: content of the user's file of languages.

    >>> R = RMatrix.sequential(["en-US", "de-DE", "th-TH"], [[.75, .25, .125], [.5, .875, .25], [.625, .5, 1]])
    >>> found = covariates(changes(R, scope="all"))
    >>> [column.name for column in found.columns]
    ['same_script', 'receiver_log_tokens']
    """
    languages = of.languages
    language_by_label = {label: language_of(label, own) for label in languages}
    donor_N, receiver_N = of.donor_N, of.receiver_N
    pairs = sorted(set(zip(donor_N.tolist(), receiver_N.tolist(), strict=True)))
    notes: list[str] = []
    raw: dict[str, Floats | None] = {}

    for attribute in _SAME:
        raw[f"same_{attribute}"] = None
        values = [str(language_by_label[name].value(attribute) or "") for name in languages]
        if all(values[place] for pair in pairs for place in pair):
            codes_L = np.array([values.index(value) for value in values])
            raw[f"same_{attribute}"] = (codes_L[donor_N] == codes_L[receiver_N]).astype(np.float64)
    by_language: dict[str, Mapping[str, float]] = {
        name: {label: value(language) for label, language in language_by_label.items()} for name, value in _LANGUAGE.items()
    }
    by_language |= dict(extra_language or {})
    for name, given in by_language.items():
        values_L = np.array([given.get(language, np.nan) for language in languages], dtype=np.float64)
        for side, places_N in (("donor", donor_N), ("receiver", receiver_N)):
            column_N = values_L[places_N]
            raw[f"{side}_{name}"] = column_N if np.isfinite(column_N).all() else None
    for name, of_pairs in (extra_pair or {}).items():
        values_LL = np.full((len(languages), len(languages)), np.nan)
        for a, b in pairs:
            values_LL[a, b] = of_pairs.get((languages[a], languages[b]), np.nan)
        column_N = values_LL[donor_N, receiver_N]
        raw[name] = column_N if np.isfinite(column_N).all() else None

    position = _column(POSITION, np.log(np.maximum(of.num_learned_N, 1)))
    known = [np.ones(len(of))]
    if position is None:
        notes.append(f"{POSITION} was left out: it has one value in all rows.")
    else:
        known.append(position.values_N)
    columns = []
    for name, values_N in raw.items():
        column = None if values_N is None else _column(name, values_N)
        if values_N is None:
            notes.append(f"{name} was left out: it is not known for every language or pair of the table.")
        elif column is None:
            notes.append(f"{name} was left out: it has one value in all rows.")
        elif _depends(column.values_N, known):
            notes.append(f"{name} was left out: it follows from the columns before it.")
        else:
            columns.append(column)
            known.append(column.values_N)
    for side, places_N in (("donor", donor_N), ("receiver", receiver_N)):
        of_side = sum(f"{side}_{name}" in {column.name for column in columns} for name in by_language)
        if of_side > 3 and of_side >= (number := len(np.unique(places_N))) - 2:
            notes.append(
                f"{of_side} covariates of {number} {side}s leave next to nothing of the {side}s to be told of themselves. "
                "Train more languages."
            )
    return Covariates(position=position, columns=tuple(columns), notes=tuple(notes))


def _number(value: float | None) -> float:
    return math.nan if value is None else float(value)


def _column(name: str, values_N: Floats) -> Covariate | None:
    mean, sd = float(values_N.mean()), float(values_N.std())
    if sd <= 1e-12 * max(1.0, abs(mean)):
        return None
    binary = bool(np.isin(values_N, (0.0, 1.0)).all())
    return Covariate(name=name, values_N=values_N if binary else (values_N - mean) / sd, binary=binary, mean=mean, sd=sd)


def _depends(values_N: Floats, known: Sequence[Floats]) -> bool:
    known_NP = np.column_stack(known)
    left_N = values_N - known_NP @ np.linalg.lstsq(known_NP, values_N, rcond=None)[0]
    return float(np.linalg.norm(left_N)) <= LEAST_OWN * float(np.linalg.norm(values_N))

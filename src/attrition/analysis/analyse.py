"""Analyses a set of runs: languages, null counterparts, reliability, drivers, claims.

All numbers are points of the score (F1 x 100, say), a gain positive.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from attrition.analysis.changes import POSITION, changes, covariates
from attrition.analysis.claims.form import Claim
from attrition.analysis.claims.judge import RATE, Judged, benjamini_hochberg, judge_all
from attrition.analysis.claims.needs import Needs
from attrition.analysis.distance import distances
from attrition.analysis.drivers import Driver, Drivers, Strength, factors, fit_drivers
from attrition.analysis.evidence import (
    FEWEST_ORDERS,
    Evidence,
    Replicates,
    RunEvidence,
    replicates,
    seeds_averaged,
)
from attrition.analysis.hops import METRICS, HopCurves, hop_curves, hops_json
from attrition.analysis.intervals import Estimate
from attrition.analysis.measurement import known_variance_N
from attrition.analysis.moderation import per_language
from attrition.analysis.position import PositionEffect, position_effect, position_json
from attrition.analysis.quantities import QUANTITIES
from attrition.analysis.reliability import Extremes, Reliability, extremes, reliability
from attrition.analysis.words import LEARNED, failed_words, not_learned
from attrition.metrics import nulls_for_nan
from attrition.metrics.donors import Which
from attrition.metrics.means import mean_measured
from attrition.metrics.several import Floats, languages_of
from attrition.names import AttritionError, counted
from attrition.results.covariates import Covariates
from attrition.results.replicates import distinct

SHOWN = ("donor", "donor_learned", "receiver_learned", "own_stage")
"""The quantities reported for every language."""

RELIED_ON = (*SHOWN, "kept", "mbt", "mft", "mbt_transfer", "mft_transfer")
"""The quantities whose reliability is reported."""

BALANCED = 0.01
"""In a balanced design the mean positions of languages differ from the middle by at most this share of the sequence."""

SCOPES: tuple[Which, ...] = ("learned", "all")
"""The changes that the mixed model can be fitted to: on languages already learned, and on all."""

MAIN = "donor_learned"
"""The main quantity: the effect of training a language on languages learned before."""


@dataclass(frozen=True, kw_only=True)
class Design:
    """The design of the runs: distinct orders, seeds, languages, and balance of the languages' mean positions."""

    method: str
    orders: int
    seeds: int
    languages: int
    balanced: bool
    largest_imbalance: float


@dataclass(frozen=True, eq=False, kw_only=True)
class Analysis:
    """The conclusions from the sequential runs of one method, and the verdicts on claims over all runs.

    `quantities[name][language]` holds every quantity of `RELIED_ON` and their literal counterparts; `extremes` are those of
    `MAIN`; `notes` say what cannot be known from these runs. `hops[metric]` are MBT and MFT over hops, `position` is the effect
    of how many languages were learned before.
    """

    design: Design
    languages: tuple[str, ...]
    quantities: Mapping[str, Mapping[str, Estimate]]
    extremes: Mapping[str, Mapping[str, Extremes]]
    reliability: Mapping[str, Reliability]
    drivers: Mapping[str, Drivers]
    claims: tuple[Judged, ...]
    notes: tuple[str, ...]
    hops: Mapping[str, HopCurves]
    position: PositionEffect
    score: str = "F1"

    def as_dict(self) -> dict[str, Any]:
        """Return everything as JSON values; None for unknown numbers."""
        return analysis_json(self)


def analyse(
    evidence: Evidence,
    claims: Sequence[Claim] = (),
    *,
    extra_language: Mapping[str, Mapping[str, float]] | None = None,
    extra_pair: Mapping[str, Mapping[tuple[str, str], float]] | None = None,
    scopes: Sequence[Which] = SCOPES,
    distance: bool = False,
) -> Analysis:
    """Return the analysis of the languages, and the verdicts on claims.

    Args:
        evidence: all runs. Languages are analysed in the sequential runs of one method, claims in the runs that they name.
        claims: judged together.
        extra_language: further covariates of languages, beyond the table and the results folder: name, then language, then
            value. An existing name is replaced.
        extra_pair: covariates of pairs (trained, changed): name, then pair, then value.
        scopes: the changes that the mixed model is fitted to ("learned", "all"); () for none. Each takes seconds.
        distance: True to add the typological distance of each pair (`attrition.analysis.distance`); it needs `urielplus`.

    Raises:
        AttritionError: no run trains one language after another; or `distance` without `urielplus`.
    """
    runs = [run for run in distinct(evidence.sequential()) if run.matrix.num_stages > 1]
    if not runs:
        raise AttritionError(
            "No run trains one language after another: there is nothing to conclude on languages. "
            "Give matrices of two stages or more."
        )
    names = dict.fromkeys([*RELIED_ON, "kept", "shift_growing", "shift_fixed", "shift_transfer", "first_stage"])
    tables = {name: _points(replicates(runs, QUANTITIES[name].function)) for name in names}
    quantities = {name: per_language(table, _of_utterances(evidence, runs, name)) for name, table in tables.items()}
    design = _design(runs)
    extra = evidence.covariates.get(runs[0].setup, Covariates())
    if distance:
        extra = extra.updated(Covariates(pair=distances(languages_of([run.matrix for run in runs]))))
    extra = extra.updated(Covariates(extra_language or {}, extra_pair or {}))
    fitted = {scope: _drivers(evidence, runs, scope, extra) for scope in scopes}
    unfitted = [f"No mixed model of the changes ({scope}): {each}" for scope, each in fitted.items() if isinstance(each, str)]
    return Analysis(
        design=design,
        languages=languages_of([run.matrix for run in runs]),
        quantities=quantities,
        extremes={name: extremes(quantities[name]) for name in SHOWN},
        reliability={name: reliability(tables[name].values_OL) for name in RELIED_ON},
        drivers={scope: each for scope, each in fitted.items() if isinstance(each, Drivers)},
        claims=judge_all(claims, evidence),
        notes=(*_notes(design, runs, evidence.score), *_left_out(evidence, runs), *_failed(evidence), *unfitted),
        hops={metric: hop_curves(runs, metric, evidence.utterances) for metric in METRICS},
        position=position_effect(seeds_averaged(runs)),
        score=evidence.score,
    )


def _of_utterances(evidence: Evidence, runs: Sequence[RunEvidence], name: str) -> Floats | None:
    """Return the variance, in points, that the choice of test utterances adds to each language; None without counts."""
    if evidence.utterances is None:
        return None
    variance_L = evidence.utterances.main_variance_L(runs, QUANTITIES[name].function)
    return None if variance_L is None else 100**2 * variance_L


def _points(table: Replicates) -> Replicates:
    return replace(table, values_OL=100 * table.values_OL)


def _design(runs: Sequence[RunEvidence]) -> Design:
    orders = list(dict.fromkeys(run.matrix.trained for run in runs))
    languages = languages_of([run.matrix for run in runs])
    positions = replicates(
        [replace(run, order_matters=True) for run in runs],
        lambda R: (np.where(R.stage_L < R.num_stages, R.stage_L, np.nan), np.ones(len(R.languages))),
    ).values_OL
    means_L = mean_measured(positions, axis=0)
    means_L = means_L[~np.isnan(means_L)]  # a language that is only watched has no position
    imbalance = float(np.max(np.abs(means_L - means_L.mean())))
    return Design(
        method=runs[0].kind or "given matrices",
        orders=len(orders),
        seeds=max(sum(run.matrix.trained == order for run in runs) for order in orders),
        languages=len(languages),
        balanced=len(orders) > 1 and imbalance <= BALANCED * (len(means_L) - 1),
        largest_imbalance=imbalance,
    )


def _drivers(evidence: Evidence, runs: Sequence[RunEvidence], scope: Which, extra: Covariates) -> Drivers | str:
    """Return the mixed model of the changes, or the reason why it cannot be fitted."""
    try:
        of = changes([run.matrix for run in runs], scope=scope)
        known_N = known_variance_N(of, factors(of), runs, evidence.utterances)
        by = covariates(of, extra_language=extra.language, extra_pair=extra.pair, own=evidence.own)
        return fit_drivers(of, by, known_N)
    except AttritionError as error:
        return str(error)


def _notes(design: Design, runs: Sequence[RunEvidence], score: str) -> list[str]:
    notes = []
    if design.orders == 1:
        notes.append(
            "One order: the language cannot be told from its position, nor an effect from chance. "
            "There are estimates, no intervals."
        )
    elif design.orders < FEWEST_ORDERS:
        notes.append(
            f"{design.orders} orders: intervals are wide and no claim on languages is decided. "
            f"{FEWEST_ORDERS} or more decide; `random:N` and `balanced:N` name orders."
        )
    if design.seeds == 1:
        notes.append("One seed an order: what the seed does is part of what is called order here.")
    if design.orders > 1 and not design.balanced:
        notes.append(
            f"Languages differ in their mean position by up to {design.largest_imbalance:.1f} places from the middle: "
            "part of a language's effect may be its positions."
        )
    own = float(mean_measured([float(mean_measured(run.matrix.own_L)) for run in runs]))
    if own < LEARNED:
        notes.append(not_learned(own, score))
    return notes


def _left_out(evidence: Evidence, runs: Sequence[RunEvidence]) -> list[str]:
    """Return a note if further runs of the analysed method have other settings."""
    kept = evidence.sequential()
    number = sum(run.kind == runs[0].kind for run in evidence.runs) - len(kept)
    if not number:
        return []
    return [
        f"{counted(number, 'run')} of {runs[0].kind} with other settings left out. Analysed: {counted(len(kept), 'run')} with "
        "the settings of most orders. `attrition report` shows all, side by side."
    ]


def _failed(evidence: Evidence) -> list[str]:
    """Return a note for each series with training that failed."""
    found = [
        failed_words(runs[0].kind or "These runs", [run.matrix for run in distinct(runs)], evidence.score)
        for runs in evidence.series
    ]
    return list(dict.fromkeys(each for each in found if each))


# JSON


def analysis_json(found: Analysis) -> dict[str, Any]:
    """Return an analysis as one object: languages, null, reliability, hops, position, effects, claims, design."""
    whole = {
        "units": f"points of {found.score} ({found.score} x 100)",
        "languages": {language: _language(found, language) for language in found.languages},
        "null": _null(found),
        "reliability": {name: _reliability(each) for name, each in found.reliability.items()},
        "hops": {metric: hops_json(curves) for metric, curves in found.hops.items()},
        "position": position_json(found.position),
        "effects": _effects(found.drivers.get("learned")),
        "model": {scope: _model(drivers) for scope, drivers in found.drivers.items()},
        "claims": [_claim(judged) for judged in found.claims],
        "design": {
            "method": found.design.method,
            "orders": found.design.orders,
            "seeds": found.design.seeds,
            "languages": found.design.languages,
            "balanced": found.design.balanced,
            "largest_imbalance": found.design.largest_imbalance,
        },
        "conventions": {
            "first stages": "left out of donor and receiver; first_stage has them",
            "intervals": "95%, Student's t over orders, variances moderated over languages (Smyth 2004)",
            "claims": f"false discovery rate {RATE:.0%} over all claims asked (Benjamini and Hochberg 1995)",
        },
        "notes": list(found.notes),
    }
    return {key: nulls_for_nan(value) for key, value in whole.items()}


def _estimate(each: Estimate | None) -> dict[str, float]:
    if each is None:
        return {"estimate": math.nan, "low": math.nan, "high": math.nan}
    return {"estimate": each.value, "low": each.low, "high": each.high}


def _language(found: Analysis, language: str) -> dict[str, Any]:
    told: dict[str, Any] = {}
    for name in (*SHOWN, "kept", "first_stage"):
        told[name] = _estimate(found.quantities[name].get(language))
        each = found.extremes.get(name, {}).get(language)
        if each is not None:
            told[name] |= {"p_worst": each.worst, "p_best": each.best, "p_among_5_worst": each.among_worst}
    main = found.extremes[MAIN].get(language)
    told |= {"p_worst": None if main is None else main.worst, "p_best": None if main is None else main.best}
    return told


def _reliability(found: Reliability) -> dict[str, Any]:
    mean = found.of_mean(found.num_replicates)
    return {
        **{name: getattr(found, name) for name in ("icc", "low", "high", "rank_agreement", "num_replicates")},
        "of_mean": {"icc": mean.icc, "low": mean.low, "high": mean.high},
    }


def _null(found: Analysis) -> dict[str, Any]:
    """Return MBT, MFT and eq. 9 of the null matrix per language, and the difference of the measured values from them.

    `p_avg` has eq. 9's sign: a loss is positive.
    """
    told: dict[str, Any] = {}
    for key, literal, beyond, sign in (
        ("mbt", "mbt", "mbt_transfer", 1),
        ("mft", "mft", "mft_transfer", 1),
        ("p_avg", "shift_growing", "shift_transfer", -1),
    ):
        measured, transfer = found.quantities[literal], found.quantities[beyond]
        told[key] = {name: sign * (measured[name].value - transfer[name].value) for name in found.languages}
        told[f"{key}_literal"] = {name: sign * measured[name].value for name in found.languages}
        told[f"{key}_difference"] = {}
        for name in found.languages:
            each = _estimate(transfer[name])
            if sign < 0:
                each = {"estimate": -each["estimate"], "low": -each["high"], "high": -each["low"]}
            told[f"{key}_difference"][name] = each
    return told


_PER_SD = "points per standard deviation"


def _effects(drivers: Drivers | None) -> dict[str, Any]:
    """Return each covariate's effect with all others in the model and alone, and its explained variance."""
    if drivers is None:
        return {}
    told: dict[str, Any] = {}
    if drivers.position is not None and drivers.position_alone is not None:
        told[POSITION] = {**vars(drivers.position), "unit": _PER_SD, "alone": vars(drivers.position_alone)}
    adjusted = benjamini_hochberg(np.array([driver.together.p for driver in drivers.drivers], dtype=np.float64)).tolist()
    for driver, p_adjusted in zip(drivers.drivers, adjusted, strict=True):
        told[driver.name] = _driver(driver) | {"p_adjusted": p_adjusted}
    return told


def _driver(driver: Driver) -> dict[str, Any]:
    return {
        **vars(driver.together),
        "unit": "points from 0 to 1" if driver.binary else _PER_SD,
        "alone": vars(driver.alone),
        "explained_alone": driver.explained_alone,
        "explained_on_top": driver.explained_on_top,
    }


def _model(drivers: Drivers) -> dict[str, Any]:
    """Return the mixed model: variances, languages beyond their covariates, covariates."""
    return {
        "rows": drivers.fit.num_rows,
        "converged": drivers.fit.converged,
        "variances": {each.name: {"variance": each.variance, "share": each.share} for each in drivers.fit.components},
        "donors": {each.language: _strength(each) for each in drivers.donors},
        "receivers": {each.language: _strength(each) for each in drivers.receivers},
        "effects": _effects(drivers),
        "explained": drivers.explained,
        "measurement_share": drivers.measurement_share,
        "notes": list(drivers.notes),
    }


def _strength(each: Strength) -> dict[str, float]:
    return {"estimate": each.effect, "low": each.low, "high": each.high, "shrinkage": each.shrinkage}


def _claim(judged: Judged) -> dict[str, Any]:
    found = None if isinstance(judged.found, Needs) else judged.found
    return {
        "id": judged.claim.id,
        "section": judged.claim.section,
        "statement": judged.claim.statement,
        "quantity": judged.claim.quantity,
        "verdict": judged.verdict,
        **_estimate(found),
        "p": judged.p,
        "p_adjusted": judged.p_adjusted,
        "needs": judged.needs or None,
    }

"""MBT and MFT over hops with intervals: with the same languages and orders for all hops, and the literal means.

The numbers are from `metrics.hops_balanced`, in points, with the seeds of one order averaged first.

Shape letters: O orders, L languages, H hops, M the two ways to choose cells (balanced, literal).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from attrition.analysis.evidence import Replicates, RunEvidence, replicates
from attrition.analysis.intervals import Estimate, two_way
from attrition.analysis.quantities import Values
from attrition.analysis.utterances import Table, Utterances
from attrition.metrics.hops import NUM_HOPS
from attrition.metrics.hops_balanced import HopMetric, cells_left, hops_balanced
from attrition.metrics.matrix import RMatrix
from attrition.metrics.means import count_measured, mean_measured
from attrition.metrics.several import Floats

METRICS: tuple[HopMetric, ...] = ("mbt", "mft")


@dataclass(frozen=True, eq=False, kw_only=True)
class HopCurve:
    """One metric over hops, in points, with one choice of cells.

    `overall_H`: the mean over languages of their means over orders, with its interval. `num_languages_H`, `num_cells_H`: the
    languages, and the (language, order) cells, behind it. `values_LH` and `num_orders_LH`: each language's mean over orders.
    """

    languages: tuple[str, ...]
    overall_H: tuple[Estimate, ...]
    num_languages_H: tuple[int, ...]
    num_cells_H: tuple[int, ...]
    values_LH: Floats
    num_orders_LH: Floats


@dataclass(frozen=True, eq=False, kw_only=True)
class HopCurves:
    """One metric over hops 0 to H - 1: `balanced` has the same cells for all hops, `literal` all that each hop has."""

    metric: HopMetric
    balanced: HopCurve
    literal: HopCurve

    @property
    def num_hops(self) -> int:
        """H."""
        return len(self.balanced.overall_H)


def most_hops(matrices: Sequence[RMatrix], metric: HopMetric) -> int:
    """Return the number of hops to show: at least 1, at most 10, while half of hop 0's cells remain.

    >>> R = RMatrix.sequential("abcdefgh", np.eye(8))
    >>> most_hops([R], "mbt")  # 7 cells have hop 0, 4 have hops 0 to 3
    4
    """
    cells = cells_left(matrices, metric, NUM_HOPS)
    return max([1, *(number for number, left in cells.items() if 0 < cells[1] <= 2 * left)])


def hop_curves(runs: Sequence[RunEvidence], metric: HopMetric, utterances: Utterances | None = None) -> HopCurves:
    """Return a metric over hops with 95% intervals over orders, and over test utterances if their counts are given.

    Args:
        runs: sequential runs of one method.
        metric: "mbt" or "mft", or a pairwise one.
        utterances: the counts behind the runs.
    """
    num_hops = most_hops([run.matrix for run in runs], metric)

    def values(R: RMatrix) -> Values:
        found = hops_balanced(R, metric, num_hops)
        points_LHM = 100 * np.stack([found.balanced.per_language.values, found.literal.per_language.values], axis=2)
        return points_LHM, (~np.isnan(points_LHM)).astype(np.float64)

    table = replicates(runs, values)

    def curve(way: int) -> HopCurve:
        values_OLH = table.values_OL[:, :, :, way]
        found = [_overall(table, hop, way) for hop in range(num_hops)]
        if utterances is not None:
            for hop, each in enumerate(found):

                def again(make: Table, hop: int = hop) -> Estimate:
                    return _overall(make(runs, values), hop, way)

                found[hop] = each.widened(utterances.main_variance(runs, each, again))
        num_orders_LH = count_measured(values_OLH, axis=0)
        return HopCurve(
            languages=table.languages,
            overall_H=tuple(found),
            num_languages_H=tuple((num_orders_LH > 0).sum(axis=0).tolist()),
            num_cells_H=tuple(num_orders_LH.sum(axis=0).tolist()),
            values_LH=mean_measured(values_OLH, axis=0),
            num_orders_LH=num_orders_LH.astype(np.float64),
        )

    return HopCurves(metric=metric, balanced=curve(0), literal=curve(1))


def _overall(table: Replicates, hop: int, way: int) -> Estimate:
    """Return the mean over languages, its interval from the spread of the orders."""
    values_OL = table.values_OL[:, :, hop, way]
    number = len(table.languages)
    return two_way(values_OL, np.full(number, 1 / number), sample_of_languages=False)


# JSON


def hops_json(curves: HopCurves) -> dict[str, Any]:
    """Return both choices of cells as JSON values: a row per hop, and each language's means."""
    return {
        "hops": curves.num_hops,
        **{name: _curve(each) for name, each in (("balanced", curves.balanced), ("literal", curves.literal))},
    }


def _curve(curve: HopCurve) -> dict[str, Any]:
    rows = zip(curve.overall_H, curve.num_languages_H, curve.num_cells_H, strict=True)
    return {
        "overall": [
            {
                "hop": hop,
                "estimate": each.value,
                "low": each.low,
                "high": each.high,
                "orders": each.num_replicates,
                "languages": languages,
                "cells": cells,
            }
            for hop, (each, languages, cells) in enumerate(rows)
        ],
        "languages": {
            name: {"estimate": values_H, "orders": [int(number) for number in orders_H]}
            for name, values_H, orders_H in zip(
                curve.languages, curve.values_LH.tolist(), curve.num_orders_LH.tolist(), strict=True
            )
        },
    }

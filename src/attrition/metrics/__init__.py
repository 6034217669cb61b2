"""The metrics of R: pure functions of one matrix, or of several orders, each with its formula, sign, range and source.

`METRICS` has all metrics by name; `summary` computes those that are one number; `metrics_json` computes all from files.
"""

from __future__ import annotations

from attrition.metrics.by_group import final_mean_by_group, learned_mean_by_group
from attrition.metrics.donors import donor, donor_learned, donor_unlearned, pairwise_effects, receiver, receiver_learned
from attrition.metrics.hops import NUM_HOPS, mbt, mbt_pairwise, mft, mft_pairwise
from attrition.metrics.registry import METRICS, NUMBERS, MetricInfo, summary
from attrition.metrics.result import Conventions, metrics_json, metrics_of, nulls_for_nan
from attrition.metrics.several import Matrices, PerLanguage
from attrition.metrics.shift import average_p_avg, composition, shift_fixed, shift_growing
from attrition.metrics.single import (
    area_under_learned_mean,
    average_accuracy,
    bwt,
    cbt,
    cbt_literal,
    cft,
    cft_cells,
    final_mean,
    forgetting,
    fwt,
    intransigence,
    learned_mean,
    learning_accuracy,
    num_terms,
    p_avg,
    progression,
)

__all__ = [
    "METRICS",
    "NUMBERS",
    "NUM_HOPS",
    "Conventions",
    "Matrices",
    "MetricInfo",
    "PerLanguage",
    "area_under_learned_mean",
    "average_accuracy",
    "average_p_avg",
    "bwt",
    "cbt",
    "cbt_literal",
    "cft",
    "cft_cells",
    "composition",
    "donor",
    "donor_learned",
    "donor_unlearned",
    "final_mean",
    "final_mean_by_group",
    "forgetting",
    "fwt",
    "intransigence",
    "learned_mean",
    "learned_mean_by_group",
    "learning_accuracy",
    "mbt",
    "mbt_pairwise",
    "metrics_json",
    "metrics_of",
    "mft",
    "mft_pairwise",
    "nulls_for_nan",
    "num_terms",
    "p_avg",
    "pairwise_effects",
    "progression",
    "receiver",
    "receiver_learned",
    "shift_fixed",
    "shift_growing",
    "summary",
]

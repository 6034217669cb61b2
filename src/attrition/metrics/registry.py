"""Every metric by name, with the facts that a reader of a table needs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal

from attrition.metrics import by_group, donors, hops, shift, single
from attrition.metrics.matrix import RMatrix

Takes = Literal["matrix", "matrix and reference", "matrix and groups", "matrices"]
Gives = Literal["number", "per stage", "per group", "per language", "per language and hop"]

PAPER = "Khelli et al."
GEM = "Lopez-Paz and Ranzato (2017)"
RWALK = "Chaudhry et al. (2018)"


@dataclass(frozen=True, kw_only=True)
class MetricInfo:
    """One metric: its function, and how to read its numbers.

    `higher_is_better` is None if neither sign is better. `low` and `high` bound its values. `formula` counts from 1: R[i, j]
    after stage i on the j-th language learned, P_i the mean over j <= i, p a language's position.
    """

    name: str
    title: str
    function: Callable[..., Any]
    takes: Takes = "matrix"
    gives: Gives = "number"
    higher_is_better: bool | None = True
    low: float = -1.0
    high: float = 1.0
    unit: str = "F1, as a fraction"
    source: str
    formula: str


_SINGLE = (
    MetricInfo(
        name="learned_mean", title="F1 of learned languages", function=single.learned_mean, gives="per stage", low=0.0,
        source=f"{PAPER}, section 3.3", formula="P_i = mean over j <= i of R[i, j]",
    ),
    MetricInfo(
        name="final_mean", title="Final F1", function=single.final_mean, low=0.0,
        source=f"{PAPER}, Table 1", formula="P_T = mean over j of R[T, j]",
    ),
    MetricInfo(
        name="average_accuracy", title="Average accuracy", function=single.average_accuracy, low=0.0,
        source=GEM, formula="mean over j of R[T, j], the same as final_mean",
    ),
    MetricInfo(
        name="learning_accuracy", title="Learning accuracy", function=single.learning_accuracy, low=0.0,
        source="Riemer et al. (2019)", formula="mean over i of R[i, i]",
    ),
    MetricInfo(
        name="area_under_learned_mean", title="Area under P", function=single.area_under_learned_mean, low=0.0,
        source="Rebuffi et al. (2017)", formula="(1/T) sum over i of P_i",
    ),
    MetricInfo(
        name="cft", title="CFT", function=single.cft, low=0.0,
        source=f"{PAPER}, eq. 10-11", formula="mean over i < T of (mean over j > i of R[i, j])",
    ),
    MetricInfo(
        name="cft_cells", title="CFT (cell mean)", function=single.cft_cells, low=0.0,
        source=f"{PAPER}, eq. 10-11, every cell weighing the same", formula="mean over all i < T, j > i of R[i, j]",
    ),
    MetricInfo(
        name="cbt", title="CBT", function=single.cbt,
        source=f"{PAPER}, eq. 12, with the last row", formula="mean over i < T of R[T, i] - R[i, i]",
    ),
    MetricInfo(
        name="cbt_literal", title="CBT (as printed)", function=single.cbt_literal,
        source=f"{PAPER}, eq. 12, as printed", formula="mean over i < T of R[T-1, i] - R[i, i]",
    ),
    MetricInfo(
        name="bwt", title="BWT", function=single.bwt,
        source=GEM, formula="mean over i < T of R[T, i] - R[i, i], the same as cbt",
    ),
    MetricInfo(
        name="fwt", title="FWT", function=single.fwt,
        source=GEM, formula="mean over i >= 2 of R[i-1, i] - R[0, i]",
    ),
    MetricInfo(
        name="forgetting", title="Forgetting", function=single.forgetting, higher_is_better=False,
        source=RWALK, formula="mean over j < T of (max over l < T of R[l, j]) - R[T, j]",
    ),
    MetricInfo(
        name="p_avg", title="Performance shift (eq. 9)", function=single.p_avg, higher_is_better=False,
        source=f"{PAPER}, eq. 9, as printed", formula="mean over t < T of P_t - P_(t+1)",
    ),
    MetricInfo(
        name="intransigence", title="Intransigence", function=single.intransigence, takes="matrix and reference",
        higher_is_better=False, source=RWALK, formula="mean over i of reference[i, i] - R[i, i]",
    ),
    MetricInfo(
        name="final_mean_by_group", title="Final F1 by group", function=by_group.final_mean_by_group,
        takes="matrix and groups", gives="per group", low=0.0,
        source=f"{PAPER}, Table 1", formula="mean over j in the group of R[T, j]",
    ),
)  # fmt: skip

_SEVERAL = (
    MetricInfo(
        name="mft", title="MFT", function=hops.mft, takes="matrices", gives="per language and hop",
        source=f"{PAPER}, eq. 13", formula="mean over orders of P_(p+h) - P_(p-1)",
    ),
    MetricInfo(
        name="mbt", title="MBT", function=hops.mbt, takes="matrices", gives="per language and hop",
        source=f"{PAPER}, eq. 14", formula="mean over orders of P_p - P_(p-h-1)",
    ),
    MetricInfo(
        name="mft_pairwise", title="MFT (pairwise)", function=hops.mft_pairwise, takes="matrices", gives="per language and hop",
        source=f"{PAPER}, the prose of eq. 13", formula="mean over orders of R[p, x] - R[p-1, x], x at position p+h",
    ),
    MetricInfo(
        name="mbt_pairwise", title="MBT (pairwise)", function=hops.mbt_pairwise, takes="matrices", gives="per language and hop",
        source=f"{PAPER}, the prose of eq. 14", formula="mean over orders of R[p, x] - R[p-1, x], x at position p-h",
    ),
    MetricInfo(
        name="shift_growing", title="Shift (growing)", function=shift.shift_growing, takes="matrices", gives="per language",
        source=f"{PAPER}, eq. 9, gain positive", formula="mean over orders of P_p - P_(p-1)",
    ),
    MetricInfo(
        name="shift_fixed", title="Shift (fixed)", function=shift.shift_fixed, takes="matrices", gives="per language",
        source=f"{PAPER}, eq. 9, over the languages learned before",
        formula="mean over orders of (mean over j < p of R[p, j] - R[p-1, j])",
    ),
    MetricInfo(
        name="composition", title="Composition effect", function=shift.composition, takes="matrices", gives="per language",
        higher_is_better=None, low=-2.0, high=2.0, source="attrition", formula="shift_growing - shift_fixed",
    ),
    MetricInfo(
        name="donor", title="Donor strength", function=donors.donor, takes="matrices", gives="per language",
        source="attrition", formula="mean over orders with p(a) > 1 and b != a of R[p(a), b] - R[p(a)-1, b]",
    ),
    MetricInfo(
        name="donor_learned", title="Donor strength (learned)", function=donors.donor_learned, takes="matrices",
        gives="per language", source="attrition", formula="the same over p(b) < p(a)",
    ),
    MetricInfo(
        name="donor_unlearned", title="Donor strength (not yet learned)", function=donors.donor_unlearned, takes="matrices",
        gives="per language", source="attrition", formula="the same over p(b) > p(a)",
    ),
    MetricInfo(
        name="receiver", title="Receiver strength", function=donors.receiver, takes="matrices", gives="per language",
        source="attrition", formula="mean over orders and a != b with p(a) > 1 of R[p(a), b] - R[p(a)-1, b]",
    ),
    MetricInfo(
        name="receiver_learned", title="Receiver strength (learned)", function=donors.receiver_learned, takes="matrices",
        gives="per language", source="attrition", formula="the same over p(a) > p(b)",
    ),
)  # fmt: skip

METRICS: Mapping[str, MetricInfo] = MappingProxyType({info.name: info for info in (*_SINGLE, *_SEVERAL)})
"""Every metric by name: first the metrics of one matrix, then those of several orders."""

NUMBERS: Mapping[str, Callable[[RMatrix], float]] = MappingProxyType(
    {info.name: info.function for info in _SINGLE if info.takes == "matrix" and info.gives == "number"}
)
"""The metrics that are one number of one matrix: the result of `summary`."""


def summary(R: RMatrix) -> dict[str, float]:
    """Return every metric that is one number of one matrix, by name; NaN if undefined.

    >>> summary(RMatrix.sequential("ab", [[.75, .25], [.5, .875]]))["cbt"]
    -0.25
    """
    return {name: function(R) for name, function in NUMBERS.items()}

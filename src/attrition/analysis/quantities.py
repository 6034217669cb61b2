"""Quantities of a language: one number per run and language.

In a sequential run, stage s trains language a; D = R[s, b] - R[s-1, b] is its change on language b. Every quantity is a mean
over such cells (or a score) of one run, in fractions of F1; over several runs each cell has the same weight.

Shape letters: L languages.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from attrition.analysis.null import null_matrix
from attrition.metrics.donors import Which, others_LL
from attrition.metrics.hops import mbt_LH, mft_LH
from attrition.metrics.matrix import RMatrix
from attrition.metrics.means import count_measured, mean_measured
from attrition.metrics.several import Floats, changes_SL
from attrition.metrics.shift import shift_fixed_L, shift_growing_L

Values = tuple[Floats, Floats]
"""A number per language (L,), NaN where undefined, and the number of cells behind it (L,), its weight."""


def _plain(function: Callable[[RMatrix], Floats]) -> Callable[[RMatrix], Values]:
    def values(R: RMatrix) -> Values:
        found_L = function(R)
        return found_L, (~np.isnan(found_L)).astype(np.float64)

    return values


def _cells(which: Which, axis: int) -> Callable[[RMatrix], Values]:
    def values(R: RMatrix) -> Values:
        cells_LL = others_LL(R, which)
        return mean_measured(cells_LL, axis=axis), count_measured(cells_LL, axis=axis).astype(np.float64)

    return values


def own_stage_L(R: RMatrix) -> Floats:
    """Return each language's score right after its own stage.

    >>> own_stage_L(RMatrix.sequential("ab", [[.5, .25], [.375, .75]])).tolist()
    [0.5, 0.75]
    """
    return np.array(R.own_L)


def final_L(R: RMatrix) -> Floats:
    """Return the last row, over the languages learned."""
    return np.where(R.learned_SL[-1], R.scores_SL[-1], np.nan)


def kept_L(R: RMatrix) -> Floats:
    """Return R[T, b] - R[p(b), b], the change from a language's own stage to the end; NaN for the last language.

    >>> kept_L(RMatrix.sequential("ab", [[.5, .25], [.375, .75]])).tolist()
    [-0.125, nan]
    """
    return np.where(R.stage_L < R.num_stages - 1, R.scores_SL[-1] - R.own_L, np.nan)


def unseen_L(R: RMatrix) -> Floats:
    """Return each language's mean score over the stages before its own, which CFT averages over languages.

    As in CFT, the last stage does not count: it matters for a language that is never trained.

    >>> unseen_L(RMatrix.sequential("abc", [[.75, .25, .125], [.5, .875, .25], [.625, .5, 1]])).tolist()
    [nan, 0.25, 0.1875]
    """
    return mean_measured(np.where(R.learned_SL, np.nan, R.scores_SL)[:-1], axis=0)


def taught_L(R: RMatrix) -> Floats:
    """Return R[p-1, b] - R[1, b]: a language's gain from the stages after the first and before its own.

    The first stage is the reference, not the untrained model, because any training raises the score of every language.

    >>> taught_L(RMatrix.sequential("abc", [[.75, .25, .125], [.5, .875, .25], [.625, .5, 1]])).tolist()
    [nan, nan, 0.125]
    """
    before_L = R.scores_SL[R.stage_L.clip(1, R.num_stages) - 1, np.arange(len(R.languages))]
    return np.where((R.stage_L > 1) & (R.stage_L < R.num_stages), before_L - R.scores_SL[0], np.nan)


def first_stage_L(R: RMatrix) -> Floats:
    """Return the first stage's mean gain on the other languages, at the language that it trained; NaN elsewhere.

    Formula: mean over b != a of R[1, b] - R[0, b]. NaN without the row before training.

    >>> first_stage_L(RMatrix.sequential("ab", [[.5, .25], [.375, .75]], before_L=[0, 0.125])).tolist()
    [0.125, nan]
    """
    found_L = np.full(len(R.languages), np.nan)
    if R.before_L is None or len(R.trained[0]) > 1:
        return found_L
    place = R.languages.index(R.trained[0][0])
    gained_L = changes_SL(R, from_before=True)[0]
    found_L[place] = mean_measured(np.delete(gained_L, place))
    return found_L


def _mean_hops(function: Callable[[RMatrix], Floats], hops: slice = slice(None)) -> Callable[[RMatrix], Floats]:
    return lambda R: mean_measured(function(R)[:, hops], axis=1)


def _beyond_null(function: Callable[[RMatrix], Floats]) -> Callable[[RMatrix], Floats]:
    return lambda R: function(R) - function(null_matrix(R))


@dataclass(frozen=True, kw_only=True)
class Quantity:
    """A number per language of one run.

    `function(R)` returns the values and their weights, each (L,); `about` describes it in a sentence. Higher is better for
    all. `of_order` is False if the order of languages cannot matter.
    """

    name: str
    title: str
    function: Callable[[RMatrix], Values]
    about: str


_MBT, _MFT = _mean_hops(mbt_LH), _mean_hops(mft_LH)

QUANTITIES: Mapping[str, Quantity] = MappingProxyType(
    {
        name: Quantity(name=name, title=title, function=function, about=about)
        for name, title, function, about in (
            ("own_stage", "Score at its own stage", _plain(own_stage_L), "F1 on a language right after it was trained"),
            ("final", "Final score", _plain(final_L), "F1 on a language after the last stage"),
            ("kept", "Change to the end", _plain(kept_L), "change on a language from its own stage to the end"),
            ("donor", "Donor", _cells("all", 1), "mean change on the others when it is trained, first stages left out"),
            ("donor_learned", "Donor, learned", _cells("learned", 1), "mean change on the languages learned before it"),
            ("donor_unlearned", "Donor, to come", _cells("unlearned", 1), "mean change on the languages to come"),
            ("receiver", "Receiver", _cells("all", 0), "mean change on it when others are trained, first stages left out"),
            ("receiver_learned", "Receiver, learned", _cells("learned", 0), "mean change on it at each stage after its own"),
            ("unseen", "Score before its own stage", _plain(unseen_L), "mean F1 on a language over the stages before its own"),
            ("taught", "Taught by others", _plain(taught_L), "change before its own stage, counted from the first stage on"),
            ("first_stage", "First stage", _plain(first_stage_L), "what it gave the others when it was trained first"),
            ("shift_growing", "Shift, growing", _plain(shift_growing_L), "change of P when it is trained (eq. 9)"),
            ("shift_fixed", "Shift, fixed", _plain(shift_fixed_L), "mean change on the languages learned before, per run"),
            ("mbt", "MBT", _plain(_MBT), "MBT, mean over hops 0 to 9 (eq. 14)"),
            ("mft", "MFT", _plain(_MFT), "MFT, mean over hops 0 to 9 (eq. 13)"),
            ("mbt_transfer", "MBT beyond null", _plain(_beyond_null(_MBT)), "MBT minus its null counterpart"),
            ("mft_transfer", "MFT beyond null", _plain(_beyond_null(_MFT)), "MFT minus its null counterpart"),
            (
                "mbt_transfer_near", "MBT beyond null, hops 0 to 3", _plain(_beyond_null(_mean_hops(mbt_LH, slice(0, 4)))),
                "MBT minus its null counterpart, mean over hops 0 to 3",
            ),
            (
                "mbt_transfer_far", "MBT beyond null, hops 4 to 9", _plain(_beyond_null(_mean_hops(mbt_LH, slice(4, None)))),
                "MBT minus its null counterpart, mean over hops 4 to 9",
            ),
            (
                "shift_transfer", "Shift beyond null", _plain(_beyond_null(shift_growing_L)),
                "change of P when it is trained (eq. 9) minus its null counterpart",
            ),
        )
    }
)  # fmt: skip
"""Every quantity by name."""

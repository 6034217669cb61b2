"""Scores on learned languages for each group of languages: a level of resources, a script, a family."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from attrition.metrics.matrix import RMatrix
from attrition.metrics.means import mean_measured
from attrition.metrics.several import Floats
from attrition.names import AttritionError


def members(trained: Sequence[str], groups: Mapping[str, str]) -> dict[str, tuple[str, ...]]:
    """Return the trained languages of each group, in alphabetical order of the groups.

    Raises:
        AttritionError: a trained language has no group.

    >>> members(["b", "a", "c"], {"a": "Latn", "b": "Thai", "c": "Latn", "d": "Deva"})
    {'Latn': ('a', 'c'), 'Thai': ('b',)}
    """
    missing = [language for language in trained if language not in groups]
    if missing:
        raise AttritionError(f"The grouping has no group for {', '.join(missing)}. Give every language that was trained one.")
    names = sorted({str(groups[language]) for language in trained})
    return {name: tuple(language for language in trained if str(groups[language]) == name) for name in names}


def learned_mean_by_group(R: RMatrix, groups: Mapping[str, str]) -> dict[str, Floats]:
    """Return P_i within each group, per stage (array of T): the mean score on its languages learned so far.

    Formula: mean over j <= i, j in the group, of R[i, j]. Range 0 to 1, higher is better. NaN before its first language.

    Raises:
        AttritionError: a trained language has no group.

    >>> R = RMatrix.sequential("abc", [[.75, .25, .125], [.5, .875, .25], [.625, .5, 1]])
    >>> learned_mean_by_group(R, {"a": "Latn", "b": "Thai", "c": "Latn"})["Latn"].tolist()  # .75; .5; (.625 + 1) / 2
    [0.75, 0.5, 0.8125]
    """
    learned_SL = np.where(R.learned_SL, R.scores_SL, np.nan)
    trained = [language for language, stage in R.learned_at.items() if stage is not None]
    columns = {name: [R.languages.index(language) for language in inside] for name, inside in members(trained, groups).items()}
    return {name: mean_measured(learned_SL[:, places], axis=1) for name, places in columns.items()}


def final_mean_by_group(R: RMatrix, groups: Mapping[str, str]) -> dict[str, float]:
    """Return the mean score after the last stage within each group: the vitality columns of the paper's Table 1.

    Formula: mean over j in the group of R[T, j]. Range 0 to 1, higher is better. Source: Khelli et al., Table 1.

    Raises:
        AttritionError: a trained language has no group.

    >>> R = RMatrix.sequential("abc", [[.75, .25, .125], [.5, .875, .25], [.625, .5, 1]])
    >>> final_mean_by_group(R, {"a": "Latn", "b": "Thai", "c": "Latn"})  # (.625 + 1) / 2; .5
    {'Latn': 0.8125, 'Thai': 0.5}
    """
    return {name: float(means_S[-1]) for name, means_S in learned_mean_by_group(R, groups).items()}

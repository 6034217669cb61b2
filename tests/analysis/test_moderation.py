"""Intervals of languages that are changed over few or many cells."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from attrition.analysis.evidence import from_matrices, replicates
from attrition.analysis.moderation import per_language
from attrition.analysis.quantities import QUANTITIES
from attrition.analysis.worlds import locales, world


@pytest.mark.parametrize(("stage_sd", "cell_sd", "noise"), [(1.5, 2.0, 3.0), (3.0, 1.0, 1.0)])
def test_intervals_hold_early_and_late(stage_sd: float, cell_sd: float, noise: float) -> None:
    """Languages keep about their place in all orders, so the first fifth is changed over few cells and the last over many."""
    languages, number = locales(20), 60
    held: list[list[bool]] = [[] for _ in range(5)]
    for seed in range(number):
        made = replace(world("nothing", languages, seed), stage_sd=stage_sd, cell_sd=cell_sd, noise_L=np.full(20, noise))
        random = np.random.default_rng([seed, 1])
        places = [np.argsort(np.arange(20) + random.normal(0, 3, 20)) for _ in range(5)]
        runs = from_matrices([made.run([languages[place] for place in each], random) for each in places]).runs
        found = per_language(replicates(runs, QUANTITIES["donor_learned"].function))
        for place, language in enumerate(languages):
            if found[language].known:
                held[place // 4].append(found[language].low <= 0 <= found[language].high)
    assert all(0.90 <= np.mean(each) <= 0.99 for each in held)

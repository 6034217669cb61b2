"""Simulated worlds whose truth is known: R of sequential runs from stated effects, to try a conclusion before believing it.

A score moves by what the stages do: R[s, b] = R[s-1, b] + donor[a] + receiver[b] + pair[a, b] + stage + position + chance for
every b but the trained a, which jumps to its own score. What is measured carries further noise. Points throughout.

Shape letters: L languages (L, L: the trained a, the changed b), S stages.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from attrition.languages import LANGUAGES
from attrition.metrics.matrix import RMatrix
from attrition.metrics.several import Floats


@dataclass(frozen=True, eq=False, kw_only=True)
class World:
    """Effects in points, in the sequence of `languages`; standard deviations of what changes from run to run.

    `own_L` scores right after training; `own_sd` how much these differ between runs; `stage_sd` what a stage does to all
    others alike, by chance; `cell_sd` chance of a single change; `noise_L` chance of measuring, per language; `position` the
    effect on languages already learned of each stage, times log of how many there are, about its mean over cells.
    """

    languages: tuple[str, ...]
    own_L: Floats
    unseen: float = 30.0
    donor_L: Floats
    receiver_L: Floats
    pair_LL: Floats
    position: float = 0.0
    own_sd: float = 1.0
    stage_sd: float = 0.5
    cell_sd: float = 0.5
    noise_L: Floats

    def run(self, order: Sequence[str], random: np.random.Generator) -> RMatrix:
        """Return R of one run in this world."""
        places = [self.languages.index(language) for language in order]
        number = len(places)
        now_L = np.full(number, self.unseen) + random.normal(0, 2, number)
        learned_L = np.zeros(number, dtype=bool)
        before = np.arange(1, max(number, 2))  # languages learned before a stage, which is also its number of cells
        centre = float(np.average(np.log(before), weights=before))
        rows = []
        for step, place in enumerate(places):
            change_L = self.donor_L[place] + self.receiver_L + self.pair_LL[place]
            change_L = change_L + random.normal(0, self.stage_sd) + random.normal(0, self.cell_sd, number)
            if step:
                change_L = change_L + np.where(learned_L, self.position * (np.log(step) - centre), 0.0)
            now_L = now_L + change_L
            now_L[place] = self.own_L[place] + random.normal(0, self.own_sd)
            learned_L[place] = True
            rows.append(now_L + random.normal(0, 1, number) * self.noise_L)
        scores_SL = np.clip(np.array(rows)[:, places] / 100, 0, 1)
        return RMatrix.sequential(order, scores_SL)

    def runs(self, num_orders: int, seed: int) -> tuple[RMatrix, ...]:
        """Return R of runs in random orders."""
        random = np.random.default_rng([seed, num_orders, len(self.languages)])
        orders = [tuple(random.permutation(np.array(self.languages))) for _ in range(num_orders)]
        return tuple(self.run([str(language) for language in order], random) for order in orders)


def locales(number: int) -> tuple[str, ...]:
    """Return so many locales of MASSIVE, of both kinds of script and all that the paper names, where they fit."""
    first = (
        *("en-US", "zh-CN", "de-DE", "ja-JP", "es-ES", "hi-IN", "fr-FR", "th-TH", "zh-TW", "pt-PT", "ar-SA", "nb-NO"),
        *("km-KH", "ca-ES", "el-GR", "ru-RU", "it-IT", "sv-SE", "ko-KR", "nl-NL"),
    )
    rest = [locale for locale in LANGUAGES if locale not in first]
    return tuple([*first, *rest][:number])


def world(name: str, languages: Sequence[str], seed: int) -> World:
    """Return a world of a name in `WORLDS`; what is random in it (which language is a donor) follows from the seed.

    >>> world("nothing", locales(8), seed=0).donor_L.any()
    np.False_
    """
    number = len(languages)
    random = np.random.default_rng([seed, number, len(name)])
    zeros_L, zeros_LL = np.zeros(number), np.zeros((number, number))
    parts: dict[str, object] = {
        "languages": tuple(languages),
        "own_L": np.full(number, 60.0),
        "donor_L": zeros_L,
        "receiver_L": zeros_L,
        "pair_LL": zeros_LL,
        "noise_L": np.full(number, 1.0),
    }
    if name == "donors":
        parts["donor_L"] = random.normal(0, 1.0, number)
    elif name == "receivers":
        parts["receiver_L"] = random.normal(0, 0.2, number)
    elif name == "position":
        parts["position"] = 0.3
    elif name == "composition":
        low = np.array([language in ("zh-CN", "ja-JP", "zh-TW") for language in languages])
        parts["own_L"] = np.where(low, 45.0, 60.0) + random.normal(0, 3, number)
    elif name == "pairs by script":
        scripts = np.array([LANGUAGES[language].script for language in languages])
        same_LL = (scripts[:, None] == scripts[None, :]) & ~np.eye(number, dtype=bool)
        parts["pair_LL"] = np.where(same_LL, 0.8, 0.0) - 0.8 * same_LL.sum() / (number * (number - 1))
    elif name == "unequal noise":
        parts["noise_L"] = np.exp(random.normal(0, 0.7, number))
        parts["own_sd"] = 3.0
    elif name == "destructive":
        parts["donor_L"] = np.where([language in ("zh-CN", "ja-JP", "zh-TW") for language in languages], -4.0, 0.0)
    elif name == "Latin keeps":
        parts["receiver_L"] = np.array([0.3 if LANGUAGES[language].latin else -0.3 for language in languages])
    elif name != "nothing":
        raise AssertionError(f"no world is called {name!r}")
    return World(**parts)  # type: ignore[arg-type]


NULL_WORLDS = ("nothing", "position", "composition", "unequal noise")
"""Worlds in which no language, script, family or pair transfers otherwise than another."""

WORLDS = (*NULL_WORLDS, "donors", "receivers", "pairs by script", "destructive", "Latin keeps")
"""Every world."""

TRUE_WORLDS = {
    "destructive": ("4-zh-cost", "5.1-cjk-cost", "5.1-ja-cost", "5.1-cjk-shift"),
    "Latin keeps": ("5.2-latin-receiver", "5.2-latin-kept"),
    "pairs by script": ("5.2-same-script", "5.3-script-across"),
}
"""Claims of the paper that are true in a world."""

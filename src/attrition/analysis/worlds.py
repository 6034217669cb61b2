"""Simulated worlds with known truth: R of sequential runs from given effects, to test conclusions.

Model: R[s, b] = R[s-1, b] + donor[a] + receiver[b] + pair[a, b] + stage + position + chance for every b except the trained
a, which gets its own score. Measured scores have further noise. All effects are in points.

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
    """Effects in points, in the order of `languages`, and standard deviations of random effects.

    `own_L`: scores after training; `own_sd`: their deviation between runs; `stage_sd`: a stage's random effect on all other
    languages; `cell_sd`: of a single change; `noise_L`: measurement noise per language; `position`: the effect of each stage
    on learned languages, times the log of their number, centred over cells.
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
    """Return this number of locales of MASSIVE, with both kinds of script, and the paper's examples if they fit."""
    first = (
        *("en-US", "zh-CN", "de-DE", "ja-JP", "es-ES", "hi-IN", "fr-FR", "th-TH", "zh-TW", "pt-PT", "ar-SA", "nb-NO"),
        *("km-KH", "ca-ES", "el-GR", "ru-RU", "it-IT", "sv-SE", "ko-KR", "nl-NL"),
    )
    rest = [locale for locale in LANGUAGES if locale not in first]
    return tuple([*first, *rest][:number])


def world(name: str, languages: Sequence[str], seed: int) -> World:
    """Return a world by its name in `WORLDS`; the seed determines its random parts, such as the donors.

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
"""Worlds in which all languages, scripts, families and pairs transfer equally."""

WORLDS = (*NULL_WORLDS, "donors", "receivers", "pairs by script", "destructive", "Latin keeps")
"""Every world."""

TRUE_WORLDS = {
    "destructive": ("4-zh-cost", "5.1-cjk-cost", "5.1-ja-cost", "5.1-cjk-shift"),
    "Latin keeps": ("5.2-latin-receiver", "5.2-latin-kept"),
    "pairs by script": ("5.2-same-script", "5.3-script-across"),
}
"""Claims of the paper that are true in a world."""

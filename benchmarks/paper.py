"""How long the paper's whole design takes at given speeds, with the arithmetic shown: counts times utterances, over rates.

Every stage is trained once (methods that do not depend on the order: once for all orders), scored on all test sets, and on its
dev set after every epoch. Nothing stops early here, so a real study is shorter than its epochs say.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from attrition.corpus.release import COUNTS, LOCALES

LANGUAGES = len(LOCALES)
ORDERS = 5
RANKS = 3
RATES = ("full", "shared", "non_shared", "evaluation")


@dataclass(frozen=True)
class Line:
    """One method: `stages` of it, `languages` trained in all, at the speed called `rate`."""

    method: str
    stages: int
    languages: int
    rate: str


LINES = (
    Line("MULTI", 1, LANGUAGES, "full"),
    Line("MULTI LoRA", RANKS, RANKS * LANGUAGES, "shared"),
    Line("MONO", LANGUAGES, LANGUAGES, "full"),
    Line("VANILLA", ORDERS * LANGUAGES, ORDERS * LANGUAGES, "full"),
    Line("SHARED LoRA", RANKS * ORDERS * LANGUAGES, RANKS * ORDERS * LANGUAGES, "shared"),
    Line("NON-SHARED LoRA", RANKS * LANGUAGES, RANKS * LANGUAGES, "non_shared"),
)


@dataclass(frozen=True)
class Cost:
    """Hours of one method, and the sum that gave them."""

    method: str
    training_hours: float
    evaluation_hours: float
    arithmetic: str


def paper_costs(rates: Mapping[str, float], epochs: float) -> list[Cost]:
    """The cost of each method of the paper.

    Args:
        rates: utterances a second for each of `RATES`. All ranks are taken to be as fast as the one measured.
        epochs: passes over the training utterances of a stage.

    >>> costs = paper_costs(dict.fromkeys(RATES, 1000.0), epochs=1)
    >>> costs[0].method, round(costs[0].training_hours * 3600 * 1000) == 52 * 11514
    ('MULTI', True)
    >>> costs[0].arithmetic
    '52 x 11,514 x 1 / 1,000 + (52 x 2,033 x 1 + 1 x 52 x 2,974) / 1,000 s'
    """
    costs = []
    for line in LINES:
        trained = line.languages * COUNTS["train"] * epochs
        scored = line.languages * COUNTS["dev"] * epochs + line.stages * LANGUAGES * COUNTS["test"]
        rate, scoring = rates[line.rate], rates["evaluation"]
        costs.append(
            Cost(
                line.method,
                trained / rate / 3600,
                scored / scoring / 3600,
                f"{line.languages} x {COUNTS['train']:,} x {epochs:g} / {rate:,.0f} + ({line.languages} x {COUNTS['dev']:,} x "
                f"{epochs:g} + {line.stages} x {LANGUAGES} x {COUNTS['test']:,}) / {scoring:,.0f} s",
            )
        )
    return costs

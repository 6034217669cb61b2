"""How often a verdict of `attrition gate` is wrong, and how often a real loss is found, where the truth is known.

    python -m benchmarks.gate_calibration                 # the tables of docs/concepts/gate.md; about ten minutes on one core
    python -m benchmarks.gate_calibration --part 0.05     # a short form

Test sets are drawn from the populations of `attrition.gate.worlds`; F1, margins in points.

- `equal`: releases of systems without any difference in F1. `fails`: share of releases in which a check fails; `p_small`: share
  of single checks with p of at most 0.05, margin or not. "trade" are systems with equal F1 of unlike precision and recall.
- `at_the_margin`: one language whose true loss equals the margin; `passes` should be at most 5%.
- `losses`: one language loses `factor` times the margin, the others nothing; `fails`: share of releases of 1, 10, 52 languages
  in which this is found.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from attrition.gate.bound import interval
from attrition.gate.judge import LEVEL, holm, p_of_no_loss
from attrition.gate.ratios import Outcomes
from attrition.gate.worlds import Breaks, Population, population
from attrition.streams import numpy_stream
from benchmarks.common import RESULTS, command_of, console, facts, write_result

SIZES, LANGUAGES = (100, 300, 1_000, 3_000), (1, 10, 52)
DISAGREEMENTS, MARGINS = (0.02, 0.1, 0.3), (1.0, 2.0, 3.0)
SWAPS = 200 * max(LANGUAGES) - 1
DRAWS = 1_000
"""A quarter of what the gate draws: the quantile is rougher, the rates are the same."""

Row = dict[str, object]


def p_if_lost(found: Outcomes, rng: np.random.Generator, at_least: float = 0.0) -> float:
    """Return p, or 1 where no more than `at_least` points were lost.

    A check within its margin cannot fail. Where its p counts as 1, Holm's method finds a little less in the other checks: in
    releases of equal systems nearly never.
    """
    return p_of_no_loss(found, rng, SWAPS) if 100 * found.loss > at_least else 1.0


def equal_rows(releases: int) -> Iterator[Row]:
    """Yield the rates of false alarms; 52 languages have `releases`, fewer languages as many more."""
    kinds: tuple[Breaks, ...] = ("spans", "trade")
    for breaks in kinds:
        for disagreement in DISAGREEMENTS if breaks == "spans" else (0.1,):
            world = population(disagreement, 0.0, breaks)
            for size in SIZES:
                rng = numpy_stream("gate", "equal", breaks, str(disagreement), size)
                drawn = [world.draw(size, rng) for _ in range(releases * max(LANGUAGES))]
                p = np.array([p_if_lost(found, rng, min(MARGINS)) for found in drawn])
                alone = [p_if_lost(found, rng) <= LEVEL for found in drawn[: 5 * releases]]
                fails = {}
                for languages in LANGUAGES:
                    number = len(drawn) // languages
                    adjusted = np.array([holm(each) for each in p[: number * languages].reshape(number, languages)])
                    fails[str(languages)] = float((adjusted <= LEVEL).any(axis=1).mean())
                yield {
                    "breaks": breaks,
                    **_about(world, disagreement, min(MARGINS), size, releases),
                    "fails": fails,
                    "p_small": float(np.mean(alone)),
                }


def margin_rows(repeats: int) -> Iterator[Row]:
    """Yield how often one language passes whose true loss equals the margin."""
    kinds: tuple[Breaks, ...] = ("spans", "utterances")
    for breaks in kinds:
        for disagreement in (0.0, 0.1):
            for margin in MARGINS[:1]:
                world = population(disagreement, margin, breaks)
                for size in SIZES:
                    rng = numpy_stream("gate", "margin", breaks, str((disagreement, margin)), size)
                    bounds = [interval(world.draw(size, rng), rng, DRAWS) for _ in range(repeats)]
                    yield {
                        "breaks": breaks,
                        **_about(world, disagreement, margin, size, repeats),
                        "passes": float(np.mean([100 * each.high < margin for each in bounds])),
                    }


def loss_rows(repeats: int) -> Iterator[Row]:
    """Yield how often one language passes and fails whose true loss is half or twice the margin."""
    for disagreement in DISAGREEMENTS:
        for margin in MARGINS:
            for factor in (0.5, 2.0) if margin == MARGINS[0] else (2.0,):
                world = population(disagreement, factor * margin)
                for size in SIZES:
                    rng = numpy_stream("gate", "losses", str((disagreement, margin, factor)), size)
                    drawn = [world.draw(size, rng) for _ in range(repeats)]
                    p = np.array([p_if_lost(found, rng) for found in drawn])
                    beyond = np.array([100 * found.loss > margin for found in drawn])
                    bounds = [interval(found, rng, DRAWS) for found in drawn]
                    yield {
                        "factor": factor,
                        **_about(world, disagreement, margin, size, repeats),
                        "passes": float(np.mean([100 * each.high < margin for each in bounds])),
                        # Holm's first step: the loser among languages that lose nothing.
                        "fails": {str(n): float((beyond & (p * n <= LEVEL)).mean()) for n in LANGUAGES},
                    }


def _about(world: Population, disagreement: float, margin: float, size: int, repeats: int) -> Row:
    return {
        "disagreement": disagreement,
        "differing": round(world.differing, 4),
        "margin": margin,
        "utterances": size,
        "repeats": repeats,
    }


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and write the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--part", type=float, default=1.0, help="the part of the simulations to do")
    parser.add_argument("--out", type=Path, default=RESULTS / "gate.json")
    given = parser.parse_args(arguments)
    began = time.perf_counter()

    def of(number: int) -> int:
        return max(4, round(given.part * number))

    result = {
        **facts(command_of("gate_calibration", [f"--part {given.part:g}"] if given.part != 1 else [])),
        "at_the_margin": list(margin_rows(of(400))),
        "losses": list(loss_rows(of(120))),
        "equal": list(equal_rows(of(200))),
        "seconds": 0.0,
    }
    result["seconds"] = round(time.perf_counter() - began, 1)
    write_result(given.out, json.loads(json.dumps(result)))
    console.print(f"{result['seconds']} s")


if __name__ == "__main__":
    main()

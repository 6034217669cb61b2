"""How often a conclusion is wrong, and how often it is found, in simulated worlds whose truth is known.

    python -m benchmarks.calibration                  # the table of docs/concepts/calibration.md; about 20 minutes on two cores
    python -m benchmarks.calibration --worlds 40      # a short form

Every world is simulated anew: effects, orders, chance. Counted are worlds of no effect with any false verdict over all claims
of the paper; how often the 95% intervals of each language's quantities hold the truth; and how often a claim is
decided rightly where it is true.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np

from attrition.analysis.claims import Claim, judge_all
from attrition.analysis.evidence import from_matrices, replicates
from attrition.analysis.moderation import per_language
from attrition.analysis.quantities import QUANTITIES
from attrition.analysis.worlds import NULL_WORLDS, TRUE_WORLDS, WORLDS, World, locales, world
from attrition.paper.claims import paper_claims

ORDERS, LANGUAGES = (2, 5, 8), (8, 52)
ABOUT_SCORES = ("own_stage", "final", "unseen", "taught", "fall", "swing")
"""Quantities that a world without transfer may well set apart: scores themselves."""


def claims_on_transfer() -> tuple[Claim, ...]:
    """Return the paper's claims that are false, or true of nothing, where no language transfers otherwise than another."""
    return tuple(
        claim
        for claim in paper_claims()
        if claim.quantity not in ABOUT_SCORES
        and claim.versus is None
        and claim.runs.method == "sequential"
        and claim.expect != "within"
        and (claim.against is not None or claim.pairs or claim.pair)
    )


def truths(made: World) -> dict[str, np.ndarray]:
    """Return the true value of quantities per language, in points; means over random orders."""
    others = len(made.languages) - 1
    gives = made.donor_L + (made.receiver_L.sum() - made.receiver_L + made.pair_LL.sum(axis=1)) / others
    takes = made.receiver_L + (made.donor_L.sum() - made.donor_L + made.pair_LL.sum(axis=0)) / others
    return {"donor_learned": gives, "receiver_learned": takes, "own_stage": made.own_L}


def one(job: tuple[str, int, int, int]) -> dict[str, object]:
    """Return what one world shows."""
    name, num_languages, num_orders, seed = job
    made = world(name, locales(num_languages), seed)
    evidence = from_matrices(made.runs(num_orders, seed))
    held: dict[str, list[bool]] = {}
    for quantity, true_L in truths(made).items():
        found = per_language(replicates(evidence.runs, QUANTITIES[quantity].function))
        true = dict(zip(made.languages, true_L.tolist(), strict=True))
        held[quantity] = [100 * each.low <= true[name] <= 100 * each.high for name, each in found.items() if each.known]
    judged = judge_all(claims_on_transfer(), evidence)
    return {
        "held": {quantity: float(np.mean(each)) for quantity, each in held.items() if each},
        "verdicts": {each.claim.id: each.verdict for each in judged if each.verdict != "needs"},
    }


def rows(names: Sequence[str], num_worlds: int, pool: ProcessPoolExecutor) -> Iterator[dict[str, object]]:
    """Yield a row per kind of world, number of languages and of orders."""
    for name in names:
        for num_languages in LANGUAGES:
            for num_orders in ORDERS:
                number = num_worlds if num_languages < 20 else max(20, num_worlds // 2)
                found = list(pool.map(one, [(name, num_languages, num_orders, seed) for seed in range(number)], chunksize=4))
                verdicts = [each["verdicts"] for each in found]
                decided = [[v for v in each.values() if v != "undecided"] for each in verdicts]  # type: ignore[attr-defined]
                held = [each["held"] for each in found]
                yield {
                    "world": name,
                    "languages": num_languages,
                    "orders": num_orders,
                    "worlds": number,
                    "claims_asked": int(np.median([len(each) for each in verdicts])),  # type: ignore[arg-type]
                    "any_verdict": float(np.mean([bool(each) for each in decided])),
                    "coverage": {
                        quantity: round(float(np.mean([each[quantity] for each in held])), 3)  # type: ignore[index]
                        for quantity in ("donor_learned", "receiver_learned", "own_stage")
                    },
                    "power": _power(name, verdicts),  # type: ignore[arg-type]
                }


def _power(name: str, verdicts: Sequence[dict[str, str]]) -> dict[str, float]:
    """How often each claim that is true in the world was supported."""
    return {
        claim: round(float(np.mean([each.get(claim) == "supported" for each in verdicts])), 3)
        for claim in TRUE_WORLDS.get(name, ())
        if any(claim in each for each in verdicts)
    }


def main() -> None:
    """Print the rows, and write them to benchmarks/results/calibration.json with `--write`."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--worlds", type=int, default=400, help="worlds of each kind with 8 languages, half as many with 52")
    parser.add_argument("--only", nargs="*", default=list(WORLDS), help="kinds of worlds")
    parser.add_argument("--write", action="store_true", help="write benchmarks/results/calibration.json")
    given = parser.parse_args()
    found, began = [], time.monotonic()
    with ProcessPoolExecutor() as pool:
        for row in rows(given.only, given.worlds, pool):
            found.append(row)
            sys.stdout.write(json.dumps(row) + "\n")
            sys.stdout.flush()
    if given.write:
        about = {"python": platform.python_version(), "machine": platform.machine(), "seconds": round(time.monotonic() - began)}
        path = Path(__file__).parent / "results" / "calibration.json"
        path.write_text(
            json.dumps({"about": about, "null_worlds": NULL_WORLDS, "rows": found}, indent=1) + "\n", encoding="utf-8"
        )


if __name__ == "__main__":
    main()

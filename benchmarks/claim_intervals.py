"""How often the 95% intervals of claims contain the truth, in simulated studies of five orders.

    python -m benchmarks.claim_intervals      # the table of docs/concepts/calibration.md; about 1 minute on one core

Each function simulates one study whose true contrast is 0, and returns the claim's estimate.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator
from functools import partial

import numpy as np

from attrition.analysis.claims import Claim
from attrition.analysis.claims.ask import ask
from attrition.analysis.claims.form import Languages, Runs
from attrition.analysis.evidence import Evidence, RunEvidence, from_matrices
from attrition.analysis.intervals import Estimate
from attrition.analysis.worlds import locales, world
from attrition.languages import LANGUAGES, language_of
from attrition.metrics.matrix import RMatrix

NUM_ORDERS = 5
MULTI_AGAINST_VANILLA = Claim(
    id="multi", statement="", quantity="final", runs=Runs(method="MULTI"), versus=Runs(method="VANILLA"), expect="higher"
)
ONE_ALONE = Claim(
    id="alone",
    statement="",
    quantity="final",
    of=Languages(languages=("en-US",)),
    runs=Runs(method="NON-SHARED LoRA"),
    versus=Runs(method="VANILLA"),
    expect="higher",
)
OWN_BRANCH = Claim(id="branch", statement="", pairs="same branch", expect="higher")
LATE = Claim(id="late", statement="", quantity="own_stage", of=Languages(latin=True), stages="late", expect="higher")


def joint_against_sequential(seed: int, *, num_seeds: int, num_languages: int = 12) -> Estimate:
    """Return MULTI minus VANILLA: MULTI with some seeds, both with the same deviation between runs (2 points)."""
    random = np.random.default_rng(seed)
    languages = locales(num_languages)
    difference_L = random.normal(0, 0.02, num_languages)

    def final() -> np.ndarray:
        return 0.4 + random.normal(0, 0.02) + random.normal(0, 0.01, num_languages)

    runs = []
    for number in range(num_seeds):
        joint = RMatrix((final() + difference_L)[None], languages, (languages,))
        runs.append(RunEvidence(matrix=joint, kind="MULTI", seed=number, order_matters=False))
    for _ in range(NUM_ORDERS):
        scores_SL = np.full((num_languages, num_languages), 0.4)
        scores_SL[-1] = final()
        order = tuple((str(each),) for each in random.permutation(languages))
        runs.append(RunEvidence(matrix=RMatrix(scores_SL, languages, order), kind="VANILLA"))
    return _estimate(MULTI_AGAINST_VANILLA, Evidence(tuple(runs)))


def alone_against_sequential(seed: int) -> Estimate:
    """Return NON-SHARED LoRA (one seed) minus VANILLA for one language by name, both with the same deviation between runs."""
    random = np.random.default_rng(seed)
    languages = locales(12)
    alone = np.where(np.eye(12, dtype=bool), 0.4 + random.normal(0, 0.02, 12), np.nan)
    runs = [
        RunEvidence(
            matrix=RMatrix(np.fmax.accumulate(alone), languages, tuple((each,) for each in languages)),
            kind="NON-SHARED LoRA",
            order_matters=False,
        )
    ]
    for _ in range(NUM_ORDERS):
        scores_SL = np.full((12, 12), 0.4)
        scores_SL[-1] += random.normal(0, 0.02, 12)
        order = tuple((str(each),) for each in random.permutation(languages))
        runs.append(RunEvidence(matrix=RMatrix(scores_SL, languages, order), kind="VANILLA"))
    return _estimate(ONE_ALONE, Evidence(tuple(runs)))


def own_branch(seed: int, *, branch_sd: float) -> Estimate:
    """Return D within branches minus D outside, where branches have random effects on their own pairs (points a stage)."""
    made = world("nothing", tuple(LANGUAGES), seed)
    random = np.random.default_rng([seed, 1])
    branches = [language_of(each).branch for each in made.languages]
    effect = {branch: random.normal(0, branch_sd) for branch in dict.fromkeys(branches)}
    same = [[effect[one] if one == other else 0.0 for other in branches] for one in branches]
    made.pair_LL[:] += np.array(same) - np.diag(np.diag(same))
    return _estimate(OWN_BRANCH, from_matrices(made.runs(NUM_ORDERS, seed)))


def late_in_latin(seed: int, *, language_sd: float) -> Estimate:
    """Return what a late stage changes at a language's own stage, where languages in Latin script differ in it (points)."""
    random = np.random.default_rng(seed)
    languages = tuple(LANGUAGES)
    late_L = random.normal(0, language_sd / 100, len(languages))
    matrices = []
    for _ in range(NUM_ORDERS):
        position_L = np.argsort(random.permutation(len(languages)))
        late = position_L >= (len(languages) + 1) // 2
        own_L = 0.5 + late_L * late + random.normal(0, 0.02, len(languages))
        order = tuple((languages[place],) for place in np.argsort(position_L))
        matrices.append(RMatrix(np.tile(own_L, (len(languages), 1)), languages, order))
    return _estimate(LATE, from_matrices(matrices))


CASES: dict[str, Callable[[int], Estimate]] = {
    **{f"MULTI ({n} seed{'s' * (n > 1)}) minus VANILLA": partial(joint_against_sequential, num_seeds=n) for n in (1, 2, 3)},
    "one language, NON-SHARED LoRA (1 seed) minus VANILLA": alone_against_sequential,
    **{f"own branch, branches differ by SD {sd:g}": partial(own_branch, branch_sd=sd) for sd in (0, 2, 4)},
    **{f"late in Latin script, languages differ by SD {sd:g}": partial(late_in_latin, language_sd=sd) for sd in (0, 8)},
}


def coverage(case: Callable[[int], Estimate], number: int) -> tuple[float, float]:
    """Return how often the interval contains 0, and the mean half of its width, in points."""
    found = [case(seed) for seed in range(number)]
    return float(np.mean([each.low <= 0 <= each.high for each in found])), float(
        np.mean([each.high - each.value for each in found])
    )


def lines(number: int) -> Iterator[str]:
    """Yield the rows of the table, as Markdown."""
    for name, case in CASES.items():
        held, half = coverage(case, number)
        yield f"| {name} | {number} | {100 * held:.1f} | {half:.1f} |"


def _estimate(claim: Claim, evidence: Evidence) -> Estimate:
    found = ask(claim, evidence)
    assert isinstance(found, Estimate), found
    return found


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--studies", type=int, default=1000, help="simulated studies for each row")
    for line in lines(parser.parse_args().studies):
        sys.stdout.write(line + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()

"""Is a forgotten language lost, or only out of reach? Applies the rule in studies/fifty-two/relearning.toml to its archives.

`python docs/results/relearning.py` prints, for each language, F1 in %: at the end of the two orders, learned again from there
with 50 and 200 utterances, learned late in its own stage, and from a fresh encoder.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import stats

from attrition.metrics.matrix import RMatrix
from attrition.results.read import Run, read_results

HERE = Path(__file__).parent
STARTS = ("1", "2", "fresh")
LATE = 16
"""The first position at which a model knows the slots well enough to be compared; from the rule."""


def own(R: RMatrix) -> pd.Series:
    """Return the score of each language right after its own stage."""
    stages = {trained[0]: row for trained, row in zip(R.trained, R.scores_SL, strict=True)}
    return pd.Series({each: stages[each][column] for column, each in enumerate(R.languages) if each in stages}) * 100


def vanilla(folder: Path) -> dict[str, Run]:
    """Return the runs of VANILLA by order: the paper's five orders, seed 0."""
    runs = (run for run in read_results(folder).runs if run.spec.method.kind == "VANILLA" and run.spec.seed == 0)
    return {name: run for run in runs if (name := run.spec.order.name).startswith("paper-")}


def late(runs: dict[str, Run]) -> pd.Series:
    """Return each language's mean score at its own stage in those orders where it comes late."""
    found = [own(run.matrix)[list(run.spec.order.languages)[LATE - 1 :]] for run in runs.values()]
    return pd.concat(found, axis=1).mean(axis=1)


def table(sizes: tuple[int, ...] = (200, 50)) -> pd.DataFrame:
    """Return the scores by language; missing archives are left out."""
    runs = vanilla(HERE / "fifty-two")
    columns = {
        f"end of {order}": pd.Series(runs[order].matrix.scores_SL[-1], runs[order].matrix.languages) * 100
        for order in ("paper-1", "paper-2")
    }
    columns["late"] = late(runs)
    for size in sizes:
        for start in STARTS:
            folder = HERE / f"relearning-{start}-{size}"
            if folder.is_dir():
                columns[f"{start}, {size}"] = own(read_results(folder).runs[0].matrix)
    languages = next(scores for name, scores in columns.items() if name.endswith("200")).index
    return pd.DataFrame(columns).loc[languages]


def interval(difference: pd.Series) -> str:
    """Return the mean and its 95% interval over languages (Student's t)."""
    values = difference.dropna().to_numpy()
    half = stats.t.ppf(0.975, len(values) - 1) * values.std(ddof=1) / np.sqrt(len(values))
    return f"{values.mean():+.1f} [{values.mean() - half:+.1f} {values.mean() + half:+.1f}], {len(values)} languages"


def main() -> None:
    scores = table()
    end = scores[["end of paper-1", "end of paper-2"]].mean(axis=1)
    sys.stdout.write(scores.round(1).to_string() + "\n\n")
    for size in (200, 50):
        again = scores[[f"1, {size}", f"2, {size}"]].mean(axis=1)
        sys.stdout.write(f"learned again ({size}) - end: {interval(again - end)}\n")
        if size == 200:
            sys.stdout.write(f"learned again (200) - late own stage (a - b): {interval(again - scores['late'])}\n")
        sys.stdout.write(f"learned again ({size}) - fresh (a - c): {interval(again - scores[f'fresh, {size}'])}\n")


if __name__ == "__main__":
    main()

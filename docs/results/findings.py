"""Prints those numbers of docs/findings.md that no command of attrition prints: `python docs/results/findings.py`.

1. The way of a language through a sequential run: just before its own stage, right after it, one stage later, at the end; also
   the mean over the orders of each method.
2. The standard errors of a run's means that come from the choice of test utterances, which all languages share.
3. Training that failed: languages with a score of 0 at their own stage, and what the other adapters of NON-SHARED LoRA reach.
4. Order against seed: how much the values of VANILLA differ between orders, and between seeds of one order (described).
5. Adapters for groups: the change of the languages that can lose, because their adapter is trained again after their own stage.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pandas as pd
from over_languages import own

from attrition.analysis.utterances import utterances_of
from attrition.metrics.matrix import RMatrix
from attrition.results.read import Results, Run, read_results
from attrition.results.replicates import per_replicate
from attrition.results.serving import serving

HERE = Path(__file__).parent
MAIN = ("fifty-two", "fifty-two-lora-2e-3")


def vanilla(folder: Path) -> dict[str, Run]:
    """Return the runs of VANILLA by order: the paper's five orders, seed 0."""
    runs = (run for run in read_results(folder).runs if run.spec.method.kind == "VANILLA" and run.spec.seed == 0)
    return {name: run for run in runs if (name := run.spec.order.name).startswith("paper-")}


def main_arm() -> Results:
    """Return the runs of the main arm, and those of LoRA at the rate that was too high."""
    return read_results(HERE / MAIN[0], beside=[HERE / MAIN[1]])


def way(R: RMatrix) -> np.ndarray:
    """Return mean F1 in % before a language's own stage, after it, one stage later and at the end (4,)."""
    scores_SL, place = R.scores_SL * 100, {each: at for at, each in enumerate(R.languages)}
    rows = [
        (scores_SL[stage - 1, at], scores_SL[stage, at], scores_SL[stage + 1, at], scores_SL[-1, at])
        for stage, (trained,) in enumerate(R.trained[1:-1], start=1)
        for at in [place[trained]]
    ]
    return np.asarray(np.mean(rows, axis=0))


def ways() -> pd.DataFrame:
    """Return mean F1 in % on the way of a language, for each sequential run; languages that have a stage before and after."""
    rows: dict[str, np.ndarray] = {}
    results = main_arm()
    for series, runs in results.series.items():
        if series.kind in ("VANILLA", "SHARED LoRA"):
            found = [way(run.matrix) for run in runs]
            rows |= {run.label: each for run, each in zip(runs, found, strict=True)}
            rows[f"{results.series_labels[series]} · mean over orders"] = per_replicate(runs, found).mean(axis=0)
    return pd.DataFrame(rows, index=["before its stage", "its own stage", "one stage later", "at the end"]).T


def errors() -> pd.DataFrame:
    """Return the standard error, in points, of means over languages: resampled utterances, one draw for all languages."""
    rows = {}
    results = main_arm()
    utterances = utterances_of(results)
    for run in results.runs:
        R, scores_BSL = run.matrix, utterances.scores_BSL(run.matrix) * 100
        own_BL = scores_BSL[:, R.stage_L, np.arange(len(R.languages))]
        means = {"its own stage": own_BL, "at the end": scores_BSL[:, -1], "change": scores_BSL[:, -1] - own_BL}
        rows[run.label] = {name: values_BL.mean(axis=1).std(ddof=1) for name, values_BL in means.items()}
    return pd.DataFrame(rows).T


def failed() -> str:
    """Return the languages that each run did not learn, and a comparison on those that NON-SHARED LoRA did learn."""
    runs = main_arm().runs
    zero = {run.label: [*(scores := own(run.matrix))[scores == 0].index] for run in runs if not run.matrix.joint}
    lines = [f"{label}: {len(names)} languages at 0: {', '.join(names[:12])}" for label, names in zero.items() if names]
    for run in runs:
        if run.spec.method.kind == "NON-SHARED LoRA" and zero[run.label]:
            learned = [each for each in run.matrix.languages if each not in zero[run.label]]
            ends = [
                pd.Series(each.matrix.scores_SL[-1], each.matrix.languages) * 100 for each in vanilla(HERE / MAIN[0]).values()
            ]
            alone, ended = own(run.matrix)[learned].mean(), pd.concat(ends, axis=1).loc[learned].mean()
            lines.append(
                f"The other {len(learned)}: {run.label} {alone:.1f}, VANILLA at the end {ended.mean():.1f} "
                f"({ended.min():.1f} to {ended.max():.1f} in {len(ends)} orders)"
            )
    return "\n".join(lines)


def spread(values_RL: pd.DataFrame) -> dict[str, float]:
    """Return the deviation (sd) over runs of the mean over languages, and of a language (root of the mean variance)."""
    return {"of the mean": values_RL.mean(axis=1).std(ddof=1), "of a language": float(np.sqrt(values_RL.var(ddof=1).mean()))}


def seeds() -> pd.DataFrame:
    """Return how VANILLA's values differ between orders (seed 0), and between seeds of paper-1; empty with one seed."""
    runs = [run for run in read_results(HERE / MAIN[0]).runs if run.spec.method.kind == "VANILLA"]
    sides = {
        "orders": [run for run in runs if run.spec.seed == 0],
        "seeds of paper-1": [run for run in runs if run.spec.order.name == "paper-1"],
    }
    if len(sides["seeds of paper-1"]) < 2:
        return pd.DataFrame()
    rows = {}
    for side, chosen in sides.items():
        learned = pd.DataFrame([own(run.matrix) for run in chosen])
        ended = pd.DataFrame([pd.Series(run.matrix.scores_SL[-1] * 100, run.matrix.languages) for run in chosen])
        last = pd.DataFrame([{each: each == run.spec.order.languages[-1] for each in run.matrix.languages} for run in chosen])
        change = (ended - learned).mask(last)
        for name, values_RL in {"own stage": learned, "at the end": ended, "change": change}.items():
            rows[f"{name}, {len(chosen)} {side}"] = spread(values_RL)
    return pd.DataFrame(rows).T


def groups() -> pd.DataFrame:
    """Return for each run of adapters for groups: the languages that can lose, their change, and that with SHARED LoRA."""
    runs = read_results(HERE / MAIN[0]).runs
    shared = {run.spec.order.name: run.matrix for run in runs if run.series.kind == "SHARED LoRA" and run.series.rank == 32}
    rows = {}
    for run in runs:
        R, served = run.matrix, serving(run)
        if run.series.kind == "GROUPED LoRA" and served is not None:
            stages = dict(zip(R.languages, R.stage_L.tolist(), strict=True))
            can_lose = [name for name, stage in stages.items() if served[-1][name] != served[stage][name]]
            changes = [_change(each)[can_lose].mean() for each in (R, shared[run.spec.order.name])]
            rows[run.label] = [len(can_lose), *changes]
    return pd.DataFrame(rows, index=["languages that can lose", "their change", "with SHARED LoRA"]).T


def _change(R: RMatrix) -> pd.Series:
    return pd.Series(R.scores_SL[-1] * 100, R.languages) - own(R)


def main() -> None:
    for found in (ways(), errors()):
        sys.stdout.write(found.round(1).to_string() + "\n\n")
    sys.stdout.write(failed() + "\n\n")
    sys.stdout.write(groups().round(1).to_string() + "\n\n")
    if not (spreads := seeds()).empty:
        sys.stdout.write("Standard deviations over runs of VANILLA\n" + spreads.round(1).to_string() + "\n\n")


if __name__ == "__main__":
    main()

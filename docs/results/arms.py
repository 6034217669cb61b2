"""Applies the rules of the arms dose, cuts and relearning: `python docs/results/arms.py`. It draws dose.svg and dose.png too.

The rules are in studies/fifty-two/dose.toml, cuts-blanks.toml and relearning.toml. Settings that are not finished are left out.

Shape letters: B resamples of the test utterances, D trained languages.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise
from pathlib import Path

import altair as alt
import numpy as np
import pandas as pd
import vl_convert
from over_languages import Estimate, Values, between, mean, own

from attrition.analysis.changes import changes
from attrition.analysis.utterances import utterances_of
from attrition.gate.judge import holm
from attrition.metrics.matrix import RMatrix
from attrition.report.theme import FONT_IN_FILES, config
from attrition.results.covariates import ByPair, read_covariates
from attrition.results.read import Run, read_results

HERE = Path(__file__).parent
SIZES = (50, 200, 800, 3200)
KINDS = ("parallel", "disjoint")
CHARACTERS = ("ja-JP", "zh-CN", "th-TH")
STARTS = ("1", "2", "fresh")
LATE = 16
"""The first position at which a model knows the slots well enough to be compared with relearning."""
NUM_RESAMPLES = 200
NEAR_OVERLAP = 0.2
"""In the figure, languages that share a fifth of the sub-tokens of the trained one, or more, are near."""

Matrices = Sequence[RMatrix]
Measure = Callable[[Matrices], pd.Series]
"""From the matrices of a setting's runs, to a number for each language."""


@dataclass(frozen=True, eq=False)
class Setting:
    """The runs of one setting: R, and R over resampled utterances."""

    runs: Matrices
    resampled: Sequence[Matrices]
    overlap: ByPair

    def values(self, measure: Measure) -> Values:
        """Return a measure over all utterances, and over each resample."""
        found_D = measure(self.runs)
        return Values(found_D, np.stack([measure(drawn)[found_D.index].to_numpy() for drawn in self.resampled]))

    def first(self, number: int) -> Setting:
        """Return only the first runs."""
        return Setting(self.runs[:number], [drawn[:number] for drawn in self.resampled], self.overlap)

    def __add__(self, other: Setting) -> Setting:
        """Return the runs of both; the resamples are of the same utterances."""
        both = [[*one, *two] for one, two in zip(self.resampled, other.resampled, strict=True)]
        return Setting([*self.runs, *other.runs], both, self.overlap)


def is_vanilla(run: Run) -> bool:
    """Return True if a run is of VANILLA."""
    return run.spec.method.kind == "VANILLA"


def is_in_paper(run: Run) -> bool:
    """Return True if a run is of VANILLA in one of the paper's orders, with seed 0."""
    return is_vanilla(run) and run.spec.order.name.startswith("paper-") and run.spec.seed == 0


def read_setting(folder: Path, chosen: Callable[[Run], bool] = is_vanilla, num_resamples: int = NUM_RESAMPLES) -> Setting:
    """Return some runs of an archive, sorted by the names of their orders."""
    results = read_results(folder)
    runs = tuple(run.matrix for run in sorted(results.runs, key=lambda run: run.spec.order.name) if chosen(run))
    utterances = utterances_of(results, num_resamples=num_resamples)
    scores = [utterances.scores_BSL(R) for R in runs]
    resampled = [
        [replace(R, scores_SL=scores_BSL[b], before_L=None) for R, scores_BSL in zip(runs, scores, strict=True)]
        for b in range(num_resamples)
    ]
    covariates = read_covariates(folder)
    return Setting(runs, resampled, {} if covariates is None else covariates.pair)


def table(runs: Matrices, scope: str) -> pd.DataFrame:
    """Return one row for each change: the trained language, the changed one, the run, and the points."""
    found = changes(runs, scope=scope)  # type: ignore[arg-type]
    names = np.array(found.languages)
    trained, changed = names[found.donor_N], names[found.receiver_N]
    return pd.DataFrame({"trained": trained, "changed": changed, "run": found.run_N, "points": found.points_N})


def mean_change(runs: Matrices, scope: str = "learned") -> pd.Series:
    """Return for each trained language the mean change of the others: mean over them in a run, then over runs."""
    return _of_trained(table(runs, scope))


def _of_trained(rows: pd.DataFrame) -> pd.Series:
    """Return the mean of each trained language: of a run's changes, then of runs."""
    of_run: pd.Series = rows.groupby(["trained", "run"])["points"].mean()
    return of_run.groupby("trained").mean()


def slope(runs: Matrices, overlap: ByPair, scope: str = "learned") -> pd.Series:
    """Return for each trained language the slope of the change on the overlap (least squares), in points for 0.1 of overlap."""
    rows = table(runs, scope)
    shared = overlap["overlap"]
    rows["x"] = [shared[pair] for pair in zip(rows.trained, rows.changed, strict=True)]
    rows["x"] -= rows.groupby(["trained", "run"]).x.transform("mean")
    sums = rows.assign(xy=rows.x * rows.points, xx=rows.x**2).groupby("trained")[["xy", "xx"]].sum()
    return (sums.xy / sums.xx.where(sums.xx > 0)).dropna() / 10


def just_learned(runs: Matrices) -> pd.Series:
    """Return for each trained language the change of the language that was trained one stage before; mean over runs."""
    rows = table(runs, "learned")
    before = {(number, now): last for number, R in enumerate(runs) for last, now in pairwise(R.order)}
    return _of_trained(
        rows[[before[run, now] == each for run, now, each in zip(rows.run, rows.trained, rows.changed, strict=True)]]
    )


def own_stage(runs: Matrices) -> pd.Series:
    """Return F1 of each language right after its own stage, in points; mean over runs."""
    return pd.concat([own(R) for R in runs], axis=1).mean(axis=1)


def at_end(runs: Matrices) -> pd.Series:
    """Return F1 of each language at the end, in points; mean over runs."""
    return 100 * pd.concat([pd.Series(R.scores_SL[-1], R.languages) for R in runs], axis=1).mean(axis=1)


def kept(runs: Matrices) -> pd.Series:
    """Return F1 at the end minus F1 at the own stage, in points; mean over the runs in which a language is not the last."""
    found = [(100 * R.scores_SL[-1] - own(R)).where(R.stage_L < R.num_stages - 1) for R in runs]
    return pd.concat(found, axis=1).mean(axis=1)


def tests(found: dict[str, Estimate], planned: int) -> str:
    """Return one line for each test, with p after Holm's correction for all planned tests, also those that are missing."""
    adjusted = holm([*(each.p for each in found.values()), *[1.0] * (planned - len(found))])[: len(found)]
    return "\n".join(f"{name:60} {each}, adjusted p {p:.3g}" for (name, each), p in zip(found.items(), adjusted, strict=True))


def dose(settings: dict[tuple[int, str], Setting]) -> str:
    """Return the table of mean changes, and the three tests of the rule."""
    rows = []
    for (size, kind), setting in settings.items():
        means = {scope: str(mean(setting.values(partial(mean_change, scope=scope)))) for scope in ("learned", "unlearned")}
        means["just learned"] = str(mean(setting.values(just_learned)))  # described: the rule does not ask for it
        rows.append(
            {
                "utterances": size,
                "kind": kind,
                "orders": len(setting.runs),
                "learned before": means["learned"],
                "still to come": means["unlearned"],
                "just learned": means["just learned"],
                "own stage": f"{own_stage(setting.runs).mean():.1f}",
                "end": f"{at_end(setting.runs).mean():.1f}",
            }
        )
    found = {}
    if {(50, "parallel"), (800, "parallel")} <= set(settings):
        large = settings[800, "parallel"]
        found["dose: 800 minus 50"] = mean(large.values(mean_change) - settings[50, "parallel"].values(mean_change))
        if (800, "disjoint") in settings:
            other = settings[800, "disjoint"].values(mean_change)
            found["translation: disjoint minus parallel, 800"] = mean(other - large.values(mean_change))
        found["distance: points for 0.1 of overlap, 800"] = mean(large.values(partial(slope, overlap=large.overlap)))
    return pd.DataFrame(rows).to_string(index=False) + "\n\n" + tests(found, planned=3)


def picture(settings: dict[tuple[int, str], Setting]) -> alt.Chart:
    """Return the chart: the mean change of a stage against the dose, for near and far languages."""
    rows = []
    doses = {size: f"{size:,}" for size, _ in settings}
    doses |= {size: f"{size:,} (one order)" for (size, _), setting in settings.items() if len(setting.runs) == 1}
    for (size, kind), setting in settings.items():
        for scope, name in (("learned", "learned before"), ("unlearned", "still to come")):
            for near in (True, False):
                found = mean(setting.values(partial(_part, scope=scope, overlap=setting.overlap, near=near)))
                group = f"{'near' if near else 'far'}, {kind}"
                rows.append(
                    {
                        "dose": doses[size],
                        "group": group,
                        "scope": name,
                        "mean": found.mean,
                        "low": found.low,
                        "high": found.high,
                    }
                )
    groups = [f"{near}, {kind}" for near in ("near", "far") for kind in KINDS]
    x = alt.X("dose:O", sort=list(doses.values()), title="training utterances of each language", axis=alt.Axis(labelAngle=0))
    offset = alt.XOffset("group:N", sort=groups)
    key = {"scale": alt.Scale(domain=groups), "title": f"overlap (near: {NEAR_OVERLAP} or more)"}
    colour = alt.Color("group:N", **key)
    base = alt.Chart().encode(x=x, xOffset=offset, color=colour)
    points = base.mark_point(filled=True, size=60, opacity=1).encode(
        y=alt.Y("mean:Q", title="change of F1 at a stage (points)"), shape=alt.Shape("group:N", **key)
    )
    bars = base.mark_rule(strokeWidth=2).encode(y="low:Q", y2="high:Q")
    zero = alt.Chart().mark_rule(strokeDash=[4, 3]).encode(y=alt.datum(0))
    layers = alt.layer(zero, bars, points, data=pd.DataFrame(rows)).properties(width=330, height=260)
    return layers.facet(column=alt.Column("scope:N", title=None, header=alt.Header(labelFontSize=13)))


def _part(runs: Matrices, scope: str, overlap: ByPair, *, near: bool) -> pd.Series:
    """Return `mean_change` of the near or the far languages."""
    rows = table(runs, scope)
    shared = overlap["overlap"]
    is_near = np.array([shared[pair] >= NEAR_OVERLAP for pair in zip(rows.trained, rows.changed, strict=True)])
    return _of_trained(rows[is_near == near])


def cuts(words: Setting, characters: Setting) -> str:
    """Return the table of both cuts, and the two tests of the rule."""
    measures = {"own stage": own_stage, "end": at_end, "keeps": kept, "its stage": mean_change}
    columns = {
        f"{name}, {cut}": measure(setting.runs)
        for name, measure in measures.items()
        for cut, setting in (("blanks", words), ("characters", characters))
    }
    found = {
        f"{name}: characters minus blanks, three minus nine": between(
            characters.values(measures[name]) - words.values(measures[name]), CHARACTERS
        )
        for name in ("keeps", "its stage")
    }
    return pd.DataFrame(columns).round(1).to_string() + "\n\n" + tests(found, planned=2)


def own_stage_late(runs: Matrices) -> pd.Series:
    """Return `own_stage` in those runs where a language comes at position 16 or later."""
    return pd.concat([own(R).where(R.stage_L >= LATE - 1) for R in runs], axis=1).mean(axis=1)


def relearning(again: dict[tuple[str, int], Setting], orders: Setting) -> str:
    """Return the table of languages that are learned again, and the contrasts of the rule.

    Args:
        again: the runs from each start, with each number of utterances.
        orders: VANILLA in the paper's orders; starts 1 and 2 continue its first two runs.
    """
    end = orders.first(2).values(at_end)
    late = orders.values(own_stage_late)
    columns = {f"end of paper-{number}": at_end([orders.runs[number - 1]]) for number in (1, 2)} | {"late": late.of_D}
    found = {}
    for size in (200, 50):
        columns |= {f"{start}, {size}": own_stage(again[start, size].runs) for start in STARTS}
        last = (again["1", size] + again["2", size]).values(own_stage)
        found[f"learned again ({size}) minus the end"] = mean(last - end)
        if size == 200:
            found["learned again (200) minus learned late (a - b)"] = mean(last - late)
        found[f"learned again ({size}) minus a fresh encoder (a - c)"] = mean(last - again["fresh", size].values(own_stage))
    shown = pd.DataFrame(columns).loc[list(again["fresh", 200].runs[0].languages)]
    return shown.round(1).to_string() + "\n\n" + "\n".join(f"{name:60} {each}" for name, each in found.items())


def main() -> None:
    settings = {
        (size, kind): read_setting(HERE / f"fifty-two-dose-{size}-{kind}")
        for size in SIZES
        for kind in KINDS
        if (HERE / f"fifty-two-dose-{size}-{kind}").is_dir()
    }
    if settings:
        sys.stdout.write(dose(settings) + "\n\n")
        spec = {**picture(settings).to_dict(), "config": {**config(), "font": FONT_IN_FILES}}
        svg = vl_convert.vegalite_to_svg(spec)
        (HERE / "dose.svg").write_text(svg, encoding="utf-8")
        (HERE / "dose.png").write_bytes(vl_convert.svg_to_png(svg, scale=2))
    folders = [HERE / f"fifty-two-cuts-{name}" for name in ("blanks", "characters")]
    if all(folder.is_dir() for folder in folders):
        sys.stdout.write(cuts(*map(read_setting, folders)) + "\n\n")
    starts = {(start, size): HERE / f"fifty-two-relearning-{start}-{size}" for start in STARTS for size in (200, 50)}
    if all(folder.is_dir() for folder in starts.values()):
        again = {key: read_setting(folder, lambda _: True) for key, folder in starts.items()}
        sys.stdout.write(relearning(again, read_setting(HERE / "fifty-two", is_in_paper)) + "\n")


if __name__ == "__main__":
    main()

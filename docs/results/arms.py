"""Applies the rules of the dose arm and the cuts arm: `python docs/results/arms.py`. It also draws dose.svg and dose.png.

The rules are in studies/fifty-two/dose.toml and cuts-blanks.toml. Settings that are not finished are left out.

Shape letters: B resamples of the test utterances, D trained languages.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import altair as alt
import numpy as np
import pandas as pd
import vl_convert
from scipy import stats

from attrition.analysis.changes import changes
from attrition.analysis.utterances import utterances_of
from attrition.gate.judge import holm
from attrition.metrics.matrix import RMatrix
from attrition.report.theme import FONT_IN_FILES, config
from attrition.results.covariates import ByPair, read_covariates
from attrition.results.read import read_results

HERE = Path(__file__).parent
SIZES = (50, 200, 800, 3200)
KINDS = ("parallel", "disjoint")
CHARACTERS = ("ja-JP", "zh-CN", "th-TH")
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


@dataclass(frozen=True, eq=False)
class Values:
    """A number for each language, and the same in every resample (B, D). Languages without a number are NaN."""

    of_D: pd.Series
    drawn_BD: np.ndarray

    def __sub__(self, other: Values) -> Values:
        return Values(self.of_D - other.of_D[self.of_D.index], self.drawn_BD - other.on(self.of_D.index).drawn_BD)

    def on(self, languages: Iterable[str]) -> Values:
        """Return the values of some languages."""
        names = list(self.of_D.index)
        places = [names.index(each) for each in languages]
        return Values(self.of_D.iloc[places], self.drawn_BD[:, places])


@dataclass(frozen=True)
class Estimate:
    """A mean in points, its 95% interval and p (two-sided, Student's t)."""

    mean: float
    low: float
    high: float
    p: float

    def __str__(self) -> str:
        return f"{self.mean:+.1f} [{self.low:+.1f} {self.high:+.1f}]"


def read_setting(folder: Path, num_resamples: int = NUM_RESAMPLES) -> Setting:
    """Return the runs of VANILLA in an archive."""
    results = read_results(folder)
    runs = tuple(run.matrix for run in results.runs if run.spec.method.kind == "VANILLA")
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


def own_stage(runs: Matrices) -> pd.Series:
    """Return F1 of each language right after its own stage, in points; mean over runs."""
    found = [pd.Series(R.scores_SL[R.stage_L, np.arange(len(R.languages))], R.languages) for R in runs]
    return 100 * pd.concat(found, axis=1).mean(axis=1)


def at_end(runs: Matrices) -> pd.Series:
    """Return F1 of each language at the end, in points; mean over runs."""
    return 100 * pd.concat([pd.Series(R.scores_SL[-1], R.languages) for R in runs], axis=1).mean(axis=1)


def kept(runs: Matrices) -> pd.Series:
    """Return F1 at the end minus F1 at the own stage, in points; mean over the runs in which a language is not the last."""
    found = [
        pd.Series(R.scores_SL[-1] - R.scores_SL[R.stage_L, np.arange(len(R.languages))], R.languages).where(
            R.stage_L < R.num_stages - 1
        )
        for R in runs
    ]
    return 100 * pd.concat(found, axis=1).mean(axis=1)


def mean(values: Values) -> Estimate:
    """Return the mean over languages.

    Its variance has two parts: between languages, and the part of the utterances that all languages share, which the spread
    between languages does not show: the variance of the mean over resamples, minus what the spread holds of it.
    """
    y_D, y_BD = values.of_D.to_numpy(), values.drawn_BD
    n = len(y_D)
    mean_B = y_BD.mean(axis=1)
    shown = (y_BD - mean_B[:, None]).var(axis=0, ddof=1).sum() / (n * (n - 1))
    shared = max(0.0, float(mean_B.var(ddof=1)) - shown)
    return _estimate(float(y_D.mean()), y_D.var(ddof=1) / n + shared, n - 1)


def between(values: Values, ones: Sequence[str]) -> Estimate:
    """Return the mean of some languages minus the mean of the others (Welch's t; the utterances' shared part is added)."""
    parts = [values.on(ones), values.on([each for each in values.of_D.index if each not in ones])]
    one, other = (part.of_D.to_numpy() for part in parts)
    squares = [y_D.var(ddof=1) / len(y_D) for y_D in (one, other)]
    freedom = sum(squares) ** 2 / sum(s**2 / (len(y_D) - 1) for s, y_D in zip(squares, (one, other), strict=True))
    drawn_B = parts[0].drawn_BD.mean(axis=1) - parts[1].drawn_BD.mean(axis=1)
    shown = 0.0
    for part in parts:
        n = part.drawn_BD.shape[1]
        apart_BD = part.drawn_BD - part.drawn_BD.mean(axis=1, keepdims=True)
        shown += apart_BD.var(axis=0, ddof=1).sum() / (n * (n - 1))
    shared = max(0.0, float(drawn_B.var(ddof=1)) - shown)
    return _estimate(float(one.mean() - other.mean()), sum(squares) + shared, freedom)


def _estimate(value: float, variance: float, freedom: float) -> Estimate:
    error = float(np.sqrt(variance))
    half = float(stats.t.ppf(0.975, freedom)) * error
    p = float(2 * stats.t.sf(abs(value) / error, freedom)) if error else float("nan")
    return Estimate(value, value - half, value + half, p)


def tests(found: dict[str, Estimate], planned: int) -> str:
    """Return one line for each test, with p after Holm's correction for all planned tests, also those that are missing."""
    adjusted = holm([*(each.p for each in found.values()), *[1.0] * (planned - len(found))])[: len(found)]
    return "\n".join(f"{name:60} {each}, adjusted p {p:.3g}" for (name, each), p in zip(found.items(), adjusted, strict=True))


def dose(settings: dict[tuple[int, str], Setting]) -> str:
    """Return the table of mean changes, and the three tests of the rule."""
    rows = []
    for (size, kind), setting in settings.items():
        means = {scope: str(mean(setting.values(partial(mean_change, scope=scope)))) for scope in ("learned", "unlearned")}
        rows.append(
            {
                "utterances": size,
                "kind": kind,
                "learned before": means["learned"],
                "still to come": means["unlearned"],
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
    for (size, kind), setting in settings.items():
        for scope, name in (("learned", "learned before"), ("unlearned", "still to come")):
            for near in (True, False):
                found = mean(setting.values(partial(_part, scope=scope, overlap=setting.overlap, near=near)))
                group = f"{'near' if near else 'far'}, {kind}"
                rows.append(
                    {"dose": size, "group": group, "scope": name, "mean": found.mean, "low": found.low, "high": found.high}
                )
    groups = [f"{near}, {kind}" for near in ("near", "far") for kind in KINDS]
    x = alt.X("dose:O", title="training utterances of each language", axis=alt.Axis(labelAngle=0))
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
        sys.stdout.write(cuts(*map(read_setting, folders)) + "\n")


if __name__ == "__main__":
    main()

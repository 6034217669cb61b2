"""A chart of F1 on the languages learned so far, over the sequence: panels of at most six labelled lines."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import altair as alt
import numpy as np
import pandas as pd

from attrition.metrics import learned_mean
from attrition.metrics.means import mean_measured
from attrition.names import capitalised
from attrition.report.figures import Figure, KeyLine, records, stage_label
from attrition.report.tables import without_dust
from attrition.report.theme import NUM_HUES
from attrition.results.read import Results, Run
from attrition.results.replicates import per_replicate
from attrition.results.spec import Series

MOST_LINES = 6
"""Largest number of lines in a panel."""

DASHES = ((1, 0), (7, 3), (2, 3), (9, 3, 2, 3))
"""Line styles: from the second on for series beyond the number of hues."""

JOINT_DASH = (2, 4)
"""The line style of joint training."""

WIDTH = 470
"""Width of a panel in pixels, without the labels of its lines."""

NARROW_WIDTH = 255
"""Width of a panel on a phone, where a key below the chart names the lines."""

LABEL_GAP = 13
"""Smallest distance in pixels between the labels of two lines."""


COLUMNS = ("series", "panel", "hue", "dash", "model", "step", "f1", "low", "high", "runs", "trained", "joint", "label_at")
"""Columns of the chart's table; `label_at` is the height of a line's label, NaN before its last step."""


def progress(results: Results) -> Figure:
    """Return the chart of P, the mean score of the languages learned so far; joint training is a dotted line."""
    return progress_figure(results, name="progress", title=f"{capitalised(results.score)} of the languages learned so far")


def progress_figure(results: Results, *, name: str, title: str) -> Figure:
    """Return the lines of every series: a panel for each model, or for each kind of method if a model has more than six."""
    places = _places(results)
    panels = list(dict.fromkeys(place.panel for place in places.values()))
    lines = progress_lines(results, places)
    start, end = axis_span([*lines["low"], *lines["high"]])
    several = any(len(runs) > 1 for runs in results.series.values())
    return Figure(
        name=name,
        title=title if start == 0 else f"{title} (axis from {start})",
        caption=f"Mean {results.score} over the languages learned, after each stage."
        + (" Dotted: all languages learned at once." if lines["joint"].any() else "")
        + (" Lines are means over orders (seeds of one order count once), bands the range of all runs." if several else "")
        + (" Further data of a language count as one language more." if _has_further_data(results) else "")
        + (f" The vertical axis starts at {start}, not at 0." if start else ""),
        chart=_chart(panels, _longest(results), (start, end), results.score, WIDTH),
        narrow=_chart(panels, _longest(results), (start, end), results.score, NARROW_WIDTH),
        key=_key(lines),
        variants={"": {"lines": _with_labels(lines, end - start)}},
        findings={"": _finding(lines, results.score)},
        fits=False,
    )


def height(num_panels: int) -> int:
    """Return the height of a panel in pixels."""
    return 280 if num_panels == 1 else 220


def _finding(lines: pd.DataFrame, score: str) -> str:
    """Return a sentence with the lines' last values, best first."""
    if not len(lines):
        return ""
    last = _ends(lines).sort_values("f1", ascending=False)
    ends = [f"{name} {without_dust(value):.1f}" for name, value in zip(last["series"], last["f1"], strict=True)]
    return f"{capitalised(score)} at the end, in percent: {', '.join(ends)}."


def _ends(lines: pd.DataFrame) -> pd.DataFrame:
    """Return the last row of each line."""
    return lines.loc[lines.groupby(["panel", "series"], sort=False)["step"].idxmax()]


def _key(lines: pd.DataFrame) -> dict[str, list[KeyLine]]:
    """Return the key of the chart by panel, the highest last value first."""
    key: dict[str, list[KeyLine]] = {panel: [] for panel in dict.fromkeys(lines["panel"])}
    last = _ends(lines).sort_values("f1", ascending=False) if len(lines) else lines
    for row in records(last):
        dashes = JOINT_DASH if row["joint"] else DASHES[int(row["dash"])]
        value = f"{without_dust(row['f1']):.1f}"
        key[row["panel"]].append(KeyLine(name=row["series"], hue=row["hue"], dashes=dashes, value=value))
    return key


def progress_lines(results: Results, places: Mapping[Series, Place]) -> pd.DataFrame:
    """Return one row for each series and number of languages learned: the mean of P over replicates, in percent.

    `low` and `high` are the range of all runs. Further data of a language count as one more language.
    """
    longest = _longest(results)
    lines: list[dict[str, Any]] = []
    for series, runs in results.series.items():
        joint = all(run.matrix.joint for run in runs)
        if joint:
            finals = [100 * float(learned_mean(run.matrix)[-1]) for run in runs]
            steps = [_Step(step, runs, finals, ["all languages at once"]) for step in dict.fromkeys((1, longest))]
        else:
            steps = _steps([run for run in runs if not run.matrix.joint])
        place = places[series]
        for step in steps:
            measured = [value for value in step.values if not math.isnan(value)]
            if measured:
                lines.append(
                    {
                        "series": place.label,
                        "panel": place.panel,
                        "hue": place.hue,
                        "dash": "joint" if joint else str(place.dash),
                        "model": results.models[series.setup.model],
                        "step": step.number,
                        "f1": round(float(mean_measured(per_replicate(step.runs, step.values))), 2),
                        "low": round(min(measured), 2),
                        "high": round(max(measured), 2),
                        "runs": len(measured),
                        "trained": ", ".join(dict.fromkeys(step.stages)),
                        "joint": joint,
                        "label_at": math.nan,
                    }
                )
    return pd.DataFrame(lines, columns=list(COLUMNS))


def _longest(results: Results) -> int:
    """Return the largest number of languages that a run learned; further data of a language count as one more."""
    return max(sum(map(len, run.matrix.trained)) for run in results.runs)


def _has_further_data(results: Results) -> bool:
    return any(sum(map(len, run.matrix.trained)) > sum(map(len, run.matrix.new)) for run in results.runs)


@dataclass(frozen=True)
class _Step:
    """A number of languages learned: the runs that have it, P of each in percent, and the languages trained to reach it."""

    number: int
    runs: Sequence[Run]
    values: Sequence[float]
    stages: Sequence[str]


def _steps(runs: Sequence[Run]) -> list[_Step]:
    """Return each number of languages learned, in ascending order."""
    found: dict[int, list[tuple[Run, float, str]]] = {}
    for run in runs:
        learned = np.cumsum([len(stage) for stage in run.matrix.trained])
        for step, value, stage in zip(learned.tolist(), learned_mean(run.matrix), run.matrix.trained, strict=True):
            found.setdefault(step, []).append((run, 100 * float(value), stage_label(stage)))
    return [_Step(number, *zip(*found[number], strict=True)) for number in sorted(found)]


def axis_span(values: Sequence[float]) -> tuple[int, int]:
    """Return the ends of an F1 axis, in tens. It starts at 0 unless the smallest value is above half the largest.

    >>> axis_span([12.0, 58.5]), axis_span([61.0, 78.0]), axis_span([])
    ((0, 60), (60, 80), (0, 100))
    """
    known = [value for value in values if not math.isnan(value)]
    if not known:
        return 0, 100
    top = 10 * max(1, math.ceil(max(known) / 10))
    start = 10 * math.floor(min(known) / 10) if min(known) > max(known) / 2 else 0
    return (start, top) if start < top else (start - 10, top)


# Which panel, which line


@dataclass(frozen=True, kw_only=True)
class Place:
    """The place of a series: its panel, its label, its hue (index into the theme's), and its dash (into `DASHES`)."""

    panel: str
    label: str
    hue: int
    dash: int


def _kinds(own: Mapping[Series, Sequence[Run]], *, apart: bool) -> dict[str, list[Series]]:
    """Return the series by kind: full fine-tuning, LoRA, other methods; with `apart`, references are a kind of their own."""
    kinds: dict[str, list[Series]] = {}
    for series, runs in own.items():
        is_reference = all(not run.spec.method.order_matters for run in runs)
        kinds.setdefault("references" if apart and is_reference else _kind(series), []).append(series)
    return kinds


def _kind(series: Series) -> str:
    if not series.kind:
        return "other methods"
    return "full fine-tuning" if series.rank is None else "LoRA"


def _by_panel(results: Results) -> dict[Series, str]:
    """Return every series with the title of its panel, grouped by panel."""
    found: dict[Series, str] = {}
    for model, shown in results.models.items():
        own = {series: runs for series, runs in results.series.items() if series.setup.model == model}
        for kind, members in _packed(own):
            parts = [shown if len(results.models) > 1 else "", kind]
            found |= dict.fromkeys(members, ": ".join(part for part in parts if part))
    return found


def _packed(own: Mapping[Series, Sequence[Run]]) -> list[tuple[str, list[Series]]]:
    """Return the series of one model by panel: all in one, or by kind; kinds share a panel if they fit.

    A method is beside the references that train like it, unless these are too many for one panel.
    """
    if len(own) <= MOST_LINES:
        return [("", list(own))]
    kinds = _kinds(own, apart=False)
    if any(len(members) > MOST_LINES for members in kinds.values()):
        kinds = _kinds(own, apart=True)
    packed: list[tuple[str, list[Series]]] = []
    for kind, members in kinds.items():
        if packed and len(packed[-1][1]) + len(members) <= MOST_LINES:
            before, others = packed[-1]
            packed[-1] = (f"{before}, {kind}", [*others, *members])
            continue
        parts = math.ceil(len(members) / MOST_LINES)
        size = math.ceil(len(members) / parts)
        for number in range(parts):
            title = kind if parts == 1 else f"{kind} ({number + 1} of {parts})"
            packed.append((title, members[number * size : (number + 1) * size]))
    return packed


def _places(results: Results) -> dict[Series, Place]:
    """Return the place of each series. A method of one rank has the same hue and dash in every panel."""
    panels = _by_panel(results)
    looks = list(dict.fromkeys((series.method, series.rank) for series in panels))
    several = len({series.rank for series in panels if series.rank is not None}) > 1
    labels = {series: _label(series) if several else series.method for series in panels}
    drawn: Counter[tuple[str, int]] = Counter()
    found = {}
    for series, panel in panels.items():
        alike = [other for other in panels if other.setup.model == series.setup.model and labels[other] == labels[series]]
        # Name corpora, cuts and settings only if they distinguish two lines of one model.
        label = labels[series] if len(alike) == 1 else results.series_labels[series]
        look = looks.index((series.method, series.rank))
        dash = (look // NUM_HUES + drawn[panel, look]) % len(DASHES)
        drawn[panel, look] += 1
        found[series] = Place(panel=panel, label=label, hue=look % NUM_HUES, dash=dash)
    return found


def _label(series: Series) -> str:
    """Return the method's name, with its rank if the name does not have it.

    >>> from attrition.results.spec import Setup
    >>> _label(Series("SHARED LoRA", 32, "SHARED LoRA", Setup()))
    'SHARED LoRA · r = 32'
    """
    return series.method if series.rank is None or f"{series.rank}" in series.method else f"{series.method} · r = {series.rank}"


def _with_labels(lines: pd.DataFrame, span: float) -> pd.DataFrame:
    """Return the lines with the heights of their labels, so that no two labels of a panel touch."""
    lines = lines.copy()
    num_panels = lines["panel"].nunique()
    for _, own in lines.groupby("panel", sort=False):
        last = [rows["step"].idxmax() for _, rows in own.groupby("series", sort=False)]
        heights = spread([float(value) for value in lines.loc[last]["f1"]], LABEL_GAP * span / height(num_panels))
        lines.loc[last, "label_at"] = np.round(heights, 2)
    return lines


def spread(values: Sequence[float], gap: float) -> list[float]:
    """Return positions in the order of the values, at least `gap` apart, moved as little as possible.

    >>> spread([10.0, 10.5, 30.0], 4.0)
    [8.25, 12.25, 30.0]
    """
    order = np.argsort(values, kind="stable")
    blocks: list[tuple[float, int]] = []  # centre and size: a block is spaced evenly around the mean of its values
    for value in np.asarray(values, dtype=np.float64)[order].tolist():
        blocks.append((value, 1))
        while len(blocks) > 1:
            (below, size), (above, number) = blocks[-2:]
            if above - below >= gap * (size + number) / 2:
                break
            blocks[-2:] = [((below * size + above * number) / (size + number), size + number)]
    flat = [centre + gap * (place - (size - 1) / 2) for centre, size in blocks for place in range(size)]
    placed = np.empty(len(flat))
    placed[order] = flat
    return [float(each) for each in placed]


# The chart


def _chart(panels: Sequence[str], num_steps: int, span: tuple[int, int], score: str, width: int) -> Any:
    """Return the chart; its lines have labels only at the width of a large screen."""
    ticks = {"values": list(range(1, num_steps + 1))} if num_steps <= 12 else {}
    axis = alt.Axis(format="d", grid=False, tickMinStep=1, **ticks)
    x = alt.X("step:Q", title="languages learned", axis=axis, scale=alt.Scale(domain=[1, max(num_steps, 2)], nice=False))
    y_scale = alt.Scale(domain=list(span), nice=False)
    title = f"{score} (%)" if span[0] == 0 else f"{score} (%), axis from {span[0]}"
    y = alt.Y("f1:Q", title=title, scale=y_scale)
    colour = alt.Color("hue:N", scale=alt.Scale(domain=list(range(NUM_HUES)), range="category"), legend=None)
    dash = alt.StrokeDash(
        "dash:N", scale=alt.Scale(domain=[*map(str, range(len(DASHES))), "joint"], range=[*DASHES, JOINT_DASH]), legend=None
    )
    base = alt.Chart().encode(x=x, color=colour, detail="series:N")
    band = base.mark_area(clip=True, opacity=0.13).encode(y=alt.Y("low:Q", title=title, scale=y_scale), y2="high:Q")
    line = base.mark_line(strokeWidth=2.25, clip=True).encode(y=y, strokeDash=dash)
    point = base.transform_filter("!datum.joint").mark_circle(size=16 if num_steps > 12 else 40, opacity=1)
    point = point.encode(y=y)
    label = base.transform_filter("isValid(datum.label_at)").mark_text(align="left", baseline="middle", dx=8, fontSize=11)
    label = label.encode(y=alt.Y("label_at:Q", title=title, scale=y_scale), text="series:N")
    layers = [band, line, point, *([label] if width == WIDTH else [])]
    layered = alt.layer(*layers, data=alt.NamedData("lines")).properties(width=width, height=height(len(panels)))
    header = alt.Header(title=None, labelFontSize=13, labelAnchor="start", labels=len(panels) > 1)
    return layered.facet(alt.Facet("panel:N", sort=list(panels), header=header, title=None), columns=1)

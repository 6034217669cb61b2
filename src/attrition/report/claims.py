"""The paper's claims put to this study's data: supported, contradicted, or not decided, each with its statistic and interval.

A claim is one or more comparisons, each with a sign that the paper expects. A comparison supports the claim when its 95%
intervals, over languages and over runs (orders and seeds), lie wholly on that side of 0, and contradicts it when they lie
wholly on the other. What the data cannot decide is said to be not decided, with what it would need.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

from attrition.analysis.bootstrap import Interval
from attrition.report.tables import MINUS, Column, Table
from attrition.results.read import Results, Run, Series

Outcome = Literal["supports", "contradicts", "open"]
Verdict = Literal["Supported", "Partly supported", "Mixed", "Partly contradicted", "Contradicted", "Not decided"]


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """A difference in points, with its intervals over languages (or what else `units` says) and over runs.

    `expected` is the paper's sign; seen from that side, the claim is that the difference lies above `at_least` and below
    `at_most` points.
    """

    what: str
    over_languages: Interval
    over_runs: Interval
    num_languages: int
    num_runs: int
    expected: Literal[-1, 1] = 1
    at_least: float = 0.0
    at_most: float = math.inf
    units: str = "languages"

    @property
    def outcome(self) -> Outcome:
        """Whether the intervals lie on the side that the paper expects; those that cannot be computed decide nothing."""
        intervals = [interval for interval in (self.over_languages, self.over_runs) if not math.isnan(interval.low)]
        lows = [100 * self.expected * (interval.low if self.expected > 0 else interval.high) for interval in intervals]
        highs = [100 * self.expected * (interval.high if self.expected > 0 else interval.low) for interval in intervals]
        if not intervals:
            return "open"
        if min(lows) > self.at_least and max(highs) < self.at_most:
            return "supports"
        return "contradicts" if max(highs) < self.at_least or min(lows) > self.at_most else "open"

    def words(self) -> str:
        """The statistic as it is read."""
        parts = [f"{self.what}: {_points(self.over_languages.estimate)} points"]
        if not math.isnan(self.over_languages.low):
            parts.append(f"95% over {self.num_languages} {self.units} {_range(self.over_languages)}")
        if not math.isnan(self.over_runs.low):
            parts.append(f"over {self.num_runs} runs {_range(self.over_runs)}")
        elif self.num_runs == 1:
            parts.append("one run")
        return parts[0] + (f" ({', '.join(parts[1:])})" if parts[1:] else "") + "."


@dataclass(frozen=True)
class Needs:
    """What a comparison would need and this study does not have."""

    what: str


Found = Comparison | Needs


@dataclass(frozen=True, kw_only=True)
class Claim:
    """A claim of the paper, the verdict of this study's data, and the numbers behind it."""

    title: str
    section: str
    found: tuple[Found, ...]

    @property
    def verdict(self) -> Verdict:
        """What the comparisons say together; not decided where none decides, or where one of them lacks its data."""
        outcomes = [each.outcome for each in self.found if isinstance(each, Comparison)]
        if len(outcomes) < len(self.found) or not outcomes:
            return "Not decided"
        if all(outcome == "supports" for outcome in outcomes):
            return "Supported"
        if all(outcome == "contradicts" for outcome in outcomes):
            return "Contradicted"
        if "supports" in outcomes:
            return "Mixed" if "contradicts" in outcomes else "Partly supported"
        return "Partly contradicted" if "contradicts" in outcomes else "Not decided"

    @property
    def lacks_nothing(self) -> bool:
        """Whether every comparison could be made, whatever came of it."""
        return not any(isinstance(each, Needs) for each in self.found)

    @property
    def words(self) -> str:
        """The comparisons, and what is missing."""
        said = [each.words() for each in self.found if isinstance(each, Comparison)]
        needed = list(dict.fromkeys(each.what for each in self.found if isinstance(each, Needs)))
        return " ".join([*said, *([f"Needs {'; '.join(needed)}."] if needed else [])])


@dataclass(frozen=True)
class Evidence:
    """The runs of a study, as claims ask for them."""

    results: Results

    def of(self, kind: str, *, rank: int | None = None) -> tuple[Run, ...]:
        """The runs of a method of the paper: of the given rank, or of the one that has most runs; () if there is none.

        Runs of several models, corpora or cuts are never mixed, nor compared: all are of the set-up with most runs.
        """
        matching = [
            runs
            for series, runs in self.results.series.items()
            if series.kind == kind and (rank is None or series.rank == rank) and _setup(series) == self._main
        ]
        return max(matching, key=len, default=())

    @cached_property
    def _main(self) -> tuple[str, str, str]:
        """The model, corpus and cuts of most runs; of the first of those with as many."""
        counts = Counter(_setup(run.series) for run in self.results.runs)
        return max(counts, key=counts.__getitem__, default=("", "", ""))

    def by_model(self) -> dict[str, Evidence]:
        """The runs of each model by themselves."""
        models = dict.fromkeys(run.spec.model.name for run in self.results.runs)
        chosen = {name: tuple(run for run in self.results.runs if run.spec.model.name == name) for name in models}
        return {name: Evidence(replace(self.results, runs=runs)) for name, runs in chosen.items()}

    def ranks(self, kind: str) -> list[int]:
        """The ranks at which a method was run, in rising order."""
        alike = [series for series in self.results.series if series.kind == kind and _setup(series) == self._main]
        return sorted({series.rank for series in alike if series.rank is not None})

    def sequential(self) -> tuple[Run, ...]:
        """The runs that claims about languages are put to: VANILLA as in the paper, or SHARED LoRA where there is none."""
        return self.of("VANILLA") or self.of("SHARED LoRA")


def _setup(series: Series) -> tuple[str, str, str]:
    return series.model, series.corpus, series.cuts


def claims_table(claims: Sequence[Claim]) -> Table:
    """The claims as a table: section, claim, verdict, evidence."""
    return Table(
        name="claims",
        title="The paper's claims and this study's data",
        columns=tuple(Column(title=title) for title in ("Section", "Claim", "Verdict", "Evidence")),
        rows=tuple((claim.section, claim.title, claim.verdict, claim.words) for claim in claims),
    )


def _points(fraction: float) -> str:
    """With a sign, and with a second digit where one would hide on which side of 0 it lies."""
    points = 100 * fraction
    digits = 1 if abs(points) >= 0.05 or not points else 2
    return "0.0" if round(points, 2) == 0 else f"{points:+.{digits}f}".replace("-", MINUS)


def _range(interval: Interval) -> str:
    return f"{_points(interval.low)} to {_points(interval.high)}"

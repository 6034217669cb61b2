"""The scripts beside the archives: they print the numbers of docs/findings.md that no command prints."""

from __future__ import annotations

import csv
import importlib.util
import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from attrition.languages import LANGUAGES
from attrition.metrics.matrix import RMatrix

RESULTS = Path(__file__).parents[2] / "docs" / "results"


def script(name: str) -> Any:
    """Return a script beside the archives as a module."""
    spec = importlib.util.spec_from_file_location(name, RESULTS / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look their module up
    sys.path.insert(0, str(RESULTS))  # the scripts import one another
    try:
        spec.loader.exec_module(module)
    finally:
        sys.path.remove(str(RESULTS))
    return module


def test_the_way_of_a_language_is_read_from_r() -> None:
    """Computed again from one matrix.csv, cell by cell."""
    findings = script("findings")
    (path,) = (RESULTS / "fifty-two").glob("runs/vanilla--paper-1--s0--*/matrix.csv")
    header, _, *rows = csv.reader(path.read_text(encoding="utf-8").splitlines())
    column = {language: place for place, language in enumerate(header)}
    expected = []
    for stage in range(1, len(rows) - 1):
        at = column[rows[stage][0]]
        expected.append([100 * float(row[at]) for row in (rows[stage - 1], rows[stage], rows[stage + 1], rows[-1])])
    assert len(expected) == 50
    ways = findings.ways()
    (label,) = (label for label in ways.index if label.startswith("VANILLA") and re.search(r"paper-1( · seed 0)?$", label))
    assert ways.loc[label].tolist() == pytest.approx(np.mean(expected, axis=0))
    assert all(label.startswith(("VANILLA", "SHARED LoRA")) for label in ways.index)


def test_only_the_last_language_of_each_group_cannot_lose() -> None:
    findings = script("findings")
    found = findings.groups()
    assert len(found) == 4
    for attribute in ("script", "family"):
        groups = {getattr(language, attribute) for language in LANGUAGES.values()}
        rows = found[found.index.str.startswith(f"GROUPED LoRA by {attribute}")]
        assert rows["languages that can lose"].tolist() == [52 - len(groups)] * 2
    (path,) = (RESULTS / "fifty-two").glob("runs/grouped-lora-by-script--paper-1--s0--*/matrix.csv")
    R = RMatrix.from_csv(path)
    last = {LANGUAGES[name].script: name for name in R.order}
    changed = [100 * (R.scores_SL[-1, at] - R.own_L[at]) for at, name in enumerate(R.languages) if name not in last.values()]
    (label,) = (label for label in found.index if label.startswith("GROUPED LoRA by script") and "paper-1" in label)
    assert found.loc[label, "their change"] == pytest.approx(np.mean(changed))


def test_the_changes_of_a_stage_and_what_is_kept() -> None:
    arms = script("arms")
    R = RMatrix.sequential("abc", [[0.75, 0.25, 0.125], [0.5, 0.875, 0.25], [0.625, 0.5, 1]])
    other = RMatrix.sequential("abc", [[0.75, 0.25, 0.125], [0.25, 0.875, 0.5], [0.25, 0.75, 1]])
    assert arms.mean_change([R]).to_dict() == {"b": -25.0, "c": (12.5 - 37.5) / 2}
    assert arms.mean_change([R, other]).to_dict() == {"b": -37.5, "c": (-12.5 - 6.25) / 2}
    assert arms.mean_change([R], scope="unlearned").to_dict() == {"b": 12.5}
    assert arms.just_learned([R]).to_dict() == {"b": -25.0, "c": -37.5}
    assert arms.just_learned([R, other]).to_dict() == {"b": -37.5, "c": -25.0}
    assert arms.kept([R]).dropna().to_dict() == {"a": -12.5, "b": -37.5}, "the last language has kept nothing yet"
    assert arms.own_stage([R]).tolist() == [75, 87.5, 100]
    overlap = {"overlap": {(one, two): value for one, two, value in (("b", "a", 0.1), ("c", "a", 0.1), ("c", "b", 0.3))}}
    assert arms.slope([R], overlap).to_dict() == pytest.approx({"c": (-37.5 - 12.5) / 2}), "points for 0.1"


def test_relearning_is_compared_with_the_end_with_late_stages_and_with_a_fresh_encoder(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two languages; b is late (second) in the first order, a in the second."""
    arms = script("arms")
    monkeypatch.setattr(arms, "LATE", 2)

    def setting(*runs: RMatrix) -> Any:
        return arms.Setting(runs, [runs] * 3, {})

    def learned(a: float, b: float) -> Any:
        return setting(RMatrix.sequential("ab", [[a, 0.0], [0.0, b]]))

    order_1 = setting(RMatrix.sequential("ab", [[0.5, 0.0], [0.25, 0.5]]))
    order_2 = setting(RMatrix(np.array([[0.0, 0.5], [0.75, 0.25]]), ("a", "b"), (("b",), ("a",))))
    assert arms.own_stage_late([*order_1.runs, *order_2.runs]).to_dict() == {"a": 75, "b": 50}
    again = {(start, size): learned(0.5, 0.5) for start in ("1", "2") for size in (200, 50)}
    again |= {("fresh", 200): learned(0.25, 0.5), ("fresh", 50): learned(0.0, 0.0)}
    text = arms.relearning(again, order_1 + order_2)
    means = dict(re.findall(r"^(learned again.*?)  +([+-][0-9.]+)", text, re.MULTILINE))
    assert means == {
        "learned again (200) minus the end": "+6.2",  # a 50 - 50, b 50 - 37.5
        "learned again (200) minus learned late (a - b)": "-12.5",  # a 50 - 75, b 50 - 50
        "learned again (200) minus a fresh encoder (a - c)": "+12.5",
        "learned again (50) minus the end": "+6.2",
        "learned again (50) minus a fresh encoder (a - c)": "+50.0",
    }


@pytest.mark.parametrize("two_groups", [False, True])
def test_the_intervals_of_the_arms_cover(two_groups: bool) -> None:
    """Languages differ, and all share the test utterances: how hard these are, and how hard they are for one language."""
    arms, generator = script("arms"), np.random.default_rng(0)
    names, ones = list("abcdefghijkl"), list("abc")
    covered, number = 0, 400
    for _ in range(number):
        true_D = generator.normal(2, 3, 12)
        shared, own_D = generator.normal(0, 1.5), generator.normal(0, 2, 12)
        of_three = np.array([name in ones for name in names])
        weight_D = np.where(of_three, 1.5, 0.5)  # a shared utterance counts more in three of the languages
        found_D = true_D + weight_D * shared + own_D
        drawn_BD = found_D + weight_D * generator.normal(0, 1.5, (200, 1)) + generator.normal(0, 2, (200, 12))
        values = arms.Values(pd.Series(found_D, names), drawn_BD)
        estimate = arms.between(values, ones) if two_groups else arms.mean(values)
        covered += estimate.low <= (0 if two_groups else 2) <= estimate.high
    low, high = stats.binom.interval(0.999, number, 0.95)
    assert low <= covered <= high + 8, covered / number
    values = arms.Values(pd.Series(found_D, names), np.tile(found_D, (5, 1)))
    estimate = arms.between(values, ones) if two_groups else arms.mean(values)
    expected = stats.ttest_ind(found_D[:3], found_D[3:], equal_var=False) if two_groups else stats.ttest_1samp(found_D, 0)
    assert estimate.p == pytest.approx(expected.pvalue), "without a shared part it is the t test of scipy"


def test_the_spread_over_runs() -> None:
    found = script("findings").spread(pd.DataFrame({"a": [1.0, 3.0], "b": [5.0, 1.0], "c": [2.0, float("nan")]}))
    assert found["of the mean"] == pytest.approx(np.std([8 / 3, 2], ddof=1)), "c is last in a run, and left out there"
    assert found["of a language"] == pytest.approx(np.sqrt((2 + 8) / 2))

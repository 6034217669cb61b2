"""What goes first: types of errors at a language's own stage and at the end, against sums made by hand."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from attrition.report.error_tables import errors_chapter
from attrition.results.errors import COUNTED, errors_of
from attrition.results.packed_counts import ERROR_COLUMNS
from attrition.results.read import Results, Run, read_results

SLOTS = ("date", "person")


def with_errors(run: Run, seed: int) -> pd.DataFrame:
    """Write a slots.parquet of random counts beside a run, and return it."""
    rng = np.random.default_rng(seed)
    rows = []
    for stage in range(run.matrix.num_stages + 1):
        for language in run.matrix.languages:
            for slot in SLOTS:
                tp, *errors = rng.integers(1, 30, 6).tolist()
                rows.append((stage, language, slot, tp, sum(errors[:-1]), *errors))
    frame = pd.DataFrame(rows, columns=["stage", "language", "slot", *COUNTED])
    frame.to_parquet(run.folder / "slots.parquet")
    return frame


@pytest.fixture
def results(simulate: ModuleType, tmp_path: Path) -> Results:
    return read_results(simulate.write_study(tmp_path, num_languages=4, num_orders=3, methods=("VANILLA", "MULTI")))


def test_shares_of_gold_spans(results: Results) -> None:
    vanilla = [run for run in results.runs if run.spec.method.name == "VANILLA"]
    frames = {run.key: with_errors(run, number) for number, run in enumerate(results.runs)}
    shares: dict[str, list[float]] = {"own": [], "end": []}
    for run in vanilla:
        found = dict.fromkeys(shares, np.zeros(2, int))
        for place, language in enumerate(run.matrix.order[:-1], start=1):
            for moment, stage in (("own", place), ("end", len(run.matrix.order))):
                frame = frames[run.key]
                cell = frame[(frame["language"] == language) & (frame["stage"] == stage)]
                found[moment] = found[moment] + [cell["missed"].sum(), cell["tp"].sum() + cell["fn"].sum()]
        for moment, (missed, gold) in found.items():
            shares[moment].append(missed / gold)
    (types,) = errors_chapter(results).tables
    rows = {row[1]: row for row in types.rows}
    assert list(rows) == ["own stage", "end", "change"]  # MULTI learns nothing after something
    column = 2 + 1 + ERROR_COLUMNS.index("missed")
    for moment, words in (("own", "own stage"), ("end", "end")):
        assert rows[words][column].value == pytest.approx(np.mean(shares[moment]))  # type: ignore[union-attr]
    changes = np.subtract(shares["end"], shares["own"])
    low, high = stats.t.interval(0.95, 2, changes.mean(), stats.sem(changes))
    change = rows["change"][column]
    assert (change.value, change.low, change.high) == pytest.approx((changes.mean(), low, high))  # type: ignore[union-attr]


def test_slots_with_the_largest_loss_come_first(results: Results) -> None:
    for number, run in enumerate(results.runs):
        with_errors(run, number)
    (slots,) = errors_chapter(results).folded
    losses = [row[5].value for row in slots.rows]  # type: ignore[union-attr]
    assert [row[1] for row in slots.rows] in (["date", "person"], ["person", "date"])
    assert losses == sorted(losses)


def test_nothing_without_types_of_errors(results: Results) -> None:
    assert errors_chapter(results).is_empty
    for run in results.runs:
        with_errors(run, 0).drop(columns=[*ERROR_COLUMNS]).to_parquet(run.folder / "slots.parquet")
    assert errors_chapter(results).is_empty
    assert errors_of(results.runs[0]) is None

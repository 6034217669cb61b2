"""Errors at the end are those of the model that serves a language then, also where languages have learners of their own."""

from __future__ import annotations

import json
from pathlib import Path
from types import ModuleType

import pytest

from attrition.results.counts import StoredCounts, run_counts
from attrition.results.errors import errors_of, last_stages
from attrition.results.read import Run, read_results

PUBLISHED = Path(__file__).parents[2] / "docs" / "results" / "fifty-two"


def published(start: str) -> Run:
    return next(run for run in read_results(PUBLISHED).runs if run.label.startswith(start))


@pytest.mark.parametrize("method", ["VANILLA", "GROUPED LoRA by script", "GROUPED LoRA by family", "NON-SHARED LoRA"])
def test_the_spans_at_both_moments_are_those_behind_r(method: str) -> None:
    run = published(method)
    found, counts = errors_of(run), run_counts(run, StoredCounts(PUBLISHED))
    assert found is not None
    assert counts is not None
    R = run.matrix
    sums = found.groupby(["moment", "language"])[["tp", "fn"]].sum()
    for place, language in enumerate(R.languages):
        if R.stage_L[place] == R.num_stages - 1:
            assert ("end", language) not in sums.index
            continue
        for moment, row in (("own", int(R.stage_L[place])), ("end", R.num_stages - 1)):
            expected = [int(each[row, place].sum()) for each in (counts.tp_SLU, counts.fn_SLU)]
            assert sums.loc[(moment, language)].tolist() == expected


def test_the_last_stage_of_a_learner(simulate: ModuleType, tmp_path: Path) -> None:
    grouped = simulate.FakeMethod("GROUPED LoRA", rank=8, shared_by="script")
    simulate.write_study(tmp_path, num_languages=3, methods=(grouped, "VANILLA"))
    runs = {run.spec.name: run for run in read_results(tmp_path).runs}
    order = runs["VANILLA"].matrix.languages
    assert last_stages(runs["VANILLA"]) == dict.fromkeys(order, 3)
    assert last_stages(runs["GROUPED LoRA"]) is None  # spec.json has no rows
    path = runs["GROUPED LoRA"].folder / "spec.json"
    a, b, c = order
    steps = [{"key": f"k{number}", "evaluation": f"e{number}", "languages": [name]} for number, name in enumerate(order)]
    reads = [{a: 0}, {a: 0, b: 1}, {a: 2, b: 1, c: 2}]  # c goes on from a
    rows = [{"trained": [name], "reads": row} for name, row in zip(order, reads, strict=True)]
    path.write_text(json.dumps(json.loads(path.read_text(encoding="utf-8")) | {"steps": steps, "rows": rows}), encoding="utf-8")
    again = next(run for run in read_results(tmp_path).runs if run.spec.name == "GROUPED LoRA")
    assert last_stages(again) == {a: 3, b: 2, c: 3}

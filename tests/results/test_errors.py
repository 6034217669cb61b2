"""Errors at the end are those of the model that serves a language then, also where languages have learners of their own."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pandas as pd
import pytest

from attrition.metrics.matrix import RMatrix
from attrition.names import AttritionError
from attrition.results.counts import StoredCounts, run_counts
from attrition.results.errors import errors_of
from attrition.results.read import Run, read_results
from attrition.results.serving import in_rows, serving
from attrition.results.spec import StepSpec

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


def test_each_row_names_the_training_that_serves_a_language(simulate: ModuleType, tmp_path: Path) -> None:
    grouped = simulate.FakeMethod("GROUPED LoRA", rank=8, shared_by="script")
    simulate.write_study(tmp_path, num_languages=3, methods=(grouped, "VANILLA"))
    runs = {run.spec.name: run for run in read_results(tmp_path).runs}
    order = runs["VANILLA"].matrix.languages
    assert serving(runs["VANILLA"]) == tuple(dict.fromkeys(order, row) for row in (1, 2, 3))
    assert serving(runs["GROUPED LoRA"]) is None  # spec.json has no rows
    path = runs["GROUPED LoRA"].folder / "spec.json"
    a, b, c = order
    steps = [{"key": f"k{number}", "evaluation": f"e{number}", "languages": [name]} for number, name in enumerate(order)]
    reads = [{a: 0}, {a: 0, b: 1}, {a: 2, b: 1, c: 2}]  # c goes on from a
    rows = [{"trained": [name], "reads": row} for name, row in zip(order, reads, strict=True)]
    path.write_text(json.dumps(json.loads(path.read_text(encoding="utf-8")) | {"steps": steps, "rows": rows}), encoding="utf-8")
    again = next(run for run in read_results(tmp_path).runs if run.spec.name == "GROUPED LoRA")
    assert serving(again) == ({a: 1}, {a: 1, b: 2}, {a: 3, b: 2, c: 3})
    every = pd.DataFrame(
        [(stage, name, 10 * stage) for stage in (1, 2, 3) for name in order], columns=["stage", "language", "tp"]
    )
    found = in_rows(every, again)
    assert found is not None
    assert found[found["stage"] == 3].set_index("language")["tp"].to_dict() == {a: 30, b: 20, c: 30}
    assert in_rows(every[every["stage"] < 3], again) is None
    other = RMatrix(again.matrix.scores_SL[:2], again.matrix.languages, again.matrix.trained[:2])
    with pytest.raises(AttritionError, match=r"spec\.json: its stages are not those of matrix\.csv"):
        serving(replace(again, matrix=other))


def test_a_stage_of_two_groups_is_two_trainings(simulate: ModuleType, tmp_path: Path) -> None:
    grouped = simulate.FakeMethod("GROUPED LoRA", rank=8, shared_by="script")
    simulate.write_study(tmp_path, num_languages=3, methods=(grouped,))
    (run,) = read_results(tmp_path).runs
    a, b, c = run.matrix.languages
    steps = [{"key": f"k{name}", "evaluation": f"e{name}", "languages": [name]} for name in (a, b, c)]
    rows = [{"trained": [a, b], "reads": {a: 0, b: 1}}, {"trained": [c], "reads": {a: 0, b: 1, c: 2}}]
    extra = {**(run.spec.model_extra or {}), "rows": rows}
    spec = run.spec.model_copy(update={"steps": tuple(StepSpec.model_validate(step) for step in steps)})
    object.__setattr__(spec, "__pydantic_extra__", extra)
    R = RMatrix([[0.5, 0.25, 0.0], [0.5, 0.25, 0.75]], (a, b, c), ((a, b), (c,)))
    assert serving(replace(run, spec=spec, matrix=R)) == ({a: 1, b: 2}, {a: 1, b: 2, c: 3})

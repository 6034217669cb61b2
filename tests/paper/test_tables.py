from __future__ import annotations

import math
from pathlib import Path
from types import ModuleType

import pytest

from attrition.metrics import cbt
from attrition.paper.tables import paper_tables, printed, table_1, table_2, table_3
from attrition.report.tables import Number, Table
from attrition.results.read import read_results


def row(table: Table, name: str) -> dict[str, Number]:
    (found,) = [cells for cells in table.rows if cells[0] == name]
    return {column.title: cell for column, cell in zip(table.columns, found, strict=True) if isinstance(cell, Number)}


@pytest.fixture(scope="module")
def studied(simulate: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Path:
    methods = ("MULTI", "VANILLA", "SHARED LoRA", simulate.FakeMethod("my own", rank=8), "NON-SHARED LoRA")
    folder: Path = simulate.write_study(tmp_path_factory.mktemp("paper"), num_languages=6, num_orders=2, methods=methods)
    return folder


def test_the_printed_numbers_are_the_papers() -> None:
    assert len(printed("table1")) == 12
    assert len(printed("table2")) == 4
    f1 = {(line["method"], line["rank"]): float(line["f1"]) for line in printed("table1")}
    assert f1["MULTI", ""] == 75.03
    assert f1["SHARED LoRA", "64"] == 61.26
    assert max(f1, key=f1.__getitem__) == ("MULTI", "")


def test_table_1_puts_ours_beside_the_papers(studied: Path) -> None:
    results = read_results(studied)
    table = table_1(results)
    vanilla = row(table, "VANILLA")
    runs = [run for run in results.runs if run.spec.name == "VANILLA"]
    ours = 100 * sum(float(run.matrix.scores_SL[-1].mean()) for run in runs) / 2
    assert vanilla["F1, paper"].value == 66.16
    assert vanilla["F1, here"].value == pytest.approx(ours)
    assert vanilla["F1, difference"].value == pytest.approx(ours - 66.16)
    assert vanilla["Params (M), here"].value == 1.0
    assert math.isnan(row(table, "MONO")["F1, here"].value)
    assert math.isnan(row(table, "SHARED LoRA r = 64")["F1, here"].value)


def test_a_method_under_another_name_or_rank_has_a_row_of_its_own(studied: Path) -> None:
    mine = row(table_1(read_results(studied)), "SHARED LoRA r = 8 (my own)")
    assert math.isnan(mine["F1, paper"].value)
    assert mine["F1, here"].value > 50


def test_f1_by_vitality_is_the_mean_over_the_languages_of_the_group(studied: Path) -> None:
    results = read_results(studied)
    multi = [run.matrix for run in results.runs if run.spec.name == "MULTI"]
    high = [R.scores_SL[-1, R.languages.index("en-US")] for R in multi]  # the only one of the six in Joshi's class 5
    assert row(table_1(results), "MULTI")["High, here"].value == pytest.approx(100 * sum(high) / 2)
    assert math.isnan(row(table_1(results), "MULTI")["Low, here"].value)


def test_the_slip_in_the_printed_parameters_is_told(studied: Path) -> None:
    assert "52 adapters of rank 32 are 278.59" in table_1(read_results(studied)).caption


def test_table_2_marks_the_best_of_negative_numbers(studied: Path) -> None:
    table = table_2(read_results(studied))
    column = [title.title for title in table.columns].index("CBT, paper")
    best = [cells[0] for cells, marks in zip(table.rows, table.is_best(), strict=True) if marks[column]]
    assert best == ["VANILLA"]


def test_table_3_corrects_the_slip_and_counts_runs(simulate: ModuleType, tmp_path: Path) -> None:
    simulate.write_run(tmp_path, simulate.METHODS["VANILLA"], "paper-4", ["nb-NO", "ta-IN"])
    table = table_3(read_results(tmp_path))
    fourth = table.rows[3]
    assert fourth[1] == Number(value=1)
    assert isinstance(fourth[2], str)
    assert "nl-NL" in fourth[2]
    assert "ml-NL" not in fourth[2]
    assert "printed ml-NL, read as nl-NL" in str(fourth[3])
    assert all(str(cells[2]).count("-") == 52 for cells in table.rows)


def test_only_tables_that_the_study_has_runs_for(simulate: ModuleType, tmp_path: Path) -> None:
    simulate.write_study(tmp_path / "a", methods=("MULTI",), generated=False)
    assert [table.name for table in paper_tables(read_results(tmp_path / "a"))] == ["table1"]
    simulate.write_run(tmp_path / "b", simulate.FakeMethod("mine", shared_by="script"), "mine", ["en-US", "th-TH"])
    assert paper_tables(read_results(tmp_path / "b")) == ()
    simulate.write_study(tmp_path / "c", generated=True)
    assert paper_tables(read_results(tmp_path / "c")) == ()


def test_table_2_is_in_points_as_the_other_tables(simulate: ModuleType, tmp_path: Path) -> None:
    simulate.write_study(tmp_path, methods=("VANILLA",), generated=False)
    results = read_results(tmp_path)
    table = table_2(results)
    cells = next(cells for cells in table.rows if str(cells[0]).startswith("VANILLA"))
    (vanilla,) = (each for each in printed("table2") if each["method"] == "VANILLA")
    theirs, ours = cells[1], cells[2]
    assert isinstance(theirs, Number)
    assert isinstance(ours, Number)
    assert theirs.value == pytest.approx(100 * float(vanilla["cbt"]))
    matrices = [run.matrix for run in results.runs]
    assert ours.value == pytest.approx(100 * sum(map(cbt, matrices)) / len(matrices))
    assert "The paper prints fractions" in table.caption

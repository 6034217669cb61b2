from __future__ import annotations

import math
from pathlib import Path
from types import ModuleType

import pytest

from attrition.analysis.groups import by_group
from attrition.analysis.position import position_effect
from attrition.languages import grouping
from attrition.metrics import donor, pairwise_effects, receiver, shift_fixed, shift_growing
from attrition.report.language_tables import language_tables
from attrition.report.tables import Cell, Number, Table
from attrition.results.read import Results, read_results


@pytest.fixture(scope="module")
def results(simulate: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Results:
    folder = tmp_path_factory.mktemp("languages")
    return read_results(simulate.write_study(folder, num_languages=8, num_orders=3))


@pytest.fixture(scope="module")
def tables(results: Results) -> dict[str, Table]:
    shown, files = language_tables(results)
    assert [table.name for table in shown] == ["languages", "groups"]
    assert [table.name for table in files] == ["groups-all", "pairs"]
    return {table.name: table for table in (*shown, *files)}


def rows(table: Table) -> list[dict[str, Cell]]:
    titles = [column.title for column in table.columns]
    return [dict(zip(titles, row, strict=True)) for row in table.rows]


def value(cell: Cell) -> float:
    assert isinstance(cell, Number)
    return cell.value


def test_languages_stand_as_donors_and_receivers_with_their_ranks(results: Results, tables: dict[str, Table]) -> None:
    matrices = [run.matrix for run in results.runs if run.spec.name == "VANILLA"]
    found = {str(row["Language"]).split("(")[-1].rstrip(")"): row for row in rows(tables["languages"])}
    assert len(found) == 8
    assert [value(row["Donor, rank"]) for row in found.values()] == list(range(1, 9))
    assert sorted(value(row["Receiver, rank"]) for row in found.values()) == list(range(1, 9))
    for language, row in found.items():
        assert value(row["Donor, all"]) == pytest.approx(donor(matrices)[language])
        assert value(row["Receiver, all"]) == pytest.approx(receiver(matrices)[language])
        growing, fixed = shift_growing(matrices)[language], shift_fixed(matrices)[language]
        assert value(row["Shift, composition"]) == pytest.approx(growing - fixed, nan_ok=True)
        slope = position_effect(matrices).by_language[language]
        assert value(row["Per doubling, slope"]) == pytest.approx(slope.per_doubling, nan_ok=True)
        assert value(row["Per doubling, high"]) == pytest.approx(slope.high * math.log(2), nan_ok=True)
    assert any(not math.isnan(value(row["Per doubling, low"])) for row in found.values())


def test_groups_have_intervals_over_languages_and_over_orders(results: Results, tables: dict[str, Table]) -> None:
    matrices = [run.matrix for run in results.runs if run.spec.name == "VANILLA"]
    found = {(row["Group"], row["Quantity"]): row for row in rows(tables["groups"])}
    (latin, _) = by_group(matrices, grouping("latin", matrices[0].languages), quantities=["final"])
    row = found["Latin", "Final score"]
    assert value(row["Mean"]) == latin.mean
    assert value(row["95% over languages, low"]) == latin.over_languages.low
    assert value(row["95% over orders, high"]) == latin.over_orders.high
    every = {str(row["Group"]): row for row in rows(tables["groups-all"])}
    assert {group.partition(":")[0] for group in every} == {"Latin", "non-Latin", "vitality", "script", "family", "branch"}
    lone = every["family: Tai-Kadai"]
    assert math.isnan(value(lone["95% over languages, low"]))


def test_every_pair_of_languages_is_written_with_its_orders(results: Results, tables: dict[str, Table]) -> None:
    matrices = [run.matrix for run in results.runs if run.spec.name == "VANILLA"]
    effects = pairwise_effects(matrices)
    found = {(row["Trained (a)"], row["Changed (b)"]): row for row in rows(tables["pairs"])}
    assert len(found) == 8 * 7
    a, b = (effects.languages.index(language) for language in ("th-TH", "en-US"))
    assert value(found["th-TH", "en-US"]["D[a, b]"]) == effects.values[a, b]
    assert value(found["th-TH", "en-US"]["Orders"]) == effects.counts[a, b]


def test_nothing_is_shown_without_sequential_runs(simulate: ModuleType, tmp_path: Path) -> None:
    assert language_tables(read_results(simulate.write_study(tmp_path, methods=("MULTI",)))) == ((), ())


def test_languages_of_another_corpus_are_not_grouped(simulate: ModuleType, tmp_path: Path) -> None:
    simulate.write_run(tmp_path, simulate.METHODS["VANILLA"], "own", ["Klingon", "Quenya", "Dothraki"])
    shown, files = language_tables(read_results(tmp_path))
    assert [table.name for table in (*shown, *files)] == ["languages", "pairs"]

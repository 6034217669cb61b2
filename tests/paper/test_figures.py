from __future__ import annotations

from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import vl_convert

from attrition.metrics import shift_fixed, shift_growing
from attrition.paper.figures import paper_figures, series_choices
from attrition.report.figures import Figure
from attrition.results.read import read_results


@pytest.fixture(scope="module")
def figures(study: Path) -> dict[str, Figure]:
    return {figure.name: figure for figure in paper_figures(read_results(study))}


def test_one_model_has_no_figure_4(figures: dict[str, Figure]) -> None:
    assert list(figures) == ["figure3", "figure5", "figure6"]


def test_variants_are_the_sequential_series(study: Path, figures: dict[str, Figure]) -> None:
    assert series_choices(read_results(study)) == [("vanilla", "VANILLA"), ("shared-lora", "SHARED LoRA")]
    assert all(set(figure.variants) == {"vanilla", "shared-lora"} for figure in figures.values())


def test_series_that_differ_in_punctuation_have_files_of_their_own(simulate: ModuleType, tmp_path: Path) -> None:
    for name in ("mine!", "mine?"):
        simulate.write_run(tmp_path, simulate.FakeMethod(name), f"x {name}", ["en-US", "de-DE", "th-TH"])
        for folder in (tmp_path / "runs").iterdir():
            if not folder.name.startswith("run"):
                folder.rename(folder.with_name(f"run{len(name)}{ord(name[-1])}"))
    results = read_results(tmp_path)
    choices = series_choices(results)
    assert [label for _, label in choices] == ["mine!", "mine?"]
    assert len({key for key, _ in choices}) == 2
    for figure in paper_figures(results):
        assert set(figure.variants) == {key for key, _ in choices}


def test_figure_3_shows_both_scopes_from_gain_to_loss(study: Path, figures: dict[str, Figure]) -> None:
    table = figures["figure3"].variants["vanilla"]["changes"]
    matrices = [run.matrix for run in read_results(study).runs if run.spec.name == "VANILLA"]
    assert table["growing"].is_monotonic_decreasing
    for line in table.to_dict("records"):
        assert line["growing"] == pytest.approx(100 * shift_growing(matrices)[line["language"]], abs=0.001)
        assert line["fixed"] == pytest.approx(100 * shift_fixed(matrices)[line["language"]], abs=0.001)
        assert (line["sign"] == "loss") == (line["growing"] < 0)


def test_a_series_in_which_nothing_was_measured_has_no_hops(simulate: ModuleType, tmp_path: Path) -> None:
    study = simulate.write_study(tmp_path, methods=("VANILLA", "SHARED LoRA"))
    for run in study.glob("runs/vanilla*"):
        (run / "matrix.csv").write_text("trained,en-US,de-DE\nen-US,,\nde-DE,,\n")
    found = {figure.name: figure for figure in paper_figures(read_results(study))}
    assert set(found["figure5"].variants) == {"shared-lora"}
    for run in study.glob("runs/shared*"):
        (run / "matrix.csv").write_text("trained,en-US,de-DE\nen-US,,\nde-DE,,\n")
    assert [figure.name for figure in paper_figures(read_results(study))] == ["figure3"]


def test_two_models_stand_side_by_side(simulate: ModuleType, tmp_path: Path) -> None:
    first = simulate.write_study(tmp_path / "a", models=("hub:xlm-roberta-base",))
    second = simulate.write_study(tmp_path / "b", models=("embedded:e5-small",))
    results = read_results(first, beside=[second])
    assert len(results.runs) == 8
    assert len({run.key for run in results.runs}) == 8
    figure = {figure.name: figure for figure in paper_figures(results)}["figure4"]
    lines = figure.variants[""]["lines"]
    assert set(lines["model"]) == {"xlm-roberta-base", "e5-small"}
    assert set(lines["series"]) == {"MULTI", "VANILLA", "SHARED LoRA", "NON-SHARED LoRA"}
    assert set(lines["panel"]) == set(lines["model"])
    assert vl_convert.vegalite_to_svg(figure.complete("")).count("e5-small") > 0


def test_equal_folder_names_of_two_studies_do_not_collide(simulate: ModuleType, tmp_path: Path) -> None:
    for name in ("a", "b"):
        simulate.write_study(tmp_path / name, methods=("VANILLA",))
    keys = [run.key for run in read_results(tmp_path / "a", beside=[tmp_path / "b"]).runs]
    assert len(keys) == len(set(keys)) == 2


def test_figures_draw_without_warnings(figures: dict[str, Figure], capfd: pytest.CaptureFixture[str]) -> None:
    for figure in figures.values():
        assert vl_convert.vegalite_to_svg(figure.complete("vanilla")).startswith("<svg")
    assert capfd.readouterr().err == ""
    assert np.isfinite(figures["figure3"].variants["vanilla"]["changes"]["growing"]).all()

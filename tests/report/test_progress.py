"""At most six lines a panel, each named at its end, in colours that can be told apart."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import vl_convert

from attrition.metrics import learned_mean
from attrition.report.progress import LABEL_GAP, MOST_LINES, axis_span, height, progress, spread
from attrition.results.read import read_results


def test_joint_training_is_a_level(study: Path) -> None:
    results = read_results(study)
    lines = progress(results).variants[""]["lines"]
    multi = lines[lines["series"] == "MULTI"]
    assert multi["step"].tolist() == [1, 4]
    assert multi["f1"].nunique() == 1
    assert set(multi["dash"]) == {"joint"}
    vanilla = lines[lines["series"] == "VANILLA"]
    assert vanilla["step"].tolist() == [1, 2, 3, 4]
    assert (vanilla["runs"] == 2).all()
    P_OS = np.array([learned_mean(run.matrix) for run in results.runs if run.spec.name == "VANILLA"])
    np.testing.assert_allclose(vanilla["f1"], 100 * P_OS.mean(axis=0), atol=0.006)
    np.testing.assert_allclose(vanilla["low"], 100 * P_OS.min(axis=0), atol=0.006)
    np.testing.assert_allclose(vanilla["high"], 100 * P_OS.max(axis=0), atol=0.006)


@pytest.fixture(scope="module")
def many(simulate: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Fifteen series of one model: five kinds of joint and separate training, ten ranks of one sequential method."""
    ranks = [simulate.FakeMethod("SHARED LoRA", rank=2**n, ceiling=0.6 + 0.01 * n) for n in range(10)]
    apart = [simulate.FakeMethod("NON-SHARED LoRA", rank=rank, shared_by="language") for rank in (8, 32)]
    folder: Path = simulate.write_study(
        tmp_path_factory.mktemp("many"), methods=("MULTI", "MULTI LoRA", "VANILLA", *ranks, *apart)
    )
    return folder


def test_a_panel_has_at_most_six_lines_that_look_different(many: Path) -> None:
    lines = progress(read_results(many)).variants[""]["lines"]
    sizes = {panel: own["series"].nunique() for panel, own in lines.groupby("panel", sort=False)}
    assert sizes == {"references, full fine-tuning": 5, "LoRA (1 of 2)": 5, "LoRA (2 of 2)": 5}
    assert max(sizes.values()) <= MOST_LINES
    for _, own in lines.groupby("panel"):
        assert own.drop_duplicates("series")["hue"].is_unique
    looks = lines[~lines["joint"].astype(bool)].drop_duplicates("series")[["hue", "dash"]]
    assert not looks.duplicated().any()


def test_a_method_is_beside_the_references_that_train_like_it(simulate: ModuleType, tmp_path: Path) -> None:
    ranks = [simulate.FakeMethod("SHARED LoRA", rank=rank) for rank in (8, 32)]
    apart = simulate.FakeMethod("NON-SHARED LoRA", rank=8, shared_by="language")
    simulate.write_study(tmp_path, methods=("MULTI", "MULTI LoRA", "MONO", "VANILLA", *ranks, apart))
    lines = progress(read_results(tmp_path)).variants[""]["lines"]
    panels = {panel: sorted(own["series"].unique()) for panel, own in lines.groupby("panel", sort=False)}
    assert panels.pop("full fine-tuning") == ["MONO", "MULTI", "VANILLA"]
    assert {name.split(" · ")[0] for name in panels.pop("LoRA")} == {"MULTI LoRA", "NON-SHARED LoRA", "SHARED LoRA"}
    assert not panels


def test_each_line_has_one_label_at_its_end_and_none_touch(many: Path) -> None:
    figure = progress(read_results(many))
    lines = figure.variants[""]["lines"]
    labelled = lines[lines["label_at"].notna()]
    assert len(labelled) == 15
    assert (labelled["step"] == 4).all()
    start, end = axis_span([*lines["low"], *lines["high"]])
    tall = height(lines["panel"].nunique())
    for _, own in labelled.groupby("panel"):
        heights = sorted(own["label_at"])
        assert all(above - below > LABEL_GAP * (end - start) / tall - 0.011 for below, above in pairwise(heights))
    texts = vl_convert.vegalite_to_svg(figure.complete(""))
    assert all(f">{name}<" in texts for name in labelled["series"])
    assert '"legend":{' not in str(figure.definition()).replace("'", '"').replace(" ", "")


def test_an_axis_that_does_not_start_at_0_says_so(simulate: ModuleType, tmp_path: Path, study: Path) -> None:
    figure = progress(read_results(study))
    assert figure.title.endswith("(axis from 70)")
    assert "starts at 70" in figure.caption
    low = simulate.FakeMethod("VANILLA", ceiling=0.4, takes=8.0)
    other = progress(read_results(simulate.write_study(tmp_path, methods=(low, "MULTI"), num_languages=8)))
    assert "axis" not in other.title + other.caption
    assert other.definition()["spec"]["layer"][0]["encoding"]["y"]["scale"]["domain"][0] == 0


def test_axes_in_tens() -> None:
    assert axis_span([0.0]) == (0, 10)
    assert axis_span([70.0, 70.0]) == (60, 70)
    assert axis_span([float("nan")]) == (0, 100)


def test_labels_move_no_further_than_they_must() -> None:
    assert spread([], 1.0) == []
    assert spread([3.0, 1.0], 1.0) == [3.0, 1.0]
    assert spread([2.0, 2.0, 2.0], 1.0) == [1.0, 2.0, 3.0]
    placed = spread([5.0, 0.0, 5.1, 4.9, 9.0], 2.0)
    assert placed[1] == 0.0
    assert placed[3] < placed[0] < placed[2] < placed[4]


def test_one_language_and_52(simulate: ModuleType, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    for number in (1, 52):
        results = read_results(simulate.write_study(tmp_path / str(number), num_languages=number, methods=("MULTI", "VANILLA")))
        figure = progress(results)
        assert vl_convert.vegalite_to_svg(figure.complete("")).startswith("<svg")
        assert figure.variants[""]["lines"]["step"].max() == number
    assert capfd.readouterr().err == ""

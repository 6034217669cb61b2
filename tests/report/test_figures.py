from __future__ import annotations

from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
import vl_convert

from attrition.metrics.matrix import RMatrix
from attrition.report.curves import time_spent, training_curves
from attrition.report.figures import stage_label
from attrition.report.heat_maps import cells, heat_maps, transfer_maps
from attrition.report.progress import progress
from attrition.report.theme import NUM_HUES, THEMES, VARIABLES, css_variables
from attrition.results.read import read_results

NAN = float("nan")


@pytest.fixture(scope="module")
def R() -> RMatrix:
    scores_SL = np.array([[0.25, 0.75, NAN], [0.5, 0.625, 0.125]])
    return RMatrix(scores_SL, ("de-DE", "en-US", "xx"), (("en-US",), ("de-DE",)), np.array([0.0, 0.125, 0.0]))


def test_cells_by_hand(R: RMatrix) -> None:
    frame = cells(R)
    assert frame["language"].tolist() == ["en-US", "de-DE", "xx"] * 3
    assert frame["stage"].tolist() == ["before"] * 3 + ["en-US"] * 3 + ["de-DE"] * 3
    expected = [12.5, 0, 0, 75, 25, NAN, 62.5, 50, 12.5]
    np.testing.assert_array_equal(frame["f1"], expected)
    np.testing.assert_array_equal(frame["change"], [NAN, NAN, NAN, 62.5, 25, NAN, -12.5, 25, NAN])
    assert frame["state"].tolist() == ["unseen"] * 3 + ["new", "unseen", "unseen", "learned", "new", "unseen"]


def test_cells_of_a_joint_run_are_all_learned_at_its_one_stage() -> None:
    frame = cells(RMatrix(np.array([[0.5, 0.25, 0.125]]), ("a", "b", "c"), (("a", "b", "c"),)))
    assert frame["state"].tolist() == ["new"] * 3
    assert frame["stage"].tolist() == ["a + 2"] * 3
    assert frame["change"].isna().all()


def test_transfer_has_no_unseen_cells(study: Path) -> None:
    (figure,) = transfer_maps(read_results(study))
    assert len(figure.variants) == 2
    for tables in figure.variants.values():
        assert tables["cells"]["state"].value_counts().to_dict() == {"other": 12, "new": 4}
        assert tables["cells"]["change"].isna().all()


def test_stage_labels_are_short() -> None:
    assert stage_label([f"l{i}" for i in range(52)]) == "l0 + 51"


def test_times_add_up(study: Path) -> None:
    results = read_results(study)
    times = time_spent(results).variants[""]["times"]
    assert times["minutes"].sum() == pytest.approx(len(results.runs) * 45.5 / 60, abs=0.01)


def test_every_figure_draws_without_a_warning(study: Path, capfd: pytest.CaptureFixture[str]) -> None:
    results = read_results(study)
    figures = (*heat_maps(results), progress(results), *training_curves(results), time_spent(results))
    assert len(figures) == 6
    for figure in figures:
        svg = vl_convert.vegalite_to_svg(figure.complete(next(iter(figure.variants))))
        assert svg.startswith("<svg")
        assert "NaN" not in svg
        assert "undefined" not in svg
    assert capfd.readouterr().err == ""


def _luminance(colour: str) -> float:
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def _contrast(a: str, b: str) -> float:
    light, dark = sorted((_luminance(a), _luminance(b)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("mode", ["light", "dark"])
def test_inks_and_hues_stand_out_from_the_paper(mode: str) -> None:
    theme = THEMES[mode]  # type: ignore[index]
    assert _contrast(theme.ink, theme.background) > 7
    assert _contrast(theme.muted, theme.background) > 4.5
    assert all(_contrast(hue, theme.background) > 3 for hue in theme.hues)


def _lab(colour: str) -> np.ndarray:
    """CIE L*a*b* under D65."""
    parts = np.array([int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)])
    linear = np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
    to_xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
    white = np.array([0.9505, 1.0, 1.0888])
    xyz = to_xyz @ linear / white
    f = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


@pytest.mark.parametrize("mode", ["light", "dark"])
def test_hues_can_be_told_apart(mode: str) -> None:
    hues = THEMES[mode].hues  # type: ignore[index]
    assert len(hues) == NUM_HUES
    apart = [float(np.linalg.norm(_lab(one) - _lab(other))) for one, other in combinations(hues, 2)]
    assert min(apart) > 28  # 2 to 3 is what an eye can just see side by side


@pytest.mark.parametrize("mode", ["light", "dark"])
def test_scales_are_ordered_by_lightness(mode: str) -> None:
    theme = THEMES[mode]  # type: ignore[index]
    steps = np.diff([_luminance(colour) for colour in theme.sequential])
    assert (steps < 0).all() or (steps > 0).all()
    half = [_luminance(colour) for colour in theme.diverging]
    middle = len(half) // 2
    away = np.sign(np.diff(half))
    assert (away[:middle] == -away[-1]).all()
    assert (away[middle:] == away[-1]).all()


def test_figures_on_the_page_take_every_ink_from_the_page() -> None:
    assert len(VARIABLES) == len({*VARIABLES}) == 4 + NUM_HUES
    light, dark = (dict(each.split(": ") for each in css_variables(mode).split("; ")) for mode in ("light", "dark"))
    assert light.keys() == dark.keys() == {f"--{name}" for name in VARIABLES.values()}
    assert light["--ink0"] == THEMES["light"].background
    assert dark["--ink1"] == THEMES["dark"].ink

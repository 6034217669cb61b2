"""Margins, critical labels and slices as a user gives them."""

from __future__ import annotations

from pathlib import Path

import pytest

from attrition.gate.checks import Settings, parse_critical, read_margins
from attrition.gate.release import gate_files
from attrition.names import AttritionError


def test_margins_of_single_slices(folders: Path) -> None:
    path = folders / "margins.toml"
    path.write_text('de = 60\n"domain=d1" = 0.25\n', encoding="utf-8")
    settings = Settings(margins=read_margins(path), slices=("domain",), critical={"PER": None})
    found = gate_files(folders / "old", folders / "new", folders / "gold", settings)
    margins = {each.check.name: each.check.margin for each in found.findings}
    assert margins == {"de": 60, "fi": 1, "domain=d0": 1, "domain=d1": 0.25, "PER in de": 60, "PER in fi": 1}


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        (Settings(margins={"dee": 1.0}), "margins: unknown slice 'dee'. Did you mean 'de'"),
        (Settings(critical={"PERS": None}), "--critical: unknown label 'PERS'. Did you mean 'PER'"),
        (Settings(slices=("domian",)), "unknown field of the row 'domian'. Did you mean 'domain'"),
    ],
)
def test_unknown_names_are_answered_with_the_nearest(folders: Path, settings: Settings, why: str) -> None:
    with pytest.raises(AttritionError, match=why):
        gate_files(folders / "old", folders / "new", folders / "gold", settings)


@pytest.mark.parametrize("margin", [0.0, -1.0, float("nan"), 101.0])
def test_margins_are_points(margin: float) -> None:
    with pytest.raises(AttritionError, match=r"is not allowed. Give points"):
        Settings(margin=margin)
    with pytest.raises(AttritionError, match="of PER is not allowed"):
        Settings(critical={"PER": margin})


@pytest.mark.parametrize("text", ["PER=x", "=1", "PER,,ID"])
def test_critical_labels_are_parsed_strictly(text: str) -> None:
    with pytest.raises(AttritionError, match="--critical"):
        parse_critical(text)


def test_a_margins_file_holds_numbers(tmp_path: Path) -> None:
    path = tmp_path / "margins.toml"
    path.write_text("de = true\n", encoding="utf-8")
    with pytest.raises(AttritionError, match="de = True is not a margin"):
        read_margins(path)

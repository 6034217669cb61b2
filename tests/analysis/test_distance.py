"""Typological distances: what is asked of URIEL+, what becomes of its answer, and where it is missing."""

from __future__ import annotations

import logging
import math
import sys
from types import ModuleType

import numpy as np
import pytest

from attrition.analysis.distance import NAME, distances
from attrition.names import AttritionError

asked: list[str] = []


class Fake:
    """Distances by place, unknown for Thai; it does to logging what URIEL+ does."""

    def new_distance(self, kind: str, codes: list[str]) -> np.ndarray:
        assert kind == "syntactic"
        assert len(codes) >= 3
        asked[:] = codes
        logging.basicConfig(level=logging.INFO)
        logging.info("said")
        places = np.arange(len(codes))
        table = np.abs(places[:, None] - places[None, :]) / 8
        if "tha" in codes:
            table[codes.index("tha")] = table[:, codes.index("tha")] = -1
        return table


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("urielplus.urielplus")
    module.URIELPlus = Fake  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "urielplus", ModuleType("urielplus"))
    monkeypatch.setitem(sys.modules, "urielplus.urielplus", module)


@pytest.mark.usefixtures("fake")
def test_every_pair_has_its_distance(capsys: pytest.CaptureFixture[str]) -> None:
    before = (list(logging.getLogger().handlers), logging.getLogger().level, logging.getLogger().manager.disable)
    found = distances(["de-DE", "az-AZ", "zh-CN", "zh-TW", "th-TH", "my own"])[NAME]
    assert asked[:4] == ["deu", "aze", "cmn", "tha"]
    assert len(found) == 36
    assert found["de-DE", "az-AZ"] == found["az-AZ", "de-DE"] == 1 / 8
    assert found["de-DE", "zh-TW"] == found["de-DE", "zh-CN"] == 2 / 8
    assert found["zh-CN", "zh-TW"] == found["th-TH", "th-TH"] == 0
    assert math.isnan(found["de-DE", "th-TH"])
    assert math.isnan(found["de-DE", "my own"])
    assert (list(logging.getLogger().handlers), logging.getLogger().level, logging.getLogger().manager.disable) == before
    assert "said" not in "".join(capsys.readouterr())


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "urielplus", None)
    with pytest.raises(AttritionError, match=r'pip install "attrition\[distance\]"'):
        distances(["de-DE", "nl-NL"])


def test_of_uriel_itself() -> None:
    pytest.importorskip("urielplus", reason="urielplus is not installed")
    found = distances(["de-DE", "nl-NL", "ja-JP", "az-AZ", "lv-LV"])[NAME]
    assert all(0 <= value <= 1 for value in found.values())
    assert found["de-DE", "nl-NL"] < found["de-DE", "ja-JP"]
    assert found["de-DE", "ja-JP"] == found["ja-JP", "de-DE"]

"""The study files of the 52-language study: they are read, and its orders are balanced as they say."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from attrition.analysis.claims import read_claims
from attrition.study.spec import read_study

FOLDER = Path(__file__).parent.parent.parent / "studies" / "fifty-two"


@pytest.mark.parametrize("path", sorted(FOLDER.glob("[!c]*.toml")), ids=lambda path: path.stem)
def test_every_study_file_is_read(path: Path) -> None:
    assert read_study(path).name.startswith("fifty-two")


def test_the_claims_are_read() -> None:
    assert len(read_claims(FOLDER / "claims.toml")) == 18


def test_all_eight_orders_together_give_every_language_the_same_mean_position() -> None:
    study = read_study(FOLDER / "main.toml")
    assert len(study.orders) == 8
    places_OL = np.array([[order.stages.index((language,)) for language in study.languages] for order in study.orders])
    assert np.abs(places_OL.mean(0) - 25.5).max() <= 0.25
    assert np.abs(places_OL[:5].mean(0) - 25.5).max() > 10, "the paper's five do not"

"""docs/guides/own-data.md names what there is. tests/test_docs.py runs its commands."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from attrition.corpus.columns_files import place_of
from attrition.corpus.formats import BY_ENDING
from attrition.corpus.schemes import SCHEMES
from attrition.languages import own

PAGE = (Path(__file__).parents[2] / "docs" / "guides" / "own-data.md").read_text(encoding="utf-8")


def test_the_page_names_every_ending_scheme_and_attribute() -> None:
    for ending in filter(None, BY_ENDING):
        assert f"`{ending}`" in PAGE
    for scheme in SCHEMES:
        assert f"`{scheme}`" in PAGE
    attributes = re.sub(r"\s+", " ", PAGE)
    listed = re.search(r"The others are any of ([^.]*)\.", attributes)
    assert listed is not None
    assert set(listed[1].split(", ")) == set(own._VALUES)


@pytest.mark.parametrize("row", re.findall(r"^\| (`[^|]*) \| ([a-zA-Z, -]+) \| (train|dev)", PAGE, re.MULTILINE))
def test_files_are_what_the_page_says(row: tuple[str, str, str]) -> None:
    from pathlib import PurePosixPath

    names, languages = re.findall(r"`([^`]+)`", row[0]), row[1].split(", ")
    for name in names[:2]:
        found = place_of(PurePosixPath(name))
        assert found is not None
        assert found[0] in languages
        assert found[1] == row[2]

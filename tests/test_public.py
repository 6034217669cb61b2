"""The public names of the package are there."""

from __future__ import annotations

import pytest

import attrition


@pytest.mark.parametrize("name", attrition.__all__)
def test_a_public_name_is_there(name: str) -> None:
    assert getattr(attrition, name) is not None


def test_the_list_is_complete() -> None:
    assert set(attrition._HOMES) | {"metrics", "run"} == set(attrition.__all__)
    assert dir(attrition) == sorted(attrition.__all__)
    assert len(set(attrition.__all__)) == len(attrition.__all__)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'forgetfulness'"):
        _ = attrition.forgetfulness

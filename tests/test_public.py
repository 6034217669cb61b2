"""The public face: every promised name is there, and the README's examples run."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

import attrition

README = Path(__file__).parent.parent / "README.md"


def _examples() -> list[str]:
    text = README.read_text(encoding="utf-8") if README.is_file() else ""
    return re.findall(r"^```python\n(.*?)^```", text, re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize("name", attrition.__all__)
def test_a_public_name_is_there(name: str) -> None:
    assert getattr(attrition, name) is not None


def test_the_list_is_complete() -> None:
    assert set(attrition._HOMES) | {"metrics"} == set(attrition.__all__)
    assert len(set(attrition.__all__)) == len(attrition.__all__)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'forgetfulness'"):
        _ = attrition.forgetfulness


@pytest.mark.long
@pytest.mark.parametrize("code", _examples() or [pytest.param("", marks=pytest.mark.skip("README.md has no Python example"))])
def test_examples_of_the_readme_run(code: str, tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr

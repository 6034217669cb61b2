"""Counts in an archive: packed, and back to the same bytes."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from attrition.results.packed_counts import pack_counts, unpack_counts


@pytest.mark.parametrize("dtype", ["int16", "int64", "uint8"])
def test_counts_come_back_as_they_were(dtype: str, tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    evaluations = {
        f"e{number}": {
            f"{language}.{part}": generator.integers(0, most, (size, 3)).astype(dtype)
            for language in ("de-DE", "en-US")[: 1 + number % 2]
            for part, size, most in (("utterances", 7 + number % 3, 4), ("slots", 5, 120))
        }
        for number in range(6)
    }
    evaluations["empty"] = {"de-DE.utterances": np.zeros((0, 3), dtype)}
    if dtype == "int64":
        evaluations["e1"]["de-DE.slots"][2, 1] = 2**40
    data, groups = pack_counts(evaluations)
    (tmp_path / "x").write_bytes(data)
    again = unpack_counts(tmp_path / "x", json.loads(json.dumps(groups)))
    assert again.keys() == evaluations.keys()
    for key, arrays in evaluations.items():
        assert again[key].keys() == arrays.keys()
        for name, array in arrays.items():
            assert again[key][name].dtype == array.dtype
            assert np.array_equal(again[key][name], array)

"""Named random streams."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import torch

from attrition.streams import numpy_stream, seed_of, torch_stream


def test_a_seed_is_a_hash_of_the_name_and_never_changes() -> None:
    """Stored results depend on these numbers: the first 8 bytes of SHA-256 of '["batches", 0, "en-US"]', halved."""
    import hashlib

    expected = int.from_bytes(hashlib.sha256(b'["batches", 0, "en-US"]').digest()[:8], "big") // 2
    assert seed_of("batches", 0, "en-US") == expected
    assert 0 <= expected < 2**63


def test_names_that_look_alike_differ() -> None:
    names = [
        ("a", "b"),
        ("ab",),
        ("a,b",),
        (("a", "b"),),
        ("a", ("b",)),
        ("a", 1),
        ("a", "1"),
        ("b", "a"),
        ("ä",),
        ("\\u00e4",),
    ]
    seeds = {seed_of(*name) for name in names}
    assert len(seeds) == len(names)


@pytest.mark.parametrize("name", [("batches", "x", 3), ("masks",)])
def test_streams_repeat_themselves(name: tuple[str | int, ...]) -> None:
    assert np.array_equal(numpy_stream(*name).random(5), numpy_stream(*name).random(5))
    assert torch.equal(torch.rand(5, generator=torch_stream(*name)), torch.rand(5, generator=torch_stream(*name)))


def test_different_names_give_different_numbers() -> None:
    assert not np.array_equal(numpy_stream("a").random(5), numpy_stream("b").random(5))
    assert not torch.equal(torch.rand(5, generator=torch_stream("a")), torch.rand(5, generator=torch_stream("b")))


def test_streams_do_not_touch_the_global_ones() -> None:
    before = torch.get_rng_state()
    torch.rand(5, generator=torch_stream("a"))
    assert torch.equal(torch.get_rng_state(), before)


def test_the_same_in_another_process_whatever_its_hash_seed() -> None:
    code = "from attrition.streams import seed_of; import sys; sys.stdout.write(str(seed_of('a', ('b', 1))))"
    found = subprocess.run(
        [sys.executable, "-c", code], env={"PYTHONHASHSEED": "7", "PATH": ""}, capture_output=True, text=True, check=True
    )
    assert int(found.stdout) == seed_of("a", ("b", 1))

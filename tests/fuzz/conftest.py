"""How many damaged inputs are tried, and what holds for each: quick, within memory, read whole or refused in a sentence."""

from __future__ import annotations

import importlib.util
import os
import resource
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from types import FrameType, ModuleType

import pytest

from attrition.names import AttritionError

SECONDS = 20
MEMORY_BYTES = 2 << 30
TIMES = int(os.environ.get("ATTRITION_TORTURE") or 0)
"""0 for a few hundred inputs; 1 for the long form, of more than 10,000; 10 for ten times as many."""

Attempt = Callable[[Random], None]


def _load(path: Path, name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def mutate() -> ModuleType:
    """The module of mutations."""
    return _load(Path(__file__).with_name("mutate.py"), "attrition_tests_mutate")


def _late(_signal: int, _frame: FrameType | None) -> None:
    raise TimeoutError(f"not done after {SECONDS} seconds")


@pytest.fixture
def hunt(request: pytest.FixtureRequest) -> Iterator[Callable[[Attempt, int, int], None]]:
    """Try an input for each of many seeds: `hunt(attempt, num_short, num_long)`.

    An attempt damages something, reads it, and checks what was read, or (with `refusal`) how it was refused. Whatever else it
    raises fails, with the seed that repeats it.
    """
    before = signal.signal(signal.SIGALRM, _late)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    def try_all(attempt: Attempt, num_short: int, num_long: int) -> None:
        for number in range(TIMES * num_long or num_short):
            seed = f"{request.node.name} {number}"
            signal.setitimer(signal.ITIMER_REAL, SECONDS)
            try:
                attempt(Random(seed))
            except Exception as error:
                error.add_note(f"The input was made with Random({seed!r}).")
                raise
            finally:
                signal.setitimer(signal.ITIMER_REAL, 0)
        grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - peak) * 1024
        assert grown < MEMORY_BYTES, f"{grown:,} bytes of memory"

    yield try_all
    signal.signal(signal.SIGALRM, before)


@pytest.fixture(scope="session")
def refusal() -> Callable[..., None]:
    """Check that an error is one for users and says all of the words given."""

    def check(error: ValueError, *words: str) -> None:
        assert isinstance(error, AttritionError), repr(error)
        message = str(error)
        assert len(message) < 4_000, f"a message of {len(message):,} characters: {message[:200]}"
        for word in words:
            assert word in message, f"{word!r} is not in: {message}"

    return check

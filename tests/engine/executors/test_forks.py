"""The process from which workers are forked starts before anything heavy is imported, and only where it may be needed."""

from __future__ import annotations

import subprocess
import sys

import pytest

from attrition.engine.executors.forks import FORKS

PROGRAM = """
import os, sys
from multiprocessing import forkserver
from attrition.engine.executors.forks import start_early
os.sched_getaffinity = lambda _: set(range(int(sys.argv[2])))
start_early(sys.argv[1])
assert "torch" not in sys.modules
print(forkserver._forkserver._forkserver_pid is not None)
"""


@pytest.mark.skipif(not FORKS, reason="workers are forked on Linux only")
@pytest.mark.parametrize(
    ("executor", "cores", "starts"),
    [("local", 4, False), ("ray", 4, False), ("auto", 1, False), ("auto", 2, True), ("processes", 1, True)],
)
def test_only_a_study_that_may_fork_starts_the_process(executor: str, cores: int, starts: bool) -> None:
    said = subprocess.run([sys.executable, "-c", PROGRAM, executor, str(cores)], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == str(starts)

"""The process from which the workers of "processes" are forked. It has imported torch, so a worker starts at once.

This module imports nothing heavy: a command can start that process first, and import torch itself meanwhile.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import forkserver
from multiprocessing.context import ForkServerContext, SpawnContext

FORKS = sys.platform == "linux"
"""True if workers are forked. Elsewhere each worker imports torch itself."""

_PRELOAD = "attrition.engine.executors.remote"


def start_early(executor: str) -> None:
    """Start the process from which workers are forked, if a study's `machine.executor` may need it.

    It then imports torch on another core, while this process does so too.
    """
    if FORKS and (executor == "processes" or (executor == "auto" and len(os.sched_getaffinity(0)) > 1)):
        workers_context()


def workers_context() -> ForkServerContext | SpawnContext:
    """Return the context that makes worker processes; on Linux, start the process from which they are forked.

    A second call starts no second process.
    """
    if not FORKS:
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([_PRELOAD])
    with without_interrupts():
        forkserver.ensure_running()
    return context


@contextmanager
def without_interrupts() -> Iterator[None]:
    """Start processes that ignore Ctrl-C from the terminal: the driver asks the workers to stop."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)

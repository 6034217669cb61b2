"""The executor "processes": several workers on this machine, each a process with its share of the cores."""

from __future__ import annotations

import multiprocessing
import os
import signal
import socket
import tempfile
import threading
import time
from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from attrition.engine.executors import Outcome
from attrition.engine.executors.remote import Setup, work
from attrition.engine.executors.shared import write_shared
from attrition.engine.progress import forget_pulse
from attrition.engine.schedule import Unit
from attrition.prepare.prepare import Prepared

LOOK_SECONDS = 1.0
"""So often does the driver look what was stored."""


@dataclass(eq=False)
class _Process:
    """A pool of one process: when it dies, the others go on."""

    pool: ProcessPoolExecutor
    pid: Future[int]

    @staticmethod
    def start() -> _Process:
        """Start a process, which ctrl-C in the terminal of the driver does not reach: the driver asks it to stop."""
        pool = ProcessPoolExecutor(1, multiprocessing.get_context("spawn"), _begin, (os.getpid(),))
        main = threading.current_thread() is threading.main_thread()
        before = signal.signal(signal.SIGINT, signal.SIG_IGN) if main else None
        try:
            return _Process(pool, pool.submit(os.getpid))
        finally:
            if main:
                signal.signal(signal.SIGINT, before)

    def send(self, number: int) -> None:
        """Send a signal, if the process runs and has said which it is."""
        with suppress(BrokenProcessPool, ProcessLookupError):
            if self.pid.done():
                os.kill(self.pid.result(), number)


def _begin(driver: int) -> None:
    """In the new process: end when the driver has ended, keeping what is in training."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    def watch() -> None:
        while os.getppid() == driver:
            time.sleep(LOOK_SECONDS)
        while True:  # the first one asks for a stop between two steps; without a unit, or at the second, the process ends
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(60 * LOOK_SECONDS)

    threading.Thread(target=watch, daemon=True).start()


class Processes:
    """Workers in processes of their own, which share the encoder and the utterances through mapped files."""

    chains, elsewhere = False, True
    at_work: Sequence[Unit] = ()

    def __init__(self, prepared: Prepared, setup: Setup, workers: int) -> None:
        self.slots, self.device = workers, prepared.device.type
        self._temporary = tempfile.TemporaryDirectory(prefix="attrition-shared-")
        self._setup = setup
        if self.device == "cpu":
            write_shared(prepared, Path(self._temporary.name))
            self._setup = replace(setup, shared=self._temporary.name)
        self._idle: list[_Process] = []
        self._busy: dict[Future[Outcome], tuple[Unit, _Process]] = {}

    def submit(self, units: Sequence[Unit]) -> None:
        """Give each unit to an idle process, or to a new one."""
        for unit in units:
            process = self._idle.pop() if self._idle else _Process.start()
            self._busy[process.pool.submit(work, self._setup, unit)] = unit, process

    def wait(self) -> Sequence[Outcome]:
        """Wait a second, or until a unit has ended."""
        done, _ = wait(self._busy, LOOK_SECONDS, FIRST_COMPLETED)
        return [self._outcome(future) for future in done]

    def _outcome(self, future: Future[Outcome]) -> Outcome:
        unit, process = self._busy.pop(future)
        try:
            outcome = future.result()
        except BrokenProcessPool:
            process.pool.shutdown(wait=False)
            with suppress(BrokenProcessPool):
                forget_pulse(Path(self._setup.folder), socket.gethostname(), process.pid.result())
            return Outcome(unit, died="A worker process has ended (it was killed, or memory ran out).")
        self._idle.append(process)
        return outcome

    def stop(self) -> Sequence[Outcome]:
        """Ask every process at work to keep what is in training, and wait until it has."""
        for _, process in self._busy.values():
            process.send(signal.SIGTERM)
        wait(self._busy)
        return [self._outcome(future) for future in tuple(self._busy)]

    def close(self) -> None:
        """End all processes at once; without a unit, that is at no cost."""
        for process in (*self._idle, *(each for _, each in self._busy.values())):
            process.send(signal.SIGKILL)
            process.pool.shutdown(wait=True, cancel_futures=True)
        self._temporary.cleanup()

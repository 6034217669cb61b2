"""The executor "processes": several worker processes on this machine, each with a share of the cores."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import signal
import socket
import tempfile
import threading
import time
import traceback
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from multiprocessing import connection
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path

from attrition.engine.executors import Outcome
from attrition.engine.executors.forks import FORKS, without_interrupts, workers_context
from attrition.engine.executors.remote import Setup, work
from attrition.engine.executors.shared import write_shared
from attrition.engine.progress import forget_pulse
from attrition.engine.schedule import Unit
from attrition.files import is_left_behind, writer
from attrition.names import AttritionError
from attrition.prepare.prepare import Prepared

LOOK_SECONDS = 1.0
"""Seconds between the driver's checks for stored stages."""

_SHARED = ".attrition-shared-"


@dataclass(frozen=True, eq=False)
class _Worker:
    """A process, and the pipe that sends it units."""

    process: BaseProcess
    pipe: Connection

    def send(self, number: int) -> None:
        """Send a signal if the process is running."""
        if self.process.exitcode is None and self.process.pid is not None:
            with suppress(ProcessLookupError):
                os.kill(self.process.pid, number)


def _serve(setup: Setup, pipe: Connection, variables: Mapping[str, str]) -> None:
    """In the new process: run units until the driver ends. Then save the training."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.environ.clear()  # the forked process may have old values
    os.environ.update(variables)
    threading.Thread(target=_follow_driver, daemon=True).start()
    with suppress(EOFError, OSError):  # the driver has ended
        while True:
            unit: Unit = pipe.recv()
            try:
                answer: Outcome | Exception = work(setup, unit)
            except Exception as error:  # noqa: BLE001 - the driver raises it
                if not isinstance(error, AttritionError):
                    error.add_note(f"In a worker:\n{traceback.format_exc()}")
                answer = error
            pipe.send(answer)


def _follow_driver() -> None:
    """Wait until the driver has ended, then stop this process."""
    driver = multiprocessing.parent_process()
    assert driver is not None
    connection.wait([driver.sentinel])
    while True:  # first signal: stop between two steps; second signal, or no unit: end
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(60)


class Processes:
    """Workers in separate processes, which share the encoder and the utterances through mapped files."""

    chains, elsewhere = False, True
    at_work: Sequence[Unit] = ()

    def __init__(self, prepared: Prepared, setup: Setup, workers: int) -> None:
        self.slots, self.device = workers, prepared.device.type
        for left in Path(tempfile.gettempdir()).glob(f"{_SHARED}*.tmp"):
            if is_left_behind(left):  # from a killed driver
                shutil.rmtree(left, ignore_errors=True)
        self._temporary = tempfile.TemporaryDirectory(prefix=_SHARED, suffix=f".{writer()}.tmp")
        self._setup = setup
        if self.device == "cpu":
            write_shared(prepared, Path(self._temporary.name))
            self._setup = replace(setup, shared=self._temporary.name)
        self._context = workers_context()
        self._idle: list[_Worker] = []
        self._busy: dict[_Worker, Unit] = {}

    def submit(self, units: Sequence[Unit]) -> None:
        """Give each unit to an idle worker, or to a new one."""
        for unit in units:
            worker = self._idle.pop() if self._idle else self._start()
            self._busy[worker] = unit
            with suppress(OSError):  # the worker has died: `wait` sees it
                worker.pipe.send(unit)

    def _start(self) -> _Worker:
        ours, theirs = self._context.Pipe()
        given = (self._setup, theirs, dict(os.environ))
        process = self._context.Process(target=_serve, args=given, daemon=True)
        if FORKS:
            process.start()
        else:
            with without_interrupts():
                process.start()
        theirs.close()
        return _Worker(process, ours)

    def wait(self) -> Sequence[Outcome]:
        """Wait a second, or until a unit ends."""
        return self._ended(LOOK_SECONDS)

    def _ended(self, seconds: float) -> Sequence[Outcome]:
        pipes = {worker.pipe: worker for worker in self._busy}
        ready = connection.wait(list(pipes), seconds)
        return [self._outcome(worker) for pipe, worker in pipes.items() if pipe in ready]

    def _outcome(self, worker: _Worker) -> Outcome:
        unit = self._busy.pop(worker)
        try:
            answer = worker.pipe.recv()
        except (EOFError, OSError):
            worker.process.join()
            worker.pipe.close()
            forget_pulse(Path(self._setup.folder), socket.gethostname(), worker.process.pid or 0)
            return Outcome(unit, died="A worker process has ended (it was killed, or memory ran out).")
        self._idle.append(worker)
        if isinstance(answer, Exception):
            raise answer
        outcome: Outcome = answer
        return outcome

    def stop(self) -> Sequence[Outcome]:
        """Ask every worker to save its training, and wait until all have done so."""
        for worker in self._busy:
            worker.send(signal.SIGTERM)
        ended: list[Outcome] = []
        errors: list[Exception] = []
        while self._busy:
            try:
                ended += self._ended(LOOK_SECONDS)
            except Exception as error:  # noqa: BLE001 - raised when the others have ended, too
                errors.append(error)
        if errors:
            raise errors[0]
        return ended

    def close(self) -> None:
        """End all processes at once. Idle processes lose nothing."""
        for worker in (*self._idle, *self._busy):
            worker.send(signal.SIGKILL)
            worker.process.join()
            worker.pipe.close()
        self._temporary.cleanup()
